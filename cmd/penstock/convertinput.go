package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/otlp"
)

// maxConvertBytes bounds the input, before and after decompression.
const maxConvertBytes = 1 << 30

var gzipMagic = []byte{0x1f, 0x8b}

// convertInput is the decoded input.
type convertInput struct {
	format   string
	requests [][]byte          // of OTLP, checked
	profiles []pprofconv.Named // all profiles of the input
	bytes    int               // the size of requests
}

// readConvertInput reads the input in the format from; "" means to recognize it.
func readConvertInput(r io.Reader, from string) (*convertInput, error) {
	data, err := readBounded(r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, gzipMagic) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			data, err = readBounded(z)
		}
		if err == nil && bytes.HasPrefix(data, gzipMagic) {
			err = errors.New("compressed more than once")
		}
		if err != nil {
			return nil, fmt.Errorf("decompress gzip: %w", err)
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("no data")
	}
	if from == "" {
		return recognize(data)
	}
	return parseInput(data, from)
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxConvertBytes+1))
	if err == nil && len(data) > maxConvertBytes {
		err = fmt.Errorf("larger than %d bytes", maxConvertBytes)
	}
	return data, err
}

// recognize tries the formats that the first byte allows. JSON begins with a brace. No
// message begins with a byte below 8, which would be field 0, but a record length of four
// bytes does, and a CPU profile of gperftools. A pprof profile is never valid OTLP, since its sample types are not valid
// resources, and OTLP is never a valid pprof profile.
func recognize(data []byte) (*convertInput, error) {
	if bytes.TrimLeft(data, " \t\r\n")[0] == '{' {
		return parseInput(data, formatOTLPJSON)
	}
	if pprofconv.IsLegacyCPU(data) {
		return parseInput(data, formatPprof)
	}
	in, notOTLP := parseInput(data, formatOTLP)
	if notOTLP == nil || data[0] < 8 {
		return in, notOTLP
	}
	in, notPprof := parseInput(data, formatPprof)
	if notPprof == nil {
		return in, nil
	}
	return nil, fmt.Errorf("neither OTLP profiles nor pprof: as OTLP: %w; as pprof: %w", notOTLP, notPprof)
}

func parseInput(data []byte, format string) (in *convertInput, err error) {
	in = &convertInput{format: format}
	switch format {
	case formatPprof:
		p, err := profile.ParseData(data)
		if err != nil {
			return nil, err
		}
		in.profiles = []pprofconv.Named{{Profile: p}}
		return in, nil
	case formatOTLPJSON:
		err = in.addJSON(data)
	default:
		err = in.addProtobuf(data)
	}
	if err != nil {
		return nil, err
	}
	if len(in.profiles) == 0 {
		return nil, errors.New("no profiles")
	}
	return in, nil
}

// addJSON adds a sequence of objects, on separate lines or not.
func (in *convertInput) addJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	for n := 1; ; n++ {
		var text json.RawMessage
		err := d.Decode(&text)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("JSON object %d, byte %d: %w", n, d.InputOffset(), err)
		}
		if err := in.addText(text); err != nil {
			return fmt.Errorf("JSON object %d: %w", n, err)
		}
	}
}

func (in *convertInput) addText(text []byte) error {
	request, err := otlp.DecodeJSON(make([]byte, 0, len(text)+64), otlp.Profiles, text)
	if errors.Is(err, otlp.ErrShortBuffer) {
		request, err = otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), otlp.Profiles, text)
	}
	if err != nil {
		return err
	}
	return in.addRequest(request)
}

// addProtobuf adds one request, or the records of the file exporter.
func (in *convertInput) addProtobuf(data []byte) error {
	if data[0] >= 8 {
		return in.addRequest(data)
	}
	reader := fileexporter.NewReader(bytes.NewReader(data), maxConvertBytes)
	if len(data) > 8 && bytes.Equal(data[4:8], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		var err error
		if reader, err = fileexporter.NewZstdReader(bytes.NewReader(data), maxConvertBytes); err != nil {
			return err
		}
	}
	for {
		at := reader.Offset()
		record, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		record = bytes.Clone(record)
		if len(record) > 0 && record[0] == '{' {
			err = in.addText(record)
		} else {
			err = in.addRequest(record)
		}
		if err != nil {
			return fmt.Errorf("record at byte %d: %w", at, err)
		}
	}
}

// addRequest checks and adds a request.
func (in *convertInput) addRequest(request []byte) error {
	if _, err := (otlp.Limits{Depth: otlp.MaxDepth}).Check(otlp.Profiles, request); err != nil {
		if older := otlp.OlderProfiles(request); older != "" {
			return fmt.Errorf("%s (%w)", older, err)
		}
		return err
	}
	if in.bytes += len(request); in.bytes > maxConvertBytes {
		return fmt.Errorf("the requests exceed %d bytes", maxConvertBytes)
	}
	list, err := pprofconv.ToPprof(request)
	if err != nil {
		return err
	}
	in.requests = append(in.requests, request)
	in.profiles = append(in.profiles, list...)
	return nil
}
