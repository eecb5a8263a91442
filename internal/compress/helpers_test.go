package compress

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
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

// undo decompresses with the server's decoders, which are tested separately.
func undo(coding string, wire []byte, limit int) ([]byte, error) {
	p, err := decompress.DecompressBytes(coding, nil, wire, limit, nil)
	if err != nil {
		return nil, err
	}
	defer bufpool.Put(p)
	return bytes.Clone(*p), nil
}

// grpcCoding returns the HTTP content coding for a gRPC encoding: gRPC's snappy is
// always framed.
func grpcCoding(name string) string {
	if name == "snappy" {
		return "x-snappy-framed"
	}
	return name
}

func compressed(t testing.TB, c encoding.Compressor, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := grpcCompress(c, &out, b, max(len(b), 1)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func written(w io.WriteCloser, out *bytes.Buffer, b []byte) []byte {
	w.Write(b)
	w.Close()
	return out.Bytes()
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
	return written(w, &out, b)
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

const window8MiB, windowAbove8MiB = 13 << 3, 13<<3 | 1

// zstdClaims returns an empty frame that declares a content size of n bytes, in
// a single segment.
func zstdClaims(n uint64) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}
	b = binary.LittleEndian.AppendUint64(b, n)
	return append(b, 1, 0, 0) // one empty last block
}
