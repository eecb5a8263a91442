package libpf_test

import (
	"math"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

func TestFileIDVectors(t *testing.T) {
	t.Parallel()
	id := libpf.NewFileID(vectorHi, vectorLo)
	for _, c := range []struct{ what, got, want string }{
		{"String", id.String(), "77efa716a912a49217445787329fd29a"},
		{"StringNoQuotes", id.StringNoQuotes(), "77efa716a912a49217445787329fd29a"},
		{"Base64", id.Base64(), "d--nFqkSpJIXRFeHMp_Smg"},
		{"ToUUIDString", id.ToUUIDString(), "77efa716-a912-a492-1744-5787329fd29a"},
		{"UnsymbolizedFileID", libpf.UnsymbolizedFileID.String(), strings.Repeat("f", 32)},
		{"UnknownKernelFileID", libpf.UnknownKernelFileID.String(), "fffffffffffffffdfffffffffffffffd"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
	if got := id.Hash32(); got != 0xa912a492 {
		t.Errorf("Hash32: %#x", got)
	}
	if got := libpf.NewFileID(0, math.MaxUint64).Hash32(); got != 0 {
		t.Errorf("Hash32 looks at the lower half: %#x", got)
	}
}

func TestFileIDFromString(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"77efa716a912a49217445787329fd29a",
		"77EFA716A912A49217445787329FD29A",
		"0x77efa716a912a49217445787329fd29a",
		"77efa716-a912-a492-1744-5787329fd29a",
		"0x77efa716-a912-a49217445787329fd29a-",
	} {
		if id, err := libpf.FileIDFromString(s); err != nil || id != libpf.NewFileID(vectorHi, vectorLo) {
			t.Errorf("%s: %s, %v", s, id, err)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"", `file id "": found 0 hexadecimal digits, expected 32`},
		{"0x", `file id "0x": found 0 hexadecimal digits, expected 32`},
		{"77efa716a912a492", `found 16 hexadecimal digits, expected 32`},
		{"77efa716a912a49217445787329fd29a0", `found 33 hexadecimal digits, expected 32`},
		{"0X77efa716a912a49217445787329fd29a", `found 'X' at byte 1, expected a hexadecimal digit`},
		{"0x0x77efa716a912a49217445787329fd29a", `found 'x' at byte 3, expected a hexadecimal digit`},
		{"600DCAFE4A11000G", `found 'G' at byte 15, expected a hexadecimal digit`},
		{"+7efa716a912a49217445787329fd29a", `found '+' at byte 0`},
		{"77efa716 912a49217445787329fd29aa", `found ' ' at byte 8`},
	} {
		if id, err := libpf.FileIDFromString(c.in); err == nil || !strings.Contains(err.Error(), c.want) || !id.IsZero() {
			t.Errorf("%q: %s, %v, want an error with %s", c.in, id, err, c.want)
		}
	}
}

func TestFileIDFromBytes(t *testing.T) {
	t.Parallel()
	if id, err := libpf.FileIDFromBytes(nil); err != nil || !id.IsZero() {
		t.Errorf("nil: %s, %v", id, err)
	}
	in := libpf.NewFileID(vectorHi, vectorLo)
	if id, err := libpf.FileIDFromBytes(in.Bytes()); err != nil || id != in {
		t.Errorf("16 bytes: %s, %v", id, err)
	}
	for b, want := range map[string]string{
		"":                      "file id from bytes: found 0 bytes, expected 16",
		strings.Repeat("x", 15): "file id from bytes: found 15 bytes, expected 16",
		strings.Repeat("x", 17): "file id from bytes: found 17 bytes, expected 16",
	} {
		if id, err := libpf.FileIDFromBytes([]byte(b)); err == nil || err.Error() != want || !id.IsZero() {
			t.Errorf("%d bytes: %s, %v, want %s", len(b), id, err, want)
		}
	}
}

func TestFileIDFromBase64(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"EjRWeBJDl_-HZUMhh3SEqA", "EjRWeBJDl/+HZUMhh3SEqA"} {
		if id, err := libpf.FileIDFromBase64(s); err != nil || id != libpf.NewFileID(0x12345678124397ff, 0x87654321877484a8) {
			t.Errorf("%s: %s, %v", s, id, err)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"", `file id "" in base64: found 0 bytes, expected 16`},
		{"EjRWeBJDl/-HZUMhh3SEqA", "expected base64 without padding: illegal base64 data at input byte 9"},
		{"EjRWeBJDl_-HZUMhh3SEqA==", "expected base64 without padding: illegal base64 data at input byte 22"},
		{"EjRWeBJDl_-HZUMhh3SEqAAAAAAAAAAA", "found 24 bytes, expected 16"},
	} {
		if id, err := libpf.FileIDFromBase64(c.in); err == nil || !strings.Contains(err.Error(), c.want) || !id.IsZero() {
			t.Errorf("%q: %s, %v, want an error with %s", c.in, id, err, c.want)
		}
	}
}
