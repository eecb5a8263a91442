package compress

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"

	"github.com/penstock-telemetry/penstock/config"
)

var (
	//lint:ignore SA1019 the dial option takes this interface
	_ grpc.Compressor = (*GRPCCompressor)(nil)
	//lint:ignore SA1019 the dial option takes this interface
	_ grpc.Decompressor   = (*GRPCDecompressor)(nil)
	_ encoding.Compressor = (*grpcEncoding)(nil)
)

// The decompressor of a connection reads the output of its compressor, also
// concurrently, and stops one byte after the limit.
func TestGRPC(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	for _, name := range config.GRPCEncodings() {
		z, u, err := GRPC(name, limit)
		if err != nil || z.Type() != name || u.Type() != name {
			t.Fatalf("%s: %v, %v, %v", name, z, u, err)
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 10 {
					plain := text(1 + 1000*g + 7777*i)
					var wire bytes.Buffer
					if err := z.Do(&wire, plain); err != nil {
						t.Error(err)
					}
					if got, err := undo(grpcCoding(name), wire.Bytes(), len(plain)); err != nil || !bytes.Equal(got, plain) {
						t.Errorf("%s, %d bytes: the server reads %d bytes, %v", name, len(plain), len(got), err)
					}
					if got, err := u.Do(&wire); err != nil || !bytes.Equal(got, plain) {
						t.Errorf("%s, %d bytes: read back %d bytes, %v", name, len(plain), len(got), err)
					}
				}
			})
		}
		wg.Wait()
		var bomb bytes.Buffer
		if err := z.Do(&bomb, make([]byte, 64<<20)); err != nil {
			t.Fatal(err)
		}
		if got, err := u.Do(&bomb); err != nil || len(got) != limit+1 {
			t.Errorf("%s: %d bytes of a bomb, %v, want %d", name, len(got), err, limit+1)
		}
		if _, err := u.Do(strings.NewReader("not compressed")); err == nil {
			t.Errorf("%s accepts uncompressed data", name)
		}
	}
	if _, _, err := GRPC("lz4", limit); err == nil || !strings.Contains(err.Error(), `unknown encoding "lz4"`) {
		t.Errorf("lz4: %v", err)
	}
}

// A connection's compressor does not allocate for a message, except in package
// s2.
func TestGRPCCompressorAllocates(t *testing.T) {
	plain := text(100_000)
	for name, most := range map[string]float64{"gzip": 0, "zstd": 0, "snappy": 2} {
		z, _, err := GRPC(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() {
			if err := z.Do(io.Discard, plain); err != nil {
				t.Fatal(err)
			}
		}); n > most && !raceEnabled {
			t.Errorf("%s: %.1f allocations for a message", name, n)
		}
	}
}

// Only RegisterGRPC registers encodings, only those that are named, and it
// replaces none.
func TestRegisterGRPC(t *testing.T) {
	for _, name := range config.GRPCEncodings() {
		if c := encoding.GetCompressor(name); c != nil {
			t.Errorf("importing the package registers %s: %T", name, c)
		}
	}
	encoding.RegisterCompressor(foreignCompressor{})
	RegisterGRPC("zstd", "snappy", "lz4")
	if _, ours := encoding.GetCompressor("snappy").(foreignCompressor); !ours {
		t.Error("another package's snappy was replaced")
	}
	if c, ours := encoding.GetCompressor("zstd").(*grpcEncoding); !ours || c.Name() != "zstd" {
		t.Errorf("zstd is %T", encoding.GetCompressor("zstd"))
	}
	if encoding.GetCompressor("gzip") != nil || encoding.GetCompressor("lz4") != nil {
		t.Error("encodings were registered that were not named")
	}
	var names []string
	for _, e := range grpcEncodings {
		names = append(names, e.name)
	}
	if !slices.Equal(names, config.GRPCEncodings()) {
		t.Errorf("the gRPC encodings are %v, those of the configuration %v", names, config.GRPCEncodings())
	}
}

// foreignCompressor is registered by another package.
type foreignCompressor struct{ encoding.Compressor }

func (foreignCompressor) Name() string { return "snappy" }
