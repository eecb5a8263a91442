package libpf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

// The id of the test vectors of this package.
const (
	vectorHi = 0x77efa716a912a492
	vectorLo = 0x17445787329fd29a
)

// edges are ids at which an order or a text form could fail: small ones, leading zeros,
// and halves on both sides of the sign bit.
func edges() []libpf.FileID {
	halves := []uint64{0, 1, 42, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64 - 2, math.MaxUint64, vectorHi, vectorLo}
	var ids []libpf.FileID
	for _, hi := range halves {
		for _, lo := range halves {
			ids = append(ids, libpf.NewFileID(hi, lo))
		}
	}
	return ids
}

func TestFormats(t *testing.T) {
	t.Parallel()
	vector := libpf.NewFileID(vectorHi, vectorLo)
	small := libpf.NewTraceHash(0x2a, 0x64)
	for _, c := range []struct {
		format, want string
		id           any
	}{
		{"%v", "{8642309925714961554 1676561199470203546}", vector},
		{"%d", "{8642309925714961554 1676561199470203546}", vector},
		{"%x", "77efa716a912a49217445787329fd29a", vector},
		{"%X", "77EFA716A912A49217445787329FD29A", vector},
		{"%#x", "0x77efa716a912a49217445787329fd29a", vector},
		{"%#v", "0x77efa716a912a49217445787329fd29a", vector},
		{"%#X", "0x77EFA716A912A49217445787329FD29A", vector},
		{"%s", "77efa716a912a49217445787329fd29a", vector},
		{"%q", `"77efa716a912a49217445787329fd29a"`, vector},
		{"%b", "%!b(libpf.Hash128=77efa716a912a49217445787329fd29a)", vector},
		{"%35x|", "   77efa716a912a49217445787329fd29a|", vector},
		{"%-35x|", "77efa716a912a49217445787329fd29a   |", vector},
		{"%.8x", "77efa716", vector},

		{"%v", "{6921411395851452416 17491761894677412754}", libpf.NewFileID(0x600dcafe4a110000, 0xf2bf38c493f5fb92)},
		{"%#v", "0x600dcafe4a110000f2bf38c493f5fb92", libpf.NewFileID(0x600dcafe4a110000, 0xf2bf38c493f5fb92)},

		// Earlier versions printed 2a0000000000000064.
		{"%x", "000000000000002a0000000000000064", small},
		{"%#x", "0x000000000000002a0000000000000064", small},
		{"%X", "000000000000002A0000000000000064", small},
		{"%v", "{42 100}", small},
		{"%d", "{42 100}", &small.Hash128},
	} {
		if got := fmt.Sprintf(c.format, c.id); got != c.want {
			t.Errorf("%s prints %s, want %s", c.format, got, c.want)
		}
	}
	if got := small.StringNoQuotes(); got != "000000000000002a0000000000000064" {
		t.Errorf("StringNoQuotes: %s", got)
	}
}

// The order is that of the unsigned value, of the bytes, and of the text.
func TestOrder(t *testing.T) {
	t.Parallel()
	sign := func(less bool, c int) string { return fmt.Sprint(less, c) }
	for _, a := range edges() {
		for _, b := range edges() {
			want := bytes.Compare(a.Bytes(), b.Bytes())
			if text := strings.Compare(a.String(), b.String()); text != want {
				t.Fatalf("%s and %s: texts compare as %d, bytes as %d", a, b, text, want)
			}
			expected := sign(want < 0, want)
			if got := sign(a.Less(b), a.Compare(b)); got != expected {
				t.Errorf("FileID %s and %s: Less and Compare say %s, want %s", a, b, got, expected)
			}
			x, y := libpf.TraceHash(a), libpf.TraceHash(b)
			if got := sign(x.Less(y), x.Compare(y)); got != expected {
				t.Errorf("TraceHash %s and %s: Less and Compare say %s, want %s", x, y, got, expected)
			}
			if got := sign(a.Hash128.Less(b.Hash128), a.Hash128.Compare(b.Hash128)); got != expected {
				t.Errorf("Hash128 %s and %s: Less and Compare say %s, want %s", a, b, got, expected)
			}
			if equal := want == 0; a.Equal(b) != equal || x.Equal(y) != equal || a.Hash128.Equal(b.Hash128) != equal {
				t.Errorf("%s and %s: Equal is not %v everywhere", a, b, equal)
			}
		}
	}
	ids := edges()
	slices.SortFunc(ids, libpf.FileID.Compare)
	if first, last := ids[0], ids[len(ids)-1]; !first.IsZero() || last != libpf.UnsymbolizedFileID {
		t.Errorf("sorted from %s to %s", first, last)
	}
}

func TestTextForms(t *testing.T) {
	t.Parallel()
	for _, id := range edges() {
		var b [16]byte
		id.PutBytes16(&b)
		if !bytes.Equal(b[:], id.Bytes()) || fmt.Sprintf("%x", b) != id.String() {
			t.Errorf("%s: Bytes %x, PutBytes16 %x", id, id.Bytes(), b)
		}
		if id.Hi() != beUint64(b[:8]) || id.Lo() != beUint64(b[8:]) {
			t.Errorf("%s: Hi %x, Lo %x", id, id.Hi(), id.Lo())
		}
		if id.IsZero() != (id == libpf.FileID{}) {
			t.Errorf("%s: IsZero is %v", id, id.IsZero())
		}
		text, err := id.AppendText([]byte("id "))
		if err != nil || string(text) != "id "+id.String() {
			t.Errorf("AppendText: %s, %v", text, err)
		}
		dst := make([]byte, id.EncodedLen())
		id.EncodeTo(dst)
		if string(dst) != id.Base64() {
			t.Errorf("EncodeTo wrote %s, Base64 says %s", dst, id.Base64())
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("EncodeTo into 21 bytes did not panic")
		}
	}()
	libpf.TraceHash{}.EncodeTo(make([]byte, 21))
}

func beUint64(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// document holds each id as a value, a pointer and a key.
type document struct {
	Value   libpf.FileID
	Pointer *libpf.TraceHash
	Frame   libpf.FrameID
	Keys    map[libpf.FileID]int
	Frames  map[libpf.FrameID]int
}

func TestJSONOfIDs(t *testing.T) {
	t.Parallel()
	file, hash := libpf.NewFileID(vectorHi, vectorLo), libpf.NewTraceHash(0x0001c03f8d6b8520, 0xedeaeea9460beebb)
	frame := libpf.NewFrameID(file, 0xe51c)
	in := document{file, &hash, frame, map[libpf.FileID]int{file: 1}, map[libpf.FrameID]int{frame: 2}}
	const want = `{"Value":"77efa716a912a49217445787329fd29a","Pointer":"0001c03f8d6b8520edeaeea9460beebb",` +
		`"Frame":"d--nFqkSpJIXRFeHMp_SmgAAAAAAAOUc","Keys":{"77efa716a912a49217445787329fd29a":1},` +
		`"Frames":{"d--nFqkSpJIXRFeHMp_SmgAAAAAAAOUc":2}}`
	got, err := json.Marshal(in)
	if err != nil || string(got) != want {
		t.Fatalf("%v\n got %s\nwant %s", err, got, want)
	}
	var out document
	if err := json.Unmarshal(got, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("read back: %v, %+v", err, out)
	}
	if err := json.Unmarshal([]byte(`{"Value":null,"Frame":null}`), &out); err != nil || out.Value != file || out.Frame != frame {
		t.Errorf("null: %v, left %s and %s", err, out.Value, out.Frame)
	}
}

// Errors say what was found and what was expected. The value is unchanged.
func TestBadJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{`""`, `128-bit id in JSON: found "\"\"" (2 bytes), expected a string of 32 hexadecimal digits`},
		{`{}`, `found "{}" (2 bytes), expected a string of 32`},
		{`1234567890123456789012345678901234`, `(34 bytes), expected a string of 32`},
		{`"77efa716a912a49217445787329fd29g"`, `found 'g' at byte 31, expected a hexadecimal digit`},
		{`"0x77efa716a912a49217445787329fd29"`, `(35 bytes), expected a string of 32`},
		{`"0x77efa716a912a49217445787329fd2"`, `found 30 hexadecimal digits, expected 32`},
		{`"77efa716-a912-a492-1744-5787329f"`, `found 28 hexadecimal digits, expected 32`},
		{`"` + strings.Repeat("a", 1000) + `"`, `a"... (1002 bytes)`},
	} {
		id := libpf.NewFileID(1, 2)
		err := json.Unmarshal([]byte(c.in), &id)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 300 {
			t.Errorf("%s: %v, want an error with %s", c.in, err, c.want)
		}
		if id != libpf.NewFileID(1, 2) {
			t.Errorf("%s: left %s", c.in, id)
		}
	}
	var id libpf.Hash128
	if err := id.UnmarshalText([]byte("77ef")); err == nil || err.Error() != `128-bit id "77ef": found 4 hexadecimal digits, expected 32` {
		t.Errorf("UnmarshalText: %v", err)
	}
}
