package transformprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/internal/sequence"
	"github.com/penstock-telemetry/penstock/internal/statements"
)

// New returns a processor that does the statements of its signal to every batch.
func New(cfg Config, set component.Settings) (pipeline.Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	report := statements.Reporter(set.OrDefaults().Logger)
	return sequence.New(set.Signal, func(s otlp.Signal) []otlpedit.Plan {
		steps, _ := cfg.steps(s, report) // they were compiled before
		return ottl.Plans(s, steps...)
	}), nil
}
