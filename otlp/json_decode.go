package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// DecodeJSON appends to dst the wire form of an export request of signal s in
// JSON. It writes within the capacity of dst and never allocates; if that is too
// small, it returns ErrShortBuffer. MaxWireBytes is always enough, half of the text
// nearly always. If it fails, it returns dst as it was; what lies behind dst's
// length is then undefined. Bad text is a *JSONError.
//
// What it takes, where the specifications leave a choice:
//
//   - Names in lowerCamelCase and in the original form; fields in any order.
//     A key that comes twice is what its field twice is on the wire: the last
//     value counts, messages merge, lists append. The same holds for two members
//     of a oneof: the last one counts.
//   - null is an absent field; in a list of messages or strings, as with the
//     Collector, an empty one.
//   - Numbers as numbers or strings; integers with a fraction or exponent too, if
//     the value is integral. Enums as numbers or names.
//   - Ids are hex digits, of any length, as in Check. Other bytes are base64,
//     standard or URL, padded or not.
//   - Strings that are not UTF-8 pass, as in Check. Half a surrogate pair is
//     U+FFFD: JavaScript writes one when it cuts a string.
//   - Unknown fields are skipped, but must be JSON.
//
// The result passes Check, except that dictionary indices are left to Check.
func DecodeJSON(dst []byte, s Signal, text []byte) ([]byte, error) {
	if !s.Valid() {
		return dst, fmt.Errorf("decode JSON request: %s", s)
	}
	d := jsonDecoder{text: text, out: dst[:cap(dst)], n: len(dst), packedWidth: 1}
	if d.run(roots[s]) {
		return d.out[:d.n], nil
	}
	if d.err == ErrShortBuffer {
		return dst, ErrShortBuffer
	}
	return dst, &JSONError{Signal: s, Offset: d.at, Path: d.path(), Err: d.err}
}

// failed is what a reader returns in place of the index behind what it read,
// once it has noted the failure.
const failed = -1

// jsonDecoder walks the text and writes the wire form beside it. The stack is
// an array, so that hostile nesting costs nothing.
type jsonDecoder struct {
	text []byte
	out  []byte // the room; out[:n] is written
	n    int

	err     error // the failure, and
	at      int   // where in text
	between bool  // not inside the value of a field

	top   int
	stack [maxFrames]jsonFrame

	// What the sender did last time, to guess what it does next: the field that
	// follows another in a message (both by position from 1), and how many bytes
	// the length of a message took.
	follows [numJSONMessages][maxJSONFields]uint8
	widths  [numJSONMessages]uint8
	// … and that of a packed list.
	packedWidth int
}

// maxJSONFields is more than any message has.
const maxJSONFields = 24

// jsonFrame is a message that the walk is in.
type jsonFrame struct {
	mark    int    // where in out its fields begin
	seen    uint32 // the numbers of the fields that were set, as bits
	index   int32  // of the element of the list that the walk is in
	message uint8
	field   uint8 // the last field, by position from 1
	list    bool  // the walk is in a list of messages, that field
	width   uint8 // bytes kept for the length
	depth   uint8 // AnyValues around, itself included
}

// jsonState is where the walk stands between two steps.
type jsonState uint8

const (
	atFirstKey     jsonState = iota // behind {
	atKey                           // behind a comma in an object
	afterValue                      // behind the value of a field
	atFirstElement                  // behind [ of a list of messages
	atElement                       // behind a comma in it
	afterElement                    // behind a message in it
	atEnd                           // behind the request
)

// run is the walk: one loop, no calls into itself.
func (d *jsonDecoder) run(root uint8) bool {
	i := skipSpace(d.text, 0)
	if i == len(d.text) || d.text[i] != '{' {
		d.between = true
		if bytes.HasPrefix(d.text, []byte("\ufeff")) {
			d.fail(0, errByteOrderMark)
		} else {
			d.expected(i, "an object")
		}
		return false
	}
	d.stack[0] = jsonFrame{message: root}
	state := atFirstKey
	for i++; state != atEnd; {
		switch state {
		case atFirstKey, atKey:
			i, state = d.field(i, state)
		case afterValue:
			i, state = d.next(i)
		case atFirstElement, atElement:
			i, state = d.element(i, state)
		case afterElement:
			i, state = d.nextElement(i)
		}
		if i == failed {
			return false
		}
	}
	if i = skipSpace(d.text, i); i < len(d.text) {
		d.between = true
		d.fail(i, errTrailing)
		return false
	}
	return true
}

var (
	errTrailing      = errors.New("unexpected data after the JSON request")
	errByteOrderMark = errors.New("text begins with a byte order mark, which JSON does not allow (RFC 8259, section 8.1)")
)

// field reads a key and the value of that field, or up to where the messages in
// it begin; then the fields that follow without white space.
func (d *jsonDecoder) field(i int, state jsonState) (int, jsonState) {
	i = skipSpace(d.text, i)
	if state == atFirstKey && i < len(d.text) && d.text[i] == '}' {
		return d.leave(i + 1)
	}
	fr := &d.stack[d.top]
	for {
		f, next := d.key(fr, i)
		if next == failed {
			return failed, 0
		}
		i = skipSpace(d.text, next)
		switch {
		case f == nil:
			i = d.skip(i)
		case i < len(d.text) && d.text[i] == 'n':
			i = d.literal(i, "null")
		case f.form != formList && f.kind == jsonMessage:
			return d.enter(f, i)
		case f.form != formList:
			i = d.scalar(fr, f, i)
		case i == len(d.text) || d.text[i] != '[':
			i = d.expected(i, "a list")
		case f.kind == jsonMessage:
			fr.list, fr.index = true, 0
			return i + 1, atFirstElement
		default:
			i = d.list(f, i+1)
		}
		if i == failed || i == len(d.text) {
			return i, afterValue
		}
		switch d.text[i] {
		case ',':
		case '}':
			return d.leave(i + 1)
		default:
			return i, afterValue
		}
		if i = skipSpace(d.text, i+1); i == len(d.text) || d.text[i] != '"' {
			return i, atKey // which fails
		}
	}
}

// next reads what stands behind the value of a field.
func (d *jsonDecoder) next(i int) (int, jsonState) {
	i = skipSpace(d.text, i)
	if i < len(d.text) {
		switch d.text[i] {
		case ',':
			return i + 1, atKey
		case '}':
			return d.leave(i + 1)
		}
	}
	d.between = true
	return d.expected(i, "a comma or the end of the object"), 0
}

// element enters the next message of a list.
func (d *jsonDecoder) element(i int, state jsonState) (int, jsonState) {
	i = skipSpace(d.text, i)
	fr := &d.stack[d.top]
	if state == atFirstElement && i < len(d.text) && d.text[i] == ']' {
		fr.list = false
		return i + 1, afterValue
	}
	f := &jsonMessages[fr.message][fr.field-1]
	if f.arg == msgKeyValue && fr.depth < MaxDepth {
		if next := d.plainKeyValues(fr, f.tag, i); next != i {
			return next, afterElement
		}
	}
	return d.enter(f, i)
}

// nextElement reads what stands behind a message in a list.
func (d *jsonDecoder) nextElement(i int) (int, jsonState) {
	i = skipSpace(d.text, i)
	fr := &d.stack[d.top]
	if i < len(d.text) {
		switch d.text[i] {
		case ',':
			fr.index++
			return i + 1, atElement
		case ']':
			fr.list = false
			return i + 1, afterValue
		}
	}
	return d.expected(i, "a comma or the end of the list"), 0
}

// enter begins the message that f holds at i.
func (d *jsonDecoder) enter(f *jsonField, i int) (int, jsonState) {
	parent := &d.stack[d.top]
	depth := parent.depth
	if f.arg == msgAnyValue {
		if depth++; depth > MaxDepth {
			return d.fail(i, errDepth), 0
		}
	}
	if i == len(d.text) || d.text[i] != '{' {
		if parent.list && i < len(d.text) && d.text[i] == 'n' {
			return d.null(f, i), afterElement
		}
		return d.expected(i, "an object"), 0
	}
	if !d.room(0) {
		return failed, 0
	}
	width := int(d.widths[f.arg])
	if width == 0 || depth > shallow {
		width = d.width(depth, i)
	}
	d.putTag(f.tag)
	d.n += width
	seen := parent.begin(f)
	d.top++ // maxFrames is the deepest that messages can nest
	fr := &d.stack[d.top]
	fr.mark, fr.seen, fr.index = d.n, seen, 0
	fr.message, fr.field, fr.list, fr.width, fr.depth = f.arg, 0, false, uint8(width), depth
	return i + 1, atFirstKey
}

// begin notes that a message begins in f, and returns what counts as seen inside:
// all, if it is merged into one that was there.
func (fr *jsonFrame) begin(f *jsonField) uint32 {
	bit := uint32(1) << f.num()
	if !fr.list && fr.seen&bit != 0 {
		return ^uint32(0)
	}
	fr.seen |= bit
	return 0
}

// null is an empty element of a list of messages or strings.
func (d *jsonDecoder) null(f *jsonField, i int) int {
	if !d.room(0) {
		return failed
	}
	d.putTag(f.tag)
	d.putVarint(0)
	return d.literal(i, "null")
}

// leave ends the message that the walk is in.
func (d *jsonDecoder) leave(i int) (int, jsonState) {
	if d.top == 0 {
		return i, atEnd
	}
	fr := &d.stack[d.top]
	width := d.closeLength(fr.mark, int(fr.width), fr.depth > shallow)
	if width == 0 {
		return failed, 0
	}
	if fr.depth <= shallow {
		d.widths[fr.message] = uint8(width)
	}
	d.top--
	parent := &d.stack[d.top]
	switch {
	case !parent.list:
		return i, afterValue
	case i < len(d.text) && d.text[i] == ',':
		parent.index++
		return i + 1, atElement
	}
	return i, afterElement
}

// shallow is how deep values may nest for their messages to be moved when the
// guess at the size of their length was wrong. Below, enough is kept for the
// longest length there can be, and a length may be written in more bytes than it
// needs; else moving text that is large and nested deep would cost its size once
// for each level.
const shallow = 4

// width guesses how many bytes the length of the first message of its kind, or of
// one nested deep, will take that begins at i in the text.
func (d *jsonDecoder) width(depth uint8, i int) int {
	rest := len(d.text) - i
	if depth > shallow {
		return wire.SizeVarint(uint64(MaxWireBytes(rest)))
	}
	return wire.SizeVarint(uint64(rest) / 2)
}

// closeLength writes the length of out[mark:n] into the bytes kept for it ahead
// of mark, and moves what follows if they are too few or too many; if it may pad,
// no more than a few bytes. It returns how many bytes the length takes, or 0.
func (d *jsonDecoder) closeLength(mark, kept int, pad bool) int {
	size := d.n - mark
	if size < 0x80 && kept == 1 {
		d.out[mark-1] = byte(size)
		return 1
	}
	need := wire.SizeVarint(uint64(size))
	start := mark - kept
	switch {
	case need == kept:
	case pad && need < kept && size >= 0x80:
		need = kept
	case !d.room(need):
		return 0
	default:
		copy(d.out[start+need:], d.out[mark:d.n])
		d.n += need - kept
	}
	for k := range need - 1 {
		d.out[start+k] = byte(size) | 0x80
		size >>= 7
	}
	d.out[start+need-1] = byte(size)
	return need
}

// key reads a key and the colon behind it. It returns no field if the message
// does not have that one.
func (d *jsonDecoder) key(fr *jsonFrame, i int) (*jsonField, int) {
	if guess := d.follows[fr.message][fr.field]; guess != 0 {
		f := &jsonMessages[fr.message][guess-1]
		if hasKey(d.text, i, f.key) {
			fr.field = guess
			return f, i + len(f.key)
		}
	}
	name, next := d.content(i, "a key")
	if next == failed {
		d.between = true
		return nil, failed
	}
	if next = skipSpace(d.text, next); next == len(d.text) || d.text[next] != ':' {
		d.between = true
		return nil, d.expected(next, "a colon")
	}
	fields := jsonMessages[fr.message]
	for k := range fields {
		if f := &fields[k]; string(name) == f.name() || string(name) == f.orig {
			d.follows[fr.message][fr.field] = uint8(k + 1)
			fr.field = uint8(k + 1)
			return f, next + 1
		}
	}
	return nil, next + 1
}

// hasKey says whether key, with its quotes and colon, stands at b[i:].
func hasKey(b []byte, i int, key string) bool {
	n := len(key)
	if len(b)-i < n {
		return false
	}
	if n < 8 || n > 24 {
		return string(b[i:i+n]) == key
	}
	return load8(b, i) == load8(key, 0) && load8(b, i+n-8) == load8(key, n-8) &&
		(n <= 16 || load8(b, i+8) == load8(key, 8))
}

// fail notes what is wrong at a place in the text.
func (d *jsonDecoder) fail(at int, err error) int {
	d.at, d.err = at, err
	return failed
}

// expected fails at i, where something else should be.
func (d *jsonDecoder) expected(i int, what string) int {
	if i >= len(d.text) {
		return d.fail(len(d.text), fmt.Errorf("unexpected end of text, expected %s", what))
	}
	return d.fail(i, fmt.Errorf("expected %s, found %q", what, d.text[i]))
}

// path names the field that the walk is in.
func (d *jsonDecoder) path() string {
	var b strings.Builder
	for k := range d.top + 1 {
		fr := &d.stack[k]
		if k == d.top && d.between && !fr.list || fr.field == 0 {
			break
		}
		if k > 0 {
			b.WriteByte('.')
		}
		b.WriteString(jsonMessages[fr.message][fr.field-1].name())
		if fr.list {
			fmt.Fprintf(&b, "[%d]", fr.index)
		}
	}
	return b.String()
}

// skipSpace returns the index of the first byte at b[i:] that is not white space.
func skipSpace(b []byte, i int) int {
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return skipSpaces(b, i)
}

func skipSpaces(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}
