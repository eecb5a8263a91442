package obsreport

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
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
			row := func(text string, n int64) observed {
				return observed{"counter", want.unit, text, map[string]int64{"exporter=otlp/2": n}}
			}
			if diff := cmp.Diff(map[string]observed{
				"otelcol_exporter_sent_" + want.item:        row("Number of "+want.noun+" successfully sent to destination.", 8),
				"otelcol_exporter_send_failed_" + want.item: row("Number of "+want.noun+" in failed attempts to send to destination.", 2),
			}, b.collect(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}
