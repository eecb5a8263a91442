package obsreport

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var _ pipeline.Observer = (*Processor)(nil)

func TestProcessorCounts(t *testing.T) {
	t.Parallel()
	for _, durations := range []bool{false, true} {
		b := bench{reader: sdkmetric.NewManualReader()}
		p, err := NewProcessor("resource/2", sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), durations)
		if err != nil {
			t.Fatal(err)
		}
		if p.Timed() != durations {
			t.Errorf("timed %v, want %v", p.Timed(), durations)
		}
		ctx := t.Context()
		p.Processed(ctx, otlp.Traces, 5, 3, time.Millisecond)
		p.Processed(ctx, otlp.Traces, 7, 0, time.Millisecond)
		p.Processed(ctx, otlp.Logs, 0, 0, 0) // both series exist from here on; nobody measured the time
		of := func(signal string) string { return "otel.signal=" + signal + ",processor=resource/2" }
		want := map[string]recorded{
			"otelcol_processor_incoming_items": {"counter", "{item}", "Number of items passed to the processor.", map[string]int64{of("traces"): 12, of("logs"): 0}},
			"otelcol_processor_outgoing_items": {"counter", "{item}", "Number of items emitted from the processor.", map[string]int64{of("traces"): 3, of("logs"): 0}},
		}
		if durations {
			want["otelcol_processor_internal_duration"] = recorded{"histogram", "s",
				"Duration of time taken to process a batch of telemetry data through the processor.", map[string]int64{of("traces"): 2}}
		}
		if diff := cmp.Diff(want, b.collect(t)); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	}
}

func TestProcessorAllocatesNothing(t *testing.T) {
	for name, create := range map[string]func() (*Processor, error){
		"sdk":  func() (*Processor, error) { return NewProcessor("resource", measuring(), true) },
		"noop": func() (*Processor, error) { return NewProcessor("resource", metricnoop.NewMeterProvider(), true) },
	} {
		p, err := create()
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { p.Processed(context.Background(), otlp.Traces, 9, 8, time.Millisecond) }); n > 0 {
			t.Errorf("%s: %v allocations a batch", name, n)
		}
	}
}

func BenchmarkProcessor(b *testing.B) {
	for name, durations := range map[string]bool{"counts": false, "durations": true} {
		b.Run(name, func(b *testing.B) {
			p, err := NewProcessor("resource", measuring(), durations)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Processed(context.Background(), otlp.Traces, 9, 8, time.Millisecond)
			}
		})
	}
}
