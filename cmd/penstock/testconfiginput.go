package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// maxSampleBytes is the largest file of a sample.
const maxSampleBytes = 64 << 20

// builtInSamples has a file for each signal.
//
//go:embed samples/*.json
var builtInSamples embed.FS

// sample is a request of a file, in JSON and on the wire.
type sample struct {
	signal otlp.Signal
	wire   []byte
}

// samples returns the requests of --input, or the built-in ones.
func (c *testConfig) samples(stdin io.Reader) (map[otlp.Signal][][]byte, error) {
	bySignal := map[otlp.Signal][][]byte{}
	if c.input == "" {
		for _, s := range otlp.Signals() {
			name := "samples/" + s.String() + ".json"
			text, err := builtInSamples.ReadFile(name)
			if err != nil {
				return nil, err
			}
			all, err := readSamples(name, text)
			if err != nil {
				return nil, err
			}
			bySignal[s] = [][]byte{all[0].wire}
		}
		return bySignal, nil
	}
	text, err := readLimited(c.input, stdin)
	if err != nil {
		return nil, err
	}
	name := c.input
	if name == "-" {
		name = "standard input"
	}
	all, err := readSamples(name, text)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: expected OTLP/JSON, found nothing", name)
	}
	for _, s := range all {
		bySignal[s.signal] = append(bySignal[s.signal], s.wire)
	}
	return bySignal, nil
}

// readLimited reads a file; - is the standard input.
func readLimited(name string, stdin io.Reader) ([]byte, error) {
	src := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // it is read
		src = file
	}
	text, err := io.ReadAll(io.LimitReader(src, maxSampleBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxSampleBytes {
		return nil, fmt.Errorf("read %s: it has more than %d MiB", name, maxSampleBytes>>20)
	}
	return text, nil
}

// readSamples reads documents of OTLP/JSON, one after the other. Errors have the name of the
// file and the line.
func readSamples(name string, text []byte) (all []sample, err error) {
	err = eachDocument(name, text, func(doc []byte, at int) error {
		s, err := readSample(doc)
		if err == nil {
			all = append(all, s)
			return nil
		}
		var where *otlp.JSONError
		if errors.As(err, &where) {
			at += where.Offset
		}
		return fmt.Errorf("%s:%d: %w", name, lineAt(text, at), err)
	})
	return all, err
}

// eachDocument calls f with each JSON document of text and where it begins.
func eachDocument(name string, text []byte, f func(doc []byte, at int) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	for {
		var doc json.RawMessage
		err := dec.Decode(&doc)
		end := int(dec.InputOffset())
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				end = int(syntax.Offset) - 1
			}
			return fmt.Errorf("%s:%d: expected JSON: %w", name, lineAt(text, end), err)
		}
		if err := f(doc, end-len(doc)); err != nil {
			return err
		}
	}
}

// lineAt returns the line of an offset, from 1.
func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:min(max(offset, 0), len(text))], []byte("\n"))
}

// readSample reads one request.
func readSample(doc []byte) (sample, error) {
	s, err := signalOf(doc)
	if err != nil {
		return sample{}, err
	}
	wire, err := decodeRequest(s, doc)
	if err == nil {
		_, err = otlp.Check(s, wire)
	}
	return sample{s, wire}, err
}

func decodeRequest(s otlp.Signal, doc []byte) ([]byte, error) {
	wire, unknown, err := otlp.DecodeJSONContext(context.Background(), make([]byte, 0, otlp.MaxWireBytes(len(doc))), s, doc)
	if err == nil && unknown.End > 0 {
		key := strings.Trim(string(unknown.Key(doc)), `"`)
		err = &otlp.JSONError{Signal: s, Offset: unknown.End, Err: fmt.Errorf("unknown field %q%s", key, suggest.Known(key, unknown.Known()))}
	}
	return wire, err
}

// signalOf returns the signal of a request: that of the first of its keys that one has.
func signalOf(doc []byte) (otlp.Signal, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(doc, &keys); err != nil {
		return 0, errors.New("expected an object with a key such as resourceSpans")
	}
	for key := range keys {
		name, err := json.Marshal(key)
		if err != nil {
			return 0, err
		}
		for _, s := range otlp.Signals() {
			probe := append(append([]byte{'{'}, name...), ":[{}]}"...)
			if wire, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(probe))), s, probe); err == nil && len(wire) > 0 {
				return s, nil
			}
		}
	}
	return 0, errors.New("expected an object with one of the keys resourceSpans, resourceMetrics, resourceLogs and resourceProfiles")
}

func pipelineNames(results []trialResult) string {
	var names []string
	for _, r := range results {
		names = append(names, r.ID)
	}
	return strings.Join(names, ", ")
}

func signalNames(samples map[otlp.Signal][][]byte) string {
	var names []string
	for s := range samples {
		names = append(names, s.String())
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
