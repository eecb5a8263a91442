package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// DecodeJSON appends to dst the wire form of an export request of signal s in
// JSON. It writes within the capacity of dst and does not allocate. If the capacity
// is too small, it returns ErrShortBuffer. MaxWireBytes is always enough, half the
// size of the text nearly always. On an error it returns dst unchanged; the bytes
// between its length and capacity are then undefined. The error of invalid text is
// a *JSONError.
//
// Where the specifications leave a choice:
//
//   - Field names can be in lowerCamelCase or as in the protocol, and in any
//     order. A key that occurs twice is like the field twice on the wire: the last
//     value counts, messages are merged, lists are appended. If two members of a
//     oneof occur, the last one counts.
//   - null is an absent field. In a list of messages or strings it is an empty
//     element, as in the Collector.
//   - Numbers can be numbers or strings. Integers can have a fraction or an
//     exponent if the value is integral. Enums can be numbers or names.
//   - Ids are hex digits, of the length that Check wants. Other bytes are base64 in the
//     standard or URL alphabet, padded or not.
//   - Strings that are not valid UTF-8 are accepted, as in Check. Half a surrogate
//     pair becomes U+FFFD: JavaScript writes one when it cuts a string.
//   - Unknown fields are skipped, but must be valid JSON.
//
// Check accepts the result, except that DecodeJSON does not check dictionary
// indices.
func DecodeJSON(dst []byte, s Signal, text []byte) ([]byte, error) {
	out, _, err := DecodeJSONContext(context.Background(), dst, s, text)
	return out, err
}

// DecodeJSONContext is DecodeJSON that ends, with the cause of the context, when ctx
// does: the costliest text of 64 MiB takes about a second. It also returns the first
// field that is not known.
func DecodeJSONContext(ctx context.Context, dst []byte, s Signal, text []byte) ([]byte, UnknownField, error) {
	return Limits{}.DecodeJSON(ctx, dst, s, text)
}

// DecodeJSON is DecodeJSONContext with other limits than the defaults.
func (l Limits) DecodeJSON(ctx context.Context, dst []byte, s Signal, text []byte) ([]byte, UnknownField, error) {
	if !s.Valid() {
		return dst, UnknownField{}, fmt.Errorf("decode JSON request: %s", s)
	}
	d := jsonDecoder{maxDepth: l.depth(), text: text, out: dst[:cap(dst)], n: len(dst), packedWidth: 1, ctx: ctx, lookAt: lookEvery}
	if ctx.Done() == nil {
		d.lookAt = math.MaxInt
	}
	if d.run(roots[s]) {
		return d.out[:d.n], d.unknown, nil
	}
	switch {
	case d.err == ErrShortBuffer:
		return dst, d.unknown, ErrShortBuffer
	case d.ended:
		return dst, d.unknown, fmt.Errorf("decode JSON request: %w", d.err)
	}
	return dst, d.unknown, &JSONError{Signal: s, Offset: d.at, Path: d.path(), Err: d.err}
}

// failed is what a method returns instead of the index after the text that it read
// when it has set d.err.
const failed = -1

// jsonDecoder reads the text and writes the wire form. Its stack is an array, so
// that deep nesting neither allocates nor recurses.
type jsonDecoder struct {
	maxDepth uint8 // Limits.Depth

	text []byte
	out  []byte // the output buffer; out[:n] is written
	n    int

	err     error
	at      int  // the offset of the error in text
	between bool // the error is not inside the value of a field

	// The context is looked at when lookAt is reached; ended: it had ended.
	ctx    context.Context
	lookAt int
	ended  bool

	unknown UnknownField // the first one

	top   int
	stack [maxFrames]jsonFrame

	// Predictions from what came before: the field that followed another in a
	// message (both by position, from 1), and how many bytes the length of a
	// message took.
	follows [numJSONMessages][maxJSONFields]uint8
	widths  [numJSONMessages]uint8
	// packedWidth is how many bytes the length of the last packed list took.
	packedWidth int
}

// lookEvery is how many bytes of text are decoded between two looks at the context: a
// few milliseconds of the costliest.
const lookEvery = 256 << 10

// UnknownField is a key in JSON that its message does not have. The zero value is none.
type UnknownField struct {
	// End is the index in the text of the colon after the key, 0 if there is no such key.
	End     int
	key     int // the index of the key
	message uint8
}

// Key returns the key, quoted, as in the text.
func (u UnknownField) Key(text []byte) []byte { return bytes.TrimRight(text[u.key:u.End], " \t\r\n") }

// Known returns the names of the fields that the message has.
func (u UnknownField) Known() (names []string) {
	if u.End == 0 {
		return nil
	}
	for i := range jsonMessages[u.message] {
		names = append(names, jsonMessages[u.message][i].name())
	}
	return names
}

// Signal returns the signal whose requests have such a field, 0 if there is none.
func (u UnknownField) Signal(text []byte) Signal {
	for s := Traces; u.End > 0 && s.Valid(); s++ {
		for _, f := range jsonMessages[roots[s]] {
			if key := string(bytes.Trim(u.Key(text), `"`)); key == f.name() || key == f.orig {
				return s
			}
		}
	}
	return 0
}

// looks returns i, or failed if the context has ended.
func (d *jsonDecoder) looks(i int) int {
	d.lookAt = i + lookEvery
	if d.ctx.Err() != nil {
		d.ended = true
		return d.fail(i, context.Cause(d.ctx))
	}
	return i
}

// maxJSONFields is more than the number of fields of any message.
const maxJSONFields = 24

// jsonFrame is a message around the current position.
type jsonFrame struct {
	mark    int    // the offset of its fields in out
	seen    uint32 // the set of the numbers of its fields so far, as bits
	index   int32  // of the current element, in a list of messages
	message uint8
	field   uint8 // the last field, by position, from 1
	list    bool  // the current position is in a list of messages, the value of field
	width   uint8 // the bytes reserved for the length
	depth   uint8 // how many messages of values are around it, including itself
}

// jsonState is the position of the decoder between two steps.
type jsonState uint8

const (
	atFirstKey     jsonState = iota // after {
	atKey                           // after a comma in an object
	afterValue                      // after the value of a field
	atFirstElement                  // after [ of a list of messages
	atElement                       // after a comma in it
	afterElement                    // after a message in it
	atEnd                           // after the request
)

// run is the decoder: a loop without recursion.
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
		if i >= d.lookAt && d.looks(i) == failed {
			return false
		}
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

// field reads a key and the value of the field, or up to the start of the messages
// in it, and continues with the next fields as long as no white space comes between
// them.
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
		if i >= d.lookAt {
			return i, afterValue // where the context is looked at
		}
		if i = skipSpace(d.text, i+1); i == len(d.text) || d.text[i] != '"' {
			return i, atKey // where it fails
		}
	}
}

// next reads what follows the value of a field.
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

// element reads the next element of a list of messages, up to its first key.
func (d *jsonDecoder) element(i int, state jsonState) (int, jsonState) {
	i = skipSpace(d.text, i)
	fr := &d.stack[d.top]
	if state == atFirstElement && i < len(d.text) && d.text[i] == ']' {
		fr.list = false
		return i + 1, afterValue
	}
	f := &jsonMessages[fr.message][fr.field-1]
	if f.arg == msgKeyValue && fr.depth+2 <= d.maxDepth {
		if next := d.plainKeyValues(fr, f.tag, i); next != i {
			return next, afterElement
		}
	}
	return d.enter(f, i)
}

// nextElement reads what follows a message in a list.
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

// enter begins a message at i, which is the value of f or an element of it.
func (d *jsonDecoder) enter(f *jsonField, i int) (int, jsonState) {
	parent := &d.stack[d.top]
	depth := parent.depth
	if valueMessages>>f.arg&1 != 0 {
		if depth++; depth > d.maxDepth {
			return d.fail(i, &DepthError{Max: int(d.maxDepth)}), 0
		}
	}
	if i == len(d.text) || d.text[i] != '{' {
		if parent.list && i < len(d.text) && d.text[i] == 'n' {
			return d.null(f, i), afterElement
		}
		return d.expected(i, "an object"), 0
	}
	if !d.ensure(0) {
		return failed, 0
	}
	width := int(d.widths[f.arg])
	if width == 0 || depth > shallow {
		width = d.width(depth, i)
	}
	d.putTag(f.tag)
	d.n += width
	seen := parent.begin(f)
	d.top++ // messages cannot be nested deeper than maxFrames
	fr := &d.stack[d.top]
	fr.mark, fr.seen, fr.index = d.n, seen, 0
	fr.message, fr.field, fr.list, fr.width, fr.depth = f.arg, 0, false, uint8(width), depth
	return i + 1, atFirstKey
}

// begin records that a message begins in f. It returns the initial seen of the
// message: all fields if it is merged with an earlier message, so that it writes
// defaults, too.
func (fr *jsonFrame) begin(f *jsonField) uint32 {
	bit := uint32(1) << f.num()
	if !fr.list && fr.seen&bit != 0 {
		return ^uint32(0)
	}
	fr.seen |= bit
	return 0
}

// null reads null as an empty element of a list of messages or strings.
func (d *jsonDecoder) null(f *jsonField, i int) int {
	if !d.ensure(0) {
		return failed
	}
	d.putTag(f.tag)
	d.putVarint(0)
	return d.literal(i, "null")
}

// leave ends the current message.
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

// shallow is how many messages of values may be nested around one that the decoder
// moves if the prediction of the size of its length was wrong. On deeper levels
// it reserves space for the longest possible length, and can write a length in more
// bytes than necessary; otherwise large and deeply nested text would be moved once
// for each level.
const shallow = 12

// width returns how many bytes to reserve for the length of a message that begins
// at i in the text: the first message of its type, or a deeply nested one.
func (d *jsonDecoder) width(depth uint8, i int) int {
	rest := len(d.text) - i
	if depth > shallow {
		return wire.SizeVarint(uint64(MaxWireBytes(rest)))
	}
	return wire.SizeVarint(uint64(rest) / 2)
}

// closeLength writes the length of out[mark:n] into the kept bytes before mark, and
// moves out[mark:n] if kept is too few or too many. If pad is true, it fills bytes
// that are too many instead, except for lengths of one byte. It returns how many
// bytes the length takes, or 0 on an error.
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
	case !d.ensure(need):
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

// key reads a key and the colon after it. The field is nil if the message does not
// have it.
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
	if d.unknown.End == 0 {
		d.unknown = UnknownField{End: next, key: i, message: fr.message}
	}
	return nil, next + 1
}

// hasKey reports whether b[i:] begins with key, which includes quotes and colon.
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

// fail sets the error and its offset in the text.
func (d *jsonDecoder) fail(at int, err error) int {
	d.at, d.err = at, err
	return failed
}

// expected fails with an error that says what the text at i should be.
func (d *jsonDecoder) expected(i int, what string) int {
	if i >= len(d.text) {
		return d.fail(len(d.text), fmt.Errorf("unexpected end of text, expected %s", what))
	}
	return d.fail(i, fmt.Errorf("expected %s, found %q", what, d.text[i]))
}

// path returns the path of the current field. That of a value that is nested too deep
// ends where it begins.
func (d *jsonDecoder) path() string {
	var b strings.Builder
	_, deep := d.err.(*DepthError)
	for k := range d.top + 1 {
		fr := &d.stack[k]
		if deep && fr.depth > 0 {
			break
		}
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
