package otlp

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

const replacement = "\uFFFD"

// RepairUTF8 appends to dst a request that Check accepted, in which each run of
// bytes of a string that are not valid UTF-8 is replaced by one U+FFFD, like
// strings.ToValidUTF8 does. The lengths of the messages around a repaired string
// are adjusted; all other bytes, including unknown fields, are copied unchanged.
//
// RepairSpace returns the memory that this takes.
func RepairUTF8(dst []byte, s Signal, request []byte) []byte {
	if !s.Valid() {
		return append(dst, request...)
	}
	n, _ := countEdits(s, request)
	r := repair{request: request, edits: make([]edit, 0, n)}
	for t := newTexts(s, request); t.next(); {
		r.add(t)
	}
	dst = slices.Grow(dst, len(request)+r.resolve())
	return r.write(dst)
}

// RepairSpace returns how many bytes of memory RepairUTF8 takes at most for a
// request: for the result, which is at most about twice as large as the request,
// and besides, 24 bytes for each repaired string and each message around one.
func RepairSpace(s Signal, request []byte) (result, beside int) {
	edits, grows := countEdits(s, request)
	return len(request) + grows + edits, edits * int(unsafe.Sizeof(edit{})) // a length grows by at most one byte
}

// countEdits returns how many lengths are edited, and by how many bytes the texts
// grow together; shrinking counts as negative.
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

// grows returns by how many bytes the repair lengthens the string that t found; it
// may be negative.
func (t *texts) grows() (n int) {
	text := t.request[t.start:t.end]
	for from, to := invalidRun(text, 0); from < to; from, to = invalidRun(text, to) {
		n += len(replacement) - (to - from)
	}
	return n
}

// repair is the list of edits of a request, in the order of its bytes. The size of
// an encoded length can change with its value, so the lengths of the messages
// around a string are known only after all strings in them: first the edits are
// listed, then resolved from the innermost message outwards, then written.
//
//	request  … tag length tag length text …
//	               ▲          ▲
//	edits          0 ◄─parent─ 1
type repair struct {
	request []byte
	edits   []edit
}

// edit is a new length, and the new text if it is the length of a string.
type edit struct {
	at     int32 // the offset of the old length in the request
	parent int32 // 1 + the index of the edit of the message around it; 0: the request itself
	text   bool
	grows  int // the bytes by which the value after the length grows; may be negative
}

// add lists an edit for the string that t found, after edits for the messages around
// it that are not listed yet.
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

// resolve computes by how many bytes each message grows, and returns the result for
// the whole request. A message is listed before the edits inside it.
func (r *repair) resolve() (grows int) {
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

// bounds returns the bounds in the request of the value whose length e edits.
func (r *repair) bounds(e *edit) (start, end int) {
	start, end, _ = wire.Length(r.request, int(e.at)) // valid: the request was checked
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
