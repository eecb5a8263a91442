package filterprocessor

import (
	"errors"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/functions"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/internal/sequence"
	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// New returns a processor that drops items from every batch.
func New(cfg Config, set component.Settings) (pipeline.Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	report := statements.Reporter(set.OrDefaults().Logger)
	return sequence.New(set.Signal, func(s otlp.Signal) []otlpedit.Plan {
		plans, _ := cfg.plans(s, report) // they were compiled before
		return plans
	}), nil
}

func parser(c *ottl.Context) *ottl.Parser {
	return ottl.NewParser(c, functions.Standard(), functions.Conditions())
}

// plans compiles what is configured for a signal.
func (c *Config) plans(s otlp.Signal, report func(error)) ([]otlpedit.Plan, error) {
	if err := c.ErrorMode.Validate(); err != nil {
		return nil, config.At("error_mode", err)
	}
	b := c.of(s)
	steps, errSteps := b.steps(s, c.ErrorMode, report)
	rules, errRules := b.compileRules(s)
	if err := errors.Join(errSteps, errRules, b.checkStyles()); err != nil {
		return nil, err
	}
	plans := ottl.Plans(s, steps...)
	for _, r := range rules {
		plans = append(plans, dropping(r))
	}
	return plans, nil
}

// compileRules compiles include and exclude.
func (b *bySignal) compileRules(s otlp.Signal) (rules []*match.Rule, err error) {
	for _, r := range b.rules {
		if r[0] == nil && r[1] == nil {
			continue
		}
		rule, err := match.Compile(s, r[0], r[1])
		if err != nil {
			return nil, statements.Within(b.older, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
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
		d.tester.Resource(p, m)
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
func (d *selector) End() {}
