package ottl

import (
	"cmp"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// The levels of messages around an item, outermost first. What is on them differs by
// signal: an item is a span, a metric, a log record or a profile; a part is a span event,
// a data point or a sample.
const (
	levelResource = iota
	levelScope
	levelItem
	levelPart
	levels
)

// Env is where expressions are evaluated: the item, the messages around it, and memory
// for the values that are made. It is used by one goroutine, and nothing is allocated for
// an item once its memory has grown to what items need.
type Env struct {
	pass       *otlpedit.Pass
	dictionary bool // the signal has one
	messages   [levels]message
	// loaded is, for resource and scope, the number of the group that is in messages.
	loaded  [2]int
	nested  message // of inside
	partNum int     // of the part in its item
	cache   Map
	cached  arena // of cache
	scratch arena // of values that converters make
	added   arena // of items that were added, until the end of the request
	maps    []*Map
	inUse   int // of maps
	level   int // of the item
	step    int // that is done
	client  ClientFunc
	// failed is why something that a function did was not done.
	failed error
	// argument is what a converter that is given by its name is called with.
	argument Value
}

func newEnv() *Env {
	e := &Env{}
	for l := range e.messages {
		m := &e.messages[l]
		m.env, m.attrs.env, m.attrs.arena = e, e, &m.arena
	}
	e.nested.env, e.nested.attrs.env, e.nested.attrs.arena = e, e, &e.nested.arena
	e.cache.env, e.cache.arena = e, &e.cached
	return e
}

// begin starts a request.
func (e *Env) begin(pass *otlpedit.Pass) {
	e.pass, e.loaded = pass, [2]int{}
	e.dictionary = pass.Signal().Spec().HasDictionary
	mem := pass.Memory()
	e.cached.mem, e.scratch.mem, e.added.mem = mem, mem, mem
	for l := range e.messages {
		e.messages[l].arena.mem = mem
		e.messages[l].shape = shapeOf(pass.Signal(), l)
	}
}

// End lets go of everything that belongs to the request.
func (e *Env) end() {
	e.pass = nil
	for l := range e.messages {
		e.messages[l].forget()
	}
	e.nested.forget()
	e.cache.forget()
	e.cached.forget()
	e.scratch.forget()
	e.added.reset()
	e.added.forget()
	for _, m := range e.maps {
		m.forget()
	}
}

// err returns the error of memory that there was not.
func (e *Env) err() error {
	for l := range e.messages {
		if err := e.messages[l].arena.err; err != nil {
			return err
		}
	}
	if e.cached.err != nil {
		return e.cached.err
	}
	return cmp.Or(e.scratch.err, e.added.err)
}

// message returns the message at a level.
func (e *Env) message(level int) *message {
	if level <= levelScope {
		e.load(level)
	}
	return &e.messages[level]
}

// load makes the present resource or scope the one in messages.
func (e *Env) load(level int) {
	number := e.pass.Number(otlpedit.Levels(1 << level))
	if e.loaded[level] == number {
		return
	}
	e.loaded[level] = number
	raw := []byte(e.pass.Resource())
	if level == levelScope {
		raw = e.pass.Scope()
	}
	e.messages[level].begin(raw)
}

// dictionaryString returns a string of the dictionary of profiles.
func (e *Env) dictionaryString(i int32) []byte {
	if e.pass == nil {
		return nil
	}
	return e.pass.String(i)
}

// mapOf returns a Map with the entries of v, which is a KindMap, to edit and to make a
// value of again. It is valid until the item is done.
func (e *Env) mapOf(v Value) *Map {
	if e.inUse == len(e.maps) {
		e.maps = append(e.maps, &Map{env: e, arena: &e.scratch})
	}
	m := e.maps[e.inUse]
	e.inUse++
	m.reset()
	m.readFields(v.bytes)
	return m
}

// Scratch returns memory for a value of n bytes that a function makes: append to what is
// returned, whose length is 0, at most n bytes. It is nil if there is no memory for them.
func (e *Env) Scratch(n int) []byte {
	enc, mark := e.scratch.room(n)
	if enc == nil {
		return nil
	}
	b := enc.Buf[mark : mark : mark+n]
	enc.Buf = enc.Buf[:mark+n]
	return b
}

// Signal returns the signal of the request.
func (e *Env) Signal() otlp.Signal { return e.pass.Signal() }

// Item returns the item as it is now: the fields of a Span, Metric, LogRecord or Profile.
// In the context of a part, that is the item the part is in. It is valid until the item
// changes.
func (e *Env) Item() []byte {
	m := &e.messages[levelItem]
	if !m.dirty() {
		return m.raw
	}
	return m.encode(&e.scratch)
}

// SetItem replaces the item, as Item has it. The function must say so with
// Function.Counts if the number of its data points may change. item is copied.
func (e *Env) SetItem(item []byte) {
	m := &e.messages[levelItem]
	m.replace(m.arena.copy(item))
}

// Part returns the part that the statement is about, such as a data point, as it is now.
func (e *Env) Part() []byte {
	m := &e.messages[levelPart]
	if !m.dirty() {
		return m.raw
	}
	return m.encode(&e.scratch)
}

// SetPart replaces the part. part is copied.
func (e *Env) SetPart(part []byte) {
	m := &e.messages[levelPart]
	m.replace(m.arena.copy(part))
}

// AddItem adds an item behind the last one of the scope. The statements of its step and
// those after it are done to it too. The function must say so with Function.Adds. item is
// copied.
func (e *Env) AddItem(item []byte) error {
	now := e.added.copy(item)
	if now == nil {
		return e.added.err
	}
	return e.pass.AddItem(now, e.step)
}
