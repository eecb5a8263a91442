package resourceprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// New returns a processor that edits the resources of every batch. A batch in
// which nothing changes is returned as it is.
func New(cfg Config, _ component.Settings) (*pipeline.Edits, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	plan, err := compile(cfg.Attributes)
	if err != nil {
		return nil, err
	}
	return pipeline.NewEdits(plan.edits()), nil
}

// edits is the plan in the form that is applied.
func (p *plan) edits() otlpedit.Plan {
	return otlpedit.Plan{Edits: otlpedit.Resources, New: func() otlpedit.Editor { return newEditor(p) }}
}
