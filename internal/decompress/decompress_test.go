package decompress

import (
	"bytes"
	stdflate "compress/flate"
	stdgzip "compress/gzip"
	stdzlib "compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/compress"
)

// text returns n bytes that compress about as well as telemetry.
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

// zstdSized returns a frame with its content size.
func zstdSized(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// zstdStreamed returns a frame without its content size, as exporters write it.
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

func written(w io.WriteCloser, out *bytes.Buffer, parts ...[]byte) []byte {
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func zlibbed(b []byte) []byte {
	var out bytes.Buffer
	return written(stdzlib.NewWriter(&out), &out, b)
}

// raw is the stream of RFC 1951 without a frame.
func raw(b []byte) []byte {
	var out bytes.Buffer
	w, _ := stdflate.NewWriter(&out, stdflate.DefaultCompression)
	return written(w, &out, b)
}

func snappyBlock(b []byte) []byte { return snappy.Encode(nil, b) }

func snappyFramed(b []byte) []byte {
	if len(b) == 0 {
		return []byte(snappyMagic)
	}
	var out bytes.Buffer
	return written(s2.NewWriter(&out, s2.WriterSnappyCompat(), s2.WriterConcurrency(1)), &out, b)
}

func lz4ed(b []byte, options ...lz4.Option) []byte {
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if err := w.Apply(options...); err != nil {
		panic(err)
	}
	return written(w, &out, b)
}

// lz4Linked returns two blocks of a frame, written by hand: an uncompressed
// "abcdefgh", and a block that refers to it and repeats it.
func lz4Linked(linked bool) []byte {
	b := []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x40}
	if linked {
		b[4] = 0x40
	}
	b = append(b, byte(xxh32(b[4:])>>8))
	b = append(append(b, 8, 0, 0, 0x80), "abcdefgh"...)
	repeat := []byte{0x04, 8, 0, 0x50, 'v', 'w', 'x', 'y', 'z'} // 8 from 8 back, then 5 literals
	b = append(append(b, byte(len(repeat)), 0, 0, 0), repeat...)
	return append(b, 0, 0, 0, 0)
}

// bodies returns b in every form of every encoding.
func bodies(b []byte) []body {
	third := len(b) / 3
	return []body{
		{"none", "", b}, {"identity", "identity", b},
		{"gzip", "gzip", gzipped(b)}, {"GZIP", "GZIP", gzipped(b)}, {"x-gzip", "x-gzip", gzipped(b)},
		{"gzip joined", "gzip", gzipped(b[:third], nil, b[third:])},
		{"zstd sized", "zstd", zstdSized(b)},
		{"zstd streamed", "zstd", append(zstdStreamed(b), zstdSized(nil)...)},
		{"zstd joined", "zstd", append(zstdSized(b[:third]), zstdStreamed(b[third:])...)},
		{"zstd joined, skippable between", "zstd", slices.Concat(zstdSized(b[:third]), []byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2}, zstdSized(b[third:]))},
		{"zlib", "zlib", zlibbed(b)}, {"deflate", "deflate", zlibbed(b)}, {"raw deflate", "deflate", raw(b)},
		{"snappy", "snappy", snappyBlock(b)}, {"snappy that is framed", "snappy", snappyFramed(b)},
		{"x-snappy-framed", "x-snappy-framed", snappyFramed(b)},
		{"framed, two streams", "x-snappy-framed", slices.Concat([]byte(snappyMagic), snappyFramed(b[:third]), []byte{0xfe, 1, 0, 0, 0}, snappyFramed(b[third:]))},
		{"lz4", "lz4", lz4ed(b)},
		{"lz4 small blocks, all sums", "lz4", lz4ed(b, lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(true))},
		{"lz4 sized, high", "lz4", lz4ed(b, lz4.SizeOption(uint64(len(b))), lz4.CompressionLevelOption(lz4.Level6))},
		{"lz4 joined, skippable between", "lz4", slices.Concat(lz4ed(b[:third]), []byte{0x5f, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9}, lz4ed(b[third:], lz4.ChecksumOption(false)))},
	}
}

type body struct {
	name, encoding string
	wire           []byte
}

// both calls f with the two functions.
func both(f func(way string, decompress func(encoding string, dst *[]byte, wire []byte, maxBytes int, memory Reserver) (*[]byte, error))) {
	f("bytes", DecompressBytes)
	f("stream", func(encoding string, dst *[]byte, wire []byte, maxBytes int, memory Reserver) (*[]byte, error) {
		return Decompress(encoding, dst, bytes.NewReader(wire), maxBytes, memory)
	})
}

// zstdRuns returns a frame of n blocks of 128 KiB of zeros, 4 bytes each on the
// wire.
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

const window1MiB, window8MiB, windowAbove8MiB, window512MiB, window1GiB = 10 << 3, 13 << 3, 13<<3 | 1, 19 << 3, 20 << 3

// zstdClaims returns an empty frame that declares a content size of n bytes, in
// a single segment.
func zstdClaims(n uint64) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}
	b = binary.LittleEndian.AppendUint64(b, n)
	return append(b, 1, 0, 0) // one empty last block
}

func TestDecompress(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 4095, 4096, 4097, 300_000} {
		plain := text(n)
		for _, c := range bodies(plain) {
			both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
				wire := bytes.Clone(c.wire)
				for _, limit := range []int{n, 10 * (n + 1)} {
					got, err := decompress(c.encoding, nil, wire, limit, nil)
					if err != nil {
						t.Errorf("%s, %s, %d bytes, limit %d: %v", c.name, way, n, limit, err)
						continue
					}
					if !bytes.Equal(*got, plain) {
						t.Errorf("%s, %s, %d bytes, limit %d: the result is %d other bytes", c.name, way, n, limit, len(*got))
					}
					bufpool.Put(got)
				}
				if _, err := decompress(c.encoding, nil, wire, n-1, nil); n > 0 && !errors.Is(err, ErrTooLarge) {
					t.Errorf("%s, %s, %d bytes, limit one less: got %v, want ErrTooLarge", c.name, way, n, err)
				}
				if !bytes.Equal(wire, c.wire) {
					t.Errorf("%s, %s: the body was modified", c.name, way)
				}
			})
		}
	}
}

// A linked block may refer to the blocks before it; without the flag it may
// not.
func TestDecompressLZ4Linked(t *testing.T) {
	t.Parallel()
	got, err := DecompressBytes("lz4", nil, lz4Linked(true), 100, nil)
	if err != nil || string(*got) != "abcdefghabcdefghvwxyz" {
		t.Errorf("linked: %v", err)
	}
	if _, err := DecompressBytes("lz4", nil, lz4Linked(false), 100, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("not linked: got %v, want ErrCorrupt", err)
	}
}

// The body may arrive in pieces of any size, and dst may be of any size.
func TestDecompressPiecewise(t *testing.T) {
	t.Parallel()
	plain := text(20_000)
	for _, c := range bodies(plain) {
		for _, hint := range []int{0, 1, 1 << 10, 1 << 20} {
			for _, src := range []io.Reader{
				iotest.OneByteReader(bytes.NewReader(c.wire)), iotest.DataErrReader(bytes.NewReader(c.wire)),
				iotest.HalfReader(bytes.NewReader(c.wire)),
			} {
				got, err := Decompress(c.encoding, bufpool.Get(hint), src, len(plain), nil)
				if err != nil || !bytes.Equal(*got, plain) {
					t.Fatalf("%s with %T and a buffer of %d: %v", c.name, src, hint, err)
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
		"gzip, text behind":          {"gzip", append(gzipped(plain), "trailing data"...), ErrCorrupt},
		"gzip, half a header behind": {"gzip", append(gzipped(plain), 0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 0, 'a'), ErrCorrupt},
		"zstd, one byte behind":      {"zstd", append(zstdSized(plain), 0), ErrCorrupt},
		"zstd, text behind":          {"zstd", append(zstdStreamed(plain), "trailing data"...), ErrCorrupt},
		"zstd window above 512 MiB":  {"zstd", zstdRuns(window1GiB, 1), ErrCorrupt},
		"zstd segment above 8 MiB":   {"zstd", zstdClaims(8<<20 + 1), ErrCorrupt},
		"zstd with less than said":   {"zstd", zstdClaims(1000), ErrCorrupt},
		"zstd, only skippable, torn": {"zstd", []byte{0x50, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1}, ErrCorrupt},

		"empty zlib":                {"zlib", nil, ErrCorrupt},
		"zlib that is not":          {"zlib", plain, ErrCorrupt},
		"zlib, one byte behind":     {"zlib", append(zlibbed(plain), 0), ErrCorrupt},
		"zlib, another behind":      {"deflate", append(zlibbed(plain), zlibbed(plain)...), ErrCorrupt},
		"deflate, half a header":    {"deflate", zlibbed(plain)[1:], ErrCorrupt},
		"zlib without a header":     {"zlib", zlibbed(plain)[2:], ErrCorrupt},
		"raw deflate, cut off":      {"deflate", raw(plain)[:len(raw(plain))-1], ErrCorrupt},
		"raw deflate, more behind":  {"deflate", append(raw(plain), 0), ErrCorrupt},
		"zlib with a dictionary":    {"zlib", []byte{0x78, 0x20 | 0x9b&^0x3f | 0x1b, 1, 2, 3, 4, 5, 6}, ErrCorrupt},
		"zlib, checksum wrong":      {"zlib", flipped(zlibbed(plain), -1), ErrCorrupt},
		"gzip, checksum wrong":      {"gzip", flipped(gzipped(plain), -5), ErrCorrupt},
		"empty snappy":              {"snappy", nil, ErrCorrupt},
		"snappy that is not":        {"snappy", []byte("not a block"), ErrCorrupt},
		"snappy, one byte behind":   {"snappy", append(snappyBlock(plain), 0), ErrCorrupt},
		"snappy says 4 GiB":         {"snappy", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'a'}, ErrTooLarge},
		"snappy says 32 MiB":        {"snappy", []byte{0x80, 0x80, 0x80, 0x10, 0, 'a'}, ErrCorrupt},
		"snappy says 2^40":          {"snappy", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 'a'}, ErrCorrupt},
		"framed that is a block":    {"x-snappy-framed", snappyBlock(plain), ErrCorrupt},
		"framed, one byte behind":   {"x-snappy-framed", append(snappyFramed(plain), 0), ErrCorrupt},
		"framed, unknown chunk":     {"x-snappy-framed", append(snappyFramed(plain), 2, 0, 0, 0), ErrCorrupt},
		"framed, s2 behind":         {"x-snappy-framed", append(snappyFramed(plain), "\xff\x06\x00\x00S2sTwO"...), ErrCorrupt},
		"framed, checksum wrong":    {"x-snappy-framed", flipped(snappyFramed(plain), 14), ErrCorrupt},
		"framed, no checksum":       {"x-snappy-framed", []byte(snappyMagic + "\x01\x02\x00\x00ab"), ErrCorrupt},
		"framed, plain above 64K":   {"x-snappy-framed", slices.Concat([]byte(snappyMagic+"\x01\x05\x00\x01"), []byte{0, 0, 0, 0}, make([]byte, 64<<10+1)), ErrCorrupt},
		"framed, packed above 64K":  {"x-snappy-framed", slices.Concat([]byte(snappyMagic), chunk(snappyBlock(make([]byte, 64<<10+1)))), ErrCorrupt},
		"empty lz4":                 {"lz4", nil, ErrCorrupt},
		"lz4 that is not":           {"lz4", plain, ErrCorrupt},
		"lz4, one byte behind":      {"lz4", append(lz4ed(plain), 0), ErrCorrupt},
		"lz4, text behind":          {"lz4", append(lz4ed(plain), "trailing data"...), ErrCorrupt},
		"lz4, only skippable":       {"lz4", []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, ErrCorrupt},
		"lz4, legacy":               {"lz4", lz4ed(plain, lz4.LegacyOption(true)), ErrCorrupt},
		"lz4, header checksum":      {"lz4", flipped(lz4ed(plain), 6), ErrCorrupt},
		"lz4, content checksum":     {"lz4", flipped(lz4ed(plain), -1), ErrCorrupt},
		"lz4, block checksum":       {"lz4", flipped(lz4ed(plain, lz4.BlockChecksumOption(true), lz4.ChecksumOption(false)), -5), ErrCorrupt},
		"lz4, other size than said": {"lz4", lz4Says(plain, 4999), ErrCorrupt},
		"lz4, block above said":     {"lz4", lz4Shrunk(make([]byte, 200<<10)), ErrCorrupt},
		"lz4, 1 TiB said":           {"lz4", lz4Says(plain, 1<<40), ErrCorrupt},
	} {
		both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
			got, err := decompress(c.encoding, nil, c.wire, 64<<20, nil)
			if !errors.Is(err, c.want) || got != nil {
				t.Errorf("%s, %s: got %v, want %v", name, way, err, c.want)
			}
		})
	}
}

// flipped returns b with a bit of byte i changed. A negative i is counted from
// the end.
func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	if i < 0 {
		i += len(b)
	}
	b[i] ^= 1
	return b
}

// chunk returns a compressed chunk of a framed stream with a wrong checksum.
func chunk(block []byte) []byte {
	n := len(block) + 4
	return append([]byte{0, byte(n), byte(n >> 8), byte(n >> 16), 0, 0, 0, 0}, block...)
}

// lz4Shrunk returns a frame whose header declares blocks of at most 64 KiB.
func lz4Shrunk(b []byte) []byte {
	wire := lz4ed(b, lz4.BlockSizeOption(lz4.Block256Kb))
	wire[5] = 0x40
	wire[6] = byte(xxh32(wire[4:6]) >> 8)
	return wire
}

// lz4Says returns a frame with b whose header declares n bytes.
func lz4Says(b []byte, n uint64) []byte {
	wire := lz4ed(b, lz4.SizeOption(uint64(len(b))))
	binary.LittleEndian.PutUint64(wire[6:], n)
	wire[14] = byte(xxh32(wire[4:14]) >> 8)
	return wire
}

// A truncated body is never accepted.
func TestDecompressTruncated(t *testing.T) {
	t.Parallel()
	plain := text(3000)
	for _, c := range bodies(plain) {
		if c.encoding == "" || c.encoding == "identity" {
			continue
		}
		whole := wholePrefixes(c, plain)
		both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
			for n := range c.wire {
				_, err := decompress(c.encoding, nil, c.wire[:n:n], 1<<20, nil)
				if !errors.Is(err, ErrCorrupt) && !whole[n] {
					t.Fatalf("%s, %s, cut to %d of %d bytes: got %v, want ErrCorrupt", c.name, way, n, len(c.wire), err)
				}
			}
		})
	}
}

// wholePrefixes returns the lengths to which a body can be cut so that it is
// still valid: between two members or frames, and between two chunks of framed
// snappy.
func wholePrefixes(c body, plain []byte) map[int]bool {
	third := len(plain) / 3
	whole := map[int]bool{}
	switch {
	case strings.HasPrefix(c.name, "gzip joined"):
		a := len(gzipped(plain[:third]))
		whole[a], whole[a+len(gzipped(nil))] = true, true
	case c.name == "zstd streamed":
		whole[len(zstdStreamed(plain))] = true
	case strings.HasPrefix(c.name, "zstd joined"):
		a := len(zstdSized(plain[:third]))
		whole[a], whole[a+10] = true, true
	case strings.HasPrefix(c.name, "lz4 joined"):
		a := len(lz4ed(plain[:third]))
		whole[a], whole[a+9] = true, true
	case bytes.HasPrefix(c.wire, []byte(snappyMagic)):
		for n := 0; n <= len(c.wire); {
			whole[n] = n > 0 || c.encoding == "x-snappy-framed"
			if len(c.wire)-n < 4 {
				break
			}
			n += 4 + (int(c.wire[n+1]) | int(c.wire[n+2])<<8)
		}
	}
	return whole
}

// An error of the connection is neither corrupt data nor a complete body, even
// between two frames.
func TestDecompressBrokenSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
		for encoding, wire := range map[string][]byte{
			"": {1, 2, 3}, "gzip": gzipped(text(100)), "zstd": zstdSized(text(100)), "zlib": zlibbed(text(100)),
			"snappy": snappyBlock(text(100)), "x-snappy-framed": snappyFramed(text(100)), "lz4": lz4ed(text(100)),
		} {
			src := io.MultiReader(bytes.NewReader(wire), iotest.ErrReader(cause))
			if _, err := Decompress(encoding, nil, src, 1<<20, nil); !errors.Is(err, cause) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%q: got %v, want %v", encoding, err, cause)
			}
		}
	}
}

// The decoder supports a window of 8 MiB, as it must, and larger ones, which take no
// memory. The test is not parallel: others would allocate at the same time.
func TestDecompressLargestWindow(t *testing.T) {
	for _, window := range []byte{window8MiB, windowAbove8MiB, window512MiB} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := Decompress("zstd", nil, bytes.NewReader(zstdRuns(window, 3)), 1<<20, nil)
		runtime.ReadMemStats(&after)
		if err != nil || len(*got) != 3*128<<10 {
			t.Fatalf("window %#x: %v", window, err)
		}
		bufpool.Put(got)
		if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
			t.Errorf("window %#x: %d bytes are allocated", window, took)
		}
	}
}

// lz4Bomb returns a body of n zeros with a compression ratio of 255.
func lz4Bomb(n int) []byte {
	b := []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x70}
	b = append(b, byte(xxh32(b[4:])>>8))
	const size = 4 << 20
	block := lz4ed(make([]byte, size))[7:]
	block = block[:4+binary.LittleEndian.Uint32(block)]
	for ; n > 0; n -= size {
		b = append(b, block...)
	}
	return append(b, 0, 0, 0, 0)
}

// A decompression bomb allocates about the limit, not its decompressed size.
// Not parallel: it measures allocations.
func TestDecompressBombs(t *testing.T) {
	const limit = 4 << 20
	zeros := make([]byte, 64<<20)
	member := gzipped(zeros)
	framed := bytes.Repeat(snappyFramed(make([]byte, 64<<10)), 1000)
	lz4Head := lz4ed([]byte("x"))[:7] // blocks of up to 4 MiB
	for name, c := range map[string]struct {
		encoding string
		src      io.Reader
		most     uint64 // bytes allocated
		want     error
	}{
		"gzip, 64 MiB":         {"gzip", bytes.NewReader(member), 3 * limit, ErrTooLarge},
		"zlib, 64 MiB":         {"zlib", bytes.NewReader(zlibbed(zeros)), 3 * limit, ErrTooLarge},
		"zstd, 10 GiB, unsaid": {"zstd", bytes.NewReader(zstdRuns(window8MiB, 10<<13)), 1 << 20, ErrTooLarge},
		"zstd, 64 MiB, packed": {"zstd", bytes.NewReader(zstdStreamed(make([]byte, 64<<20))), 3*limit + 1<<20, ErrTooLarge},

		"zstd, 1 TiB, said":            {"zstd", bytes.NewReader(zstdClaims(1 << 40)), 1 << 20, ErrCorrupt},
		"zstd, 4 MiB said, none there": {"zstd", bytes.NewReader(zstdClaims(limit)), 1 << 20, ErrCorrupt},
		"zstd, window of 8 MiB, 3 bytes": {"zstd", bytes.NewReader([]byte{
			0x28, 0xb5, 0x2f, 0xfd, 0x00, window8MiB, 3<<3 | 1, 0, 0, 'a', 'b', 'c'}), 1 << 20, nil},
		"snappy, 64 MiB":          {"snappy", bytes.NewReader(snappyBlock(make([]byte, 64<<20))), 3*limit + 1<<20, ErrTooLarge},
		"snappy, 4 GiB said":      {"snappy", bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}), 64 << 10, ErrTooLarge},
		"snappy, 3 MiB said":      {"snappy", bytes.NewReader([]byte{0x80, 0x80, 0xc0, 0x01, 0}), 64 << 10, ErrCorrupt},
		"framed, 64 MiB":          {"x-snappy-framed", bytes.NewReader(framed), 2 * uint64(limit), ErrTooLarge},
		"lz4, 256 MiB":            {"lz4", bytes.NewReader(lz4Bomb(256 << 20)), 3 * limit, ErrTooLarge},
		"lz4, blocks of 4 MiB":    {"lz4", bytes.NewReader(append(lz4Head, 0, 0, 0, 0)), 64 << 10, ErrCorrupt}, // its checksum is missing
		"lz4, 1 TiB said":         {"lz4", bytes.NewReader(lz4Says([]byte("x"), 1<<40)), 64 << 10, ErrCorrupt},
		"gzip, endless":           {"gzip", endless(member), 5 * limit, ErrTooLarge},
		"gzip, endless and empty": {"gzip", endless(gzipped(nil)), 5 * limit, ErrTooLarge},
		"lz4, endless and empty":  {"lz4", endless(lz4ed(nil)), 5 * limit, ErrTooLarge},
	} {
		for _, encoding := range config.Encodings() { // sets the decoders up
			if got, err := Decompress(encoding, nil, strings.NewReader("x"), 0, nil); err == nil {
				bufpool.Put(got)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decompress(c.encoding, nil, c.src, limit, nil)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.most {
			t.Errorf("%s: %d bytes allocated, want at most %d", name, got, c.most)
		}
	}
}

// endless repeats b.
func endless(b []byte) io.Reader { return &repeater{b: b} }

type repeater struct {
	b  []byte
	at int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

// A million empty members need no memory but their own.
func TestDecompressEmptyMembers(t *testing.T) {
	const members = 1_000_000
	wire := bytes.Repeat(gzipped(nil), members)
	memory := &ledger{}
	got, err := Decompress("gzip", nil, bytes.NewReader(wire), 64<<20, memory)
	if err != nil || len(*got) != 0 {
		t.Fatal(err)
	}
	bufpool.Put(got)
	if most := 3 * len(wire); memory.most > most { // the buffer is doubled as they arrive
		t.Errorf("%d bytes were reserved for an empty body of %d", memory.most, len(wire))
	}
}

// A decompression bomb allocates no more than the Reserver allows, however high
// the limit is. Not parallel: it measures allocations.
func TestDecompressBombsReserve(t *testing.T) {
	const size, limit, state = 6 << 20, 1 << 20, 1 << 20
	zeros := make([]byte, size)
	for _, c := range bodies(zeros) {
		if c.encoding == "" || c.encoding == "identity" {
			continue
		}
		both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
			beside := map[string]int{"bytes": cap(c.wire)}[way]
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := decompress(c.encoding, nil, c.wire, 2*size, &ledger{limit: limit + beside})
			runtime.ReadMemStats(&after)
			if refused := (*noMemory)(nil); !errors.As(err, &refused) {
				t.Errorf("%s, %s: got %v, want the error of Reserve", c.name, way, err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 2*limit+state {
				t.Errorf("%s, %s: %d bytes allocated, %d reserved", c.name, way, got, limit)
			}
		})
	}
}

// Data of one request in a pooled decoder does not reach the next.
func TestDecompressInterleaved(t *testing.T) {
	t.Parallel()
	type set struct {
		want [sha256.Size]byte
		all  []body
	}
	var sets []set
	for i := range 5 {
		plain := text(100 + 4000*i)
		sets = append(sets, set{sha256.Sum256(plain), bodies(plain)})
	}
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range sets {
				s := sets[(g+i)%len(sets)]
				want := s.want
				for k, c := range s.all {
					bad := bytes.Clone(c.wire)
					bad[len(bad)/2] ^= 0xff
					if got, err := Decompress(c.encoding, nil, bytes.NewReader(bad[:len(bad)-(i+k)%3]), 1<<20, nil); err == nil {
						bufpool.Put(got)
					}
					if got, err := DecompressBytes(c.encoding, nil, bad, 1<<20, nil); err == nil {
						bufpool.Put(got)
					}
					if got, err := Decompress(c.encoding, nil, iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader(c.wire))), 1<<20, nil); err == nil {
						bufpool.Put(got)
					}
					first, err := Decompress(c.encoding, nil, bytes.NewReader(c.wire), 1<<20, nil)
					if err != nil {
						t.Errorf("%s: %v", c.name, err)
						return
					}
					second, err := DecompressBytes(c.encoding, nil, c.wire, 1<<20, nil)
					if err != nil {
						t.Errorf("%s: %v", c.name, err)
						return
					}
					if sha256.Sum256(*first) != want || sha256.Sum256(*second) != want {
						t.Errorf("%s: the result differs", c.name)
						return
					}
					bufpool.Put(first)
					bufpool.Put(second)
				}
			}
		})
	}
	wg.Wait()
}

// ledger is a Reserver that records the reservations. It allows at most limit
// bytes, unless limit is 0.
type ledger struct {
	limit, granted, most, refused int
}

type noMemory struct{ total int }

func (e *noMemory) Error() string { return "no memory" }

func (l *ledger) Reserve(total int) error {
	if l.limit > 0 && total > l.limit {
		l.refused++
		return &noMemory{total}
	}
	l.granted = total
	l.most = max(l.most, total)
	return nil
}

// All memory is reserved before it is allocated, in steps that follow the bytes
// that have arrived. An error of Reserve is returned.
func TestDecompressReserves(t *testing.T) {
	t.Parallel()
	plain := text(300_000)
	for _, c := range bodies(plain) {
		both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
			wireBytes := 0
			if way == "bytes" {
				wireBytes = cap(c.wire)
			}
			memory := &ledger{}
			got, err := decompress(c.encoding, nil, c.wire, 64<<20, memory)
			if err != nil {
				t.Fatalf("%s, %s: %v", c.name, way, err)
			}
			if memory.most < cap(*got)+wireBytes {
				t.Errorf("%s, %s: %d bytes reserved, %d are in use", c.name, way, memory.most, cap(*got)+wireBytes)
			}
			most := 3*bufpool.Class(len(plain)) + 3*bufpool.Class(len(c.wire))
			if c.name == "zstd streamed" || c.name == "zstd joined" { // flushed every 1000 bytes: the estimate is the least accurate
				most += 2 * typicalRatio * len(c.wire)
			}
			if memory.most > most {
				t.Errorf("%s, %s: %d bytes reserved, want at most %d", c.name, way, memory.most, most)
			}
			if cap(*got) > 4*len(*got) {
				t.Errorf("%s, %s: a buffer of %d bytes for a result of %d", c.name, way, cap(*got), len(*got))
			}
			bufpool.Put(got)
			for _, limit := range []int{1, 4 << 10, 64 << 10, 300_000} {
				memory := &ledger{limit: limit}
				got, err := decompress(c.encoding, nil, c.wire, 64<<20, memory)
				var refused *noMemory
				if got != nil || !errors.As(err, &refused) || refused.total <= limit || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) {
					t.Errorf("%s, %s, limit %d: got %v, want the error of Reserve", c.name, way, limit, err)
				}
				if memory.refused != 1 {
					t.Errorf("%s, %s, limit %d: Reserve was called again after an error", c.name, way, limit)
				}
			}
		})
	}
}

// If dst is large enough, no other buffer is allocated.
func TestDecompressReservesKnownLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1 << 16, 1<<16 - 1, 100_000} {
		dst := bufpool.Get(n)
		first := &(*dst)[0]
		memory := &ledger{limit: cap(*dst)}
		got, err := Decompress("", dst, bytes.NewReader(text(n)), 64<<20, memory)
		if err != nil || &(*got)[0] != first {
			t.Fatalf("%d bytes: another buffer, or %v", n, err)
		}
		bufpool.Put(got)
	}
}

// A panic of a decoder means a corrupt body, and no buffer goes back to the pool.
// A panic of a reader or a Reserver is not recovered.
func TestDecompressPanics(t *testing.T) {
	t.Parallel()
	op := &decompression{dst: bufpool.Get(10)}
	if err := op.run("gzip", func(codec) error { panic("index out of range") }); !errors.Is(err, ErrCorrupt) || op.dst != nil {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	for _, c := range bodies(text(5000)) {
		for what, f := range map[string]func(){
			"reader":   func() { Decompress(c.encoding, nil, panicker{}, 1<<20, nil) },
			"Reserver": func() { Decompress(c.encoding, nil, bytes.NewReader(c.wire), 1<<20, panicker{}) },
		} {
			func() {
				defer func() {
					if recover() != "ours" {
						t.Errorf("%s: the panic of a %s was swallowed", c.name, what)
					}
				}()
				f()
			}()
		}
	}
}

type panicker struct{}

func (panicker) Read([]byte) (int, error) { panic("ours") }
func (panicker) Reserve(int) error        { panic("ours") }

func fuzzNames() []string { return append(config.Encodings(), "") }

func FuzzDecompress(f *testing.F) {
	for _, b := range [][]byte{nil, []byte("x"), text(3000)} {
		for _, c := range bodies(b) {
			f.Add(uint8(slices.Index(fuzzNames(), canonicalCoding(c.encoding))), c.wire, uint16(5000))
		}
		f.Add(uint8(1), zstdStreamed(b), uint16(2000))
		f.Add(uint8(0), gzipped(b, b), uint16(5000))
	}
	f.Add(uint8(1), zstdRuns(window8MiB, 2), uint16(65535))
	f.Add(uint8(6), lz4Linked(true), uint16(100))
	f.Add(uint8(6), lz4Linked(false), uint16(100))
	f.Fuzz(func(t *testing.T, which uint8, wire []byte, limit uint16) {
		encoding := fuzzNames()[int(which)%len(fuzzNames())]
		want, wantErr := oracle(encoding, wire, int(limit))
		both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
			memory := &ledger{}
			got, err := decompress(encoding, nil, wire, int(limit), memory)
			switch {
			case err == nil && len(*got) > int(limit):
				t.Fatalf("%d bytes came out, the limit is %d", len(*got), limit)
			case err == nil && memory.most < cap(*got):
				t.Fatalf("%d bytes reserved for a result of %d", memory.most, cap(*got))
			case memory.most > 4*(cap(wire)+int(limit))+1<<20:
				t.Fatalf("%d bytes reserved for %d with a limit of %d", memory.most, len(wire), limit)
			case err != nil && (got != nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge)):
				t.Fatalf("an unexpected error: %v", err)
			case differsKnowingly(encoding, wire, err, wantErr):
			case (err == nil) != (wantErr == nil):
				t.Fatalf("%s, %s: got %v, the oracle returned %v", encoding, way, err, wantErr)
			case err == nil && !bytes.Equal(*got, want):
				t.Fatalf("%s, %s: other bytes than the oracle's", encoding, way)
			}
			bufpool.Put(got)
		})
	})
}

// The decoders accept the output of package compress, with its size as the
// limit.
func FuzzRoundTrip(f *testing.F) {
	compressors := map[string]func([]byte) []byte{"lz4": func(b []byte) []byte { return lz4ed(b) }}
	for _, name := range config.Encodings() {
		if name == "lz4" { // tested by the exporter that implements it
			continue
		}
		z, err := compress.NewCompressor(config.Compression(name), config.CompressionParams{})
		if err != nil {
			f.Fatal(err)
		}
		compressors[name] = func(b []byte) []byte {
			p, err := z.Compress(b)
			if err != nil {
				f.Fatal(err)
			}
			defer bufpool.Put(p)
			return bytes.Clone(*p)
		}
	}
	f.Add([]byte(nil), uint8(0))
	f.Add([]byte("ab"), uint8(200))
	f.Add(text(1000), uint8(3))
	f.Fuzz(func(t *testing.T, part []byte, times uint8) {
		plain := bytes.Repeat(part, int(times))
		for name, z := range compressors {
			wire := z(plain)
			both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
				got, err := decompress(name, nil, wire, len(plain), nil)
				if err != nil || !bytes.Equal(*got, plain) {
					t.Fatalf("%s, %s, %d bytes: %v", name, way, len(plain), err)
				}
				bufpool.Put(got)
			})
		}
	})
}

// differsKnowingly reports whether an oracle is known to be less strict.
func differsKnowingly(encoding string, wire []byte, err, wantErr error) bool {
	if err == nil { // the oracle would have to allocate the window
		return errors.Is(wantErr, zstd.ErrWindowSizeExceeded)
	}
	switch encoding {
	case "gzip": // reserved flags (RFC 1952, section 2.3.1.2)
		return errors.Is(err, errGzipHeader)
	case "snappy", "x-snappy-framed": // S2's frames, and its repeats, which can be longer than in snappy
		return bytes.Contains(wire, []byte("S2sTwO")) || strings.Contains(err.Error(), "cannot contain") ||
			strings.Contains(err.Error(), "declares more than")
	case "lz4": // legacy frames, magic numbers near the skippable ones, and nothing but skippable ones
		skipped := len(wire) > 4 && binary.LittleEndian.Uint32(wire)&^0xf == lz4Skippable
		return strings.Contains(err.Error(), "the frame begins with") || skipped && strings.Contains(err.Error(), "unexpected end")
	}
	return false
}

// oracle decompresses with other code: the standard library's gzip and zlib,
// and the stream readers of the others.
func oracle(encoding string, wire []byte, limit int) ([]byte, error) {
	src := bytes.NewReader(wire)
	var r io.Reader = src
	var err error
	switch encoding {
	case "gzip":
		r, err = stdgzip.NewReader(r)
	case "zlib", "deflate":
		if _, bad := stdzlib.NewReader(bytes.NewReader(wire)); encoding == "deflate" && errors.Is(bad, stdzlib.ErrHeader) && len(wire) > 1 {
			r = stdflate.NewReader(src) // reads byte by byte: src implements io.ByteReader
		} else {
			r, err = stdzlib.NewReader(r)
		}
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
	case "snappy":
		if !bytes.HasPrefix(wire, []byte(snappyMagic)) {
			if n, err := snappy.DecodedLen(wire); err != nil || n > limit {
				return nil, ErrTooLarge
			}
			return snappy.Decode(nil, wire)
		}
		r = snappy.NewReader(r)
	case "x-snappy-framed":
		r = snappy.NewReader(r)
	case "lz4":
		if len(wire) == 0 {
			return nil, io.EOF
		}
		r = lz4.NewReader(r)
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case err != nil:
	case len(b) > limit:
		err = ErrTooLarge
	case src.Len() > 0:
		err = errors.New("bytes are left")
	}
	return b, err
}

func BenchmarkDecompress(b *testing.B) {
	plain := text(437 << 10)
	for _, c := range append(bodies(plain), body{"gzip empty members", "gzip", bytes.Repeat(gzipped(nil), 1<<20/23)}) {
		both(func(way string, decompress func(string, *[]byte, []byte, int, Reserver) (*[]byte, error)) {
			b.Run(strings.ReplaceAll(c.name, " ", "-")+"/"+way, func(b *testing.B) {
				b.SetBytes(int64(len(plain)))
				b.ReportAllocs()
				for b.Loop() {
					got, err := decompress(c.encoding, nil, c.wire, 64<<20, nil)
					if err != nil {
						b.Fatal(err)
					}
					bufpool.Put(got)
				}
			})
		})
	}
}

// A stream encoder does not declare the size, and zeros have a compression
// ratio above a thousand: the estimate is far too small.
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
		out, err := Decompress("zstd", nil, bytes.NewReader(wire.Bytes()), limit, nil)
		if !errors.Is(err, want) || err == nil && len(*out) != size {
			t.Errorf("limit %d: %v, want %v", limit, err, want)
		}
		if err == nil {
			bufpool.Put(out)
		}
	}
}
