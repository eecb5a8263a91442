package pprofreceiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"
	"github.com/klauspost/compress/gzip"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/pprofconv"
)

// maxLayers of gzip are undone: pprof's own, and that of a proxy.
const maxLayers = 2

// maxExpansion is how many times max_profile_bytes a parsed profile may take in
// memory. Real profiles take 4 to 10 times their bytes; one made of empty messages
// would take 60.
const maxExpansion = 16

// maxSampleTypes bounds the sample types of a profile. Real ones have up to ten.
const maxSampleTypes = 256

// firstBytes is how much of an answer is read at first.
const firstBytes = 32 << 10

// room is what one profile has of the memory budget, in all its forms. nil has no
// bound.
type room struct {
	ticket *admission.Ticket
	used   int // bytes that stay until the profile is through
}

// reserve makes room for n bytes beside those that stay.
func (r *room) reserve(n int) error {
	if r == nil {
		return nil
	}
	if err := r.ticket.Reserve(r.used + n); err != nil {
		return &failure{causeMemory, fmt.Errorf("reserve memory for the profile: %w", err)}
	}
	return nil
}

// keep gives back what was reserved, but for n bytes more that stay.
func (r *room) keep(n int) {
	if r != nil {
		r.used += n
		r.ticket.Shrink(r.used)
	}
}

// close gives everything back.
func (r *room) close() { r.ticket.Release() }

// readAll reads all of from, or fails once it has more than max bytes. The buffer
// stays in r.
func readAll(from io.Reader, max int, r *room) ([]byte, error) {
	if err := r.reserve(firstBytes); err != nil {
		return nil, err
	}
	data := make([]byte, 0, firstBytes)
	for {
		n, err := from.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > max:
			return nil, &failure{causeTooLarge, fmt.Errorf("the profile has more than max_profile_bytes, %d", max)}
		case err == io.EOF:
			r.keep(cap(data))
			return data, nil
		case err != nil:
			return nil, err
		case len(data) < cap(data):
			continue
		}
		size := min(2*cap(data), max+1)
		if err := r.reserve(cap(data) + size); err != nil {
			return nil, err
		}
		data = append(make([]byte, 0, size), data...)
	}
}

// parse makes a profile of bytes that were not checked yet. It holds no more
// than maxBytes of them decompressed. legacy also takes the formats from before protobuf.
func parse(data []byte, maxBytes int, r *room, legacy bool) (p *profile.Profile, err error) {
	for layer := 0; bytes.HasPrefix(data, []byte{0x1f, 0x8b}) && layer < maxLayers; layer++ {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			data, err = readAll(z, maxBytes, r)
		}
		if err != nil {
			return nil, asFailure(causeNotPprof, fmt.Errorf("decompress the profile: %w", err))
		}
	}
	read := profile.ParseUncompressed
	tree, err := weigh(data)
	if legacy && isLegacy(data) {
		tree, err, read = legacyWeight*len(data), nil, profile.ParseData
	}
	if err != nil {
		return nil, err
	}
	if err := allowed("parsed", tree, maxBytes, r); err != nil {
		return nil, err
	}
	if p, err = parseTree(data, read); err != nil {
		return nil, err
	}
	r.keep(tree)
	return p, allowed("reported", workOf(p), maxBytes, r)
}

// allowed makes room for what a profile will take when it is parsed or reported.
func allowed(doing string, n, maxBytes int, r *room) error {
	if n > maxExpansion*maxBytes {
		return &failure{causeTooLarge, fmt.Errorf("the profile would take %d bytes in memory when it is %s, more than %d times max_profile_bytes, %d", n, doing, maxExpansion, maxBytes)}
	}
	return r.reserve(n)
}

// legacyWeight is what the parser takes of memory for a byte of a legacy format: the
// shortest line of text, of about 20 bytes, is a sample with a location.
const legacyWeight = 64

// isLegacy recognizes the formats of gperftools and of Go before protobuf: text of heap,
// contention, thread and goroutine profiles, and binary CPU profiles. Protobuf of a
// profile begins with a message (a byte of 0x0a), which is the end of a line in text.
func isLegacy(data []byte) bool {
	if pprofconv.IsLegacyCPU(data) {
		return true
	}
	line, _, _ := bytes.Cut(data[:min(len(data), 256)], []byte("\n"))
	for _, begins := range []string{"heap profile:", "--- contention", "--- mutex", "--- heap", "--- growth", "--- threadz", "--- Thread", "heap_v2/", "growth:", "fragmentation:"} {
		if bytes.HasPrefix(line, []byte(begins)) {
			return true
		}
	}
	kind, rest, ok := bytes.Cut(line, []byte(" profile: total "))
	return ok && len(kind) > 0 && len(rest) > 0 // "goroutine profile: total 7"
}

func parseTree(data []byte, read func([]byte) (*profile.Profile, error)) (p *profile.Profile, err error) {
	defer func() {
		// A parser that meets what its authors did not think of must not take the
		// process with it.
		if r := recover(); r != nil {
			p, err = nil, &failure{causeNotPprof, fmt.Errorf("parse the profile: the parser gave up: %v", r)}
		}
	}()
	p, err = read(data)
	if err == nil {
		err = p.CheckValid()
	}
	switch {
	case err != nil:
	case len(p.SampleType) == 0:
		err = errors.New("it has no sample types")
	case len(p.SampleType) > maxSampleTypes:
		err = fmt.Errorf("it has %d sample types: expected at most %d", len(p.SampleType), maxSampleTypes)
	}
	if err != nil {
		return nil, &failure{causeNotPprof, fmt.Errorf("parse the profile: expected pprof in protobuf (it begins %q): %w", data[:min(len(data), 32)], err)}
	}
	return p, nil
}
