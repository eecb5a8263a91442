package libpf_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

func TestFrameIDVectors(t *testing.T) {
	t.Parallel()
	file := libpf.NewFileID(vectorHi, vectorLo)
	id := libpf.NewFrameID(file, 0xe51c)
	if id.FileID() != file || id.AddressOrLine() != 0xe51c {
		t.Errorf("parts: %s, %#x", id.FileID(), id.AddressOrLine())
	}
	if want := append(file.Bytes(), 0, 0, 0, 0, 0, 0, 0xe5, 0x1c); !bytes.Equal(id.Bytes(), want) {
		t.Errorf("Bytes: %x, want %x", id.Bytes(), want)
	}
	const text = "d--nFqkSpJIXRFeHMp_SmgAAAAAAAOUc"
	dst := make([]byte, id.EncodedLen())
	id.EncodeTo(dst)
	if id.EncodedLen() != 32 || id.String() != text || string(dst) != text {
		t.Errorf("EncodedLen %d, String %s, EncodeTo %s, want %s", id.EncodedLen(), id, dst, text)
	}
	if id.Hash() != 0xbc836c892dd8d64f || id.Hash32() != 0x2dd8d64f {
		t.Errorf("Hash %#x, Hash32 %#x", id.Hash(), id.Hash32())
	}
	if got := id.AsIP().String(); got != "77ef:a716:a912:a492::e51c" {
		t.Errorf("AsIP: %s", got)
	}
	if got, err := libpf.NewFrameIDFromString(text); err != nil || got != id {
		t.Errorf("from string: %s, %v", got, err)
	}
	if got, err := libpf.NewFrameIDFromBytes(id.Bytes()); err != nil || got != id {
		t.Errorf("from bytes: %s, %v", got, err)
	}
}

func TestFrameIDOrder(t *testing.T) {
	t.Parallel()
	var ids []libpf.FrameID
	for _, file := range edges()[:20] {
		for _, line := range []libpf.AddressOrLineno{0, 1, math.MaxInt64 + 1, math.MaxUint64} {
			ids = append(ids, libpf.NewFrameID(file, line))
		}
	}
	for _, a := range ids {
		for _, b := range ids {
			want := bytes.Compare(a.Bytes(), b.Bytes())
			if a.Compare(b) != want || a.Less(b) != (want < 0) || a.Equal(b) != (want == 0) {
				t.Errorf("%x and %x: Compare %d, Less %v, Equal %v", a.Bytes(), b.Bytes(), a.Compare(b), a.Less(b), a.Equal(b))
			}
		}
	}
}

func TestBadFrameIDs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", `frame id "" in base64: found 0 bytes, expected 24`},
		{"d--nFqkSpJIXRFeHMp_Smg", `found 16 bytes, expected 24`},
		{"d++nFqkSpJIXRFeHMp/SmgAAAAAAAOUc", `expected base64 of the URL alphabet without padding: illegal base64 data at input byte 1`},
		{strings.Repeat("A", 100), `"... in base64: found 75 bytes, expected 24`},
	} {
		if id, err := libpf.NewFrameIDFromString(c.in); err == nil || !strings.Contains(err.Error(), c.want) || id != (libpf.FrameID{}) {
			t.Errorf("%q: %s, %v, want an error with %s", c.in, id, err, c.want)
		}
	}
	for _, b := range [][]byte{nil, {}, make([]byte, 23), make([]byte, 25)} {
		if _, err := libpf.NewFrameIDFromBytes(b); err == nil || !strings.Contains(err.Error(), "bytes, expected 24") {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	// The JSON that earlier versions wrote for every id.
	id := libpf.NewFrameID(libpf.NewFileID(1, 2), 3)
	if err := json.Unmarshal([]byte("{}"), &id); err == nil || id != libpf.NewFrameID(libpf.NewFileID(1, 2), 3) {
		t.Errorf("{}: %v, %s", err, id)
	}
}
