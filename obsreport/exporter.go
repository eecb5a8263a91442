package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Exporter measures what one exporter sends. It is safe for concurrent use.
type Exporter struct {
	add  []metric.AddOption // exporter, shared by all counters
	rows [otlp.Profiles + 1]exporterRow
}

// exporterRow is what Exporter holds for one signal. Row 0 stays empty.
type exporterRow struct{ sent, failed metric.Int64Counter }

// NewExporter makes the instruments of the exporter called id in the
// configuration ("otlp/2").
func NewExporter(id string, mp metric.MeterProvider) (*Exporter, error) {
	e := &Exporter{add: []metric.AddOption{
		metric.WithAttributeSet(attribute.NewSet(attribute.String("exporter", id))),
	}}
	meter := mp.Meter(scope)
	for _, s := range otlp.Signals() {
		for _, c := range []struct {
			into            *metric.Int64Counter
			name, describes string
		}{
			{&e.rows[s].sent, "sent", "Number of %s successfully sent to destination."},
			{&e.rows[s].failed, "send_failed", "Number of %s in failed attempts to send to destination."},
		} {
			name := "otelcol_exporter_" + c.name + "_" + s.Spec().Item
			var err error
			*c.into, err = meter.Int64Counter(name, metric.WithUnit(s.Spec().Unit),
				metric.WithDescription(fmt.Sprintf(c.describes, noun(s))))
			if err != nil {
				return nil, fmt.Errorf("create metric %s of exporter %q: %w", name, id, err)
			}
		}
	}
	return e, nil
}

// Sent counts the items of one request of signal s: those that the destination
// took and those that it did not.
func (e *Exporter) Sent(ctx context.Context, s otlp.Signal, sent, failed int) {
	row := &e.rows[s]
	row.sent.Add(ctx, int64(sent), e.add...)
	row.failed.Add(ctx, int64(failed), e.add...)
}
