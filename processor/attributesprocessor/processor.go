package attributesprocessor

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// New returns a processor that edits the attributes of the items of every batch. A batch
// in which nothing changes is returned as it is.
func New(cfg Config, set component.Settings) (*pipeline.Edits, error) {
	plan, err := cfg.plan(set.Signal)
	if err != nil {
		return nil, err
	}
	return pipeline.NewEdits(plan), nil
}

// plan returns the configuration as a plan of edits of requests of signal s.
func (c *Config) plan(s otlp.Signal) (plan otlpedit.Plan, err error) {
	if err := c.Validate(); err != nil {
		return plan, err
	}
	actions, errActions := attraction.Compile("actions", c.Actions)
	rules, errRules := match.CompileSignals(s, c.Include, c.Exclude)
	if err := errors.Join(errActions, errRules); err != nil {
		return plan, err
	}
	return otlpedit.Plan{
		Edits: otlpedit.Items | rules.Levels(),
		New:   func() otlpedit.Editor { return &editor{rules: rules, attributes: actions.NewEditor()} },
	}, nil
}

// editor edits the items of one request after the other.
type editor struct {
	rules      *match.Signals
	attributes *attraction.Editor

	signal otlp.Signal // of the requests that rule and tester are for
	rule   *match.Rule
	tester *match.Tester
	field  uint32 // of the attributes of items; 0: these are metrics
}

// Edit implements otlpedit.Editor.
func (e *editor) Edit(p *otlpedit.Pass, level otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	if s := p.Signal(); s != e.signal {
		if err := e.begin(s); err != nil {
			return otlpedit.Keep, err
		}
	}
	switch level {
	case otlpedit.Resources:
		return otlpedit.Keep, e.tester.Resource(p, m)
	case otlpedit.Scopes:
		e.tester.Scope(m)
		return otlpedit.Keep, nil
	}
	if e.rule != nil {
		if ok, err := e.tester.Selects(p, m); err != nil || !ok {
			return otlpedit.Keep, err
		}
	}
	edit := func(m []byte, num uint32) (changed bool, err error) { return e.attributes.Edit(p, m, num, w) }
	var changed bool
	var err error
	if e.field != 0 {
		changed, err = edit(m, e.field)
	} else {
		changed, err = attrs.EditPoints(m, w, edit)
	}
	if err != nil || !changed {
		return otlpedit.Keep, err
	}
	return otlpedit.Replace, nil
}

// begin prepares for requests of another signal.
func (e *editor) begin(s otlp.Signal) error {
	rule, ok := e.rules.Rule(s)
	if !ok {
		return pipeline.Permanently(fmt.Errorf("include or exclude has properties that no %s have", s))
	}
	e.signal, e.rule, e.tester, e.field = s, rule, rule.NewTester(), itemAttributes[s]
	return nil
}

// End implements otlpedit.Editor.
func (e *editor) End() {
	e.attributes.End()
	if e.tester != nil {
		e.tester.End()
	}
}

// itemAttributes are the fields in which items have their attributes. Metrics have them in
// their data points.
var itemAttributes = map[otlp.Signal]uint32{otlp.Traces: otlpfield.SpanAttributes, otlp.Logs: otlpfield.LogRecordAttributes}
