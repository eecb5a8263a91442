package filterprocessor

import (
	"errors"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/functions"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/internal/sequence"
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
	rules, errRules := c.rules(s, &b)
	if err := errors.Join(errSteps, errRules, b.checkStyles()); err != nil {
		return nil, err
	}
	return append(ottl.Plans(s, steps...), rules...), nil
}
