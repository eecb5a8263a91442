package ottl

import (
	"cmp"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// A Tester evaluates conditions about the messages that an otlpedit.Editor is given, and
// reads their attributes, without changing anything. The plan of the editor needs Reads of
// the levels that conditions read (Condition.Reads). It is used by one goroutine.
type Tester struct {
	env   *Env
	begun bool
}

// NewTester returns a tester. client may be nil.
func NewTester(client ClientFunc) *Tester {
	t := &Tester{env: newEnv()}
	t.env.client = client
	return t
}

// End lets go of everything that belongs to the request.
func (t *Tester) End() {
	if t.begun {
		t.env.end()
		t.begun = false
	}
}

// At makes m, which the pass is at, the message that conditions are about.
func (t *Tester) At(p *otlpedit.Pass, l otlpedit.Levels, m []byte) {
	e := t.env
	if !t.begun {
		e.begin(p)
		t.begun = true
	}
	e.level = int(l >> 1)
	e.messages[e.level].begin(m)
	if e.level < levelItem {
		e.loaded[e.level] = p.Number(l)
	}
}

// Parts calls f for each part of the present item, which conditions are about meanwhile:
// the events of a span, the data points of a metric, the samples of a profile.
func (t *Tester) Parts(f func(part []byte) error) error {
	e := t.env
	item := &e.messages[levelItem]
	around, num := item.partsWithin()
	if num == 0 {
		return nil
	}
	e.level, e.partNum = levelPart, -1
	defer func() { e.level = levelItem }()
	for c := (wire.Cursor{Buf: around}); c.Next(); {
		if c.Num != num || c.Type != wire.TypeBytes {
			continue
		}
		e.partNum++
		e.messages[levelPart].begin(c.Bytes)
		if err := f(c.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// partsWithin returns the message that the parts of an item are in, and their field; 0 if
// it has none.
func (m *message) partsWithin() (around []byte, num uint32) {
	part := &m.env.messages[levelPart]
	switch m.shape {
	case &spanShape:
		return m.raw, otlpfield.SpanEvents
	case &profileShape:
		return m.raw, otlpfield.ProfileSamples
	case &metricShape:
		which := m.data()
		if which < 0 {
			return nil, 0
		}
		part.shape = &pointShapes[pointOf[which]]
		return m.slots[metricData[which]].bytes, otlpfield.GaugeDataPoints
	}
	return nil, 0
}

// Test reports whether a condition holds for the present message, or those around it.
func (t *Tester) Test(c *Condition) (bool, error) {
	t.fresh()
	ok, err := c.eval(t.env)
	if err == nil {
		err = cmp.Or(t.env.err(), t.env.failed)
	}
	t.env.failed = nil
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.text, err)
	}
	return ok, nil
}

// Err returns an error if there was no memory for the values of a condition. Other errors
// of Test are those of the condition.
func (t *Tester) Err() error { return t.env.err() }

// fresh forgets what belongs to the evaluation before.
func (t *Tester) fresh() {
	e := t.env
	e.scratch.reset()
	e.inUse = 0
	e.cache.reset()
	e.cached.reset()
}

// Attribute returns an attribute of the present message of a context, or of a message
// around it. A Value is valid until the next call of a method.
func (t *Tester) Attribute(of *Context, key string) (v Value, ok bool) {
	t.fresh()
	list := t.attributes(of)
	if list == nil {
		return Value{}, false
	}
	if i := list.Find(key); i >= 0 {
		return list.Value(i), true
	}
	return Value{}, false
}

// attributes returns the attributes of a message, nil if they are references of which one is
// wrong.
func (t *Tester) attributes(of *Context) *Map {
	m := t.env.message(of.level)
	m.scan()
	switch m.shape {
	case &profileShape:
		list, _ := m.referredMap(otlpfield.ProfileAttributeIndices)
		return list
	case &sampleShape:
		list, _ := m.referredMap(otlpfield.SampleAttributeIndices)
		return list
	}
	return &m.attrs
}

// AppendAttributes appends the attributes of a message as fields num, KeyValues without
// references.
func (t *Tester) AppendAttributes(dst []byte, num uint32, of *Context) []byte {
	t.fresh()
	list := t.attributes(of)
	if list == nil {
		return dst
	}
	for i := range list.Len() {
		dst = AppendKeyValue(dst, num, list.Key(i), list.Value(i))
	}
	return dst
}

// AppendKeyValue appends a field num that is a KeyValue.
func AppendKeyValue(dst []byte, num uint32, key []byte, v Value) []byte {
	e := wire.Encoder{Buf: dst}
	kv := e.Open(num)
	e.Bytes(otlpfield.KeyValueKey, key)
	value := e.Open(otlpfield.KeyValueValue)
	appendValue(&e, v)
	e.Close(value)
	e.Close(kv)
	return e.Buf
}

// Condition returns the condition of a statement; nil means that it is always done.
func (s *Statement) Condition() *Condition {
	if s.where == nil {
		return nil
	}
	return &Condition{s.text, *s.where, s.use}
}

// Reads returns the levels that the condition reads, among them its own.
func (c *Condition) Reads() otlpedit.Levels { return c.use.reads }
