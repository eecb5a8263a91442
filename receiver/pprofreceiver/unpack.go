package pprofreceiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"
	"github.com/klauspost/compress/gzip"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// maxLayers of gzip are undone: pprof's own, and that of a proxy.
const maxLayers = 2

// maxExpansion is how many times its bytes a parsed profile may weigh. Real
// profiles take 4 to 10 times; one made of empty messages would take 60.
const maxExpansion = 16

// limitedBuffer reads all of r, or fails once it has more than max bytes.
func limitedBuffer(r io.Reader, max int) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, int64(max)+1))
	switch {
	case err != nil:
		return nil, err
	case n > int64(max):
		return nil, &failure{causeTooLarge, fmt.Errorf("the profile has more than max_profile_bytes, %d", max)}
	}
	return b.Bytes(), nil
}

// parse makes a profile of bytes that were not checked yet. It holds no more
// than maxBytes of them decompressed.
func parse(data []byte, maxBytes int) (p *profile.Profile, err error) {
	for layer := 0; bytes.HasPrefix(data, []byte{0x1f, 0x8b}) && layer < maxLayers; layer++ {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			data, err = limitedBuffer(z, maxBytes)
		}
		if err != nil {
			return nil, asFailure(causeNotPprof, fmt.Errorf("decompress the profile: %w", err))
		}
	}
	if err := weigh(data, maxExpansion*maxBytes); err != nil {
		return nil, err
	}
	defer func() {
		// A parser that meets what its authors did not think of must not take the
		// process with it.
		if r := recover(); r != nil {
			p, err = nil, &failure{causeNotPprof, fmt.Errorf("parse the profile: the parser gave up: %v", r)}
		}
	}()
	p, err = profile.ParseUncompressed(data)
	if err == nil {
		err = p.CheckValid()
	}
	if err == nil && len(p.SampleType) == 0 {
		err = errors.New("it has no sample types")
	}
	if err != nil {
		return nil, &failure{causeNotPprof, fmt.Errorf("parse the profile: expected pprof in protobuf (it begins %q): %w", data[:min(len(data), 32)], err)}
	}
	return p, nil
}

// perMessage is what a line weighs; numbers, which may be packed, weigh less.
const perMessage = 40

// The fields of profile.proto that become objects, and what those weigh in
// bytes. The sizes are those of the structs of google/pprof on 64 bits, with the
// pointers to them and their entries in maps.
var (
	weightOf = map[uint32]int{
		2: 128 + 8,           // Sample
		3: 160 + 8 + 32,      // Mapping
		4: 64 + 16 + 8 + 40,  // Location
		5: 72 + 24 + 8 + 40,  // Function
		6: 16,                // string
		1: 48, 11: 48, 13: 8, // ValueType, comments
	}
	// weightWithin is for the fields of a Sample (labels make maps) and of a
	// Location (lines).
	weightWithin = map[uint32]map[uint32]int{2: {1: 16, 2: 8, 3: 400}, 4: {4: perMessage}}
)

// weigh refuses bytes that would become more than max bytes of objects. It
// leaves invalid protobuf to the parser.
func weigh(data []byte, max int) error {
	total := 0
	for c := (wire.Cursor{Buf: data}); c.Next(); {
		total += weightOf[c.Num] + c.End - c.Start
		if c.Type == wire.TypeBytes && weightWithin[c.Num] != nil {
			total += weighWithin(c.Bytes, weightWithin[c.Num])
		}
		if total > max {
			return &failure{causeTooLarge, fmt.Errorf("the profile would take more than %d times max_profile_bytes in memory", maxExpansion)}
		}
	}
	return nil
}

func weighWithin(data []byte, weights map[uint32]int) (total int) {
	for c := (wire.Cursor{Buf: data}); c.Next(); {
		n := 1
		if c.Type == wire.TypeBytes && weights[c.Num] < perMessage { // packed numbers
			n = len(c.Bytes)
		}
		total += n * weights[c.Num]
	}
	return total
}
