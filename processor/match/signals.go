package match

import (
	"errors"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// Signals are the rules of include and exclude for each signal that a processor may be
// given.
type Signals struct {
	rules  map[otlp.Signal]*Rule
	levels otlpedit.Levels
}

// CompileSignals returns the rules for signal s. If that is the zero Signal, the processor
// may be given any, and there are rules for the signals whose items have the properties;
// at least one must.
func CompileSignals(s otlp.Signal, include, exclude *Properties) (*Signals, error) {
	all := otlp.Signals()
	signals := all[:]
	if s.Valid() {
		signals = []otlp.Signal{s}
	}
	c := &Signals{rules: map[otlp.Signal]*Rule{}}
	var errs []error
	for _, s := range signals {
		rule, err := Compile(s, include, exclude)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.rules[s] = rule
		c.levels |= rule.Levels()
	}
	if len(c.rules) == 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// Levels returns the levels whose messages a Tester must be shown beside the items.
func (c *Signals) Levels() otlpedit.Levels { return c.levels }

// Rule returns the rule for a signal. ok is false if its items do not have the
// properties.
func (c *Signals) Rule(s otlp.Signal) (r *Rule, ok bool) {
	r, ok = c.rules[s]
	return r, ok
}
