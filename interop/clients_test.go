package interop

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/penstock-telemetry/penstock/otlp"
)

// sdk is the Go SDK's three exporters over one transport.
type sdk struct {
	traces  sdktrace.SpanExporter
	metrics sdkmetric.Exporter
	logs    sdklog.Exporter
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func sdkGRPC(t *testing.T, addr string) sdk {
	ctx := t.Context()
	return sdk{
		must[*otlptrace.Exporter](t)(otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(addr), otlptracegrpc.WithInsecure())),
		must[*otlpmetricgrpc.Exporter](t)(otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(addr), otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithCompressor("gzip"))),
		must[*otlploggrpc.Exporter](t)(otlploggrpc.New(ctx, otlploggrpc.WithEndpoint(addr), otlploggrpc.WithInsecure())),
	}
}

func sdkHTTP(t *testing.T, addr string) sdk {
	ctx := t.Context()
	return sdk{
		must[*otlptrace.Exporter](t)(otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(addr), otlptracehttp.WithInsecure())),
		must[*otlpmetrichttp.Exporter](t)(otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(addr), otlpmetrichttp.WithInsecure())),
		must[*otlploghttp.Exporter](t)(otlploghttp.New(ctx, otlploghttp.WithEndpoint(addr), otlploghttp.WithInsecure())),
	}
}

// The Go SDK over both transports: what it sends is what arrives.
func TestGoSDK(t *testing.T) {
	for name, make := range map[string]func(*testing.T, string) sdk{"grpc": sdkGRPC, "http": sdkHTTP} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			p := newTap(t, c.a.grpc, c.a.http)
			addr := map[string]string{"grpc": p.grpc, "http": p.http}[name]
			want := make(t, addr).use(t)
			c.arrived(t, want, p.sent)
		})
	}
}

// gzip goes all the way to penstock, and what comes out of it arrives.
func TestGoSDKCompressed(t *testing.T) {
	c := newChain(t)
	p := newTap(t, c.a.grpc, c.a.http, grpc.UseCompressor("gzip"))
	ctx := t.Context()
	s := sdk{
		must[*otlptrace.Exporter](t)(otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(p.http), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))),
		must[*otlpmetricgrpc.Exporter](t)(otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(p.grpc), otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithCompressor("gzip"))),
		must[*otlploghttp.Exporter](t)(otlploghttp.New(ctx, otlploghttp.WithEndpoint(p.http), otlploghttp.WithInsecure(), otlploghttp.WithCompression(otlploghttp.GzipCompression))),
	}
	c.arrived(t, s.use(t), p.sent)
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Logs} {
		if p.gzipped[s] == 0 || p.gzipped[s] != len(p.sent[s]) {
			t.Errorf("%s: %d of %d HTTP bodies were compressed", s, p.gzipped[s], len(p.sent[s]))
		}
	}
}

// use makes spans, data points and log records, sends them, and returns how many.
func (s sdk) use(t *testing.T) map[otlp.Signal]int {
	t.Helper()
	ctx := context.Background()
	const spans, points, records = 1234, 60, 777

	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(s.traces, sdktrace.WithMaxQueueSize(4*spans)))
	for i := range spans {
		_, span := tp.Tracer("interop").Start(ctx, fmt.Sprintf("span %d", i))
		span.SetAttributes(attribute.Int("i", i), attribute.StringSlice("list", []string{"a", "ü"}), attribute.Float64("f", 0.5))
		span.AddEvent("event")
		span.End()
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(s.metrics, sdkmetric.WithInterval(time.Hour))))
	counter := must[metric.Int64Counter](t)(mp.Meter("interop").Int64Counter("requests"))
	histogram := must[metric.Float64Histogram](t)(mp.Meter("interop").Float64Histogram("duration"))
	for i := range points / 2 {
		set := metric.WithAttributes(attribute.Int("i", i))
		counter.Add(ctx, 1, set)
		histogram.Record(ctx, 0.1, set)
	}
	lp := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(s.logs, sdklog.WithMaxQueueSize(4*records))))
	for i := range records {
		var r log.Record
		r.SetTimestamp(time.Unix(1_790_000_000, int64(i)))
		r.SetSeverity(log.SeverityInfo)
		r.SetBody(attribute.StringValue(fmt.Sprintf("record %d", i)))
		lp.Logger("interop").Emit(ctx, r)
	}
	for _, shutdown := range []func(context.Context) error{tp.Shutdown, mp.Shutdown, lp.Shutdown} {
		if err := shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	return map[otlp.Signal]int{otlp.Traces: spans, otlp.Metrics: points, otlp.Logs: records}
}

// Real payloads of an eBPF profiler, by gRPC and HTTP.
func TestProfilerPayloads(t *testing.T) {
	files, err := filepath.Glob("../internal/test/testkit/testdata/profiles/*.binpb")
	if err != nil || len(files) == 0 {
		t.Fatal("no payloads", err)
	}
	c := newChain(t)
	p := newTap(t, c.a.grpc, c.a.http)
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	samples := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n, err := otlp.Check(otlp.Profiles, b)
		if err != nil {
			t.Fatal(err)
		}
		samples += 2 * n
		if err := conn.Invoke(t.Context(), otlp.Profiles.Spec().Method, &raw{b}, &raw{}); err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post("http://"+p.http+otlp.Profiles.Spec().Path, "application/x-protobuf", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	c.arrived(t, map[otlp.Signal]int{otlp.Profiles: samples}, p.sent)
}

const telemetrygen = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0"

func TestTelemetrygen(t *testing.T) {
	bin := t.TempDir()
	install := exec.Command("go", "install", telemetrygen)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=-mod=mod")
	install.Dir = bin
	if out, err := install.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" { // it has a network, and nobody reads its skips
			t.Fatalf("telemetrygen cannot be installed: %v\n%s", err, out)
		}
		t.Skipf("telemetrygen cannot be installed here: %v\n%s", err, out)
	}
	c := newChain(t)
	p := newTap(t, c.a.grpc, c.a.http)
	const count = 300
	want := map[otlp.Signal]int{}
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Metrics, otlp.Logs} {
		for _, over := range [][]string{
			{"--otlp-endpoint", p.grpc},
			{"--otlp-endpoint", p.http, "--otlp-http"},
		} {
			args := append([]string{s.String(), "--otlp-insecure", "--" + s.String(), fmt.Sprint(count), "--rate", "0", "--workers", "1"}, over...)
			if out, err := exec.Command(filepath.Join(bin, "telemetrygen"), args...).CombinedOutput(); err != nil {
				t.Fatalf("telemetrygen %v: %v\n%s", args, err, out)
			}
			want[s] += count
		}
	}
	want[otlp.Traces] *= 2 // a trace is a parent and a child
	c.arrived(t, want, p.sent)
}
