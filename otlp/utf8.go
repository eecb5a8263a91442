package otlp

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// FirstInvalidUTF8 returns nil if every string of a request that Check accepted is
// valid UTF-8, as proto3 requires ("string", language guide), and otherwise a
// *CheckError for the first string that is not. It includes the strings of the
// profiles dictionary, and excludes unknown fields, whose types are not known. It
// does not allocate unless it finds an invalid string.
func FirstInvalidUTF8(s Signal, request []byte) error {
	if !s.Valid() {
		return fmt.Errorf("check UTF-8 of request: %s", s)
	}
	t := newTexts(s, request)
	if !t.next() {
		return nil
	}
	return t.fail(s)
}

// textError is the error of a string that is not valid UTF-8.
type textError struct {
	at   int // the offset of the first invalid byte in the string
	size int // the length of the string in bytes
	byte byte
}

func (e *textError) Error() string {
	return fmt.Sprintf("string is not valid UTF-8: byte %d of %d is 0x%02x", e.at, e.size, e.byte)
}

// textless is the set of messages that cannot contain strings, directly or nested,
// as bits: most of a profile.
const textless uint64 = 1<<msgExponentialHistogramDataPointBuckets | 1<<msgSummaryDataPointValueAtQuantile |
	1<<msgValueType | 1<<msgSample | 1<<msgMapping | 1<<msgLocation | 1<<msgLine | 1<<msgFunction | 1<<msgLink | 1<<msgStack

// texts finds the strings of a checked request that are not valid UTF-8, in order.
//
// It walks the request like Check, with the same tables, but examines strings
// only, and skips as many as possible: at a string or an attribute it searches
// for the next byte that is not ASCII, beyond the end of the field. All fields
// and whole messages that end before this byte are skipped. If the byte belongs to
// a tag, a length or a number, the only effect is that less can be skipped.
type texts struct {
	request []byte
	// The bytes from the position of the last search to clean are ASCII.
	clean int
	// The string that is not valid UTF-8: the offsets of its field, its length and
	// its text, and of its end.
	field, length, start, end int

	top   int
	stack [maxFrames]textFrame // stack[:top+1], outermost first
}

// textFrame is a message around the current position.
type textFrame struct {
	end     int32
	length  int32 // the offset of its length; undefined for the request itself
	edit    int32 // 1 + the index in repair.edits of the edit of its length; 0 if there is none
	message uint8
}

func newTexts(s Signal, request []byte) *texts {
	t := &texts{request: request}
	t.stack[0] = textFrame{end: int32(len(request)), message: roots[s]}
	return t
}

// next moves to the next string that is not valid UTF-8, and reports whether there
// is one. Bytes that Check would reject end the walk.
func (t *texts) next() bool {
	b, i, clean := t.request, t.end, t.clean
	end, tab := int(t.stack[t.top].end), &tables[t.stack[t.top].message]
	for {
		if i >= end {
			if i > end || t.top == 0 {
				return false
			}
			t.top--
			end, tab = int(t.stack[t.top].end), &tables[t.stack[t.top].message]
			continue
		}
		field, tag := i, uint32(b[i])
		i++
		if tag >= 0x80 {
			if i < end && b[i] == 1 { // fields 16 to 31 in the usual encoding
				i++
			} else {
				var err error
				if tag, i, err = wideTag(b[:end], field); err != nil {
					return false
				}
			}
		}
		e := tab[uint8(tag)]
		if e.op < opLength {
			if e.op == opFixed64 {
				i += 8
				continue
			}
			if i = skipScalar(e.op, b[:end], field, i); i == 0 {
				return false
			}
			continue
		}

		length, next := i, 0
		i, next = bounds(b[:end], i)
		if next > end {
			return false
		}
		if next <= clean || next == i || !e.mayHoldText() {
			i = next
			continue
		}
		if e.op == opKeyValue || e.op == opBytes {
			if clean <= i {
				clean = asciiEnd(b, i)
			}
			if next <= clean {
				i = skipRow(b, next, min(clean, end), tag)
				continue
			}
			if e.op == opKeyValue && plainNumber(b[i:next], clean-i) || e.op == opBytes && utf8.Valid(b[i:next]) {
				i = next
				continue
			}
		}
		if e.op == opBytes {
			t.field, t.length, t.start, t.end, t.clean = field, length, i, next, clean
			return true
		}
		if t.top++; t.top == len(t.stack) {
			return false
		}
		t.stack[t.top] = textFrame{end: int32(next), length: int32(length), message: e.arg}
		end, tab = next, &tables[e.arg]
	}
}

// bounds reads the length at b[i:] and returns the start and end of the value after
// it. If the value is truncated, end is beyond the end of b.
func bounds(b []byte, i int) (start, end int) {
	if i < len(b) && b[i] < 0x80 {
		return i + 1, i + 1 + int(b[i])
	}
	return wideBounds(b, i)
}

func wideBounds(b []byte, i int) (start, end int) {
	start, end, err := wire.Length(b, i)
	if err != nil {
		return i, len(b) + 1
	}
	return start, end
}

// mayHoldText reports whether the field is a string, or a message that can contain
// strings.
func (e tagEntry) mayHoldText() bool {
	switch e.op {
	case opBytes:
		return e.arg == isText
	case opID, opPackedVarint, opPackedFixed64, opPackedFixed32, opPackedIndex:
		return false
	}
	return textless>>e.arg&1 == 0
}

// skipScalar returns the index after a field that is not length-delimited, or not
// known. The field begins at field and its value at i. If it is truncated, the
// index is 0, or beyond the end of b.
func skipScalar(op tagOp, b []byte, field, i int) int {
	switch op {
	case opFixed32:
		return i + 4
	case opVarint, opIndex:
		for i < len(b) && b[i] >= 0x80 {
			i++
		}
		return i + 1
	}
	num, typ, i, err := wire.Tag(b, field)
	if err == nil {
		i, err = wire.Skip(b, i, num, typ)
	}
	if err != nil {
		return 0
	}
	return i
}

// plainNumber reports whether plainKeyValue holds for b, its key is within the
// first ascii bytes of b, and its value is not a string.
func plainNumber(b []byte, ascii int) bool {
	if !plainKeyValue(b) {
		return false
	}
	value := 2 + int(b[1])
	return value <= ascii && b[value+2] != tagString
}

// skipRow skips the fields at b[i:] that have this tag, of one byte, and do not end
// after clean, and returns the index after them. b[i:clean] is ASCII, so lengths
// have one byte.
func skipRow(b []byte, i, clean int, tag uint32) int {
	for i+1 < clean && uint32(b[i]) == tag {
		next := i + 2 + int(b[i+1])
		if next > clean {
			break
		}
		i = next
	}
	return i
}

// asciiEnd returns the index of the first byte of b[i:] that is not ASCII, or
// len(b).
func asciiEnd(b []byte, i int) int {
	const high = 0x8080808080808080
	for ; i+32 <= len(b); i += 32 {
		w := b[i : i+32 : i+32]
		if (binary.LittleEndian.Uint64(w)|binary.LittleEndian.Uint64(w[8:])|
			binary.LittleEndian.Uint64(w[16:])|binary.LittleEndian.Uint64(w[24:]))&high != 0 {
			break
		}
	}
	for ; i+8 <= len(b); i += 8 {
		if w := binary.LittleEndian.Uint64(b[i:]) & high; w != 0 {
			return i + bits.TrailingZeros64(w)/8
		}
	}
	for i < len(b) && b[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// fail returns the error for the string that next found.
func (t *texts) fail(s Signal) error {
	text := t.request[t.start:t.end]
	at, _ := invalidRun(text, 0)
	w := walk{signal: s, request: t.request}
	for i, f := range t.stack[:t.top] {
		w.stack[i].message = f.message
	}
	return w.fail(t.field, t.top, t.stack[t.top].message, &textError{at, len(text), text[at]})
}

// invalidRun returns the bounds of the first run of bytes at or after text[i] that
// are not valid UTF-8; both are len(text) if there is none.
func invalidRun(text []byte, i int) (from, to int) {
	for from = asciiEnd(text, i); from < len(text); from = asciiEnd(text, from) {
		r, n := utf8.DecodeRune(text[from:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		from += n
	}
	for to = from; to < len(text); {
		r, n := utf8.DecodeRune(text[to:])
		if r != utf8.RuneError || n != 1 {
			break
		}
		to++
	}
	return from, to
}
