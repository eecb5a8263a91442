package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/otlp"
)

// compare prints how the results differ from the file of --expect.
func (c *testConfig) compare(results []trialResult) error {
	text, err := readLimited(c.expect, nil)
	if err != nil {
		return fmt.Errorf("read the expected result: %w", err)
	}
	expected, err := readExpected(c.expect, text, results)
	if err != nil {
		return err
	}
	out := printer{c.stdout, wantsColour(c.stdout)}
	if c.output == "json" {
		out = printer{c.stderr, wantsColour(c.stderr)}
	}
	same := true
	for _, r := range results {
		want, ok := expected[r.ID]
		if !ok {
			continue
		}
		text, err := diffOf(r.Signal, want, r.output())
		if err != nil {
			return err
		}
		if text == "" {
			out.line("pipeline %s: as expected", r.ID)
			continue
		}
		same = false
		out.line("pipeline %s: not as expected (- expected, + result)", r.ID)
		out.diff(text)
	}
	if !same {
		return errUnexpected
	}
	return nil
}

// readExpected returns the expected requests of pipelines, by their ids.
func readExpected(name string, text []byte, results []trialResult) (map[string][][]byte, error) {
	results = slices.DeleteFunc(slices.Clone(results), func(r trialResult) bool { return len(r.requests) == 0 })
	if isReport(text) {
		return readReport(name, text, results)
	}
	all, err := readSamples(name, text)
	if err != nil {
		return nil, err
	}
	expected := map[string][][]byte{}
	if len(all) == 0 { // nothing is left
		if len(results) > 1 {
			return nil, fmt.Errorf("%s: it is empty, and %d pipelines had a sample: choose one with --pipeline", name, len(results))
		}
		expected[results[0].ID] = nil
	}
	for _, s := range all {
		id, err := onlyPipeline(s.signal, results)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		expected[id] = append(expected[id], s.wire)
	}
	return expected, nil
}

// onlyPipeline returns the id of the pipeline of a signal.
func onlyPipeline(s otlp.Signal, results []trialResult) (id string, err error) {
	for _, r := range results {
		switch {
		case r.Signal != s:
		case id != "":
			return "", fmt.Errorf("it has %s, and there are several pipelines of this signal: choose one with --pipeline, or give what --output json prints", s)
		default:
			id = r.ID
		}
	}
	if id == "" {
		return "", fmt.Errorf("it has %s, and no pipeline of this signal had a sample", s)
	}
	return id, nil
}

// isReport reports whether text is what --output json prints.
func isReport(text []byte) bool {
	var keys map[string]json.RawMessage
	return json.NewDecoder(bytes.NewReader(text)).Decode(&keys) == nil && keys["pipelines"] != nil
}

func readReport(name string, text []byte, results []trialResult) (map[string][][]byte, error) {
	var report struct {
		Pipelines []struct {
			Pipeline string
			Output   []json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	expected := map[string][][]byte{}
	for _, p := range report.Pipelines {
		i := slices.IndexFunc(results, func(r trialResult) bool { return r.ID == p.Pipeline })
		if i < 0 {
			return nil, fmt.Errorf("%s: it has the pipeline %q, for which there is no sample, or which the configuration does not have", name, p.Pipeline)
		}
		requests := [][]byte{}
		for _, doc := range p.Output {
			wire, err := decodeRequest(results[i].Signal, doc)
			if err != nil {
				return nil, fmt.Errorf("%s: pipeline %s: %w", name, p.Pipeline, err)
			}
			requests = append(requests, wire)
		}
		expected[p.Pipeline] = requests
	}
	if len(expected) == 0 {
		return nil, errors.New(name + ": it has no pipeline")
	}
	return expected, nil
}
