// Package grpcgzip is a process that registers gRPC's own gzip, as hosts do:
// penstock leaves it there, and takes requests that it compressed.
package grpcgzip

import (
	"context"
	"reflect"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

// The host calls it, and only gzip stays as it was: nobody else had the others.
func init() { otlpreceiver.RegisterGRPCEncodings() }

func packageOf(name string) string {
	c := encoding.GetCompressor(name)
	if c == nil {
		return ""
	}
	return reflect.TypeOf(c).Elem().PkgPath()
}

func TestRegistry(t *testing.T) {
	const ours = "github.com/penstock-telemetry/penstock/internal/compress"
	for name, want := range map[string]string{"gzip": "google.golang.org/grpc/encoding/gzip", "zstd": ours, "snappy": ours} {
		if got := packageOf(name); got != want {
			t.Errorf("%s is of package %q, want %q", name, got, want)
		}
	}
}

func TestReceiver(t *testing.T) {
	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
	cfg.Protocols.GRPC.Endpoint = "127.0.0.1:0"
	r, err := otlpreceiver.New(cfg, component.Settings{ID: "otlp"})
	if err != nil {
		t.Fatal(err)
	}
	next := &testkit.Sink{}
	if err := r.Register(otlp.Traces, next); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Shutdown(context.Background())
	conn, err := grpc.NewClient(r.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := &coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{Name: "a"}, {Name: "b"}}}},
	}}}
	for i, name := range []string{"gzip", "zstd", "snappy"} {
		if _, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), request, grpc.UseCompressor(name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := next.Items(otlp.Traces); n != 2*(i+1) {
			t.Errorf("%s: %d spans have arrived, want %d", name, n, 2*(i+1))
		}
	}
}
