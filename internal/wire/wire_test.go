package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// FuzzCursor compares Cursor with protowire of the official module: the same
// fields, values and errors.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{
		"", "\x08\x01", "\x0a\x03abc", "\x09abcdefgh", "\x0dabcd", "\x0b\x08\x01\x0c", "\x0c", "\x0a\x05abc",
		"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x8a\x80\x00\x00",
		"\xfa\xff\xff\xff\x0f\x00", strings.Repeat("\x0b", 65) + strings.Repeat("\x0c", 65),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Cursor{Buf: b}
		rest := b
		for c.Next() {
			num, typ, n := protowire.ConsumeField(rest)
			_ = typ
			if n < 0 {
				t.Fatalf("Cursor found field %d at %d where protowire says %v", c.Num, c.Start, protowire.ParseError(n))
			}
			if uint32(num) != c.Num || n != c.End-c.Start {
				t.Fatalf("Cursor: field %d of %d bytes; protowire: %d of %d", c.Num, c.End-c.Start, num, n)
			}
			sameValue(t, &c, rest)
			rest = rest[n:]
		}
		num, _, n := protowire.ConsumeField(rest)
		switch {
		case c.Err == nil && len(rest) != 0:
			t.Fatalf("Cursor stopped without an error before %x", rest)
		case errors.Is(c.Err, ErrDepth):
		case errors.Is(c.Err, ErrNumber) && num > MaxNumber: // protowire leaves this to its caller
		case c.Err != nil && n >= 0:
			t.Fatalf("Cursor says %v of %x, protowire accepts %d bytes", c.Err, rest, n)
		}
	})
}

func sameValue(t *testing.T, c *Cursor, field []byte) {
	t.Helper()
	_, typ, n := protowire.ConsumeTag(field)
	v := field[n:]
	ok := true
	switch typ {
	case protowire.VarintType:
		x, _ := protowire.ConsumeVarint(v)
		ok = x == c.Scalar
	case protowire.Fixed64Type:
		x, _ := protowire.ConsumeFixed64(v)
		ok = x == c.Scalar
	case protowire.Fixed32Type:
		x, _ := protowire.ConsumeFixed32(v)
		ok = uint64(x) == c.Scalar
	case protowire.BytesType:
		x, _ := protowire.ConsumeBytes(v)
		ok = bytes.Equal(x, c.Bytes)
	}
	if !ok {
		t.Fatalf("field %d: Cursor says %d %x", c.Num, c.Scalar, c.Bytes)
	}
}

// FuzzEncoder writes a random tree of messages and reads it back by protowire.
func FuzzEncoder(f *testing.F) {
	f.Add([]byte{1, 2, 3, 250, 0, 0})
	f.Add(bytes.Repeat([]byte{1, 200}, 40))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1<<12 {
			return
		}
		var e Encoder
		var open []int
		var want [][]byte // the contents of the open messages, outermost first
		want = append(want, nil)
		for _, op := range script {
			top := &want[len(want)-1]
			switch num := uint32(op%30) + 1; op % 5 {
			case 0:
				open = append(open, e.Open(num))
				*top = protowire.AppendTag(*top, protowire.Number(num), protowire.BytesType)
				want = append(want, nil)
			case 1:
				if len(open) > 0 {
					e.Close(open[len(open)-1])
					open = open[:len(open)-1]
					inner := want[len(want)-1]
					want = want[:len(want)-1]
					want[len(want)-1] = protowire.AppendBytes(want[len(want)-1], inner)
				}
			case 2:
				e.Varint(num, uint64(op)<<op%64)
				*top = protowire.AppendVarint(protowire.AppendTag(*top, protowire.Number(num), protowire.VarintType), uint64(op)<<op%64)
			case 3:
				s := strings.Repeat("x", int(op)*3)
				e.String(num, s)
				*top = protowire.AppendString(protowire.AppendTag(*top, protowire.Number(num), protowire.BytesType), s)
			case 4:
				e.Fixed64(num, uint64(op))
				e.Fixed32(num, uint32(op))
				*top = protowire.AppendFixed64(protowire.AppendTag(*top, protowire.Number(num), protowire.Fixed64Type), uint64(op))
				*top = protowire.AppendFixed32(protowire.AppendTag(*top, protowire.Number(num), protowire.Fixed32Type), uint32(op))
			}
		}
		for len(open) > 0 {
			e.Close(open[len(open)-1])
			open = open[:len(open)-1]
			inner := want[len(want)-1]
			want = want[:len(want)-1]
			want[len(want)-1] = protowire.AppendBytes(want[len(want)-1], inner)
		}
		if !bytes.Equal(e.Buf, want[0]) {
			t.Fatalf("wrote %x\nwant  %x", e.Buf, want[0])
		}
	})
}

func TestMergedConcatenatesOnlyWhatIsSplit(t *testing.T) {
	one := AppendBytes(nil, 1, "ab")
	if n := testing.AllocsPerRun(10, func() { Merged(one, 1) }); n != 0 {
		t.Errorf("one occurrence: %v allocations", n)
	}
	two := AppendBytes(AppendBytes(one, 2, "no"), 1, "cd")
	if got := Merged(two, 1); string(got) != "abcd" {
		t.Errorf("two occurrences: %q", got)
	}
	if string(two[2:4]) != "ab" || string(two[6:8]) != "no" {
		t.Error("merging wrote over the message")
	}
	if got := Merged(two, 3); got != nil {
		t.Errorf("absent: %q", got)
	}
	if got := Merged(AppendBytes(nil, 1, ""), 1); got == nil {
		t.Error("present and empty: nil")
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	b := []byte("\x08\x01\x0a\x03abc\x09abcdefgh\x0dabcd\x0b\x08\x01\x0c")
	if n := testing.AllocsPerRun(10, func() {
		for c := (Cursor{Buf: b}); c.Next(); {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The cost to merge a message in many small parts is linear in its size, since the
// buffer grows like append grows it.
func TestMergingManyPartsIsLinear(t *testing.T) {
	var b []byte
	const parts = 10_000
	for range parts {
		b = AppendBytes(b, 1, "x")
	}
	if n := testing.AllocsPerRun(3, func() {
		if len(Merged(b, 1)) != parts {
			t.Fatal("parts are lost")
		}
	}); n > 50 {
		t.Errorf("%v allocations for %d parts", n, parts)
	}
}
