package decompress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/s2"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// skippable returns a frame of zstd or lz4 that decoders skip.
func skippable(b []byte) []byte {
	head := binary.LittleEndian.AppendUint32(nil, lz4Skippable)
	return append(binary.LittleEndian.AppendUint32(head, uint32(len(b))), b...)
}

// s2Chunk returns a chunk of framed snappy with a block of S2.
func s2Chunk(plain []byte) []byte {
	block := s2.Encode(nil, plain)
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(block)+snappySumBytes)<<8)
	return append(binary.LittleEndian.AppendUint32(head, snappySum(plain)), block...)
}

// The form of a body is found by its bytes, whatever its encoding is called.
func TestForm(t *testing.T) {
	plain := text(3000)
	twice := func(b []byte) []byte { return append(bytes.Clone(b), b...) }
	zstdFrame, lz4Frame, stream := zstdSized(plain), lz4ed(plain), snappyFramed(plain)
	wide := zstdRuns(window8MiB+1<<3, 1)
	for name, c := range map[string]struct {
		encoding string
		wire     []byte
		want     Form
	}{
		"plain":                  {"", plain, Form{}},
		"gzip":                   {"x-gzip", gzipped(plain), Form{config.Gzip, true}},
		"gzip, two members":      {"gzip", gzipped(plain, plain), Form{config.Gzip, false}},
		"gzip, an empty member":  {"gzip", gzipped(plain, nil), Form{config.Gzip, false}},
		"zstd":                   {"zstd", zstdFrame, Form{config.Zstd, true}},
		"zstd, streamed":         {"zstd", zstdStreamed(plain), Form{config.Zstd, true}},
		"zstd, two frames":       {"zstd", twice(zstdFrame), Form{config.Zstd, false}},
		"zstd, skipped frame":    {"zstd", append(skippable(plain), zstdFrame...), Form{config.Zstd, false}},
		"zstd, skipped at end":   {"zstd", append(bytes.Clone(zstdFrame), skippable(nil)...), Form{config.Zstd, false}},
		"zstd, window of 8 MiB":  {"zstd", zstdRuns(window8MiB, 1), Form{config.Zstd, true}},
		"zstd, window of 16 MiB": {"zstd", wide, Form{}},
		"zstd, second is wide":   {"zstd", append(bytes.Clone(zstdFrame), wide...), Form{}},
		"zlib":                   {"zlib", zlibbed(plain), Form{config.Zlib, true}},
		"deflate":                {"deflate", zlibbed(plain), Form{config.Zlib, true}},
		"deflate without header": {"deflate", raw(plain), Form{}},
		"snappy":                 {"snappy", snappyBlock(plain), Form{config.Snappy, true}},
		"snappy, framed":         {"snappy", stream, Form{config.SnappyFramed, true}},
		"snappy, block of S2":    {"snappy", s2.Encode(nil, plain), Form{}},
		"snappy, chunk of S2":    {"snappy", append(bytes.Clone(stream), s2Chunk(plain)...), Form{}},
		"framed":                 {"x-snappy-framed", stream, Form{config.SnappyFramed, true}},
		"framed, two streams":    {"snappy", twice(stream), Form{config.SnappyFramed, false}},
		"lz4":                    {"lz4", lz4Frame, Form{config.LZ4, true}},
		"lz4, two frames":        {"lz4", twice(lz4Frame), Form{config.LZ4, false}},
		"lz4, skipped frame":     {"lz4", append(skippable(plain), lz4Frame...), Form{config.LZ4, false}},
		"gzip, corrupt":          {"gzip", gzipped(plain)[:40], Form{}},
	} {
		body, form, err := Inspect(c.encoding, nil, c.wire, 1<<20, nil)
		collected, wire, again, collectErr := Collect(c.encoding, iotest.OneByteReader(bytes.NewReader(c.wire)), len(c.wire)/2, 1<<20, nil)
		if (err == nil) != (collectErr == nil) {
			t.Errorf("%s: %v and %v", name, err, collectErr)
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || body != nil || wire != nil || again != (Form{}) {
				t.Errorf("%s: %v, and results", name, err)
			}
			continue
		}
		if form != c.want || again != c.want {
			t.Errorf("%s: %+v, collected %+v, want %+v", name, form, again, c.want)
		}
		if !bytes.Equal(*wire, c.wire) || !bytes.Equal(*collected, *body) {
			t.Errorf("%s: other bytes were collected", name)
		}
		for _, b := range []*[]byte{body, wire, collected} {
			bufpool.Put(b)
		}
	}
}

// Collect reserves the compressed bytes and the result, and what it takes is no more.
func TestCollectReserves(t *testing.T) {
	plain := text(200_000)
	for _, c := range bodies(plain) {
		if slices.Contains([]string{"", "identity"}, c.encoding) {
			continue
		}
		memory := &ledger{}
		body, wire, _, err := Collect(c.encoding, bytes.NewReader(c.wire), len(c.wire), 1<<20, memory)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if held := cap(*body) + cap(*wire); memory.most < held {
			t.Errorf("%s: %d bytes were reserved for buffers of %d", c.name, memory.most, held)
		}
		bufpool.Put(body)
		bufpool.Put(wire)
		none := &ledger{limit: len(c.wire)}
		if _, _, _, err := Collect(c.encoding, bytes.NewReader(c.wire), len(c.wire), 1<<20, none); !errors.As(err, new(*noMemory)) {
			t.Errorf("%s: without room: %v", c.name, err)
		}
	}
}
