package fileexporter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func frame(records ...string) []byte {
	var out []byte
	for _, r := range records {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(r))), r...)
	}
	return out
}

func TestReader(t *testing.T) {
	t.Parallel()
	file := frame("first", "", "third")
	for _, src := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file))} {
		r := NewReader(src, 5)
		offset := int64(0)
		for _, want := range []string{"first", "", "third"} {
			if r.Offset() != offset {
				t.Errorf("offset %d, want %d", r.Offset(), offset)
			}
			got, err := r.Next()
			if err != nil || string(got) != want {
				t.Fatalf("got %q, %v, want %q", got, err, want)
			}
			offset += 4 + int64(len(want))
		}
		for range 2 {
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	file := frame("first", "second")
	for cut := 1; cut < len("second")+4; cut++ {
		r := NewReader(bytes.NewReader(file[:len(file)-cut]), 100)
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "byte 9") {
				t.Errorf("cut %d: %v", cut, err)
			}
		}
	}
	r := NewReader(strings.NewReader(`{"resourceSpans":[]}`), 1<<20)
	for range 2 {
		if _, err := r.Next(); err == nil || !strings.Contains(err.Error(), "expected at most 1048576") {
			t.Errorf("got %v", err)
		}
	}
	broken := errors.New("broken")
	r = NewReader(io.MultiReader(bytes.NewReader(file[:6]), iotest.ErrReader(broken)), 100)
	if _, err := r.Next(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	z, err := NewZstdReader(bytes.NewReader(file), 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Next(); err == nil || !strings.Contains(err.Error(), "decompress its") {
		t.Errorf("got %v", err)
	}
}

// With a wrong length no more memory is allocated than there is data.
func TestReaderDoesNotTrustLengths(t *testing.T) {
	lie := binary.BigEndian.AppendUint32(nil, 1<<30)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := NewReader(bytes.NewReader(lie), 1<<30).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// For any bytes, the records of a Reader are a prefix of them, and the search
// for the last complete record ends at the offset of the Reader.
func FuzzReader(f *testing.F) {
	f.Add(frame("first", "", "third"))
	f.Add(frame("\n\x03abc", "", "\n\x00", "\n\x00")[:20])
	f.Add(frame(strings.Repeat("x", 70_000), "y")[:70_006])
	f.Add([]byte(`{"resourceSpans":[]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := NewReader(bytes.NewReader(file), len(file))
		var again []byte
		for {
			record, err := r.Next()
			if err != nil {
				break
			}
			again = append(again, frame(string(record))...)
		}
		if !bytes.HasPrefix(file, again) || r.Offset() != int64(len(again)) {
			t.Fatalf("%d bytes read as %d records' bytes, offset %d", len(file), len(again), r.Offset())
		}
		end, err := encoding{}.wholeRecords(bytes.NewReader(file), int64(len(file)))
		if errors.As(err, new(*otherFormatError)) {
			return // the records are not requests
		}
		if err != nil || end != r.Offset() {
			t.Fatalf("complete records end at %d (%v), the reader stopped at %d", end, err, r.Offset())
		}
	})
}
