package netcfg

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// text is n bytes that compress about as telemetry does.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	words := []string{"http.request.method", "GET", "service.name", "checkout", "k8s.pod.uid", "\x0a\x12", "200"}
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(byte(r.Uint32()))
	}
	return b.Bytes()[:n]
}

func gzipped(parts ...[]byte) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		w := stdgzip.NewWriter(&b)
		w.Write(p)
		w.Close()
	}
	return b.Bytes()
}

// zstdSized is a frame that says how much comes out of it.
func zstdSized(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// zstdStreamed is a frame that does not, as exporters write it.
func zstdStreamed(b []byte) []byte {
	var out bytes.Buffer
	w, _ := zstd.NewWriter(&out)
	for chunk := b; len(chunk) > 0; {
		n := min(len(chunk), 1000)
		w.Write(chunk[:n])
		w.Flush()
		chunk = chunk[n:]
	}
	w.Close()
	return out.Bytes()
}

// zstdRuns is a frame of n blocks of 128 KiB zeros, 4 bytes each on the wire.
func zstdRuns(windowDescriptor byte, n int) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, windowDescriptor}
	for i := range n {
		header := uint32(128<<10)<<3 | 1<<1 // a run-length block
		if i == n-1 {
			header |= 1 // the last
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16), 0)
	}
	return b
}

const window1MiB, window8MiB, windowAbove8MiB = 10 << 3, 13 << 3, 13<<3 | 1

// zstdClaims is a frame that says n bytes come out of it, in a single segment.
func zstdClaims(n uint64) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}
	b = binary.LittleEndian.AppendUint64(b, n)
	return append(b, 1, 0, 0) // one empty last block
}

func TestDecompress(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 4095, 4096, 4097, 300_000} {
		plain := text(n)
		for name, c := range map[string]struct {
			encoding string
			wire     []byte
		}{
			"none":          {"", plain},
			"identity":      {"identity", plain},
			"gzip":          {"gzip", gzipped(plain)},
			"GZIP":          {"GZIP", gzipped(plain)},
			"x-gzip":        {"x-gzip", gzipped(plain)},
			"gzip joined":   {"gzip", gzipped(plain[:n/3], nil, plain[n/3:])},
			"zstd sized":    {"zstd", zstdSized(plain)},
			"zstd streamed": {"zstd", append(zstdStreamed(plain), zstdSized(nil)...)},
			"zstd joined":   {"zstd", append(zstdSized(plain[:n/3]), zstdStreamed(plain[n/3:])...)},
		} {
			for _, limit := range []int{n, 10 * (n + 1)} {
				got, err := Decompress(c.encoding, nil, bytes.NewReader(c.wire), limit)
				if err != nil {
					t.Errorf("%s, %d bytes, limit %d: %v", name, n, limit, err)
					continue
				}
				if !bytes.Equal(*got, plain) {
					t.Errorf("%s, %d bytes, limit %d: %d other bytes came out", name, n, limit, len(*got))
				}
				bufpool.Put(got)
			}
			if _, err := Decompress(c.encoding, nil, bytes.NewReader(c.wire), n-1); n > 0 && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s, %d bytes, limit one less: got %v, want ErrTooLarge", name, n, err)
			}
		}
	}
}

// The body may come in any pieces, and the buffer to write to may be of any size.
func TestDecompressPiecewise(t *testing.T) {
	t.Parallel()
	plain := text(20_000)
	for _, encoding := range []string{"", "gzip", "zstd"} {
		wire := map[string][]byte{"": plain, "gzip": gzipped(plain), "zstd": zstdStreamed(plain)}[encoding]
		for _, hint := range []int{0, 1, 1 << 10, 1 << 20} {
			for _, src := range []io.Reader{
				iotest.OneByteReader(bytes.NewReader(wire)), iotest.DataErrReader(bytes.NewReader(wire)),
				iotest.HalfReader(bytes.NewReader(wire)),
			} {
				got, err := Decompress(encoding, bufpool.Get(hint), src, len(plain))
				if err != nil || !bytes.Equal(*got, plain) {
					t.Fatalf("%q with %T and a buffer of %d: %v", encoding, src, hint, err)
				}
				bufpool.Put(got)
			}
		}
	}
}

func TestDecompressRefuses(t *testing.T) {
	t.Parallel()
	plain := text(5000)
	for name, c := range map[string]struct {
		encoding string
		wire     []byte
		want     error
	}{
		"unknown":                    {"br", plain, ErrUnknownEncoding},
		"a list":                     {"gzip, gzip", gzipped(gzipped(plain)), ErrUnknownEncoding},
		"empty gzip":                 {"gzip", nil, ErrCorrupt},
		"empty zstd":                 {"zstd", nil, ErrCorrupt},
		"gzip that is not":           {"gzip", plain, ErrCorrupt},
		"zstd that is not":           {"zstd", plain, ErrCorrupt},
		"gzip, one byte behind":      {"gzip", append(gzipped(plain), 0), ErrCorrupt},
		"gzip, text behind":          {"gzip", append(gzipped(plain), "and what is this?"...), ErrCorrupt},
		"gzip, half a header behind": {"gzip", append(gzipped(plain), 0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 0, 'a'), ErrCorrupt},
		"zstd, one byte behind":      {"zstd", append(zstdSized(plain), 0), ErrCorrupt},
		"zstd, text behind":          {"zstd", append(zstdStreamed(plain), "and what is this?"...), ErrCorrupt},
		"zstd window above 8 MiB":    {"zstd", zstdRuns(windowAbove8MiB, 1), ErrCorrupt},
		"zstd segment above 8 MiB":   {"zstd", zstdClaims(8<<20 + 1), ErrCorrupt},
		"zstd with less than said":   {"zstd", zstdClaims(1000), ErrCorrupt},
	} {
		got, err := Decompress(c.encoding, nil, bytes.NewReader(c.wire), 64<<20)
		if !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// A body that breaks off anywhere is never taken for a whole one.
func TestDecompressTruncated(t *testing.T) {
	t.Parallel()
	plain := text(3000)
	for encoding, wire := range map[string][]byte{"gzip": gzipped(plain), "zstd": zstdStreamed(plain)} {
		for n := range wire {
			if _, err := Decompress(encoding, nil, bytes.NewReader(wire[:n]), 1<<20); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s cut to %d of %d bytes: got %v, want ErrCorrupt", encoding, n, len(wire), err)
			}
		}
	}
}

// A connection that breaks is not corrupt data, and not a whole body either, also
// where it breaks between two frames.
func TestDecompressBrokenSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
		for encoding, wire := range map[string][]byte{"": {1, 2, 3}, "gzip": gzipped(text(100)), "zstd": zstdSized(text(100))} {
			src := io.MultiReader(bytes.NewReader(wire), iotest.ErrReader(cause))
			if _, err := Decompress(encoding, nil, src, 1<<20); !errors.Is(err, cause) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%q: got %v, want %v", encoding, err, cause)
			}
		}
	}
}

// The 8 MiB that a decoder must support are supported.
func TestDecompressLargestWindow(t *testing.T) {
	t.Parallel()
	got, err := Decompress("zstd", nil, bytes.NewReader(zstdRuns(window8MiB, 3)), 1<<20)
	if err != nil || len(*got) != 3*128<<10 {
		t.Fatalf("window of 8 MiB: %v", err)
	}
	bufpool.Put(got)
}

// zeros is 10 GiB of them, unless it is read to its end.
func gzipBomb(gib int) io.Reader {
	r, w := io.Pipe()
	go func() {
		z, _ := stdgzip.NewWriterLevel(w, stdgzip.BestSpeed)
		io.CopyN(z, zeroReader{}, int64(gib)<<30)
		z.Close()
		w.Close()
	}()
	return r
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A bomb costs the limit and not what it holds. Not parallel: it measures.
func TestDecompressBombs(t *testing.T) {
	const limit = 4 << 20
	bomb := gzipBomb(10)
	defer bomb.(*io.PipeReader).Close()
	for name, c := range map[string]struct {
		encoding string
		src      io.Reader
		most     uint64 // bytes allocated
	}{
		"gzip, 10 GiB":         {"gzip", bomb, 3 * limit},
		"zstd, 10 GiB, unsaid": {"zstd", bytes.NewReader(zstdRuns(window8MiB, 10<<13)), 3*limit + 9<<20}, // and a window

		"zstd, 1 TiB, said":            {"zstd", bytes.NewReader(zstdClaims(1 << 40)), 1 << 20},
		"zstd, 4 MiB said, none there": {"zstd", bytes.NewReader(zstdClaims(limit)), 1 << 20},
		"zstd, window of 8 MiB, 3 bytes": {"zstd", bytes.NewReader([]byte{
			0x28, 0xb5, 0x2f, 0xfd, 0x00, window8MiB, 3<<3 | 1, 0, 0, 'a', 'b', 'c'}), 1 << 20},
	} {
		if got, err := Decompress("zstd", nil, bytes.NewReader(zstdSized(nil)), 0); err == nil { // sets the decoder up
			bufpool.Put(got)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decompress(c.encoding, nil, c.src, limit)
		runtime.ReadMemStats(&after)
		if strings.Contains(name, "GiB") && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.most {
			t.Errorf("%s: %d bytes allocated, want at most %d", name, got, c.most)
		}
	}
}

// What one request leaves in a pooled decoder must not reach the next.
func TestDecompressInterleaved(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 30 {
				plain := append(fmt.Appendf(nil, "%d/%d ", g, i), text(1000*(i%20))...)
				encoding, wire := "gzip", gzipped(plain)
				if i%2 == 0 {
					encoding, wire = "zstd", zstdStreamed(plain)
				}
				bad := bytes.Clone(wire)
				bad[len(bad)/2] ^= 0xff
				if got, err := Decompress(encoding, nil, bytes.NewReader(bad[:len(bad)-i%3]), 1<<20); err == nil {
					bufpool.Put(got)
				}
				got, err := Decompress(encoding, nil, bytes.NewReader(wire), 1<<20)
				if err != nil || !bytes.Equal(*got, plain) {
					t.Errorf("%s: %v", encoding, err)
					return
				}
				bufpool.Put(got)
			}
		})
	}
	wg.Wait()
}

func FuzzDecompress(f *testing.F) {
	for _, b := range [][]byte{nil, []byte("x"), text(3000)} {
		f.Add(uint8(0), b, uint16(5000))
		f.Add(uint8(1), gzipped(b, b), uint16(5000))
		f.Add(uint8(2), zstdSized(b), uint16(5000))
		f.Add(uint8(2), zstdStreamed(b), uint16(2000))
	}
	f.Add(uint8(2), zstdRuns(window8MiB, 2), uint16(65535))
	f.Fuzz(func(t *testing.T, which uint8, wire []byte, limit uint16) {
		encoding := []string{"", "gzip", "zstd"}[which%3]
		got, err := Decompress(encoding, nil, bytes.NewReader(wire), int(limit))
		want, wantErr := oracle(encoding, wire, int(limit))
		switch {
		case err == nil && len(*got) > int(limit):
			t.Fatalf("%d bytes came out, the limit is %d", len(*got), limit)
		case errors.Is(err, gzip.ErrHeader): // the oracle lets reserved flags pass (RFC 1952, section 2.3.1.2)
		case (err == nil) != (wantErr == nil):
			t.Fatalf("%s: got %v, the oracle says %v", encoding, err, wantErr)
		case err == nil && !bytes.Equal(*got, want):
			t.Fatalf("%s: other bytes than the oracle's", encoding)
		}
		bufpool.Put(got)
	})
}

// oracle decompresses by other means: the standard library's gzip, and zstd as
// a stream.
func oracle(encoding string, wire []byte, limit int) ([]byte, error) {
	var r io.Reader = bytes.NewReader(wire)
	var err error
	switch encoding {
	case "gzip":
		r, err = stdgzip.NewReader(r)
	case "zstd":
		if len(wire) == 0 {
			return nil, io.EOF
		}
		var z *zstd.Decoder
		z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err == nil {
			defer z.Close()
		}
		r = z
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = ErrTooLarge
	}
	return b, err
}

func BenchmarkDecompress(b *testing.B) {
	plain := text(437 << 10)
	for name, c := range map[string]struct {
		encoding string
		wire     []byte
	}{
		"gzip": {"gzip", gzipped(plain)}, "zstd-sized": {"zstd", zstdSized(plain)}, "zstd-streamed": {"zstd", zstdStreamed(plain)},
		"gzip-empty-members": {"gzip", bytes.Repeat(gzipped(nil), 1<<20/23)},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				got, err := Decompress(c.encoding, nil, bytes.NewReader(c.wire), 64<<20)
				if err != nil {
					b.Fatal(err)
				}
				bufpool.Put(got)
			}
		})
	}
}

// A stream encoder does not say how much comes out, and zeros compress a
// thousandfold: the guess at the size is far off.
func TestZstdStreamOfZeros(t *testing.T) {
	const size = 1 << 20
	var wire bytes.Buffer
	z, err := zstd.NewWriter(&wire)
	if err != nil {
		t.Fatal(err)
	}
	for range size / 1024 {
		if _, err := z.Write(make([]byte, 1024)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]error{size: nil, size + 1: nil, size - 1: ErrTooLarge, size / 2: ErrTooLarge} {
		out, err := Decompress("zstd", nil, bytes.NewReader(wire.Bytes()), limit)
		if !errors.Is(err, want) || err == nil && len(*out) != size {
			t.Errorf("limit %d: %v, want %v", limit, err, want)
		}
		if err == nil {
			bufpool.Put(out)
		}
	}
}
