package obsreport

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

func TestExporterCounts(t *testing.T) {
	t.Parallel()
	for s, want := range collectorNames {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			b := bench{reader: sdkmetric.NewManualReader()}
			e, err := NewExporter("otlp/2", sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)))
			if err != nil {
				t.Fatal(err)
			}
			e.Sent(t.Context(), s, 5, 0) // the series of both exist from here on
			if n := len(b.collect(t)); n != 2 {
				t.Errorf("%d metrics after the first request, want 2", n)
			}
			e.Sent(t.Context(), s, 3, 2)
			row := func(text string, n int64) series {
				return series{want.unit, text, true, map[string]int64{"exporter=otlp/2": n}}
			}
			if diff := cmp.Diff(map[string]series{
				"otelcol_exporter_sent_" + want.item:        row("Number of "+want.noun+" successfully sent to destination.", 8),
				"otelcol_exporter_send_failed_" + want.item: row("Number of "+want.noun+" in failed attempts to send to destination.", 2),
			}, b.collect(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExporterAllocates(t *testing.T) {
	e, err := NewExporter("otlp", metricnoop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { e.Sent(ctx, otlp.Logs, 10, 1) }); n > 0 {
		t.Errorf("%v allocations a request, want none", n)
	}
}
