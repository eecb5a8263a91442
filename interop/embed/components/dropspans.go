package main

import (
	"slices"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

type dropSpansConfig struct {
	Names []string `yaml:"names"`
}

func defaultDropSpans() dropSpansConfig { return dropSpansConfig{} }

// newDropSpans returns a processor that drops the spans with certain names.
func newDropSpans(cfg dropSpansConfig, _ component.Settings) (pipeline.Processor, error) {
	drop := func(_ *otlpedit.Pass, _ otlpedit.Levels, item []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
		if slices.Contains(cfg.Names, string(otlp.Span(item).Name())) {
			return otlpedit.Drop, nil
		}
		return otlpedit.Keep, nil
	}
	return pipeline.NewEdits(otlpedit.Plan{
		Edits: otlpedit.Items, Drops: otlpedit.Items,
		New: func() otlpedit.Editor { return otlpedit.EditorFunc(drop) },
	}), nil
}
