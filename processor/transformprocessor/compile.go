package transformprocessor

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/functions"
	"github.com/penstock-telemetry/penstock/internal/statements"
)

// steps compiles the groups of a signal. report is called with errors that are ignored.
func (c *Config) steps(s otlp.Signal, report func(error)) (steps []ottl.Step, err error) {
	if err := c.ErrorMode.Validate(); err != nil {
		return nil, config.At("error_mode", err)
	}
	key, groups := c.list(s)
	var errs []error
	all, places := merged(groups)
	for i, g := range all {
		step, err := g.step(s, c.ErrorMode)
		if err != nil {
			errs = append(errs, statements.Within(key+places[i], err))
		}
		step.Report, step.Client = report, statements.ClientOf
		steps = append(steps, step)
	}
	return steps, errors.Join(errs...)
}

// merged makes one group of the statements that were written alone. It stands at the end.
func merged(groups []Group) (out []Group, places []string) {
	flat := Group{flat: true}
	for i, g := range groups {
		if g.flat {
			flat.Statements = append(flat.Statements, g.Statements...)
			flat.from = append(flat.from, i)
			continue
		}
		out = append(out, g)
		places = append(places, fmt.Sprintf("[%d]", i))
	}
	if len(flat.from) > 0 {
		out, places = append(out, flat), append(places, "")
	}
	return out, places
}

// place is where statement i is in the list of groups, or in its group.
func (g *Group) place(i int) string {
	if g.flat {
		return fmt.Sprintf("[%d]", g.from[i])
	}
	return fmt.Sprintf("statements[%d]", i)
}

// step compiles a group.
func (g *Group) step(s otlp.Signal, mode ottl.ErrorMode) (step ottl.Step, err error) {
	if g.SharedCache {
		return step, config.Atf("shared_cache", "shared_cache is not supported: each item has its own cache")
	}
	step.Mode = cmp.Or(g.ErrorMode, mode)
	if step.Context, err = statements.Context(s, g.Context, statementParser, g.Statements, g.Conditions); err != nil {
		return step, err
	}
	parser := statementParser(step.Context)
	var errs []error
	for i, text := range g.Statements {
		st, err := parser.Statement(text)
		errs = append(errs, config.At(g.place(i), err))
		step.Statements = append(step.Statements, st)
	}
	parser = conditionParser(step.Context)
	for i, text := range g.Conditions {
		c, err := parser.Condition(text)
		errs = append(errs, config.At(fmt.Sprintf("conditions[%d]", i), err))
		step.Conditions = append(step.Conditions, c)
	}
	return step, errors.Join(errs...)
}

func statementParser(c *ottl.Context) *ottl.Parser { return ottl.NewParser(c, functions.Standard()) }

func conditionParser(c *ottl.Context) *ottl.Parser { return ottl.NewParser(c, functions.Standard()) }
