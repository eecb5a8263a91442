package otlpedit

import (
	"bytes"
	"encoding/binary"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// The walk reads the request from its beginning to its end and writes behind
// itself. What does not change is copied when a later part does, in one
// piece:
//
//	request  ████████████████░░░░░░░░░░░░▓▓▓▓▓
//	         0               copied      the message that changes
//	         └─ dealt with ─┘└─ copied ─┘
//
// A ResourceX or ScopeX is opened in out when the first thing in it changes, with
// room for a length as long as the old one. If the new one takes more or fewer
// bytes, the content is moved when the group is closed.

// nesting describes the two kinds of groups.
var nesting = [2]struct {
	part         otlp.Part
	field        uint32 // of the group in the message around it
	own, members uint32 // fields in it: its Resource or Scope; its scopes or items
	schema       uint32 // its schema_url
	level        Levels // of own
}{
	{otlp.PartResource, otlpfield.RequestResources, otlpfield.ResourceXResource, otlpfield.ResourceXScopes, otlpfield.ResourceXSchemaURL, Resources},
	{otlp.PartScope, otlpfield.ResourceXScopes, otlpfield.ScopeXScope, otlpfield.ScopeXItems, otlpfield.ScopeXSchemaURL, Scopes},
}

// group is the ResourceX or ScopeX that the walk is in.
type group struct {
	start, content, end int // in request: of the field, of its value
	opened              bool
	begin, mark         int // in out, once it is opened: of the field, of its value
	lengthBytes         int // kept for the length
	kept, dropped       int // members
	own                 message
	placed              bool // own is written
	late                bool // own is written when the group is closed
	schema              schemaURL
}

// schemaURL is the schema_url of a group that an editor has set. It stands at the end
// of the group.
type schemaURL struct {
	url []byte
	set bool
}

// message is a Resource or Scope as the editors left it.
type message struct {
	bytes []byte
	known bool
}

// own returns the Resource or Scope of the group at a depth.
func (p *Pass) own(depth int) []byte {
	g := &p.groups[depth]
	if !g.own.known {
		g.own = message{wire.Merged(p.request[g.content:g.end], nesting[depth].own), true}
	}
	return g.own.bytes
}

// editGroup edits a group with the fields in content, whose own field in the
// request is from start to end.
func (p *Pass) editGroup(depth int, content []byte, start, end int) error {
	n, g := &nesting[depth], &p.groups[depth]
	*g = group{start: start, content: end - len(content), end: end}
	p.numbers[depth]++
	deeper := p.edits.has(n.level.below())
	g.late = deeper && p.sets.has(n.level)
	replaced, dropped, err := p.editOwn(depth, content)
	if err != nil || dropped {
		return err
	}
	if g.late {
		p.own(depth)
		if err := p.openAsItWas(depth); err != nil {
			return err
		}
		replaced = true
	}
	if !replaced && !deeper && !g.schema.set {
		return p.close(depth)
	}
	for c := (wire.Cursor{Buf: content}); c.Next() && err == nil; {
		start, end := g.content+c.Start, g.content+c.End
		if err = p.look(start); err != nil {
			break
		}
		switch {
		case c.Type != wire.TypeBytes:
		case c.Num == n.own && replaced:
			err = p.placeOwn(depth, start, end)
		case c.Num == n.schema && g.schema.set:
			if err = p.copyTo(start); err == nil {
				p.copied = end
			}
		case c.Num == n.members && deeper && depth == 0:
			err = p.editGroup(1, c.Bytes, start, end)
		case c.Num == n.members && deeper:
			err = p.editItem(c.Bytes, start, end)
		}
	}
	if err == nil && depth == 1 {
		err = p.editAdded()
	}
	if err != nil {
		return err
	}
	return p.close(depth)
}

// editAdded edits the items that were added to the scope, and writes them at its end: those
// of the first plan first, as in one pass for each plan.
func (p *Pass) editAdded() error {
	for step := range p.steps {
		for p.adding = 0; p.adding < len(p.added); p.adding++ {
			if p.added[p.adding].step != step {
				continue
			}
			if err := p.editOneAdded(p.added[p.adding]); err != nil {
				return err
			}
		}
	}
	p.adding, p.added = -1, p.added[:0]
	return nil
}

func (p *Pass) editOneAdded(a addedItem) error {
	g := &p.groups[1]
	p.steps[a.step].dropped -= otlp.CountItems(p.signal, otlp.PartItem, a.item)
	v, now, by, err := p.edit(Items, a.item)
	if err != nil {
		return err
	}
	if v == Drop {
		by.dropped += otlp.CountItems(p.signal, otlp.PartItem, now)
		return nil
	}
	g.kept++
	if err := p.openAsItWas(1); err != nil {
		return err
	}
	if err := p.copyTo(g.end); err != nil {
		return err
	}
	return p.writeField(otlpfield.ScopeXItems, now)
}

// editOwn edits the Resource or Scope of a group. If it was replaced the group is
// open, and the new one is written where there was none.
func (p *Pass) editOwn(depth int, content []byte) (replaced, dropped bool, err error) {
	n, g := &nesting[depth], &p.groups[depth]
	if !p.edits.has(n.level) {
		return false, false, nil
	}
	old, cut := findMessage(content, n.own)
	v, now, by, err := p.edit(n.level, old)
	if err != nil {
		return false, false, err
	}
	g.own = message{now, true}
	switch v {
	case Drop:
		by.dropped += otlp.CountItems(p.signal, n.part, content)
		return false, true, p.skip(depth-1, g.start, g.end)
	case Replace:
		err = p.open(depth, len(content)-cut+fieldBytes(len(now))+len(g.schema.url))
		if err == nil && old == nil {
			err = p.placeOwn(depth, g.content, g.content)
		}
		return true, false, err
	}
	if g.schema.set {
		err = p.open(depth, len(content)+fieldBytes(len(g.schema.url)))
	}
	return false, false, err
}

// SchemaURL returns the schema_url beside the Resource or Scope that is being edited, as
// the plans before left it; nil if there is none. Only an editor of these levels may
// call it.
func (p *Pass) SchemaURL() []byte { return p.schemaURL(int(p.editing >> 1)) }

// SchemaURLOf returns the schema_url beside the Resource (level Resources) or Scope
// (level Scopes) that is being edited or that the message that is being edited is in. It
// needs Plan.Reads.
func (p *Pass) SchemaURLOf(level Levels) []byte { return p.schemaURL(int(level >> 1)) }

func (p *Pass) schemaURL(depth int) []byte {
	g := &p.groups[depth]
	if g.schema.set {
		return g.schema.url
	}
	return wire.LastBytes(p.request[g.content:g.end], nesting[depth].schema)
}

// SetSchemaURL sets the schema_url beside the Resource or Scope that is being edited,
// whatever the verdict on that is; nil means none. Only an editor of these levels may
// call it. url must not change before the editor's End.
func (p *Pass) SetSchemaURL(url []byte) {
	if old := p.SchemaURL(); !bytes.Equal(old, url) {
		p.groups[p.editing>>1].schema = schemaURL{url, true}
		p.steps[p.step].grown += len(url) - len(old)
	}
}

// placeOwn writes the new Resource or Scope in the place of the old one, or of its
// first part. Further parts are left out, since the new one contains them.
func (p *Pass) placeOwn(depth, start, end int) error {
	g := &p.groups[depth]
	if err := p.copyTo(start); err != nil {
		return err
	}
	p.copied = end
	if g.placed || g.late {
		return nil
	}
	g.placed = true
	return p.writeField(nesting[depth].own, g.own.bytes)
}

// placeLate writes the Resource or Scope of a group, which was left out since what is
// below it may set it, at the beginning of the group, all else of which is written.
func (p *Pass) placeLate(depth int) error {
	g := &p.groups[depth]
	if g.own.bytes == nil {
		return nil
	}
	n := fieldBytes(len(g.own.bytes))
	if err := p.room(n); err != nil {
		return err
	}
	end := len(p.out)
	p.out = p.out[:end+n]
	copy(p.out[g.mark+n:], p.out[g.mark:end])
	wire.AppendBytes(p.out[:g.mark], nesting[depth].own, g.own.bytes)
	return nil
}

// findMessage returns the message field num, nil if there is none, and how many
// bytes its field takes. In several parts it is their merger.
func findMessage(around []byte, num uint32) (m []byte, size int) {
	parts := 0
	for c := (wire.Cursor{Buf: around}); c.Next(); {
		if c.Num == num && c.Type == wire.TypeBytes {
			m = c.Bytes
			size += c.End - c.Start
			parts++
		}
	}
	if parts > 1 {
		m = wire.Merged(around, num)
	}
	return m, size
}

// editItem edits an item, whose field in the request is from start to end.
func (p *Pass) editItem(item []byte, start, end int) error {
	v, now, by, err := p.edit(Items, item)
	switch {
	case err != nil:
		return err
	case v == Drop:
		by.dropped += otlp.CountItems(p.signal, otlp.PartItem, now)
		return p.skip(1, start, end)
	}
	p.groups[1].kept++
	if v == Keep {
		return nil
	}
	if err := p.openAsItWas(1); err != nil {
		return err
	}
	if err := p.copyTo(start); err != nil {
		return err
	}
	p.copied = end
	return p.writeField(otlpfield.ScopeXItems, now)
}

// skip leaves out a member of the group at a depth, -1 being the request.
func (p *Pass) skip(depth, start, end int) error {
	if depth >= 0 {
		p.groups[depth].dropped++
		if err := p.openAsItWas(depth); err != nil {
			return err
		}
	}
	if err := p.copyTo(start); err != nil {
		return err
	}
	p.copied = end
	return nil
}

// openAsItWas opens a group whose length may not change much.
func (p *Pass) openAsItWas(depth int) error {
	return p.open(depth, p.groups[depth].end-p.groups[depth].content)
}

// open begins a group in out, whose value may be of size bytes.
func (p *Pass) open(depth, size int) error {
	g := &p.groups[depth]
	if g.opened {
		return nil
	}
	if depth > 0 {
		if err := p.openAsItWas(depth - 1); err != nil {
			return err
		}
	}
	if err := p.copyTo(g.start); err != nil {
		return err
	}
	if err := p.room(maxHeadBytes); err != nil {
		return err
	}
	g.opened, g.begin, g.lengthBytes = true, len(p.out), wire.SizeVarint(uint64(size))
	p.out = wire.AppendTag(p.out, nesting[depth].field, wire.TypeBytes)
	p.out = binary.AppendUvarint(p.out, uint64(size))
	g.mark, p.copied = len(p.out), g.content
	return nil
}

// close ends a group. One that lost all its members goes too.
func (p *Pass) close(depth int) error {
	g := &p.groups[depth]
	empty := g.dropped > 0 && g.kept == 0
	if depth > 0 {
		if around := &p.groups[depth-1]; empty {
			around.dropped++
		} else {
			around.kept++
		}
	}
	switch {
	case empty:
		p.out, p.copied = p.out[:g.begin], g.end
		return nil
	case !g.opened:
		return nil
	}
	if err := p.copyTo(g.end); err != nil {
		return err
	}
	if len(g.schema.url) > 0 {
		if err := p.room(fieldBytes(len(g.schema.url))); err != nil {
			return err
		}
		p.out = wire.AppendBytes(p.out, nesting[depth].schema, g.schema.url)
	}
	if g.late {
		if err := p.placeLate(depth); err != nil {
			return err
		}
	}
	return p.writeLength(g)
}

// writeLength writes the length of a group whose value is complete.
func (p *Pass) writeLength(g *group) error {
	size := len(p.out) - g.mark
	more := wire.SizeVarint(uint64(size)) - g.lengthBytes
	if more != 0 {
		if err := p.room(more); err != nil {
			return err
		}
		value := p.out[g.mark:]
		p.out = p.out[:len(p.out)+more]
		copy(p.out[g.mark+more:], value)
	}
	binary.PutUvarint(p.out[g.mark-g.lengthBytes:], uint64(size))
	return nil
}

// writeField appends a field with value m.
func (p *Pass) writeField(num uint32, m []byte) error {
	if err := p.room(fieldBytes(len(m))); err != nil {
		return err
	}
	p.out = wire.AppendBytes(p.out, num, m)
	return nil
}

// fieldBytes returns how many bytes a field with a value of n bytes takes whose
// number is below 16, as all those here.
func fieldBytes(n int) int { return 1 + wire.SizeVarint(uint64(n)) + n }

// copyTo copies what lies between the part of the request that was dealt with and
// to.
func (p *Pass) copyTo(to int) error {
	if err := p.room(to - p.copied); err != nil {
		return err
	}
	p.out = append(p.out, p.request[p.copied:to]...)
	p.copied = to
	return nil
}

// room makes room for n more bytes in out.
func (p *Pass) room(n int) (err error) {
	if p.out != nil && cap(p.out)-len(p.out) >= n {
		return nil
	}
	if p.out == nil {
		// Most requests grow little by the messages that follow.
		grown := 0
		for i := range p.steps {
			grown += p.steps[i].grown
		}
		n = max(n, len(p.request)+max(grown, 0)+maxHeadBytes)
	}
	p.out, err = p.mem.Grow(p.out, n)
	return err
}
