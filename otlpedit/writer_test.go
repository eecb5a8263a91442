package otlpedit

import (
	"bytes"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
)

func TestWriterFields(t *testing.T) {
	var w Writer
	w.Varint(1, 300)
	w.Fixed64(2, 1)
	w.Double(3, 2.5)
	w.Fixed32(4, 7)
	w.String(5, "s")
	outer := w.Open(6)
	inner := w.Open(1)
	w.Bytes(2, bytes.Repeat([]byte{'b'}, 200))
	w.Close(inner)
	w.Close(outer)
	w.Raw([]byte{0x38, 1})
	var want wire.Encoder
	want.Varint(1, 300)
	want.Fixed64(2, 1)
	want.Double(3, 2.5)
	want.Fixed32(4, 7)
	want.String(5, "s")
	want.Bytes(6, wire.AppendBytes(nil, 1, wire.AppendBytes(nil, 2, bytes.Repeat([]byte{'b'}, 200))))
	want.Varint(7, 1)
	if !bytes.Equal(w.e.Buf, want.Buf) {
		t.Errorf("got  %x\nwant %x", w.e.Buf, want.Buf)
	}
}

func TestEachEditsAtAPath(t *testing.T) {
	message := func(values ...string) []byte {
		var e wire.Encoder
		e.Varint(3, 1)
		for _, v := range values {
			e.Bytes(1, wire.AppendBytes([]byte{0x50, 5}, 2, v))
		}
		e.Fixed32(1, 9) // the number, but not the type
		return e.Buf
	}
	edit := func(w *Writer, m []byte) bool {
		return w.Each(m, 1, func(inner []byte) Verdict {
			if bytes.Contains(inner, []byte("drop")) {
				return Drop
			}
			if w.Each(inner, 2, func(v []byte) Verdict {
				w.Raw([]byte("to be ignored, if it is kept"))
				if string(v) == "old" {
					w.e.Buf = w.e.Buf[:len(w.e.Buf)-len("to be ignored, if it is kept")]
					w.Raw([]byte("new"))
					return Replace
				}
				return Keep
			}) {
				return Replace
			}
			return Keep
		})
	}
	for _, tt := range []struct {
		in, want []byte
		changed  bool
	}{
		{message("a", "b"), nil, false},
		{message(), nil, false},
		{message("a", "old", "b", "old"), message("a", "new", "b", "new"), true},
		{message("drop", "a", "drop"), message("a"), true},
		{message("drop", "drop"), message(), true},
	} {
		w := Writer{e: wire.Encoder{Buf: []byte("before")}}
		changed := edit(&w, tt.in)
		if got := bytes.TrimPrefix(w.e.Buf, []byte("before")); changed != tt.changed || !bytes.Equal(got, tt.want) {
			t.Errorf("changed %v\ngot  %q\nwant %q", changed, got, tt.want)
		}
	}
}

func TestWithout(t *testing.T) {
	var e, want wire.Encoder
	for i, enc := range []*wire.Encoder{&e, &want} {
		enc.Varint(1, 1)
		if i == 0 {
			enc.Varint(2, 1)
			enc.String(2, "of another type")
		}
		enc.String(3, "x")
		if i == 0 {
			enc.Fixed64(2, 1)
		}
	}
	var w Writer
	w.Without(e.Buf, 2)
	if !bytes.Equal(w.e.Buf, want.Buf) {
		t.Errorf("got %x, want %x", w.e.Buf, want.Buf)
	}
}

func TestAttributes(t *testing.T) {
	value := func(s string) []byte {
		var e otlp.Encoder
		otlp.AppendAnyValue(&e).SetStringValue(s)
		return e.Buf
	}
	var w, want Writer
	w.Attribute(9, "k", value("v"))
	want.Bytes(9, append(wire.AppendBytes(nil, 1, "k"), wire.AppendBytes(nil, 2, value("v"))...))
	w.Attribute(9, "k", nil)
	want.Bytes(9, wire.AppendBytes(nil, 1, "k"))

	odd := append([]byte{0x18, 7}, wire.AppendBytes(nil, 2, value("a"))...) // key_strindex, value, unknown, value
	odd = append(odd, 0xc0, 0x3e, 1)
	odd = wire.AppendBytes(odd, 2, value("b"))
	w.AttributeWithValue(9, odd, value("c"))
	want.Bytes(9, append(wire.AppendBytes([]byte{0x18, 7}, 2, value("c")), 0xc0, 0x3e, 1))
	w.AttributeWithValue(9, odd, nil)
	want.Bytes(9, []byte{0x18, 7, 0xc0, 0x3e, 1})
	w.AttributeWithValue(9, []byte{0x18, 7}, value("d"))
	want.Bytes(9, wire.AppendBytes([]byte{0x18, 7}, 2, value("d")))
	if !bytes.Equal(w.e.Buf, want.e.Buf) {
		t.Errorf("got  %x\nwant %x", w.e.Buf, want.e.Buf)
	}
}
