package resourceprocessor

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
)

// compiled is a configuration made ready: keys are numbers, values are bytes.
//
// Only attributes whose key an action names are remembered while a resource is
// edited, and of equal keys only as many as the actions could reach. So the
// memory for a resource depends on the configuration, not on who sent it.
type compiled struct {
	steps []step
	slots map[string]int
	names []string // the key of each slot
	// reach is how many attributes of one key may come to be the first: one,
	// and one more for each delete of it.
	reach    []int
	patterns []keyPattern
}

// keyPattern is the pattern of a delete or a hash.
type keyPattern struct {
	*regexp.Regexp
	op operation
}

// step is one action.
type step struct {
	op   operation
	slot int // of the key, noSlot if there is none
	from int // of from_attribute, or noSlot
	// value and fallback are AnyValues: value (nil with from_attribute) and
	// default_value.
	value, fallback []byte
	// matches says for each slot whether the pattern of a delete or hash matches its key.
	matches []bool
	context string         // from_context
	pattern *regexp.Regexp // of extract
	groups  []int          // the slots of its groups
	to      otlp.Kind      // of convert
}

const noSlot = -1

func compile(actions []Action) (*compiled, error) {
	p := &compiled{slots: map[string]int{}}
	var compiled []*regexp.Regexp
	for i := range actions {
		a := &actions[i]
		if err := a.Validate(); err != nil {
			return nil, config.At("attributes", fmt.Errorf("action %d: %w", i+1, err))
		}
		op, errOp := a.operation()
		value, errValue := encodeValue(a.Value)
		fallback, errFallback := encodeValue(a.DefaultValue)
		pattern, errPattern := a.pattern()
		if err := errors.Join(errOp, errValue, errFallback, errPattern); err != nil {
			return nil, err
		}
		s := step{op: op, slot: p.slot(a.Key), from: p.slot(a.FromAttribute), value: value, fallback: fallback,
			context: a.FromContext, to: convertible[a.ConvertedType]}
		if op == extract {
			s.pattern, pattern = pattern, nil
			for _, name := range s.pattern.SubexpNames()[1:] {
				s.groups = append(s.groups, p.slot(name))
			}
		}
		if op == remove && s.slot != noSlot {
			p.reach[s.slot]++
		}
		p.steps = append(p.steps, s)
		compiled = append(compiled, pattern)
	}
	p.compilePatterns(compiled)
	return p, nil
}

func (a *Action) pattern() (*regexp.Regexp, error) {
	if a.Pattern == "" {
		return nil, nil
	}
	return regexp.Compile(a.Pattern)
}

// slot returns the number of a key, a new one if it has none.
func (p *compiled) slot(key string) int {
	if key == "" {
		return noSlot
	}
	slot, ok := p.slots[key]
	if !ok {
		slot = len(p.names)
		p.slots[key] = slot
		p.names = append(p.names, key)
		p.reach = append(p.reach, 1)
	}
	return slot
}

// compilePatterns tries each step's pattern on the keys of all slots, which are
// known only after all steps.
func (p *compiled) compilePatterns(of []*regexp.Regexp) {
	for i, pattern := range of {
		if pattern == nil {
			continue
		}
		p.patterns = append(p.patterns, keyPattern{pattern, p.steps[i].op})
		p.steps[i].matches = make([]bool, len(p.names))
		for slot, name := range p.names {
			p.steps[i].matches[slot] = pattern.MatchString(name)
		}
	}
}

// fate returns what patterns do to an attribute without a record: whether one deletes
// it, else how many hash it. It does not matter which steps these are, since no other
// step changes such an attribute.
func (p *compiled) fate(key []byte) (deleted bool, hashes int) {
	for _, pattern := range p.patterns {
		switch {
		case !pattern.Match(key):
		case pattern.op == remove:
			return true, 0
		default:
			hashes++
		}
	}
	return false, hashes
}
