package otlpreceiver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/grpcserver"
)

// benchHandlers are what serves traces over the three transports, without the
// network.
func benchHandlers(b *testing.B) (overGRPC grpc.StreamHandler, overHTTP http.Handler, conn *conns.Conn) {
	b.Helper()
	r, err := New(testConfig(), component.Settings{})
	if err != nil {
		b.Fatal(err)
	}
	discard := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return nil })
	if err := r.Register(otlp.Traces, discard); err != nil {
		b.Fatal(err)
	}
	all := &servers{}
	front := func(transport string) *frontend.FrontEnd {
		f, _, err := r.frontEnd(all, transport, &ServerConfig{})
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	c := DefaultHTTPConfig()
	paths, err := c.routes()
	if err != nil {
		b.Fatal(err)
	}
	h, err := r.httpHandler(c, front("http"), paths)
	if err != nil {
		b.Fatal(err)
	}
	options := r.grpcOptions(DefaultGRPCConfig(), front("grpc"))
	h.grpc = &grpcserver.OverHTTP{Options: options}
	return grpcserver.Handler(&options, options.Methods[otlp.Traces.Spec().Method]), h, fuzzConn()
}

// benchBodies are requests of one and of 100 spans.
func benchBodies() map[string][]byte {
	return map[string][]byte{"1": request(otlp.Traces, 1), "100": request(otlp.Traces, 100)}
}

func BenchmarkGRPC(b *testing.B) {
	serve, _, conn := benchHandlers(b)
	for name, body := range benchBodies() {
		wire := frame(0, len(body), body)
		b.Run(name, func(b *testing.B) {
			stream := newFakeStream(b.Context(), conn, otlp.Traces, "", wire)
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				stream.left.Reset(wire)
				if err := serve(nil, fakeCall{fakeStream: stream}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// quiet is a ResponseWriter that only remembers the status.
type quiet struct {
	header http.Header
	status int
}

func (q *quiet) Header() http.Header         { return q.header }
func (q *quiet) WriteHeader(status int)      { q.status = status }
func (q *quiet) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkHTTP(b *testing.B) {
	_, h, conn := benchHandlers(b)
	for name, body := range benchBodies() {
		for _, encoding := range append([]string{""}, config.Encodings()[0]) {
			b.Run(name+encoding, func(b *testing.B) {
				benchHTTP(b, h, conn, otlp.Traces.Spec().Path, "application/x-protobuf", encoding, compressed(encoding, body), 1)
			})
		}
	}
}

func BenchmarkGRPCOverHTTP(b *testing.B) {
	_, h, conn := benchHandlers(b)
	for name, body := range benchBodies() {
		b.Run(name, func(b *testing.B) {
			benchHTTP(b, h, conn, otlp.Traces.Spec().Method, "application/grpc", "", frame(0, len(body), body), 2)
		})
	}
}

func benchHTTP(b *testing.B, h http.Handler, conn *conns.Conn, path, contentType, encoding string, body []byte, version int) {
	left := bytes.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, path, io.NopCloser(left))
	r.ContentLength, r.ProtoMajor = int64(len(body)), version
	r.Header.Set("Content-Type", contentType)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	r = r.WithContext(context.WithValue(r.Context(), connKey{}, conn))
	w := &quiet{header: http.Header{}}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		left.Reset(body)
		w.status = 0
		h.ServeHTTP(w, r)
		if w.status > 200 {
			b.Fatal(w.status)
		}
	}
}
