package otlp

import (
	"iter"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// SplitLimits says how large the portions of Split are.
type SplitLimits struct {
	// MaxItems and MaxBytes are what a portion has at most. 0: no limit.
	MaxItems, MaxBytes int
	// Skip leaves out so many entries at the beginning: the End of a former portion,
	// perhaps with other limits.
	Skip int
}

// Portion is a part of a request that is a request itself.
type Portion struct {
	Request []byte
	Items   int
	// Entries is how many entries it has, and End how many there are up to its end in
	// the whole request. An entry is an item, or a message around items that has none: a
	// resource without scopes, a metric without data points.
	Entries, End int
	// Last is true for the last portion of the request.
	Last bool
	// TooLarge is true if the one entry of the portion is larger than MaxBytes.
	TooLarge bool
}

// Split divides a checked request of signal s at the borders of items: spans, data
// points, log records, samples. The portions have all items in their order. What is
// around an item is repeated in each portion: the resource, the scope, their schema URLs,
// all fields of a metric but its points, of a profile but its samples, and fields that
// are unknown. Each portion of profiles has a dictionary of those entries that it refers
// to.
//
// A portion has as many items as the limits allow, but at least one entry. Each has a
// buffer of its own; a request within the limits is returned itself.
func Split(s Signal, request []byte, l SplitLimits) iter.Seq[Portion] {
	return func(yield func(Portion) bool) {
		count := splitter{skip: math.MaxInt}
		count.run(s, request)
		within := (l.MaxItems <= 0 || count.seenItems <= l.MaxItems) && (l.MaxBytes <= 0 || len(request) <= l.MaxBytes)
		if within && l.Skip <= 0 {
			yield(Portion{Request: request, Items: count.seenItems, Entries: count.seen, End: count.seen, Last: true})
			return
		}
		d := splitter{maxItems: limitOr(l.MaxItems), maxBytes: limitOr(l.MaxBytes), skip: l.Skip, total: count.seen, yield: yield}
		if s.Spec().HasDictionary {
			d.dictionary = newReducer(request)
		}
		if d.run(s, request) && d.entries > 0 {
			d.emit(d.seen)
		}
	}
}

func limitOr(n int) int {
	if n <= 0 {
		return math.MaxInt
	}
	return n
}

// containerMessages is the set of the messages, besides those of metrics, around items,
// as bits.
const containerMessages uint64 = 1<<msgResourceSpans | 1<<msgResourceMetrics | 1<<msgResourceLogs | 1<<msgResourceProfiles |
	1<<msgScopeSpans | 1<<msgScopeMetrics | 1<<msgScopeLogs | 1<<msgScopeProfiles | 1<<msgProfile

// leadsToItems reports whether a field is an item or a message around items.
func leadsToItems(of tagEntry) bool {
	switch of.op {
	case opItem, opMetric, opMetricData:
		return true
	case opMessage:
		return containerMessages>>of.arg&1 != 0
	}
	return false
}

// container is a message around items.
type container struct {
	num     uint32 // of the field that it is; 0: it is the request
	message uint8
	bytes   []byte
	mark    int // in the portion, if it is open
}

// splitter walks over a request and writes portions.
type splitter struct {
	maxItems, maxBytes int
	skip, total        int // entries
	yield              func(Portion) bool
	dictionary         *reducer // nil: there is none

	seen, seenItems int // so far in the request
	path            []container
	open            int // how many of path have been begun in the portion

	portion        wire.Encoder
	items, entries int // of the portion
}

func (d *splitter) run(s Signal, request []byte) bool {
	d.path = append(make([]container, 0, 6), container{message: roots[s], bytes: request})
	return d.walk(roots[s], request)
}

// walk returns false to stop.
func (d *splitter) walk(message uint8, b []byte) bool {
	if message == msgMetric {
		return d.walkMetric(b)
	}
	empty := true
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		of := entryOf(message, c.Tag())
		if !leadsToItems(of) {
			continue
		}
		empty = false
		proceed := false
		if of.op == opItem {
			proceed = d.entry(container{num: c.Num, message: of.arg, bytes: c.Bytes}, 1)
		} else {
			proceed = d.enter(container{num: c.Num, message: of.arg, bytes: c.Bytes})
		}
		if !proceed {
			return false
		}
	}
	return !empty || d.entry(container{}, 0)
}

// walkMetric walks over the member of the oneof that counts: the last, merged with those
// before it that are the same.
func (d *splitter) walkMetric(b []byte) bool {
	var data container
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		switch of := entryOf(msgMetric, c.Tag()); {
		case of.op != opMetricData:
		case data.num == c.Num:
			data.bytes = wire.Merge(data.bytes, c.Bytes)
		default:
			data = container{num: c.Num, message: of.arg, bytes: c.Bytes}
		}
	}
	if data.num == 0 {
		return d.entry(container{}, 0)
	}
	return d.enter(data)
}

// enter walks over a message around items.
func (d *splitter) enter(c container) bool {
	d.path = append(d.path, c)
	proceed := d.walk(c.message, c.bytes)
	if d.open == len(d.path) {
		d.closeOne()
	}
	d.path = d.path[:len(d.path)-1]
	return proceed
}

// closeOne ends the innermost message of the portion.
func (d *splitter) closeOne() {
	d.open--
	if c := &d.path[d.open]; c.num != 0 {
		d.portion.Close(c.mark)
	}
}

// entry adds an entry: an item, or nothing inside the messages of the path.
func (d *splitter) entry(item container, items int) bool {
	d.seen, d.seenItems = d.seen+1, d.seenItems+items
	if d.seen <= d.skip {
		return true
	}
	before, open, entries := len(d.portion.Buf), d.open, d.dictionary.state()
	d.append(item)
	if d.entries > 0 && (d.items+items > d.maxItems || d.size() > d.maxBytes) {
		d.portion.Buf, d.open = d.portion.Buf[:before], open
		d.dictionary.restore(entries)
		if !d.emit(d.seen - 1) {
			return false
		}
		d.append(item)
	}
	d.items, d.entries = d.items+items, d.entries+1
	return true
}

// append appends an item with those messages around it that are not open.
func (d *splitter) append(item container) {
	for ; d.open < len(d.path); d.open++ {
		c := &d.path[d.open]
		if c.num != 0 {
			c.mark = d.portion.Open(c.num)
		}
		d.appendAround(c)
	}
	switch {
	case item.num == 0:
	case d.dictionary == nil:
		d.portion.Bytes(item.num, item.bytes)
	default:
		mark := d.portion.Open(item.num)
		d.dictionary.require(item.message, item.bytes)
		d.dictionary.rewrite(&d.portion, item.message, item.bytes)
		d.portion.Close(mark)
	}
}

// appendAround appends the fields of a message that do not lead to items.
func (d *splitter) appendAround(around *container) {
	for c := (wire.Cursor{Buf: around.bytes}); c.Next(); {
		switch {
		case leadsToItems(entryOf(around.message, c.Tag())):
		case d.dictionary == nil:
			d.portion.Raw(around.bytes[c.Start:c.End])
		default:
			d.dictionary.requireField(around.message, &c)
			d.dictionary.rewriteField(&d.portion, around.message, &c)
		}
	}
}

// size is what the portion would have if it ended here.
func (d *splitter) size() int {
	more := 0
	for i := d.open - 1; i >= 0; i-- {
		if c := &d.path[i]; c.num != 0 {
			more += wire.SizeVarint(uint64(len(d.portion.Buf)-c.mark+more)) - 1
		}
	}
	return len(d.portion.Buf) + more + d.dictionary.size()
}

// emit ends the portion.
func (d *splitter) emit(end int) bool {
	for d.open > 0 {
		d.closeOne()
	}
	d.dictionary.write(&d.portion)
	p := Portion{Request: d.portion.Buf, Items: d.items, Entries: d.entries, End: end, Last: end == d.total}
	p.TooLarge = p.Entries == 1 && len(p.Request) > d.maxBytes
	d.portion.Buf, d.items, d.entries = make([]byte, 0, len(p.Request)), 0, 0
	d.dictionary.reset()
	return d.yield(p)
}
