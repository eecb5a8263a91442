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

// maxConvertBytes bounds the input, as it is and unpacked.
const maxConvertBytes = 1 << 30

var gzipMagic = []byte{0x1f, 0x8b}

// convertInput is what was read.
type convertInput struct {
	format   string
	requests [][]byte          // of OTLP, checked
	profiles []pprofconv.Named // all there are
	bytes    int               // of requests
}

// readConvertInput reads everything; from is "" for whatever it is.
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
			err = errors.New("there is gzip again in it")
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking gzip: %w", err)
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	if from == "" {
		return recognise(data)
	}
	return parseInput(data, from)
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxConvertBytes+1))
	if err == nil && len(data) > maxConvertBytes {
		err = fmt.Errorf("it is larger than %d bytes", maxConvertBytes)
	}
	return data, err
}

// recognise tries what the first byte allows. JSON begins with a brace. No message
// begins with a byte below 8, which would be field 0, but a length of four bytes
// does. pprof never passes for OTLP, since its sample types are no resources, nor
// OTLP for pprof.
func recognise(data []byte) (*convertInput, error) {
	if bytes.TrimLeft(data, " \t\r\n")[0] == '{' {
		return parseInput(data, formatOTLPJSON)
	}
	in, notOTLP := parseInput(data, formatOTLP)
	if notOTLP == nil || data[0] < 8 {
		return in, notOTLP
	}
	in, notPprof := parseInput(data, formatPprof)
	if notPprof == nil {
		return in, nil
	}
	return nil, fmt.Errorf("it is neither OTLP profiles nor pprof: as OTLP, %w; as pprof, %w", notOTLP, notPprof)
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
		return nil, errors.New("there are no profiles in it")
	}
	return in, nil
}

// addJSON takes objects one after the other, on lines of their own or not.
func (in *convertInput) addJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	for n := 1; ; n++ {
		var text json.RawMessage
		err := d.Decode(&text)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("object %d of JSON, byte %d: %w", n, d.InputOffset(), err)
		}
		if err := in.addText(text); err != nil {
			return fmt.Errorf("object %d: %w", n, err)
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

// addProtobuf takes one request, or records that the file exporter wrote.
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

// addRequest takes a request that nobody has checked.
func (in *convertInput) addRequest(request []byte) error {
	if _, err := otlp.Check(otlp.Profiles, request); err != nil {
		if older := otlp.OlderProfiles(request); older != "" {
			return fmt.Errorf("%s (%w)", older, err)
		}
		return err
	}
	if in.bytes += len(request); in.bytes > maxConvertBytes {
		return fmt.Errorf("the requests up to this one are larger than %d bytes", maxConvertBytes)
	}
	list, err := pprofconv.ToPprof(request)
	if err != nil {
		return err
	}
	in.requests = append(in.requests, request)
	in.profiles = append(in.profiles, list...)
	return nil
}
