package otlp

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

const replacement = "\uFFFD"

// RepairUTF8 appends to dst a request that passed Check with each run of bytes
// that are not UTF-8, in each string, replaced by one U+FFFD, as
// strings.ToValidUTF8 does. The lengths of the messages around a repaired string
// change with it; everything else is copied to the byte, in its order, unknown
// fields included. A request without faults comes out as it is.
//
// RepairSpace tells what that takes.
func RepairUTF8(dst []byte, s Signal, request []byte) []byte {
	if !s.Valid() {
		return append(dst, request...)
	}
	n, _ := countEdits(s, request)
	r := repair{request: request, edits: make([]edit, 0, n)}
	for t := newTexts(s, request); t.next(); {
		r.add(t)
	}
	dst = slices.Grow(dst, len(request)+r.settle())
	return r.write(dst)
}

// RepairSpace returns how many bytes RepairUTF8 takes at most for such a request:
// for the result, about twice the request, and beside it, 24 for each repaired
// string and each message around one.
func RepairSpace(s Signal, request []byte) (result, beside int) {
	edits, grows := countEdits(s, request)
	return len(request) + grows + edits, edits * int(unsafe.Sizeof(edit{})) // a length grows by one byte
}

// countEdits returns how many lengths change, and what the texts gain.
func countEdits(s Signal, request []byte) (edits, grows int) {
	if !s.Valid() {
		return 0, 0
	}
	for t := newTexts(s, request); t.next(); {
		edits++
		for i := range t.stack[1 : t.top+1] {
			if f := &t.stack[1+i]; f.edit == 0 {
				f.edit = 1
				edits++
			}
		}
		grows += t.grows()
	}
	return edits, grows
}

// grows returns what the string that t has found gains by its repair.
func (t *texts) grows() (n int) {
	text := t.request[t.start:t.end]
	for from, to := invalidRun(text, 0); from < to; from, to = invalidRun(text, to) {
		n += len(replacement) - (to - from)
	}
	return n
}

// repair is what to change in a request, in the order of its bytes. A length
// changes its own length too, so those of the messages around a string are known
// only when all strings in them have been seen: first the edits are listed, then
// settled from the innermost outwards, then written.
//
//	request  … tag length tag length text …
//	               ▲          ▲
//	edits          0 ◄─parent─ 1
type repair struct {
	request []byte
	edits   []edit
}

// edit is a new length, and, where it is that of a string, a new text.
type edit struct {
	at     int32 // where in the request the old length begins
	parent int32 // 1 + the index of the edit of the message around it; 0: the request itself
	text   bool
	grows  int // the bytes that what it measures gains; may be negative
}

// add lists the string that t has found, after those messages around it that are
// not listed yet.
func (r *repair) add(t *texts) {
	parent := int32(0)
	for i := range t.stack[1 : t.top+1] {
		f := &t.stack[1+i]
		if f.edit == 0 {
			r.edits = append(r.edits, edit{at: f.length, parent: parent})
			f.edit = int32(len(r.edits))
		}
		parent = f.edit
	}
	r.edits = append(r.edits, edit{at: int32(t.length), parent: parent, grows: t.grows(), text: true})
}

// settle adds up what each message gains, and returns what the request does.
// Messages are listed ahead of what is in them.
func (r *repair) settle() (grows int) {
	for i := len(r.edits) - 1; i >= 0; i-- {
		e := &r.edits[i]
		start, end := r.bounds(e)
		more := e.grows + wire.SizeVarint(uint64(end-start+e.grows)) - (start - int(e.at))
		if e.parent == 0 {
			grows += more
		} else {
			r.edits[e.parent-1].grows += more
		}
	}
	return grows
}

// bounds returns the bounds of what e measures, as it is in the request.
func (r *repair) bounds(e *edit) (start, end int) {
	start, end, _ = wire.Length(r.request, int(e.at)) // checked
	return start, end
}

func (r *repair) write(dst []byte) []byte {
	done := 0
	for i := range r.edits {
		e := &r.edits[i]
		start, end := r.bounds(e)
		dst = append(dst, r.request[done:e.at]...)
		dst = binary.AppendUvarint(dst, uint64(end-start+e.grows))
		if done = start; e.text {
			dst = appendRepaired(dst, r.request[start:end])
			done = end
		}
	}
	return append(dst, r.request[done:]...)
}

func appendRepaired(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		from, to := invalidRun(text, i)
		dst = append(dst, text[i:from]...)
		if from < to {
			dst = append(dst, replacement...)
		}
		i = to
	}
	return dst
}
