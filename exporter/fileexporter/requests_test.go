package fileexporter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Whatever the exporter writes is read as the requests that were written, in order.
func TestRequestsReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 9))
	for _, format := range []string{"json", "proto"} {
		for _, compression := range []string{"", "zstd"} {
			for _, signals := range [][]otlp.Signal{{otlp.Logs}, {otlp.Traces, otlp.Metrics, otlp.Logs, otlp.Profiles}} {
				if format == "proto" && len(signals) > 1 {
					continue // the format has no signal
				}
				cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
				cfg.Format, cfg.Compression = format, compression
				e := started(t, cfg)
				type sent struct {
					signal otlp.Signal
					bytes  []byte
				}
				var want []sent
				for range 5 {
					for _, s := range signals {
						request := testkit.Request(rng, s, 3)
						if err := consume(t, e, s, request); err != nil {
							t.Fatal(err)
						}
						if format == "json" { // unknown fields are not written, for instance
							text := otlp.AppendJSON(nil, s, request)
							var err error
							if request, err = otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), s, text); err != nil {
								t.Fatal(err)
							}
						}
						want = append(want, sent{s, request})
					}
				}
				f, err := os.Open(cfg.Path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				signal := otlp.Signal(0)
				if format == "proto" {
					signal = signals[0]
				}
				r, err := NewRequests(f, signal, 64<<20)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range want {
					s, got, err := r.Next()
					if err != nil || s != w.signal || !bytes.Equal(got, w.bytes) {
						t.Fatalf("%s %s: request %d is of %s, %d bytes, %v; want %s, %d bytes", format, compression, i, s, len(got), err, w.signal, len(w.bytes))
					}
				}
				if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("%s %s: %v at the end", format, compression, err)
				}
			}
		}
	}
}

// Other files are errors that name the record.
func TestRequestsErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "",
		"\n\n{\"resourceLogs\":[]}\n":    "read record 1: ", // begins with no brace, so it is a length
		"{\"x\":1}\n":                    "decode record 1: JSON that is not a request",
		"{\"resourceLogs\":[]}\n{\"x\":": "decode record 2: JSON that is not a request",
		"\x00\x00\x00\x02\xff\xff":       "decode record 1: protobuf that could be a request of []",
		"\x00\x00\x00\x09\x0a":           "read record 1: ",
	} {
		r, err := NewRequests(bytes.NewReader([]byte(text)), 0, 1<<20)
		for err == nil {
			_, _, err = r.Next()
		}
		if want == "" && !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{}]}]}]}\n"))
	f.Add([]byte("\x00\x00\x00\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewRequests(bytes.NewReader(b), 0, 1<<20)
		for err == nil {
			var s otlp.Signal
			var wire []byte
			if s, wire, err = r.Next(); err == nil {
				if _, bad := otlp.Check(s, wire); bad != nil && s != otlp.Profiles { // JSON does not check indices
					t.Fatalf("%s: %v", s, bad)
				}
			}
			if r.Offset() > int64(len(b)) {
				t.Fatalf("offset %d of %d", r.Offset(), len(b))
			}
		}
	})
}

// What is read may have values as deep as any receiver may have accepted.
func TestRequestsReadsDeepValues(t *testing.T) {
	t.Parallel()
	value := wire.AppendBytes(nil, otlpfield.AnyValueStringValue, "leaf")
	for range otlp.MaxDepth/2 - 1 {
		value = wire.AppendBytes(nil, otlpfield.AnyValueArrayValue, wire.AppendBytes(nil, otlpfield.ArrayValueValues, value))
	}
	request := value
	for _, num := range []uint32{otlpfield.LogRecordBody, otlpfield.ScopeXItems, otlpfield.ResourceXScopes, otlpfield.RequestResources} {
		request = wire.AppendBytes(nil, num, request)
	}
	text := otlp.AppendJSON(nil, otlp.Logs, request)
	for name, c := range map[string]struct {
		file   []byte
		signal otlp.Signal
	}{
		"json":  {append(text, '\n'), 0},
		"proto": {append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...), otlp.Logs},
	} {
		r, err := NewRequests(bytes.NewReader(c.file), c.signal, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		if s, got, err := r.Next(); err != nil || s != otlp.Logs || name == "proto" && !bytes.Equal(got, request) {
			t.Errorf("%s: %s, %v", name, s, err)
		}
	}
}
