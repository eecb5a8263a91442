package obsreport

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock-telemetry/penstock/otlp"
)

// bench is a receiver with an SDK behind it that can be read.
type bench struct {
	*Receiver
	reader *sdkmetric.ManualReader
	spans  *tracetest.SpanRecorder
}

func newBench(t *testing.T, id, transport string) bench {
	t.Helper()
	b := bench{reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader))
	var err error
	if b.Receiver, err = NewReceiver(id, transport, tp, mp); err != nil {
		t.Fatal(err)
	}
	return b
}

type series struct {
	Unit, Description string
	Monotonic         bool
	Values            map[string]int64 // by encoded attribute set
}

func (b bench) collect(t *testing.T) map[string]series {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := b.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	out := map[string]series{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				t.Fatalf("%s is a %T, want a sum of int64", m.Name, m.Data)
			}
			s := series{m.Unit, m.Description, sum.IsMonotonic, map[string]int64{}}
			for _, p := range sum.DataPoints {
				s.Values[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
			}
			out[m.Name] = s
		}
	}
	return out
}

// What the Collector's dashboards ask for, written out.
var collectorNames = map[otlp.Signal]struct{ item, noun, unit, op string }{
	otlp.Traces:   {"spans", "spans", "{span}", "TraceDataReceived"},
	otlp.Metrics:  {"metric_points", "metric points", "{datapoint}", "MetricsReceived"},
	otlp.Logs:     {"log_records", "log records", "{record}", "LogsReceived"},
	otlp.Profiles: {"profile_samples", "profile samples", "{sample}", "ProfilesReceived"},
}

func TestReceiverCounts(t *testing.T) {
	t.Parallel()
	for s, want := range collectorNames {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "otlp/2", "grpc")
			for _, o := range []Outcome{{Accepted: 5}, {Refused: 3}, {Accepted: 4, Refused: 1}, {Failed: 7}} {
				_, op := b.Start(t.Context(), s)
				op.End("protobuf", o, nil)
			}
			const attrs = "receiver=otlp/2,transport=grpc"
			row := func(text string, n int64) series {
				return series{want.unit, text, true, map[string]int64{attrs: n}}
			}
			if diff := cmp.Diff(map[string]series{
				"otelcol_receiver_accepted_" + want.item: row("Number of "+want.noun+" successfully pushed into the pipeline.", 9),
				"otelcol_receiver_refused_" + want.item:  row("Number of "+want.noun+" that could not be pushed into the pipeline.", 4),
				"otelcol_receiver_failed_" + want.item:   row("The number of "+want.noun+" that failed to be processed by the receiver due to internal errors.", 7),
			}, b.collect(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// Alerts on a refused rate need the series before the first refusal.
func TestReceiverSeriesExistAfterFirstRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t, "otlp", "http")
	for _, s := range otlp.Signals() {
		_, op := b.Start(t.Context(), s)
		op.End("protobuf", Outcome{}, nil)
	}
	got := b.collect(t)
	if len(got) != 12 {
		t.Errorf("%d metrics after one request a signal, want 12", len(got))
	}
	for name, s := range got {
		if v, ok := s.Values["receiver=otlp,transport=http"]; !ok || v != 0 {
			t.Errorf("%s: %v, want one series at 0", name, s.Values)
		}
	}
}

func TestReceiverSpan(t *testing.T) {
	t.Parallel()
	for s, want := range collectorNames {
		for _, err := range []error{nil, errors.New("backend is down")} {
			b := newBench(t, "otlp/2", "http")
			ctx, op := b.Start(t.Context(), s)
			op.End("json", Outcome{Accepted: 3, Refused: 2, Failed: 1}, err)
			if n := len(b.spans.Ended()); n != 1 {
				t.Fatalf("%s: %d spans ended, want 1", s, n)
			}
			sp := b.spans.Ended()[0]
			if got, w := sp.Name(), "receiver/otlp/2/"+want.op; got != w {
				t.Errorf("span is called %q, want %q", got, w)
			}
			if got := sp.InstrumentationScope().Name; got != "otlp/2" {
				t.Errorf("tracer is called %q, want the receiver's id", got)
			}
			if _, child := b.tracer.Start(ctx, "below"); child.SpanContext().TraceID() != sp.SpanContext().TraceID() {
				t.Error("Start's context does not carry the span")
			}
			set := attribute.NewSet(sp.Attributes()...)
			if got, w := set.Encoded(attribute.DefaultEncoder()),
				"accepted_"+want.item+"=3,failed_"+want.item+"=1,format=json,refused_"+want.item+"=2,transport=http"; got != w {
				t.Errorf("attributes %s, want %s", got, w)
			}
			status := sdktrace.Status{}
			if err != nil {
				status = sdktrace.Status{Code: codes.Error, Description: "backend is down"}
			}
			if sp.Status() != status {
				t.Errorf("status %v, want %v", sp.Status(), status)
			}
		}
	}
}

// A request must not cost more than the API's own context. The SDK's counters
// do not allocate; an unsampled span's context does.
func TestReceiverAllocates(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	r, err := NewReceiver("otlp", "grpc", tracenoop.NewTracerProvider(), sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, refused := context.Background(), errors.New("no")
	bare := testing.AllocsPerRun(100, func() { r.tracer.Start(ctx, "x") })
	full := testing.AllocsPerRun(100, func() {
		_, op := r.Start(ctx, otlp.Traces)
		op.End("protobuf", Outcome{Refused: 10}, refused)
	})
	if full > bare {
		t.Errorf("%v allocations a request, the tracer alone makes %v", full, bare)
	}
}

func BenchmarkReceiver(b *testing.B) {
	r, err := NewReceiver("otlp", "grpc", tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, op := r.Start(b.Context(), otlp.Traces)
		op.End("protobuf", Outcome{Accepted: 10}, nil)
	}
}
