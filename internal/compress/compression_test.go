package compress

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

func TestCompressor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		compression config.Compression
		levels      []int
	}{{config.Gzip, []int{-2, -1, 0, 1, 9}}, {config.Zstd, []int{0, 1, 7, 22}}, {config.Zlib, []int{-2, -1, 0, 1, 9}}, {config.Deflate, []int{0, 9}},
		{config.Snappy, []int{0}}, {config.SnappyFramed, []int{0}}} {
		for _, level := range c.levels {
			z, err := NewCompressor(c.compression, config.CompressionParams{Level: level})
			if err != nil {
				t.Fatalf("%s level %d: %v", c.compression, level, err)
			}
			plains := [][]byte{nil, text(1), text(1000), text(1 << 16)}
			if c.compression == config.Zstd && level > 7 {
				plains = append(plains, make([]byte, 9<<20)) // above the window
			}
			for _, plain := range plains {
				n := len(plain)
				wire, err := z.Compress(plain)
				if err != nil {
					t.Fatal(err)
				}
				got, err := undo(z.Encoding(), *wire, n)
				if err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s level %d, %d bytes: %v", c.compression, level, n, err)
				}
				bufpool.Put(wire)
			}
		}
	}
}

func TestCompressorNone(t *testing.T) {
	t.Parallel()
	for _, c := range []config.Compression{"", config.NoCompression} {
		if z, err := NewCompressor(c, config.CompressionParams{}); z != nil || err != nil {
			t.Errorf("%q: got %v, %v, want no compressor", c, z, err)
		}
	}
}

func TestCompressorRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		compression config.Compression
		level       int
		want        string
	}{
		{"brotli", 0, `unknown compression "brotli": expected gzip, zstd, zlib, deflate, snappy, x-snappy-framed, lz4 or none`},
		{config.Snappy, 1, "expected 0 to 0"},
		{config.LZ4, -1, "expected 0 to 0"},
		{config.Deflate, 10, "expected -2 to 9"},
		{"GZIP", 0, `unknown compression "GZIP"`},
		{config.Gzip, 10, "expected -2 to 9"},
		{config.Gzip, -3, "expected -2 to 9"},
		{config.Zstd, 23, "expected 0 to 22"},
		{config.NoCompression, 1, "expected 0 to 0"},
	} {
		if _, err := NewCompressor(c.compression, config.CompressionParams{Level: c.level}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s level %d: got %v, want %q in it", c.compression, c.level, err, c.want)
		}
	}
}

func TestCompressorConcurrently(t *testing.T) {
	t.Parallel()
	for _, c := range []config.Compression{config.Gzip, config.Zstd, config.Zlib, config.Deflate, config.Snappy, config.SnappyFramed} {
		z, err := NewCompressor(c, config.CompressionParams{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 20 {
					plain := text(100*g + 777*i)
					wire, err := z.Compress(plain)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := undo(z.Encoding(), *wire, len(plain)); err != nil || !bytes.Equal(got, plain) {
						t.Errorf("%s: %v", c, err)
					}
					bufpool.Put(wire)
				}
			})
		}
		wg.Wait()
	}
}

func TestGRPCCompressors(t *testing.T) {
	t.Parallel()
	for _, name := range config.GRPCEncodings() {
		c := grpcEncodingOf(name)
		if c == nil || c.Name() != name {
			t.Fatalf("no compressor %q", name)
		}
		for _, n := range []int{0, 1, 300_000} {
			plain := text(n)
			var wire bytes.Buffer
			w, err := c.Compress(&wire)
			if err != nil {
				t.Fatal(err)
			}
			for rest := plain; len(rest) > 0; rest = rest[min(len(rest), 1000):] {
				w.Write(rest[:min(len(rest), 1000)])
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := c.Decompress(bytes.NewReader(wire.Bytes()))
			if err != nil && n > 0 {
				t.Fatal(err)
			} else if err != nil {
				continue // gRPC does not compress empty messages
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s, %d bytes: %v", name, n, err)
			}
			r.(io.Closer).Close()
		}
		if r, err := c.Decompress(strings.NewReader("not compressed")); err == nil {
			if _, err := io.ReadAll(r); err == nil {
				t.Errorf("%s accepts uncompressed data", name)
			}
			r.(io.Closer).Close()
		}
	}
}

// The window is limited, independently of gRPC's limit.
func TestGRPCZstdWindow(t *testing.T) {
	t.Parallel()
	c := grpcEncodingOf("zstd")
	for descriptor, ok := range map[byte]bool{window8MiB: true, windowAbove8MiB: false} {
		r, err := c.Decompress(bytes.NewReader(zstdRuns(descriptor, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(r); (err == nil) != ok {
			t.Errorf("window descriptor %#x: %v", descriptor, err)
		}
		r.(io.Closer).Close()
	}
	var wire bytes.Buffer
	w, _ := c.Compress(&wire)
	w.Write(text(2 << 20))
	w.Close()
	var h zstd.Header
	if err := h.Decode(wire.Bytes()); err != nil || h.WindowSize > zstdGRPCWindowBytes {
		t.Errorf("the window of the compressor is %d, want at most %d (%v)", h.WindowSize, zstdGRPCWindowBytes, err)
	}
}

// After a second Close a writer or reader is not used for two messages.
func TestGRPCCloseTwice(t *testing.T) {
	t.Parallel()
	for _, name := range config.GRPCEncodings() {
		c := grpcEncodingOf(name)
		wire := compressed(t, c, text(100))
		for range 50 {
			var discard bytes.Buffer
			w, err := c.Compress(&discard)
			if err != nil {
				t.Fatal(err)
			}
			w.Close()
			w.Close()
			if _, err := w.Write([]byte("x")); err == nil {
				t.Fatalf("%s: a closed writer writes", name)
			}
			var a, b bytes.Buffer
			wa, _ := c.Compress(&a)
			wb, _ := c.Compress(&b)
			wa.Write([]byte("one"))
			wb.Write([]byte("other"))
			wa.Close()
			wb.Close()
			for want, got := range map[string]*bytes.Buffer{"one": &a, "other": &b} {
				if plain, err := undo(grpcCoding(name), got.Bytes(), 100); err != nil || string(plain) != want {
					t.Fatalf("%s: two writers share their state: %q, %v", name, plain, err)
				}
			}
			r, err := c.Decompress(bytes.NewReader(wire))
			if err != nil {
				t.Fatal(err)
			}
			r.(io.Closer).Close()
			r.(io.Closer).Close()
			if _, err := r.Read(make([]byte, 1)); err == nil {
				t.Fatalf("%s: a closed reader reads", name)
			}
			r1, _ := c.Decompress(bytes.NewReader(wire))
			r2, _ := c.Decompress(bytes.NewReader(wire))
			for _, r := range []io.Reader{r1, r2} {
				if plain, err := io.ReadAll(r); err != nil || !bytes.Equal(plain, text(100)) {
					t.Fatalf("%s: two readers share their state: %v", name, err)
				}
				r.(io.Closer).Close()
			}
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	plain := text(437 << 10)
	for _, c := range []config.Compression{config.Gzip, config.Zstd, config.Zlib, config.Deflate, config.Snappy, config.SnappyFramed} {
		b.Run(string(c), func(b *testing.B) {
			z, err := NewCompressor(c, config.CompressionParams{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				wire, err := z.Compress(plain)
				if err != nil {
					b.Fatal(err)
				}
				bufpool.Put(wire)
			}
		})
	}
}

// lz4 is a known name that is not implemented here: it would be another
// dependency of every client.
func TestLZ4IsNotIncluded(t *testing.T) {
	t.Parallel()
	if z, err := NewCompressor(config.LZ4, config.CompressionParams{}); !errors.Is(err, ErrNotIncluded) || z != nil {
		t.Errorf("got %v, %v", z, err)
	}
}

// An encoder of zstd takes no more memory than docs/memory.md says. The test is not
// parallel: others would allocate at the same time.
func TestZstdEncoderMemory(t *testing.T) {
	src := make([]byte, 8<<20)
	for i := range src {
		src[i] = byte(i * i >> 7)
	}
	cpus := uint64(runtime.GOMAXPROCS(0))
	for speed, most := range map[zstd.EncoderLevel]uint64{
		zstd.SpeedFastest: cpus * 3_000_000, zstd.SpeedDefault: cpus * 3_000_000,
		zstd.SpeedBetterCompression: 13_000_000, zstd.SpeedBestCompression: 45_000_000,
	} {
		dst := make([]byte, 0, 9<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		e, err := NewZstd(speed)
		if err != nil {
			t.Fatal(err)
		}
		e.EncodeAll(src, dst)
		runtime.ReadMemStats(&after)
		t.Logf("%s: %d bytes", speed, after.TotalAlloc-before.TotalAlloc)
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: an encoder takes %d bytes, at most %d are expected", speed, took, most)
		}
	}
}
