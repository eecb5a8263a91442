package main

import (
	"bytes"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service"
)

// There is a built-in sample of each signal.
func TestBuiltInSamples(t *testing.T) {
	c := &testConfig{}
	samples, err := c.samples(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range otlp.Signals() {
		if len(samples[s]) != 1 {
			t.Errorf("%d requests of %s, want 1", len(samples[s]), s)
			continue
		}
		if n, err := otlp.Check(s, samples[s][0]); n < 1 || err != nil {
			t.Errorf("%s: %d items, %v", s, n, err)
		}
	}
}

func TestOutcome(t *testing.T) {
	for want, step := range map[string]service.TrialStep{
		"dropped 2 of 3 metric points": {ItemsIn: 3, ItemsOut: 1},
		"added 1 to 3 metric points":   {ItemsIn: 3, ItemsOut: 4},
		"unchanged":                    {ItemsIn: 3, ItemsOut: 3},
		"refused: refused":             {ItemsIn: 3, Err: errRefused},
	} {
		if want == "refused: refused" {
			want = "refused: " + errRefused.Error()
		}
		if got := outcome(otlp.Metrics, step, ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := outcome(otlp.Metrics, service.TrialStep{}, "x"); got != "changed" {
		t.Errorf("got %q", got)
	}
}

// The lines of a diff have colours, if they are wanted.
func TestColours(t *testing.T) {
	const text = "@@ -1 +1 @@\n-a\n+b\n c\n"
	for colours, want := range map[bool]string{
		true:  "\033[36m    @@ -1 +1 @@\033[0m\n\033[31m    -a\033[0m\n\033[32m    +b\033[0m\n     c\n",
		false: "    @@ -1 +1 @@\n    -a\n    +b\n     c\n",
	} {
		var b bytes.Buffer
		p := printer{&b, colours}
		p.diff(text)
		if got := b.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if wantsColour(&bytes.Buffer{}) {
		t.Error("colours without a terminal")
	}
}
