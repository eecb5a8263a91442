package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/term"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service"
)

// report prints the results, and returns an error if a processor refused a request or a
// result is not as expected.
func (c *testConfig) report(results []trialResult) error {
	var problems []error
	for _, r := range results {
		problems = append(problems, r.err())
	}
	switch {
	case c.output == "json":
		if err := c.reportJSON(results); err != nil {
			return err
		}
	case c.expect == "":
		if err := c.reportText(results); err != nil {
			return err
		}
	}
	if c.expect != "" {
		problems = append(problems, c.compare(results))
	}
	return errors.Join(problems...)
}

func (c *testConfig) reportText(results []trialResult) error {
	out := printer{c.stdout, wantsColour(c.stdout)}
	for _, r := range results {
		if len(r.requests) == 0 {
			out.line("pipeline %s: the sample has no %s", r.ID, r.Signal)
			continue
		}
		out.line("pipeline %s: %s", r.ID, count(len(r.requests), "request"))
		before := r.requests
		for _, s := range r.steps {
			text, err := diffOf(r.Signal, before, s.Requests)
			if err != nil {
				return err
			}
			out.line("  %s: %s", s.Processor, outcome(r.Signal, s, text))
			out.diff(text)
			before = s.Requests
		}
		if len(r.steps) == 0 {
			out.line("  no processors")
		}
	}
	return nil
}

// outcome says in a few words what a processor did.
func outcome(signal otlp.Signal, s service.TrialStep, diff string) string {
	item := strings.ReplaceAll(signal.Spec().Item, "_", " ")
	switch lost := s.ItemsIn - s.ItemsOut; {
	case s.Err != nil:
		return "refused: " + s.Err.Error()
	case lost > 0:
		return fmt.Sprintf("dropped %d of %d %s", lost, s.ItemsIn, item)
	case lost < 0:
		return fmt.Sprintf("added %d to %d %s", -lost, s.ItemsIn, item)
	case diff != "":
		return "changed"
	}
	return "unchanged"
}

// diffOf returns the differences between two lists of requests; empty if there are none.
func diffOf(s otlp.Signal, before, after [][]byte) (string, error) {
	old, err := canonical(s, before)
	if err != nil {
		return "", err
	}
	now, err := canonical(s, after)
	if err != nil {
		return "", err
	}
	return lineDiff(old, now), nil
}

// lineDiff returns the differing lines of two texts, with their surroundings.
func lineDiff(before, after string) string {
	text := string(diff.Diff("before", []byte(before), "after", []byte(after)))
	if at := strings.Index(text, "@@"); at >= 0 {
		return text[at:]
	}
	return ""
}

// The types below are what --output json prints.
type testReport struct {
	Pipelines []pipelineReport `json:"pipelines"`
}

type pipelineReport struct {
	Pipeline   string            `json:"pipeline"`
	Processors []processorReport `json:"processors"`
	Output     []any             `json:"output"`
}

type processorReport struct {
	Processor string `json:"processor"`
	ItemsIn   int    `json:"items_in"`
	ItemsOut  int    `json:"items_out"`
	Changed   bool   `json:"changed"`
	Error     string `json:"error,omitempty"`
	Output    []any  `json:"output"`
}

func (c *testConfig) reportJSON(results []trialResult) error {
	report := testReport{Pipelines: []pipelineReport{}}
	for _, r := range results {
		if len(r.requests) == 0 {
			continue
		}
		p := pipelineReport{Pipeline: r.ID, Processors: []processorReport{}}
		before := r.requests
		for _, s := range r.steps {
			text, err := diffOf(r.Signal, before, s.Requests)
			if err != nil {
				return err
			}
			values, err := jsonValues(r.Signal, s.Requests)
			if err != nil {
				return err
			}
			one := processorReport{Processor: s.Processor, ItemsIn: s.ItemsIn, ItemsOut: s.ItemsOut, Changed: text != "", Output: values}
			if s.Err != nil {
				one.Error = s.Err.Error()
			}
			p.Processors, before = append(p.Processors, one), s.Requests
		}
		var err error
		if p.Output, err = jsonValues(r.Signal, r.output()); err != nil {
			return err
		}
		report.Pipelines = append(report.Pipelines, p)
	}
	enc := json.NewEncoder(c.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// printer prints lines, and the lines of differences in colours.
type printer struct {
	w       io.Writer
	colours bool
}

func (p *printer) line(format string, args ...any) { p.print(fmt.Sprintf(format, args...), "") }

// colours are the escape sequences for the first character of a line of a diff.
var colours = map[byte]string{'-': "\033[31m", '+': "\033[32m", '@': "\033[36m"}

func (p *printer) diff(text string) {
	for line := range strings.Lines(text) {
		p.print("    "+strings.TrimRight(line, "\n"), colours[line[0]])
	}
}

// print prints a line. A write error is that of the whole program's output, which cannot
// be reported.
func (p *printer) print(line, colour string) {
	if p.colours && colour != "" {
		line = colour + line + "\033[0m"
	}
	_, _ = fmt.Fprintln(p.w, line)
}

// wantsColour reports whether w is a terminal that shows colours.
func wantsColour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
