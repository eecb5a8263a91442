package obsreport

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/penstock-telemetry/penstock/otlp"
)

// bench is a receiver with an SDK whose metrics and spans can be read.
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
	if b.Receiver, err = NewReceiver(id, transport, tp, mp, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// recorded is what the SDK has recorded for one instrument.
type recorded struct {
	Kind, Unit, Description string
	// Values are sums, or a histogram's counts, by encoded attribute set.
	Values map[string]int64
}

func (b bench) collect(t *testing.T) map[string]recorded {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := b.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	out := map[string]recorded{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			o := recorded{kindNames[seconds], m.Unit, m.Description, map[string]int64{}}
			put := func(set attribute.Set, n int64) { o.Values[set.Encoded(attribute.DefaultEncoder())] = n }
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				if o.Kind = kindNames[upDown]; data.IsMonotonic {
					o.Kind = kindNames[counter]
				}
				for _, p := range data.DataPoints {
					put(p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				o.Kind = kindNames[gauge]
				for _, p := range data.DataPoints {
					put(p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				o.Kind = kindNames[gauge]
				for _, p := range data.DataPoints {
					put(p.Attributes, int64(p.Value))
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, int64(p.Count))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, int64(p.Count))
				}
			default:
				t.Fatalf("%s is a %T", m.Name, m.Data)
			}
			out[m.Name] = o
		}
	}
	return out
}

// counters returns all metrics except the gauges, which always exist.
func (b bench) counters(t *testing.T) map[string]recorded {
	t.Helper()
	got := b.collect(t)
	maps.DeleteFunc(got, func(_ string, o recorded) bool { return o.Kind == kindNames[upDown] })
	return got
}

// The names in the Collector's dashboards, in full.
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
			for _, format := range []string{"json", "yaml", "whatever"} {
				_, op := b.Start(t.Context(), s)
				op.End(format, Outcome{Accepted: 100}, nil)
			}
			row := func(text string, protobuf, json, unknown int64) recorded {
				return recorded{"counter", want.unit, text, map[string]int64{
					"format=protobuf,receiver=otlp/2,transport=grpc": protobuf,
					"format=json,receiver=otlp/2,transport=grpc":     json,
					"format=unknown,receiver=otlp/2,transport=grpc":  unknown,
				}}
			}
			if diff := cmp.Diff(map[string]recorded{
				"otelcol_receiver_accepted_" + want.item: row("Number of "+want.noun+" successfully pushed into the pipeline.", 9, 100, 200),
				"otelcol_receiver_refused_" + want.item:  row("Number of "+want.noun+" that could not be pushed into the pipeline.", 4, 0, 0),
				"otelcol_receiver_failed_" + want.item:   row("The number of "+want.noun+" that failed to be processed by the receiver due to internal errors.", 7, 0, 0),
			}, b.counters(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// Alerts on the rate of refused items need the series before the first refusal.
func TestReceiverSeriesExistAfterFirstRequest(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"protobuf", "json", "unknown"} {
		b := newBench(t, "otlp", "http")
		for _, s := range otlp.Signals() {
			_, op := b.Start(t.Context(), s)
			op.End(format, Outcome{}, nil)
		}
		got := b.counters(t)
		if len(got) != 12 {
			t.Errorf("%d metrics after one request a signal, want 12", len(got))
		}
		for name, s := range got {
			if diff := cmp.Diff(map[string]int64{"format=" + format + ",receiver=otlp,transport=http": 0}, s.Values); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
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
				t.Errorf("span has the name %q, want %q", got, w)
			}
			if got := sp.InstrumentationScope().Name; got != "otlp/2" {
				t.Errorf("tracer has the name %q, want the receiver's id", got)
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
