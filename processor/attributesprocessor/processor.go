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
	items  func(e *editor, p *otlpedit.Pass, m []byte, w *otlpedit.Writer) (changed bool, err error)
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
	changed, err := e.items(e, p, m, w)
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
	e.signal, e.rule, e.tester, e.items = s, rule, rule.NewTester(), itemsOf[s]
	return nil
}

// End implements otlpedit.Editor.
func (e *editor) End() {
	e.attributes.End()
	if e.tester != nil {
		e.tester.End()
	}
}

// itemsOf edit an item of each signal.
var itemsOf = map[otlp.Signal]func(e *editor, p *otlpedit.Pass, m []byte, w *otlpedit.Writer) (changed bool, err error){
	otlp.Traces:  ownAttributes(otlpfield.SpanAttributes),
	otlp.Metrics: (*editor).metric,
	otlp.Logs:    ownAttributes(otlpfield.LogRecordAttributes),

	otlp.Profiles: (*editor).profile,
}

// ownAttributes edits items that have attributes in field num.
func ownAttributes(num uint32) func(e *editor, p *otlpedit.Pass, m []byte, w *otlpedit.Writer) (changed bool, err error) {
	return func(e *editor, p *otlpedit.Pass, m []byte, w *otlpedit.Writer) (changed bool, err error) {
		return e.attributes.Edit(p, m, num, w)
	}
}

// metric edits the attributes of data points.
func (e *editor) metric(p *otlpedit.Pass, m []byte, w *otlpedit.Writer) (changed bool, err error) {
	return attrs.EditPoints(m, w, func(point []byte, num uint32) (changed bool, err error) { return e.attributes.Edit(p, point, num, w) })
}

// profile edits the attributes of a profile and of its samples.
func (e *editor) profile(p *otlpedit.Pass, m []byte, w *otlpedit.Writer) (changed bool, err error) {
	own := p.Scratch()
	if changed, err = e.attributes.EditIndices(p, m, otlpfield.ProfileAttributeIndices, own); changed {
		m = own.Written()
	}
	samples := w.Each(m, otlpfield.ProfileSamples, func(sample []byte) otlpedit.Verdict {
		if err != nil {
			return otlpedit.Keep
		}
		var edited bool
		edited, err = e.attributes.EditIndices(p, sample, otlpfield.SampleAttributeIndices, w)
		return attrs.Verdict(edited && err == nil)
	})
	if changed && !samples {
		w.Raw(m)
	}
	return (changed || samples) && err == nil, err
}
