package obsreport

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// measuring returns a provider like that of the service.
func measuring() metric.MeterProvider {
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
}

func newSilent(tb testing.TB, transport string, mp metric.MeterProvider) *Receiver {
	tb.Helper()
	r, err := NewReceiver("otlp", transport, tracenoop.NewTracerProvider(), mp, true)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// receive makes all calls for one request.
func (r *Receiver) receive(ctx context.Context, q Request, out Outcome, err error) {
	r.Begin()
	q.Began = time.Now()
	consumer, op := r.Start(ctx, q.Signal)
	op.End(q.Format, out, err)
	r.Done(consumer, q)
}

// A request allocates no more than the context of an unsampled span; the
// counters of the SDK do not allocate.
func TestReceiverAllocates(t *testing.T) {
	ctx, refused := context.Background(), errors.New("no")
	for name, mp := range map[string]metric.MeterProvider{"sdk": measuring(), "noop": metricnoop.NewMeterProvider()} {
		for _, transport := range []string{"grpc", "http"} {
			r := newSilent(t, transport, mp)
			bare := testing.AllocsPerRun(100, func() { r.tracer.Start(ctx, "x") })
			full := testing.AllocsPerRun(100, func() {
				r.ConnOpened()
				r.receive(ctx, Request{Signal: otlp.Traces, Format: "json", Method: "POST", Route: "/v1/traces", Status: 200, WireBytes: 9, Bytes: 9},
					Outcome{Accepted: 10}, nil)
				r.ConnClosed()
			}) - bare
			full += testing.AllocsPerRun(100, func() {
				r.receive(ctx, Request{Signal: otlp.Logs, Format: "protobuf", Method: "BREW", Status: 503, Reason: ReasonPipeline, Bytes: 9},
					Outcome{Refused: 10}, refused)
			}) - bare
			full += testing.AllocsPerRun(100, func() {
				r.Begin()
				r.Done(ctx, Request{Method: "GET", Route: "/whatever", Status: 404, Reason: ReasonNotFound, Began: time.Now()})
				r.ConnRefused(ConnLimit)
				r.InvalidUTF8(ctx, otlp.Metrics, "json")
			})
			if full > 0 {
				t.Errorf("%s, %s: %v allocations in addition to those of the tracer", name, transport, full)
			}
		}
	}
}

func TestExporterAllocates(t *testing.T) {
	ctx := t.Context()
	for name, mp := range map[string]metric.MeterProvider{"sdk": measuring(), "noop": metricnoop.NewMeterProvider()} {
		e, err := NewExporter("otlp", mp, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		partial := &pipeline.Error{Kind: pipeline.Partial, Rejected: 1}
		if n := testing.AllocsPerRun(100, func() {
			e.Sent(ctx, otlp.Logs, 10, nil)
			e.Sent(ctx, otlp.Logs, 10, partial)
		}); n > 0 {
			t.Errorf("%s: %v allocations a request, want none", name, n)
		}
	}
}

func TestClientAllocates(t *testing.T) {
	ctx := t.Context()
	u := &url.URL{Scheme: "http", Host: "gateway:4318", Path: "/v1/logs"}
	for name, mp := range map[string]metric.MeterProvider{"sdk": measuring(), "noop": metricnoop.NewMeterProvider()} {
		c, err := NewClient("otlp", mp, to("gateway:4317"))
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() {
			c.Called(ctx, Call{Signal: otlp.Logs, Code: 14})
			c.Called(ctx, Call{Signal: otlp.Logs, URL: u, Status: 200, Protocol: "HTTP/1.1"})
		}); n > 0 {
			t.Errorf("%s: %v allocations for two calls, want none", name, n)
		}
	}
}

// With a meter that does nothing, no sets of attributes are created.
func TestNoopMeterCostsNothing(t *testing.T) {
	r := newSilent(t, "http", metricnoop.NewMeterProvider())
	r.receive(t.Context(), Request{Signal: otlp.Traces, Format: "json", Method: "POST", Status: 200}, Outcome{Accepted: 1}, nil)
	r.InvalidUTF8(t.Context(), otlp.Traces, "json")
	if r.requests.cells[otlp.Traces][formatJSON].Load() != nil || r.server.sets.len() > 0 {
		t.Error("attributes were created for a meter that does nothing")
	}
}

func BenchmarkReceiver(b *testing.B) {
	for _, m := range []struct {
		name string
		mp   metric.MeterProvider
	}{{"sdk", measuring()}, {"noop", metricnoop.NewMeterProvider()}} {
		for _, transport := range []string{"grpc", "http"} {
			b.Run(m.name+"/"+transport, func(b *testing.B) {
				r := newSilent(b, transport, m.mp)
				ctx := context.Background()
				q := Request{Signal: otlp.Traces, Format: "protobuf", Method: "POST", Route: "/v1/traces", WireBytes: 5800, Bytes: 5800}
				if transport == "http" {
					q.Status = 200
				}
				b.ReportAllocs()
				for b.Loop() {
					r.receive(ctx, q, Outcome{Accepted: 100}, nil)
				}
			})
		}
	}
}
