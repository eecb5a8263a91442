package obsreport

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Processor records the metrics of one processor in all of its pipelines. It
// implements pipeline.Observer, and is safe for concurrent use.
type Processor struct {
	rows     [otlp.Profiles + 1]processorRow // row 0 is empty
	duration metric.Float64Histogram         // nil if not measured
}

// processorRow has the counters of one signal.
type processorRow struct {
	items  group // incoming, outgoing
	record []metric.RecordOption
}

// NewProcessor creates the instruments of the processor with this id in the
// configuration ("resource/2"). durations enables measuring the time of each
// batch.
func NewProcessor(id string, mp metric.MeterProvider, durations bool) (*Processor, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("processor %q", id)}
	p := &Processor{}
	incoming, outgoing := m.counter(itemsIncoming, 0), m.counter(itemsOutgoing, 0)
	if durations {
		p.duration = m.seconds(processorDuration)
	}
	for _, s := range otlp.Signals() {
		tags := []attribute.KeyValue{attrProcessor.key.String(id), attrOtel.key.String(signalName(s))}
		p.rows[s].items.series = []series{newSeries(incoming, tags...), newSeries(outgoing, tags...)}
		p.rows[s].record = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(tags...))}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// Timed reports whether Processed records durations.
func (p *Processor) Timed() bool { return p.duration != nil }

// Processed counts a batch of signal s with in items, of which out were passed
// on. It records took unless it is 0, which means that it was not measured.
func (p *Processor) Processed(ctx context.Context, s otlp.Signal, in, out int, took time.Duration) {
	row := &p.rows[s]
	row.items.begin(ctx)
	row.items.series[0].add(ctx, int64(in))
	row.items.series[1].add(ctx, int64(out))
	if p.duration != nil && took > 0 && p.duration.Enabled(ctx) {
		p.duration.Record(ctx, took.Seconds(), row.record...)
	}
}
