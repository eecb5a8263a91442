package obsreport

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestExporterCounts(t *testing.T) {
	t.Parallel()
	for s, want := range collectorNames {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			b := bench{reader: sdkmetric.NewManualReader()}
			e, err := NewExporter("otlp/2", sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), false, nil)
			if err != nil {
				t.Fatal(err)
			}
			cause := errors.New("no")
			e.Sent(t.Context(), s, 5, nil) // all series exist from here on
			if n := len(b.collect(t)); n != 3 {
				t.Errorf("%d metrics after the first request, want 3", n)
			}
			e.Sent(t.Context(), s, 5, &pipeline.Error{Kind: pipeline.Partial, Rejected: 2, Err: cause})
			e.Sent(t.Context(), s, 7, &pipeline.Error{Kind: pipeline.Partial, Rejected: 100, Err: cause})
			e.Sent(t.Context(), s, 11, &pipeline.Error{Kind: pipeline.Permanent, Err: cause})
			// A request that is retried counts a failed attempt each time, and
			// no failed items if it succeeds.
			e.Attempt(t.Context(), s, pipeline.Classify(cause))
			e.Attempt(t.Context(), s, &pipeline.Error{Kind: pipeline.Overloaded, Err: cause})
			e.Attempt(t.Context(), s, &pipeline.Error{Kind: pipeline.Retryable, Err: cause})
			e.Attempt(t.Context(), s, nil)
			e.Outcome(t.Context(), s, 100, 0, nil)
			e.Outcome(t.Context(), s, 1000, 1000, nil) // never sent
			row := func(text string, n int64) recorded {
				return recorded{"counter", want.unit, text, map[string]int64{"exporter=otlp/2": n}}
			}
			of := func(result string) string { return "exporter=otlp/2,result=" + result }
			if diff := cmp.Diff(map[string]recorded{
				"otelcol_exporter_sent_" + want.item:        row("Number of "+want.noun+" successfully sent to destination.", 5+3+100),
				"otelcol_exporter_send_failed_" + want.item: row("Number of "+want.noun+" that were not accepted when their request was settled.", 2+7+11+1000),
				"otelcol_exporter_send_attempts": {"counter", "{attempt}", "Number of attempts to send a request, by result.", map[string]int64{
					of("success"): 2, of("partial"): 2, of("permanent"): 1, of("retryable"): 2, of("overloaded"): 1,
				}},
			}, b.collect(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// to returns one destination for all signals.
func to(destination string) func(otlp.Signal) string {
	return func(otlp.Signal) string { return destination }
}

// At level detailed, items that failed are counted by the cause, as in the Collector's
// exporterhelper, and attempts by the signal.
func TestExporterCauses(t *testing.T) {
	t.Parallel()
	b := bench{reader: sdkmetric.NewManualReader()}
	e, err := NewExporter("otlp", sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), true, to("gateway:4317"))
	if err != nil {
		t.Fatal(err)
	}
	e.Sent(t.Context(), otlp.Logs, 1, nil)
	if got := b.collect(t)["otelcol_exporter_send_failed_log_records"].Values; len(got) != 0 {
		t.Errorf("%v before the first failure", got)
	}
	want, n := map[string]int64{}, 1
	for cause, tags := range map[*pipeline.Error]string{
		{Kind: pipeline.Retryable, Code: 14}:                                          "error.permanent=false,error.type=Unavailable",
		{Kind: pipeline.Permanent, Code: 3}:                                           "error.permanent=true,error.type=InvalidArgument",
		{Kind: pipeline.Permanent, Code: 12}:                                          "error.permanent=true,error.type=Unimplemented",
		{Kind: pipeline.Retryable, Code: 1}:                                           "error.permanent=false,error.type=Canceled",
		{Kind: pipeline.Retryable, Code: 4}:                                           "error.permanent=false,error.type=DeadlineExceeded",
		{Kind: pipeline.Retryable, Code: 4, Err: context.DeadlineExceeded}:            "error.permanent=false,error.type=Deadline_Exceeded",
		{Kind: pipeline.Retryable, Err: fmt.Errorf("send: %w", context.Canceled)}:     "error.permanent=false,error.type=Canceled",
		{Kind: pipeline.Retryable, Err: fmt.Errorf("exporter: %w", ErrShutDown)}:      "error.permanent=false,error.type=Shutdown",
		{Kind: pipeline.Retryable, Err: errors.New("anything")}:                       "error.permanent=false,error.type=_OTHER",
		{Kind: pipeline.Permanent, Code: 77}:                                          "error.permanent=true,error.type=_OTHER",
		{Kind: pipeline.Partial, Rejected: 1 << 40, Err: errors.New("not all of it")}: "error.permanent=true,error.type=_OTHER",
	} {
		e.Sent(t.Context(), otlp.Logs, n, cause)
		want[tags+",exporter=otlp,server.address=gateway,server.port=4317"] += int64(n)
		n *= 2
	}
	got := b.collect(t)
	if diff := cmp.Diff(want, got["otelcol_exporter_send_failed_log_records"].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := got["otelcol_exporter_send_attempts"].Values["exporter=otlp,result=success,signal=logs"]; n != 1 {
		t.Errorf("%d attempts for logs", n)
	}
}

// Items have the host, port and path of the destination.
func TestExporterDestination(t *testing.T) {
	t.Parallel()
	for destination, want := range map[string]string{
		"":                               "exporter=otlp",
		"gateway:4317":                   "exporter=otlp,server.address=gateway,server.port=4317",
		"[::1]:4317":                     "exporter=otlp,server.address=::1,server.port=4317",
		"dns:///gateway.example:4317":    "exporter=otlp,server.address=gateway.example,server.port=4317",
		"http://user:secret@gateway/x":   "exporter=otlp,server.address=gateway,server.port=80,url.path=/x",
		"https://gateway.example/v1/x?y": "exporter=otlp,server.address=gateway.example,server.port=443,url.path=/v1/x",
		"https://[::1]:4318":             "exporter=otlp,server.address=::1,server.port=4318",
		"unix:///run/otlp.sock":          "exporter=otlp,server.address=/run/otlp.sock",
		"gateway":                        "exporter=otlp,server.address=gateway",
	} {
		b := bench{reader: sdkmetric.NewManualReader()}
		e, err := NewExporter("otlp", sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), false, to(destination))
		if err != nil {
			t.Fatal(err)
		}
		e.Sent(t.Context(), otlp.Traces, 2, nil)
		for _, name := range []string{"otelcol_exporter_sent_spans", "otelcol_exporter_send_failed_spans"} {
			for got := range b.collect(t)[name].Values {
				if got != want {
					t.Errorf("%s to %q: %s, want %s", name, destination, got, want)
				}
			}
		}
	}
}

// Requests are counted while they are being sent.
func TestExporterInFlight(t *testing.T) {
	t.Parallel()
	b := bench{reader: sdkmetric.NewManualReader()}
	e, err := NewExporter("otlp", sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	inFlight := func() int64 {
		return b.collect(t)["otelcol_exporter_in_flight_requests"].Values["data_type=logs,exporter=otlp"]
	}
	e.Begin(t.Context(), otlp.Logs)
	e.Begin(t.Context(), otlp.Logs)
	if n := inFlight(); n != 2 {
		t.Errorf("%d", n)
	}
	e.End(t.Context(), otlp.Logs)
	e.End(t.Context(), otlp.Logs)
	if n := inFlight(); n != 0 {
		t.Errorf("%d at the end", n)
	}
}
