package otlp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

const (
	// DefaultDepth is how many messages of values (AnyValue, ArrayValue, KeyValueList,
	// KeyValue) may be nested in each other: the limit of the Collector since 0.165.
	// An array takes two of them and a map three, so that 49 arrays or 32 maps may be
	// nested in an attribute, and 49 or 33 in the body of a log record.
	DefaultDepth = 100

	// MaxDepth is the largest Limits.Depth.
	MaxDepth = 192

	// maxFrames is the size of the stack of the walk. Only messages of values can be
	// nested in themselves. The deepest path to the first of them has seven messages.
	maxFrames = 8 + MaxDepth
)

// Limits are what Check and DecodeJSON refuse although it is valid. The zero value
// has the defaults.
type Limits struct {
	// Depth is how many messages of values may be nested in each other, from 1 to
	// MaxDepth. 0 is DefaultDepth.
	Depth int
}

// depth returns the number of messages of values that may be nested.
func (l Limits) depth() uint8 {
	if l.Depth <= 0 {
		return DefaultDepth
	}
	return uint8(min(l.Depth, MaxDepth))
}

// valueMessages is the set of the messages of which values consist, as bits.
const valueMessages uint64 = 1<<msgKeyValue | 1<<msgAnyValue | 1<<msgArrayValue | 1<<msgKeyValueList

// tagEntry says how to process one tag of one message: tables[message][tag].
type tagEntry struct {
	op  tagOp
	arg uint8 // the nested message, the dictionary table of an index, the length of an id, or isText
}

// isText is the argument of opBytes for a string field, which should be UTF-8.
const isText = 1

type tagOp uint8

const (
	opUnknown tagOp = iota // an unknown field, which is skipped
	opBadType              // a known field with the wrong wire type
	opVarint
	opFixed64
	opFixed32
	opIndex
	opLength // not an op: the ops below are length-delimited
	opBytes
	opID // bytes of one length, or none
	opPackedVarint
	opPackedFixed64
	opPackedFixed32
	opPackedIndex
	opMessage    // in a list, as those below
	opItem       // a message that counts as an item
	opKeyValue   // one of valueMessages, with a fast path
	opValue      // another of valueMessages
	opMetric     // a message with a oneof that holds its items
	opOne        // not an op: the fields below are not lists, so their parts are merged
	opOneMessage // a message
	opOneValue   // one of valueMessages
	opMetricData // a member of the oneof of a Metric
)

// CheckError is the error of a request that Check rejects.
type CheckError struct {
	Signal Signal
	// Offset is the byte offset of the field in the request.
	Offset int
	// Path names the messages and the field, outermost first, separated by dots.
	Path string
	Err  error
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("%s request, byte %d, %s: %v", e.Signal, e.Offset, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *CheckError) Unwrap() error { return e.Err }

// Check reads a whole export request once, without allocating, and returns the
// number of its items: spans, data points, log records, samples.
//
// It rejects invalid protobuf (encoding guide), known fields with the wrong wire
// type, identifiers of traces, spans and profiles that have neither their length nor
// none (trace.proto, profiles.proto), values nested deeper than DefaultDepth, messages split into parts that
// together are more than MaxSplitBytes, and in profiles an index outside its
// dictionary table; index 0, "unset", is always valid. Strings that are not valid
// UTF-8 are accepted. The error is a *CheckError, except for an invalid signal and
// a request that exceeds the maximum size of a message.
func Check(s Signal, request []byte) (items int, err error) {
	f, err := Inspect(s, request)
	return f.Items, err
}

// Facts are what Inspect finds out about a request.
type Facts struct {
	// Items is the number of spans, data points, log records or samples.
	Items int
	// SplitBytes is an upper bound for the size in bytes of all messages that are
	// split into several parts, which a reader has to merge (encoding guide, "Last
	// One Wins"). Views and AppendJSON allocate at most MergeFactor times as much
	// for it. It is 0 for what nearly all senders send.
	SplitBytes int
}

// MergeFactor is how many bytes are allocated at most for a byte of SplitBytes: it is
// copied with a split AnyValue and again with the list in it, with spare capacity.
const MergeFactor = 3

// MaxSplitBytes returns the largest SplitBytes of a request of n bytes that Check
// accepts: each byte may be in one split message, but not in many that are nested.
func MaxSplitBytes(n int) int { return n + 64<<10 }

// Inspect is Check with more results.
func Inspect(s Signal, request []byte) (Facts, error) { return Limits{}.Inspect(s, request) }

// Check is the function Check with other limits than the defaults.
func (l Limits) Check(s Signal, request []byte) (items int, err error) {
	f, err := l.Inspect(s, request)
	return f.Items, err
}

// Inspect is the function Inspect with other limits than the defaults.
func (l Limits) Inspect(s Signal, request []byte) (Facts, error) {
	if !s.Valid() {
		return Facts{}, fmt.Errorf("check request: %s", s)
	}
	if len(request) > wire.MaxMessageBytes {
		return Facts{}, fmt.Errorf("%s request: %d bytes exceed the maximum message size of %d bytes", s, len(request), wire.MaxMessageBytes)
	}
	w := walk{signal: s, request: request, maxDepth: l.depth(), maxSplit: MaxSplitBytes(len(request))}
	if s.Spec().HasDictionary {
		w.limits = tableSizes(request)
	} else {
		w.limits = noLimits
	}
	items, err := w.run(roots[s])
	if err != nil {
		return Facts{}, err
	}
	return Facts{Items: items, SplitBytes: w.split}, nil
}

var roots = [5]uint8{
	Traces: msgExportTraceServiceRequest, Metrics: msgExportMetricsServiceRequest,
	Logs: msgExportLogsServiceRequest, Profiles: msgExportProfilesServiceRequest,
}

// limits holds the number of entries of each dictionary table, by the table's
// field number in ProfilesDictionary.
type limits [8]uint64

// noLimits accepts every index: outside profiles, references to the string table
// are treated as absent (common.proto, key_strindex).
var noLimits = limits{1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32}

// tableSizes counts the entries of the dictionary's tables before the walk, since
// the dictionary may come last, or in several parts. It stops at invalid bytes,
// which the walk will report.
func tableSizes(request []byte) (n limits) {
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		if c.Num != otlpfield.ExportProfilesServiceRequestDictionary || c.Type != wire.TypeBytes {
			continue
		}
		countTables(c.Bytes, &n)
	}
	return n
}

// countTables adds the entries of one part of the dictionary to n.
func countTables(b []byte, n *limits) {
	for i := 0; i < len(b); {
		if i+1 < len(b) && b[i] < uint8(len(n))<<3 && b[i]&7 == uint8(wire.TypeBytes) && b[i+1] < 0x80 {
			n[b[i]>>3]++
			i += 2 + int(b[i+1])
			continue
		}
		num, t, next, err := wire.Tag(b, i)
		if err == nil {
			next, err = wire.Skip(b, next, num, t)
		}
		if err != nil {
			return
		}
		if num < uint32(len(n)) && t == wire.TypeBytes {
			n[num]++
		}
		i = next
	}
}

// frame is a message around the current one.
type frame struct {
	begin, end int32
	seen       uint16 // its message fields that are not lists, as bits by number
	message    uint8
	room       uint8 // how many messages of values may be nested in it
}

type walk struct {
	signal   Signal
	maxDepth uint8
	request  []byte
	limits   limits
	stack    [maxFrames]frame

	// For the current Metric: the number of items before it, and the tag of the
	// member of its oneof that was seen last.
	metricItems int
	metricTag   uint32

	split, maxSplit int // Facts.SplitBytes
}

// run is the walk: a loop without recursion. i is the current offset and end the
// end of the current message. To enter a message, the current one is pushed on
// the stack; at its end, it is popped.
func (w *walk) run(msg uint8) (items int, err error) {
	b := w.request
	i, begin, end, top := 0, 0, len(b), 0
	room, seen := w.maxDepth, uint16(0)
	tab := &tables[msg]
	for {
		if i >= end {
			if i > end {
				return 0, w.fail(end, top, msg, wire.ErrTruncated)
			}
			if top == 0 {
				return items, nil
			}
			top--
			f := &w.stack[top]
			begin, end, msg, room, seen = int(f.begin), int(f.end), f.message, f.room, f.seen
			tab = &tables[msg]
			continue
		}
		start, tag := i, uint32(b[i])
		i++
		if tag >= 0x80 {
			if i < end && b[i] == 1 { // fields 16 to 31 in the usual encoding
				i++
			} else if tag, i, err = wideTag(b[:end], start); err != nil {
				return 0, w.fail(start, top, msg, err)
			}
		}
		e := tab[uint8(tag)]
		if e.op < opLength {
			if e.op == opFixed64 {
				i += 8
				continue
			}
			if next := w.short(e, b[:end], i); next > 0 {
				i = next
				continue
			}
			if i, err = w.scalar(e, b[:end], start, i, tag); err != nil {
				return 0, w.fail(start, top, msg, err)
			}
			continue
		}

		if i == end {
			return 0, w.fail(start, top, msg, wire.ErrTruncated)
		}
		n := int(b[i])
		i++
		if n >= 0x80 {
			var stop int
			if i, stop, err = wire.Length(b[:end], i-1); err != nil {
				return 0, w.fail(start, top, msg, err)
			}
			n = stop - i
		}
		next := i + n
		if next > end {
			return 0, w.fail(start, top, msg, wire.ErrTruncated)
		}
		inner := room
		switch e.op {
		case opBytes, opID:
			if e.op == opID && n != int(e.arg) && n != 0 {
				return 0, w.fail(start, top, msg, &idError{n, int(e.arg)})
			}
			i = next
			continue
		case opKeyValue:
			if room >= 2 && plainKeyValue(b[i:next]) {
				// The next fields are probably attributes too.
				i = plainKeyValues(b[:end], next, tag)
				continue
			}
			if inner--; room == 0 {
				return 0, w.tooDeep(b[i:next], start, top, msg, e.arg)
			}
		case opMessage, opOneMessage:
		case opItem, opMetric, opMetricData:
			items = w.count(e.op, tag, items)
		case opValue, opOneValue:
			if inner--; room == 0 {
				return 0, w.tooDeep(b[i:next], start, top, msg, e.arg)
			}
		default:
			if err := w.packed(e, b[i:next]); err != nil {
				return 0, w.fail(start, top, msg, err)
			}
			i = next
			continue
		}
		if e.op > opOne {
			if bit := uint16(1) << (tag >> 3); seen&bit == 0 {
				seen |= bit
			} else if seen = w.countSplit(seen, end-begin); w.split > w.maxSplit {
				return 0, w.fail(start, top, msg, errSplit)
			}
		}
		w.stack[top] = frame{begin: int32(begin), end: int32(end), seen: seen, message: msg, room: room}
		top++
		begin, end, msg, room, seen = i, next, e.arg, inner, 0
		tab = &tables[msg]
	}
}

// countSplit adds a message of n bytes with a field in several parts to split, once.
func (w *walk) countSplit(seen uint16, n int) uint16 {
	if seen&splitCounted == 0 {
		w.split += n
	}
	return seen | splitCounted
}

// count returns the number of items including the message that begins.
func (w *walk) count(op tagOp, tag uint32, items int) int {
	switch op {
	case opItem:
		return items + 1
	case opMetric:
		w.metricItems, w.metricTag = items, 0
	case opMetricData:
		// A member of the oneof that replaces another removes its points.
		if w.metricTag != tag && w.metricTag != 0 {
			items = w.metricItems
		}
		w.metricTag = tag
	}
	return items
}

// short is the fast path for scalars: it returns the index after the value, which
// may be beyond the end of b, or 0 if the caller must use scalar.
func (w *walk) short(e tagEntry, b []byte, i int) int {
	switch e.op {
	case opFixed32:
		return i + 4
	case opVarint:
		n := i
		for n < len(b) && b[n] >= 0x80 {
			n++
		}
		if n-i < 9 {
			return n + 1
		}
	case opIndex: // one or two bytes
		if i+1 >= len(b) {
			return 0
		}
		if v := uint64(b[i]); v < 0x80 && v < w.limits[e.arg] {
			return i + 1
		} else if d := uint64(b[i+1]); v >= 0x80 && d < 0x80 && v&0x7f|d<<7 < w.limits[e.arg] {
			return i + 2
		}
	}
	return 0
}

// plainKeyValues skips the fields at b[i:] that have this tag, of one byte, and for
// which plainKeyValue holds, and returns the index after them.
func plainKeyValues(b []byte, i int, tag uint32) int {
	for i+1 < len(b) && uint32(b[i]) == tag && b[i+1] < 0x80 {
		next := i + 2 + int(b[i+1])
		if next > len(b) || !plainKeyValue(b[i+2:next]) {
			break
		}
		i = next
	}
	return i
}

// The tags inside a KeyValue, and those of the scalars inside its AnyValue.
const (
	tagKey    = otlpfield.KeyValueKey<<3 | uint8(wire.TypeBytes)
	tagValue  = otlpfield.KeyValueValue<<3 | uint8(wire.TypeBytes)
	tagString = otlpfield.AnyValueStringValue<<3 | uint8(wire.TypeBytes)
	tagBool   = otlpfield.AnyValueBoolValue<<3 | uint8(wire.TypeVarint)
	tagInt    = otlpfield.AnyValueIntValue<<3 | uint8(wire.TypeVarint)
	tagDouble = otlpfield.AnyValueDoubleValue<<3 | uint8(wire.TypeFixed64)
)

// plainKeyValue reports whether b is a valid KeyValue of the most frequent form: a
// key and then a value, both shorter than 128 bytes, where the value has exactly
// one field, a scalar. A KeyValue of another form may be valid too.
func plainKeyValue(b []byte) bool {
	if len(b) < 4 || b[0] != tagKey || b[1] >= 0x80 {
		return false
	}
	v := 2 + int(b[1]) // the index of the value's tag
	if len(b) < v+3 || b[v] != tagValue || b[v+1] >= 0x80 || len(b) != v+2+int(b[v+1]) {
		return false
	}
	switch v += 2; b[v] {
	case tagString:
		return len(b) > v+1 && b[v+1] < 0x80 && len(b) == v+2+int(b[v+1])
	case tagBool, tagInt:
		last := len(b) - 1 // the varint is b[v+1:]
		if last == v || last-v > 9 || b[last] >= 0x80 {
			return false
		}
		for _, c := range b[v+1 : last] {
			if c < 0x80 {
				return false
			}
		}
		return true
	case tagDouble:
		return len(b) == v+9
	}
	return false
}

// scalar checks a field that is not length-delimited, or not known, and returns
// the index after it. The field begins at start and its value at i.
func (w *walk) scalar(e tagEntry, b []byte, start, i int, tag uint32) (int, error) {
	switch e.op {
	case opVarint:
		_, next, err := wire.Varint(b, i)
		return next, err
	case opIndex:
		v, next, err := wire.Varint(b, i)
		if err == nil {
			err = w.index(e.arg, v)
		}
		return next, err
	case opBadType:
		return i, &typeError{wire.Type(tag & 7)}
	default:
		num, t, i, err := wire.Tag(b, start)
		if err != nil {
			return i, err
		}
		return wire.Skip(b, i, num, t)
	}
}

// wideTag reads a tag that is longer than a byte. It returns 0, which is an unknown
// field in every message, for a tag above 255; scalar then checks its number.
func wideTag(b []byte, i int) (tag uint32, next int, err error) {
	v, next, err := wire.Varint(b, i)
	if err != nil || v > 0xff {
		return 0, next, err
	}
	return uint32(v), next, nil
}

// packed checks the elements of a packed list.
func (w *walk) packed(e tagEntry, b []byte) error {
	switch e.op {
	case opPackedFixed64:
		if len(b)%8 != 0 {
			return wire.ErrTruncated
		}
		return nil
	case opPackedFixed32:
		if len(b)%4 != 0 {
			return wire.ErrTruncated
		}
		return nil
	}
	isIndex, limit := e.op == opPackedIndex, w.limits[e.arg]
	for i := 0; i < len(b); {
		// Most indices take one or two bytes.
		v := uint64(b[i])
		switch {
		case v < 0x80:
			i++
		case i+1 < len(b) && b[i+1] < 0x80:
			v = v&0x7f | uint64(b[i+1])<<7
			i += 2
		default:
			var err error
			if v, i, err = wire.Varint(b, i); err != nil {
				return err
			}
		}
		if isIndex && v >= limit {
			if err := w.index(e.arg, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// index checks an index of a dictionary table. Index fields are int32: the high
// 32 bits are ignored.
func (w *walk) index(table uint8, v uint64) error {
	if i := uint64(uint32(v)); i != 0 && i >= w.limits[table] {
		return &indexError{fieldNames[msgProfilesDictionary][table], int32(v), w.limits[table]}
	}
	return nil
}

// splitCounted is the bit in seen that says that the message counts in split; no
// field has the number 0.
const splitCounted = 1

var errSplit = errors.New("messages that are split into several parts are nested in each other")

// DepthError is the error of a value that is nested too deep.
type DepthError struct {
	// Found is how many messages are nested in each other; more than MaxDepth is
	// MaxDepth+1, 0 is unknown.
	Found int
	Max   int // Limits.Depth
}

func (e *DepthError) Error() string {
	const weights = " (an array has 2, a map 3)"
	switch {
	case e.Found == 0:
		return fmt.Sprintf("value of more than %d nested messages"+weights, e.Max)
	case e.Found > MaxDepth:
		return fmt.Sprintf("value of more than %d nested messages, expected at most %d"+weights, MaxDepth, e.Max)
	}
	return fmt.Sprintf("value of %d nested messages, expected at most %d"+weights, e.Found, e.Max)
}

// tooDeep returns the error of a field whose message b is nested too deep.
func (w *walk) tooDeep(b []byte, start, top int, msg, nested uint8) error {
	depth := int(w.maxDepth) + 1
	return w.fail(start, top, msg, &DepthError{Found: depth - 1 + nesting(b, nested, MaxDepth+2-depth), Max: depth - 1})
}

// Depth returns how many messages are nested in each other in a value, up to most: Check
// refuses a body of more than Limits.Depth, and an attribute whose value has more than
// one less.
func (m AnyValue) Depth(most int) int { return nesting(m, msgAnyValue, most) }

// Depth is that of a value that has the list; m may be nil.
func (m ArrayValue) Depth(most int) int { return 1 + nesting(m, msgArrayValue, most-1) }

// Depth is that of a value that has the map; m may be nil.
func (m KeyValueList) Depth(most int) int { return 1 + nesting(m, msgKeyValueList, most-1) }

// nesting returns how many messages of values are nested in each other in the message
// b, including itself, up to most.
func nesting(b []byte, msg uint8, most int) int {
	deepest := 0
	for c := (wire.Cursor{Buf: b}); deepest < most-1 && c.Next(); {
		if c.Type != wire.TypeBytes || c.Num >= 32 {
			continue
		}
		if e := tables[msg][c.Num<<3|uint32(wire.TypeBytes)]; e.op >= opMessage && valueMessages>>e.arg&1 != 0 {
			deepest = max(deepest, nesting(c.Bytes, e.arg, most-1))
		}
	}
	return 1 + deepest
}

// idError is the error of an identifier of n bytes in place of want.
type idError struct{ n, want int }

func (e *idError) Error() string {
	return fmt.Sprintf("identifier of %d bytes, expected %d or none", e.n, e.want)
}

type typeError struct{ t wire.Type }

func (e *typeError) Error() string {
	names := [...]string{"varint", "64-bit", "length-delimited", "group start", "group end", "32-bit"}
	if int(e.t) < len(names) {
		return "unexpected wire type " + names[e.t]
	}
	return wire.ErrType.Error()
}

type indexError struct {
	table string
	index int32
	size  uint64
}

func (e *indexError) Error() string {
	if e.size == 0 {
		return fmt.Sprintf("index %d out of range: the request has no %s", e.index, e.table)
	}
	return fmt.Sprintf("index %d out of range: %s has %d entries", e.index, e.table, e.size)
}

// fail returns err as a CheckError with the path to the field of msg that begins
// at start. The first top frames of the stack are in use. The path of a value that is
// nested too deep ends where it begins.
func (w *walk) fail(start, top int, msg uint8, err error) error {
	var path []string
	for _, f := range w.stack[1:max(top, 1)] {
		path = append(path, messageNames[f.message])
		if _, deep := err.(*DepthError); deep && valueMessages>>f.message&1 != 0 {
			return &CheckError{Signal: w.signal, Offset: start, Path: strings.Join(path, "."), Err: err}
		}
	}
	path = append(path, messageNames[msg])
	if num, _, _, tagErr := wire.Tag(w.request, start); tagErr == nil && num < 32 && fieldNames[msg][num] != "" {
		path = append(path, fieldNames[msg][num])
	}
	return &CheckError{Signal: w.signal, Offset: start, Path: strings.Join(path, "."), Err: err}
}
