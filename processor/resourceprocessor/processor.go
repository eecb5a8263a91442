package resourceprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/attraction"
)

// New returns a processor that edits the resources of every batch. A batch in
// which nothing changes is returned as it is.
func New(cfg Config, _ component.Settings) (*pipeline.Edits, error) {
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	return pipeline.NewEdits(plan), nil
}

// plan returns the actions as a plan of edits.
func (c *Config) plan() (plan otlpedit.Plan, err error) {
	if err := c.Validate(); err != nil {
		return plan, err
	}
	actions, err := attraction.Compile("attributes", c.Attributes)
	if err != nil {
		return plan, err
	}
	return otlpedit.Plan{Edits: otlpedit.Resources, New: func() otlpedit.Editor { return &editor{actions.NewEditor()} }}, nil
}

// editor applies the actions to each resource.
type editor struct{ attributes *attraction.Editor }

// Edit implements otlpedit.Editor.
func (e *editor) Edit(p *otlpedit.Pass, _ otlpedit.Levels, resource []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	changed, err := e.attributes.Edit(p, resource, otlpfield.ResourceAttributes, w)
	if err != nil || !changed {
		return otlpedit.Keep, err
	}
	return otlpedit.Replace, nil
}

// End implements otlpedit.Editor.
func (e *editor) End() { e.attributes.End() }
