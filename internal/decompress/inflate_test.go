package decompress

import (
	"bytes"
	stdflate "compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// inflated decodes a stream into a buffer that grows from n bytes.
func inflated(wire []byte, n, limit int) ([]byte, int, error) {
	op := &decompression{maxBytes: limit, dst: bufpool.Get(n)}
	defer op.drop()
	var rest int
	err := op.inflate(wire, n, func(i *inflating) error {
		_, err := i.stream()
		rest = i.pos
		return err
	})
	return bytes.Clone(*op.dst), rest, err
}

// oracleInflate decodes a stream with the standard library, and returns how much of wire it
// needs.
func oracleInflate(wire []byte, limit int) ([]byte, int, error) {
	r := bytes.NewReader(wire)
	out, err := io.ReadAll(io.LimitReader(stdflate.NewReader(r), int64(limit)+1))
	if len(out) > limit {
		err = ErrTooLarge
	}
	return out, len(wire) - r.Len(), err
}

func deflated(t testing.TB, level int, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		w.Write(p)
		w.Flush()
	}
	w.Close()
	return b.Bytes()
}

// random returns n bytes of one of several kinds.
func random(r *rand.Rand, n int) []byte {
	alphabet := 1 << r.IntN(9)
	b := make([]byte, n)
	for i := range b {
		if i > 0 && r.IntN(4) == 0 { // repeats what was before
			from := r.IntN(i)
			i += copy(b[i:], b[from:min(i, from+r.IntN(300))])
			continue
		}
		b[i] = byte(r.IntN(alphabet))
	}
	return b
}

func TestInflateEqualsTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 400 {
		plain := random(r, r.IntN(1<<r.IntN(18)))
		cut := r.IntN(len(plain) + 1)
		wire := deflated(t, r.IntN(12)-2, plain[:cut], plain[cut:])
		behind := append(bytes.Clone(wire), random(r, r.IntN(40))...)
		got, n, err := inflated(behind, r.IntN(len(plain)+1), len(plain))
		if err != nil || !bytes.Equal(got, plain) || n != len(wire) {
			t.Fatalf("%d bytes: got %d, used %d of %d, error %v", len(plain), len(got), n, len(wire), err)
		}
		if len(plain) > 0 {
			if _, _, err := inflated(wire, 0, len(plain)-1); !errors.Is(err, ErrTooLarge) {
				t.Fatalf("one byte less than the result: %v", err)
			}
		}
		// What is broken is found, or is what the standard library makes of it.
		bad := bytes.Clone(wire)
		bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		sameAsOracle(t, bad[:len(bad)-r.IntN(2)])
	}
}

func sameAsOracle(t *testing.T, wire []byte) {
	t.Helper()
	const limit = 1 << 20
	want, used, wantErr := oracleInflate(wire, limit)
	got, n, err := inflated(wire, len(wire), limit)
	switch {
	case errors.Is(wantErr, ErrTooLarge) || errors.Is(err, ErrTooLarge):
		if !errors.Is(wantErr, ErrTooLarge) && wantErr == nil || err == nil {
			t.Fatalf("got %v, want %v", err, wantErr)
		}
	case (err == nil) != (wantErr == nil):
		t.Fatalf("got %v, want %v", err, wantErr)
	case err == nil && (!bytes.Equal(got, want) || n != used):
		t.Fatalf("got %d bytes of %d, want %d of %d", len(got), n, len(want), used)
	}
}

// FuzzInflate compares the decoder with that of the standard library.
func FuzzInflate(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, n := range []int{0, 1, 10, 300, 2000, 100_000} {
		for level := -2; level <= 9; level += 3 {
			f.Add(deflated(f, level, random(r, n)))
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte) { sameAsOracle(t, wire) })
}

// A member does not refer to the one before it, although both are in the same memory.
func TestMembersAreApart(t *testing.T) {
	dictionary := text(2000)
	var stream bytes.Buffer
	w, err := stdflate.NewWriterDict(&stream, 9, dictionary)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(dictionary)
	w.Close()
	member := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, stream.Bytes()...)
	member = binary.LittleEndian.AppendUint32(member, crc32.ChecksumIEEE(dictionary))
	member = binary.LittleEndian.AppendUint32(member, uint32(len(dictionary)))
	for _, behind := range []int{0, 100_000} { // the careful loop and the fast one
		wire := append(gzipped(dictionary), member...)
		wire = append(wire, gzipped(text(behind))...)
		if _, err := DecompressBytes("gzip", nil, wire, 1<<20, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes behind it: got %v", behind, err)
		}
	}
}

// The header of a member may have a name and more, which are skipped, and no reserved flags.
func TestGzipHeader(t *testing.T) {
	plain := text(100)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Extra, w.Name, w.Comment = []byte("extra"), "a name", "a comment"
	w.Write(plain)
	w.Close()
	wire := b.Bytes()
	got, err := DecompressBytes("gzip", nil, wire, 1000, nil)
	if err != nil || !bytes.Equal(*got, plain) {
		t.Fatal(err)
	}
	bufpool.Put(got)
	for _, flag := range []byte{0x20, 0x40, 0x80} {
		bad := bytes.Clone(wire)
		bad[3] |= flag
		if _, err := DecompressBytes("gzip", nil, bad, 1000, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("flag %#x: %v", flag, err)
		}
	}
	for n := range len(wire) {
		if _, err := DecompressBytes("gzip", nil, wire[:n], 1000, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(wire), err)
		}
	}
	// A checksum of the header, which Go's writer does not make.
	head := append([]byte{0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0xff}, 0, 0)
	binary.LittleEndian.PutUint16(head[10:], uint16(crc32.ChecksumIEEE(head[:10])))
	summed := append(head, gzipped(plain)[10:]...)
	if got, err = DecompressBytes("gzip", nil, summed, 1000, nil); err != nil {
		t.Fatalf("with a checksum: %v", err)
	}
	bufpool.Put(got)
	summed[10]++
	if _, err := DecompressBytes("gzip", nil, summed, 1000, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with a wrong checksum: %v", err)
	}
}
