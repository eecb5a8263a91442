package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Exporter measures what one exporter sends. It is safe for concurrent use.
type Exporter struct {
	rows [otlp.Profiles + 1]group // sent, failed; row 0 stays empty
}

// NewExporter makes the instruments of the exporter called id in the
// configuration ("otlp/2").
func NewExporter(id string, mp metric.MeterProvider) (*Exporter, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("exporter %q", id)}
	e := &Exporter{}
	tag := attrExporter.key.String(id)
	for _, s := range otlp.Signals() {
		e.rows[s].series = []series{
			newSeries(m.counter(itemsSent, s), tag),
			newSeries(m.counter(itemsSendFailed, s), tag),
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return e, nil
}

// Sent counts the items of one request of signal s: those that the destination
// took and those that it did not.
func (e *Exporter) Sent(ctx context.Context, s otlp.Signal, sent, failed int) {
	row := &e.rows[s]
	row.begin(ctx)
	row.series[0].add(ctx, int64(sent))
	row.series[1].add(ctx, int64(failed))
}
