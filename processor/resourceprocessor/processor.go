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
	actions, err := compile(cfg.Attributes)
	if err != nil {
		return nil, err
	}
	return pipeline.NewEdits(actions.edits()), nil
}

// edits returns the actions as a plan of edits.
func (p *compiled) edits() otlpedit.Plan {
	return otlpedit.Plan{Edits: otlpedit.Resources, New: func() otlpedit.Editor { return newEditor(p) }}
}
