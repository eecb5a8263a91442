package attraction

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// Actions are a configuration made ready: keys are numbers, values are bytes. They are
// safe for concurrent use.
//
// Only attributes whose key an action names are remembered while a list is edited, and
// of equal keys only as many as the actions could reach. So the memory for a list depends
// on the configuration, not on who sent it.
type Actions struct {
	steps []step
	keys  keyTable
	// fields has the key of each slot as a field of a KeyValue.
	fields [][]byte
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

// Compile makes the actions ready that a configuration has under a key.
func Compile(key string, actions []Action) (*Actions, error) {
	p := &Actions{}
	var patterns []*regexp.Regexp
	for i := range actions {
		a := &actions[i]
		if err := a.Validate(); err != nil {
			return nil, config.At(key, fmt.Errorf("action %d: %w", i+1, err))
		}
		s, pattern, err := p.compile(a)
		if err != nil {
			return nil, err
		}
		p.steps = append(p.steps, s)
		patterns = append(patterns, pattern)
	}
	if len(p.keys.names) > maxSlots {
		return nil, config.Atf(key, "expected at most %d different keys, found %d", maxSlots, len(p.keys.names))
	}
	p.compilePatterns(patterns)
	return p, nil
}

// compile returns the step of a valid action, and its pattern over keys.
func (p *Actions) compile(a *Action) (s step, pattern *regexp.Regexp, err error) {
	op, errOp := a.operation()
	value, errValue := attrs.EncodeValue(a.Value)
	fallback, errFallback := attrs.EncodeValue(a.DefaultValue)
	pattern, errPattern := a.pattern()
	if err := errors.Join(errOp, errValue, errFallback, errPattern); err != nil {
		return s, nil, err
	}
	s = step{op: op, slot: p.slot(a.Key), from: noSlot, value: value, fallback: fallback,
		context: a.FromContext, to: convertible[a.ConvertedType]}
	if a.FromAttribute != "" {
		s.from = p.slot(a.FromAttribute)
	}
	if op == extract {
		s.pattern, pattern = pattern, nil
		for _, name := range s.pattern.SubexpNames()[1:] {
			s.groups = append(s.groups, p.slot(name))
		}
	}
	if op == remove {
		p.reach[s.slot]++
	}
	return s, pattern, nil
}

func (a *Action) pattern() (*regexp.Regexp, error) {
	if a.Pattern == "" {
		return nil, nil
	}
	return regexp.Compile(a.Pattern)
}

// Slot returns the number of a key, for Editor.SetText. It is called before NewEditor.
func (p *Actions) Slot(key string) int { return p.slot(key) }

// slot returns the number of a key, a new one if it has none. The empty key is one too:
// as in the Collector, a delete or hash without a key does it to an attribute without one.
func (p *Actions) slot(key string) int {
	if slot := p.keys.find([]byte(key)); slot != noSlot {
		return slot
	}
	p.fields = append(p.fields, wire.AppendBytes(nil, otlpfield.KeyValueKey, key))
	p.reach = append(p.reach, 1)
	return p.keys.add(key)
}

// compilePatterns tries each step's pattern on the keys of all slots, which are
// known only after all steps.
func (p *Actions) compilePatterns(of []*regexp.Regexp) {
	for i, pattern := range of {
		if pattern == nil {
			continue
		}
		p.patterns = append(p.patterns, keyPattern{pattern, p.steps[i].op})
		p.steps[i].matches = make([]bool, len(p.keys.names))
		for slot, name := range p.keys.names {
			p.steps[i].matches[slot] = pattern.MatchString(name)
		}
	}
}

// fate is what patterns do to an attribute without a record.
type fate struct {
	deleted bool
	hashes  int // how often it is hashed, if it is not deleted
}

// fate tries the patterns on a key. It does not matter which steps these are, since no
// other step changes such an attribute.
func (p *Actions) fate(key []byte) (f fate) {
	for _, pattern := range p.patterns {
		switch {
		case !pattern.Match(key):
		case pattern.op == remove:
			return fate{deleted: true}
		default:
			f.hashes++
		}
	}
	return f
}
