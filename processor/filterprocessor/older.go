package filterprocessor

import (
	"errors"

	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// rules compiles include and exclude of a signal.
func (c *Config) rules(s otlp.Signal, b *bySignal) (plans []otlpedit.Plan, err error) {
	if b.key == "metrics" {
		in, errIn := c.Metrics.Include.resources("metrics.include")
		out, errOut := c.Metrics.Exclude.resources("metrics.exclude")
		if err := errors.Join(errIn, errOut); err != nil {
			return nil, err
		}
		if len(in)+len(out) > 0 {
			plans = append(plans, droppingResources(in, out))
		}
	}
	rule, err := match.Compile(s, b.rule[0], b.rule[1])
	if err != nil {
		return nil, statements.Within(b.older, err)
	}
	if rule != nil {
		plans = append(plans, dropping(rule))
	}
	return plans, nil
}

// dropping returns the plan that drops what a rule does not select.
func dropping(r *match.Rule) otlpedit.Plan {
	return otlpedit.Plan{Edits: otlpedit.Items | r.Levels(), Drops: otlpedit.Items, New: func() otlpedit.Editor { return &selector{r.NewTester()} }}
}

// selector drops the items that a tester does not select.
type selector struct{ tester *match.Tester }

// Edit implements otlpedit.Editor.
func (d *selector) Edit(p *otlpedit.Pass, level otlpedit.Levels, m []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
	switch level {
	case otlpedit.Resources:
		return otlpedit.Keep, d.tester.Resource(p, m)
	case otlpedit.Scopes:
		d.tester.Scope(m)
	default:
		if selected, err := d.tester.Selects(p, m); err != nil || !selected {
			return otlpedit.Drop, err
		}
	}
	return otlpedit.Keep, nil
}

// End implements otlpedit.Editor.
func (d *selector) End() { d.tester.End() }

// droppingResources returns the plan that drops the resources that do not match include, if
// it is not empty, or match exclude.
func droppingResources(include, exclude match.Attributes) otlpedit.Plan {
	return otlpedit.Plan{Edits: otlpedit.Resources, Drops: otlpedit.Resources, New: func() otlpedit.Editor {
		return &resourceSelector{include: include, exclude: exclude}
	}}
}

// resourceSelector drops resources by their attributes.
type resourceSelector struct {
	include, exclude match.Attributes
	text             []byte // room for texts that are made
}

// Edit implements otlpedit.Editor.
func (d *resourceSelector) Edit(p *otlpedit.Pass, _ otlpedit.Levels, m []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
	if len(d.include) > 0 && !d.include.Match(p, m, otlpfield.ResourceAttributes, &d.text) ||
		len(d.exclude) > 0 && d.exclude.Match(p, m, otlpfield.ResourceAttributes, &d.text) {
		return otlpedit.Drop, nil
	}
	return otlpedit.Keep, nil
}

// maxKeptBytes is how large the memory for texts may be to be kept for the next request.
const maxKeptBytes = 64 << 10

// End implements otlpedit.Editor.
func (d *resourceSelector) End() {
	if cap(d.text) > maxKeptBytes {
		d.text = nil
	}
}
