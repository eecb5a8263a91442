package otlp

import (
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

const (
	// MaxDepth is how deep AnyValues may be nested in arrays and maps. A value
	// directly below an attribute is at depth 1.
	MaxDepth = 64

	// maxFrames bounds the walk's stack. No message nests in itself but through
	// AnyValue, whose levels take at most three frames each (AnyValue,
	// KeyValueList, KeyValue); the deepest way to a first AnyValue has seven.
	maxFrames = 8 + 3*MaxDepth
)

// tagEntry is what to do with one tag of one message: tables[message][tag].
type tagEntry struct {
	op  tagOp
	arg uint8 // the nested message, the dictionary table of an index, or isText
}

// isText is the argument of opBytes for a string field, which should be UTF-8.
const isText = 1

type tagOp uint8

const (
	opUnknown tagOp = iota // not a field we know: skip it, whatever it is
	opBadType              // a field we know with a wire type it cannot have
	opVarint
	opFixed64
	opFixed32
	opIndex
	opLength // not an op: those below are length-delimited
	opBytes
	opPackedVarint
	opPackedFixed64
	opPackedFixed32
	opPackedIndex
	opMessage
	opItem       // a message that counts
	opKeyValue   // a message with a short cut
	opAnyValue   // a message that nests in itself
	opMetric     // a message whose items are in a oneof
	opMetricData // a member of that oneof
)

// CheckError says what is wrong with a request, and where.
type CheckError struct {
	Signal Signal
	// Offset is the index of the byte where the offending field begins.
	Offset int
	// Path names the messages and the field, outermost first.
	Path string
	Err  error
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("%s request, byte %d, %s: %v", e.Signal, e.Offset, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *CheckError) Unwrap() error { return e.Err }

// Check walks a whole export request once, without allocating, and returns the
// number of its items: spans, data points, log records, samples.
//
// It refuses what is not protobuf (encoding guide), a known field with a wire
// type that it cannot have, AnyValues nested deeper than MaxDepth, and in
// profiles an index that points outside its dictionary table; index 0, "not
// set", is always right. Strings that are not UTF-8 pass. Views over checked
// bytes cannot fail. An error is a *CheckError.
func Check(s Signal, request []byte) (items int, err error) {
	if !s.Valid() {
		return 0, fmt.Errorf("check request: %s", s)
	}
	if len(request) > wire.MaxMessageBytes {
		return 0, fmt.Errorf("%s request: %d bytes exceed the maximum message size of %d bytes", s, len(request), wire.MaxMessageBytes)
	}
	w := walk{signal: s, request: request}
	if s.Spec().HasDictionary {
		w.limits = tableSizes(request)
	} else {
		w.limits = noLimits
	}
	return w.run(roots[s])
}

var roots = [5]uint8{
	Traces: msgExportTraceServiceRequest, Metrics: msgExportMetricsServiceRequest,
	Logs: msgExportLogsServiceRequest, Profiles: msgExportProfilesServiceRequest,
}

// limits holds the number of entries of each dictionary table, by the table's
// field number in ProfilesDictionary.
type limits [8]uint64

// noLimits lets every index pass: outside profiles, references into a string
// table are to be treated as absent (common.proto, key_strindex).
var noLimits = limits{1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32, 1 << 32}

// tableSizes counts the entries of the dictionary's tables ahead of the walk,
// since the dictionary may come last, or in several parts. It stops at bad
// bytes; the walk will find them too.
func tableSizes(request []byte) (n limits) {
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		if c.Num != otlpfield.ExportProfilesServiceRequestDictionary || c.Type != wire.TypeBytes {
			continue
		}
		countTables(c.Bytes, &n)
	}
	return n
}

// countTables adds up the entries of one part of the dictionary.
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

// frame is a message that was left for one inside it.
type frame struct {
	end     int32
	message uint8
	depth   uint8 // AnyValues around it, itself included
}

type walk struct {
	signal  Signal
	request []byte
	limits  limits
	stack   [maxFrames]frame

	// The Metric the walk is in: the count before it, and the member of its
	// oneof seen last.
	metricItems int
	metricTag   uint32
}

// run is the walk: one loop, no calls into itself. i never passes end, the end
// of the message that i is in. A message is entered by pushing the one around
// it and left by popping that.
func (w *walk) run(msg uint8) (items int, err error) {
	b := w.request
	i, end, top := 0, len(b), 0
	depth := uint8(0)
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
			end, msg, depth = int(f.end), f.message, f.depth
			tab = &tables[msg]
			continue
		}
		start, tag := i, uint32(b[i])
		i++
		if tag >= 0x80 {
			if i < end && b[i] == 1 { // fields 16 to 31, as they are usually written
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
		inner := depth
		switch e.op {
		case opBytes:
			i = next
			continue
		case opKeyValue:
			if depth < MaxDepth && plainKeyValue(b[i:next]) {
				// Attributes come in rows.
				i = plainKeyValues(b[:end], next, tag)
				continue
			}
		case opMessage:
		case opItem, opMetric, opMetricData:
			items = w.count(e.op, tag, items)
		case opAnyValue:
			if inner++; inner > MaxDepth {
				return 0, w.fail(start, top, msg, errDepth)
			}
		default:
			if err := w.packed(e, b[i:next]); err != nil {
				return 0, w.fail(start, top, msg, err)
			}
			i = next
			continue
		}
		w.stack[top] = frame{end: int32(end), message: msg, depth: depth}
		top++
		end, msg, depth = next, e.arg, inner
		tab = &tables[msg]
	}
}

// count returns the number of items so far, as a message that matters to it
// begins.
func (w *walk) count(op tagOp, tag uint32, items int) int {
	switch op {
	case opItem:
		return items + 1
	case opMetric:
		w.metricItems, w.metricTag = items, 0
	case opMetricData:
		// A member of the oneof that displaces another takes its points away.
		if w.metricTag != tag && w.metricTag != 0 {
			items = w.metricItems
		}
		w.metricTag = tag
	}
	return items
}

// short returns the index behind a scalar of the usual length, which may be
// beyond the end of b; 0 if it takes a closer look.
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
	case opIndex: // one byte or two
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

// plainKeyValues returns the index behind the plain attributes that follow at
// b[i:], each with the tag given, which is one byte.
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

// plainKeyValue says whether b is a KeyValue of the shape that nearly all have:
// a key, then a value that is one short scalar, and nothing else. What it does
// not recognise is walked.
func plainKeyValue(b []byte) bool {
	if len(b) < 4 || b[0] != tagKey || b[1] >= 0x80 {
		return false
	}
	v := 2 + int(b[1]) // where the value's tag is
	if len(b) < v+3 || b[v] != tagValue || b[v+1] >= 0x80 || len(b) != v+2+int(b[v+1]) {
		return false
	}
	switch v += 2; b[v] {
	case tagString:
		return len(b) > v+1 && b[v+1] < 0x80 && len(b) == v+2+int(b[v+1])
	case tagBool, tagInt:
		last := len(b) - 1 // the varint is b[v+1:], if there is one
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

// scalar returns the index behind a field that has no length of its own, or is
// not known.
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

// wideTag reads a tag that is longer than a byte. A tag above 255 is returned as
// 0, which no message knows; its number is looked at when it is skipped.
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
		// Most indices take one byte or two.
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

// index checks a reference into a dictionary table. Fields are int32, so only
// the low 32 bits count.
func (w *walk) index(table uint8, v uint64) error {
	if i := uint64(uint32(v)); i != 0 && i >= w.limits[table] {
		return &indexError{fieldNames[msgProfilesDictionary][table], int32(v), w.limits[table]}
	}
	return nil
}

var errDepth = fmt.Errorf("attribute value nested deeper than %d levels", MaxDepth)

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

// fail puts the place to err: the messages on the stack, of which top are in
// use, and the field that begins at start in msg.
func (w *walk) fail(start, top int, msg uint8, err error) error {
	var path []string
	for _, f := range w.stack[1:max(top, 1)] {
		path = append(path, messageNames[f.message])
	}
	path = append(path, messageNames[msg])
	if num, _, _, tagErr := wire.Tag(w.request, start); tagErr == nil && num < 32 && fieldNames[msg][num] != "" {
		path = append(path, fieldNames[msg][num])
	}
	return &CheckError{Signal: w.signal, Offset: start, Path: strings.Join(path, "."), Err: err}
}
