package otlp

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// FirstInvalidUTF8 returns nil if every string of a request that passed Check
// is UTF-8, as proto3 has it ("string", language guide), else a *CheckError that
// names the first that is not. It does not allocate unless it finds one. The
// strings of the profiles dictionary count; what is inside unknown fields does
// not, for it may be anything.
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

// textError says what is wrong with a string.
type textError struct {
	at   int // in the string
	size int // of the string, in bytes
	byte byte
}

func (e *textError) Error() string {
	return fmt.Sprintf("string is not valid UTF-8: byte %d of %d is 0x%02x", e.at, e.size, e.byte)
}

// textless are the messages from which no string can be reached, as a bit each:
// most of a profile.
const textless uint64 = 1<<msgExponentialHistogramDataPointBuckets | 1<<msgSummaryDataPointValueAtQuantile |
	1<<msgValueType | 1<<msgSample | 1<<msgMapping | 1<<msgLocation | 1<<msgLine | 1<<msgFunction | 1<<msgLink | 1<<msgStack

// texts finds the strings of a checked request that are not UTF-8, in the order
// in which they stand there.
//
// It walks as Check does, by the same tables, but looks at strings alone, and
// past as many as it can: as soon as it comes to a string or an attribute it
// looks for the next byte that is not ASCII, wherever that may be. All fields,
// whole messages included, that end ahead of it need no look. A tag, a length or
// a number that is not ASCII only ends such a stretch early.
type texts struct {
	request []byte
	// The bytes from the start of the last stretch to clean are ASCII.
	clean int
	// The string that is not UTF-8: where its field, its length and its text
	// begin, and where it ends.
	field, length, start, end int

	top   int
	stack [maxFrames]textFrame // stack[:top+1], outermost first
}

// textFrame is a message that the walk is in.
type textFrame struct {
	end     int32
	length  int32 // where its length begins; undefined for the request itself
	edit    int32 // 1 + the index in repair.edits of the edit of its length, if there is one
	message uint8
}

func newTexts(s Signal, request []byte) *texts {
	t := &texts{request: request}
	t.stack[0] = textFrame{end: int32(len(request)), message: roots[s]}
	return t
}

// next moves to the next string that is not UTF-8, and says whether there is
// one. Bytes that Check would refuse end the walk.
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
			if i < end && b[i] == 1 { // fields 16 to 31, as they are usually written
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

// bounds returns where what a length at b[i:] measures begins, and where it ends:
// behind the end of b if it is not whole.
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

// mayHoldText says whether the field is a string, or a message in which one may
// be.
func (e tagEntry) mayHoldText() bool {
	switch e.op {
	case opBytes:
		return e.arg == isText
	case opPackedVarint, opPackedFixed64, opPackedFixed32, opPackedIndex:
		return false
	}
	return textless>>e.arg&1 == 0
}

// skipScalar returns the index behind a field that is not length-delimited or
// not known, which begins at field and whose value begins at i; 0 if it is not
// whole.
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

// plainNumber says whether b is a KeyValue of the usual shape whose key ends in
// the ascii bytes that b begins with and whose value is no string.
func plainNumber(b []byte, ascii int) bool {
	if !plainKeyValue(b) {
		return false
	}
	value := 2 + int(b[1])
	return value <= ascii && b[value+2] != tagString
}

// skipRow returns the index behind the fields that follow at b[i:] with the same
// tag, one byte, as far as they end by clean. b[i:clean] is ASCII, so a length
// is one byte too.
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

// fail returns the error for the string that next has found.
func (t *texts) fail(s Signal) error {
	text := t.request[t.start:t.end]
	at, _ := invalidRun(text, 0)
	w := walk{signal: s, request: t.request}
	for i, f := range t.stack[:t.top] {
		w.stack[i].message = f.message
	}
	return w.fail(t.field, t.top, t.stack[t.top].message, &textError{at, len(text), text[at]})
}

// invalidRun returns where in text[i:] the first bytes are that are not UTF-8
// and where valid text goes on; len(text) twice if there are none.
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
