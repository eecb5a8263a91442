package attributesprocessor

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/attraction"
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
	items  items
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
	var changed bool
	var err error
	if e.items.attributes != 0 {
		changed, err = e.attributes.Edit(p, m, e.items.attributes, w)
	} else {
		changed, err = e.editPoints(p, m, w)
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

// items is where the items of a signal have their attributes: in a field of their own, or
// in the data points of one of several members.
type items struct {
	attributes uint32
	members    []member
}

// member is a field of a metric, with the fields of its data points and their attributes.
type member struct{ field, points, attributes uint32 }

var itemsOf = map[otlp.Signal]items{
	otlp.Traces: {attributes: otlpfield.SpanAttributes},
	otlp.Logs:   {attributes: otlpfield.LogRecordAttributes},
	otlp.Metrics: {members: []member{
		{otlpfield.MetricGauge, otlpfield.GaugeDataPoints, otlpfield.NumberDataPointAttributes},
		{otlpfield.MetricSum, otlpfield.SumDataPoints, otlpfield.NumberDataPointAttributes},
		{otlpfield.MetricHistogram, otlpfield.HistogramDataPoints, otlpfield.HistogramDataPointAttributes},
		{otlpfield.MetricExponentialHistogram, otlpfield.ExponentialHistogramDataPoints, otlpfield.ExponentialHistogramDataPointAttributes},
		{otlpfield.MetricSummary, otlpfield.SummaryDataPoints, otlpfield.SummaryDataPointAttributes},
	}},
}

// editPoints edits the attributes of the data points of a metric.
func (e *editor) editPoints(p *otlpedit.Pass, metric []byte, w *otlpedit.Writer) (changed bool, err error) {
	m, ok := e.items.memberOf(metric)
	if !ok {
		return false, nil
	}
	changed = w.Each(metric, m.field, func(data []byte) otlpedit.Verdict {
		return verdict(err == nil && w.Each(data, m.points, func(point []byte) otlpedit.Verdict {
			if err != nil {
				return otlpedit.Keep
			}
			var edited bool
			edited, err = e.attributes.Edit(p, point, m.attributes, w)
			return verdict(edited && err == nil)
		}))
	})
	return changed, err
}

func verdict(changed bool) otlpedit.Verdict {
	if changed {
		return otlpedit.Replace
	}
	return otlpedit.Keep
}

// memberOf returns the member that a metric has: of several, the last one counts.
func (i *items) memberOf(metric []byte) (found member, ok bool) {
	for c := (wire.Cursor{Buf: metric}); c.Next(); {
		if c.Type != wire.TypeBytes || ok && c.Num == found.field {
			continue
		}
		for _, m := range i.members {
			if m.field == c.Num {
				found, ok = m, true
			}
		}
	}
	return found, ok
}
