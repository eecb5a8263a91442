package debugexporter

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"
)

// text collects output up to a limit. When the limit is reached full is set and
// further output is dropped; loops check full to end early. The methods return
// their receiver, for chaining.
type text struct {
	buf   []byte
	limit int
	full  bool
	small [64]byte // where numbers and escapes are made
}

func (t *text) bytes(p []byte) *text {
	if t.full {
		return t
	}
	if room := t.limit - len(t.buf); len(p) > room {
		p, t.full = p[:room], true
	}
	t.buf = append(t.buf, p...)
	return t
}

// s appends text that does not come from a sender.
func (t *text) s(s string) *text {
	if t.full {
		return t
	}
	if room := t.limit - len(t.buf); len(s) > room {
		s, t.full = s[:room], true
	}
	t.buf = append(t.buf, s...)
	return t
}

func (t *text) nl() *text { return t.s("\n") }

func (t *text) int(v int64) *text { return t.bytes(strconv.AppendInt(t.small[:0], v, 10)) }

func (t *text) uint(v uint64) *text { return t.bytes(strconv.AppendUint(t.small[:0], v, 10)) }

func (t *text) addr(v uint64) *text { return t.s("0x").bytes(strconv.AppendUint(t.small[:0], v, 16)) }

func (t *text) bool(v bool) *text { return t.bytes(strconv.AppendBool(t.small[:0], v)) }

// fixed is printf's %f, short Go's %v.
func (t *text) fixed(v float64) *text {
	return t.bytes(strconv.AppendFloat(t.small[:0], v, 'f', 6, 64))
}

func (t *text) short(v float64) *text {
	return t.bytes(strconv.AppendFloat(t.small[:0], v, 'g', -1, 64))
}

// time prints nanoseconds since 1970, 0 included, as the Collector does.
func (t *text) time(ns uint64) *text { return t.s(time.Unix(0, int64(ns)).UTC().String()) }

// hex prints an id of any length.
func (t *text) hex(id []byte) *text {
	var chunk [64]byte
	for len(id) > 0 && !t.full {
		n := min(len(id), len(chunk)/2)
		t.bytes(chunk[:hex.Encode(chunk[:], id[:n])])
		id = id[n:]
	}
	return t
}

// str prints text of a sender. Line ends, control characters, invisible
// characters and invalid UTF-8 are escaped as in Go: \n, \x1b, \u202e, \xff.
func (t *text) str(s []byte) *text {
	for len(s) > 0 && !t.full {
		if n := printablePrefix(s); n > 0 {
			t.bytes(s[:n])
			s = s[n:]
			continue
		}
		r, size := utf8.DecodeRune(s)
		if r == utf8.RuneError && size == 1 {
			t.bytes([]byte{'\\', 'x', hexDigits[s[0]>>4], hexDigits[s[0]&15]})
		} else {
			q := strconv.AppendQuoteRune(t.small[:0], r)
			t.bytes(q[1 : len(q)-1])
		}
		s = s[size:]
	}
	return t
}

const hexDigits = "0123456789abcdef"

// dropHalfRune removes an incomplete character at the limit.
func (t *text) dropHalfRune() {
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRune(t.buf); r != utf8.RuneError || size != 1 {
			return
		}
		t.buf = t.buf[:len(t.buf)-1]
	}
}

// printablePrefix returns the number of bytes at the beginning of s that need
// no escaping.
func printablePrefix(s []byte) (n int) {
	for n < len(s) {
		r, size := utf8.DecodeRune(s[n:])
		if r == utf8.RuneError && size == 1 || !strconv.IsPrint(r) {
			return n
		}
		n += size
	}
	return n
}
