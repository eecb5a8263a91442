package otlpedit

import (
	"cmp"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

const (
	// maxGrowthBytes and growthRatio are what MaxGrowth is made of.
	maxGrowthBytes = 64 << 20
	minGrowthBytes = 1 << 20
	growthRatio    = 16

	// maxKeptBytes is how large a working buffer may be to be kept for the next
	// request, and minWriterBytes how large it is at first.
	maxKeptBytes   = 64 << 10
	minWriterBytes = 512
	// maxHeadBytes is room for the tag and the length of one message.
	maxHeadBytes = 16
	// lookEvery is how many bytes of a request a pass deals with before it asks again
	// whether to go on.
	lookEvery = 256 << 10
)

// MaxGrowth returns how many bytes larger than it came a request of n bytes may become
// by one plan: 1 MiB and 16 times its size, at most 64 MiB. An empty resource takes
// two bytes in a request, and each may be given all that a configuration inserts.
func MaxGrowth(n int) int { return min(maxGrowthBytes, minGrowthBytes+growthRatio*n) }

// GrowthError says that a plan makes a request too large. It would do so again.
type GrowthError struct{ RequestBytes int }

func (e *GrowthError) Error() string {
	return fmt.Sprintf("the edits make a request of %d bytes more than %d bytes larger", e.RequestBytes, MaxGrowth(e.RequestBytes))
}

// A Pass applies plans to requests, one request at a time. It holds the buffers
// that are used from request to request.
type Pass struct {
	steps   []step
	edits   Levels // of all plans
	sets    Levels // of all plans
	strings table
	attrs   table
	more    additions
	writers [3][2]Writer // by level, in turns from plan to plan

	signal  otlp.Signal
	request []byte
	items   int
	mem     Memory
	out     []byte // nil as long as nothing changed
	copied  int    // how far request has been dealt with
	lookAt  int    // where mem.Err is asked next
	groups  [2]group
	numbers [2]int // of groups, as Number has them
	added   []addedItem
	adding  int    // index in added of the item that is being edited, -1 for one of the request
	editing Levels // the level of the message that an editor has, and
	step    int    // the index of its plan
}

// step is a plan with what belongs to the present request.
type step struct {
	Plan
	editor  Editor
	dropped int // items
	grown   int // bytes
}

// NewPass returns a pass that applies plans in their order. They must be
// Fusable.
func NewPass(plans ...Plan) *Pass {
	p := &Pass{strings: table{num: otlpfield.ProfilesDictionaryStringTable}, attrs: table{num: otlpfield.ProfilesDictionaryAttributeTable}}
	for _, plan := range plans {
		p.steps = append(p.steps, step{Plan: plan, editor: plan.New()})
		p.edits |= plan.Edits
		p.sets |= plan.Sets
	}
	return p
}

// Signal returns the signal of the present request.
func (p *Pass) Signal() otlp.Signal { return p.signal }

// Memory returns the memory of the present request, for editors that need much of it.
func (p *Pass) Memory() Memory { return p.mem }

// Key returns the key of an attribute of the present request, also if it is a
// reference into the dictionary.
func (p *Pass) Key(attribute otlp.KeyValue) []byte {
	f := attribute.Decode()
	return p.strings.key(&f)
}

// KeyOf is Key of an attribute that was decoded already.
func (p *Pass) KeyOf(f otlp.KeyValueFields) []byte { return p.strings.key(&f) }

// String returns string i of the present request's dictionary, nil if it has none.
func (p *Pass) String(i int32) []byte { return p.strings.entry(i) }

// Attribute returns attribute i of the present request's dictionary, nil if it has none.
func (p *Pass) Attribute(i int32) otlp.KeyValueAndUnit { return p.attrs.entry(i) }

// Resource returns the Resource of the scope or item that is being edited, as the
// plans left it; nil if there is none. It needs Plan.Reads.
func (p *Pass) Resource() otlp.Resource { return p.own(0) }

// Scope returns the InstrumentationScope of the item that is being edited, as the
// plans left it; nil if there is none. It needs Plan.Reads.
func (p *Pass) Scope() otlp.InstrumentationScope { return p.own(1) }

// SetOwn makes m the Resource (level Resources) or the InstrumentationScope (level Scopes)
// around the message that is being edited. It needs Plan.Sets. m must not change before
// the editor's End, or the next call of SetOwn for this level.
func (p *Pass) SetOwn(level Levels, m []byte) {
	g := &p.groups[level>>1]
	p.steps[p.step].grown += len(m) - len(g.own.bytes)
	g.own = message{m, true}
}

// addedItem is an item that an editor has added.
type addedItem struct {
	item []byte
	step int // of the plan that added it
	mark int // of its editor
}

// maxAdded is how many items editors may add to one scope.
const maxAdded = 100_000

// AddItem adds an item at the end of the ScopeX that the pass is in. It is edited by the
// plan that adds it, and by those after it, as the other items are. It needs Plan.Drops of
// Items. item must not change before the editor's End. mark is for the editor, see Added.
func (p *Pass) AddItem(item []byte, mark int) error {
	s := &p.steps[p.step]
	s.grown += fieldBytes(len(item))
	if len(p.added) == maxAdded {
		return &GrowthError{len(p.request)}
	}
	p.added = append(p.added, addedItem{item, p.step, mark})
	return s.tooLarge(p)
}

// Added reports whether the item that is being edited was added by the editor that asks,
// and with which mark.
func (p *Pass) Added() (mark int, ok bool) {
	if p.adding < 0 || p.added[p.adding].step != p.step {
		return 0, false
	}
	return p.added[p.adding].mark, true
}

// Number returns the number of the ResourceX (level Resources) or ScopeX (level Scopes)
// that the pass is in, counted in the request from 1: while it is the same, so are
// Resource or Scope.
func (p *Pass) Number(level Levels) int { return p.numbers[level>>1] }

// Items returns how many items of the last request plan i passed on.
func (p *Pass) Items(i int) int {
	n := p.items
	for _, s := range p.steps[:i+1] {
		n -= s.dropped
	}
	return n
}

// Run edits a request of signal s that passed otlp.Check with the given number of
// items. Keep: it stays as it is. Replace: it is replaced by the bytes returned,
// which lie in mem. Drop: none of its items is left.
func (p *Pass) Run(s otlp.Signal, request []byte, items int, mem Memory) (Verdict, []byte, error) {
	defer p.forget()
	p.signal, p.request, p.items, p.mem, p.copied, p.lookAt = s, request, items, mem, 0, lookEvery
	p.numbers, p.adding = [2]int{}, -1
	p.strings.begin(s, request, mem)
	p.attrs.begin(s, request, mem)
	for l := range p.writers {
		for i := range p.writers[l] {
			p.writers[l][i].mem = mem
		}
	}
	for i := range p.steps {
		p.steps[i].dropped, p.steps[i].grown = 0, 0
	}
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		if c.Num != otlpfield.RequestResources || c.Type != wire.TypeBytes {
			continue
		}
		err := p.look(c.Start)
		if err == nil {
			err = p.editGroup(0, c.Bytes, c.Start, c.End)
		}
		if err != nil {
			return Keep, nil, err
		}
	}
	switch {
	case p.copied == 0:
		return Keep, nil, nil
	case items > 0 && p.Items(len(p.steps)-1) == 0:
		return Drop, nil, nil
	}
	if err := p.writeDictionary(); err != nil {
		return Keep, nil, err
	}
	if err := p.copyTo(len(request)); err != nil {
		return Keep, nil, err
	}
	return Replace, p.out, nil
}

// look returns mem.Err, each time that the pass has come far enough in the request.
func (p *Pass) look(at int) error {
	if at < p.lookAt {
		return nil
	}
	p.lookAt = at + lookEvery
	return p.mem.Err()
}

// forget lets go of everything that belongs to the request.
func (p *Pass) forget() {
	for i := range p.steps {
		p.steps[i].editor.End()
	}
	for l := range p.writers {
		for i := range p.writers[l] {
			w := &p.writers[l][i]
			if w.mem, w.err = nil, nil; cap(w.e.Buf) > maxKeptBytes {
				w.e.Buf = nil
			}
		}
	}
	p.request, p.mem, p.out = nil, nil, nil
	p.groups = [2]group{}
	clear(p.added[:cap(p.added)])
	p.added = p.added[:0]
	if p.more.strings, p.more.attributes = nil, nil; cap(p.more.entries.Buf) > maxKeptBytes {
		p.more.entries.Buf = nil
	}
	p.more.entries.Buf = p.more.entries.Buf[:0]
	p.strings.begin(0, nil, nil)
	p.attrs.begin(0, nil, nil)
}

// edit shows a message to the editors of its level, each what the one before
// left. It returns what the last one left, and for Drop whose answer that was.
func (p *Pass) edit(l Levels, m []byte) (v Verdict, edited []byte, by *step, err error) {
	writers := &p.writers[l>>1] // 1, 2, 4 ► 0, 1, 2
	turn := 0
	first := 0
	if l == Items && p.adding >= 0 {
		first = p.added[p.adding].step
	}
	for i := first; i < len(p.steps); i++ {
		s := &p.steps[i]
		if !s.Edits.has(l) {
			continue
		}
		w := &writers[turn]
		w.e.Buf = w.e.Buf[:0]
		p.editing, p.step = l, i
		verdict, err := s.editor.Edit(p, l, m, w)
		if err == nil {
			err = cmp.Or(w.err, p.strings.err, p.attrs.err, s.tooLarge(p))
		}
		switch {
		case err != nil:
			return Keep, nil, nil, err
		case verdict == Drop:
			if s.Drops.has(l) {
				return Drop, m, s, nil
			}
			panic("otlpedit: an editor dropped a message of a level that is not among its plan's Drops")
		case verdict == Replace:
			if err := s.replaced(p, l, m, w.bytes()); err != nil {
				return Keep, nil, nil, err
			}
			v, m, turn = Replace, w.bytes(), 1-turn
		}
	}
	return v, m, nil, nil
}

// replaced counts what a step did to a message.
func (s *step) replaced(p *Pass, l Levels, old, now []byte) error {
	s.grown += len(now) - len(old)
	if err := s.tooLarge(p); err != nil {
		return err
	}
	if l == Items && s.Drops.has(Items) {
		s.dropped += otlp.CountItems(p.signal, otlp.PartItem, old) - otlp.CountItems(p.signal, otlp.PartItem, now)
	}
	return nil
}

// tooLarge returns an error if a step has made the request too large.
func (s *step) tooLarge(p *Pass) error {
	if s.grown > MaxGrowth(len(p.request)) {
		return &GrowthError{len(p.request)}
	}
	return nil
}
