package obsreport

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Receiver records the metrics of one receiver for one transport. It is safe
// for concurrent use.
type Receiver struct {
	tracer trace.Tracer
	tags   []attribute.KeyValue // receiver, transport
	rows   [otlp.Profiles + 1]receiverRow

	requests requestCounters
	server   serverHistograms

	active, connections atomic.Int64 // observed by gauges
	refusals            group        // of connections, by ConnReason
	gauges              metric.Registration
	closing             sync.Once
}

// receiverRow has the counters for the items of one signal. Row 0 is empty.
type receiverRow struct {
	spanName string
	spanKeys [3]attribute.Key // accepted_spans, …
	formats  []group          // one, or one for each format
}

// Outcome splits the items of a request by outcome. The three add up to the
// items of the request.
type Outcome struct {
	// Accepted items were accepted by the pipeline.
	Accepted int
	// Refused items were refused by the pipeline; the client got an error.
	Refused int
	// Failed items were lost because of an error in the receiver itself.
	Failed int
}

// NewReceiver creates the instruments of the receiver with this id in the
// configuration ("otlp/2") for one transport ("grpc", "http"). routes are the
// HTTP paths that it serves; the default is the paths of the signals. If
// detailed, it also records durations and sizes of requests, as the Collector does at that
// level, and the format of items and the format and signal of requests. The caller must
// call Close.
func NewReceiver(id, transport string, tp trace.TracerProvider, mp metric.MeterProvider, detailed bool, routes ...string) (*Receiver, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("receiver %q", id)}
	r := &Receiver{
		tracer: tp.Tracer(id),
		tags:   []attribute.KeyValue{attrReceiver.key.String(id), attrTransport.key.String(transport)},
	}
	for _, s := range otlp.Signals() {
		r.rows[s].init(m, id, s, r.tags, detailed)
	}
	r.requests.init(m, r.tags, detailed)
	if detailed {
		r.server.init(m, transport, r.tags[0], routes)
	}
	r.initConnections(m)
	if err := m.err(); err != nil {
		return nil, err
	}
	return r, nil
}

func (row *receiverRow) init(m *maker, id string, s otlp.Signal, tags []attribute.KeyValue, detailed bool) {
	row.formats = make([]group, 1)
	if detailed {
		row.formats = make([]group, formatCount)
	}
	row.spanName = "receiver/" + id + "/" + s.Spec().ReceiveOp
	for i, name := range [...]string{"accepted_", "refused_", "failed_"} {
		row.spanKeys[i] = attribute.Key(name + s.Spec().Item)
		c := m.counter(itemsAccepted+i, s)
		for f := range row.formats {
			g := &row.formats[f]
			labels := tags
			if len(row.formats) > 1 {
				labels = with(tags, attrFormat.key.String(formatNames[f]))
			}
			g.series = append(g.series, newSeries(c, labels...))
		}
	}
}

// Close unregisters the gauges, so that a new receiver with the same id
// replaces them. Counters can still be used, for requests that are finished
// during shutdown.
func (r *Receiver) Close() error {
	var err error
	r.closing.Do(func() { err = r.gauges.Unregister() })
	return err
}

// ReceiveOp is one request. Its End must be called once.
type ReceiveOp struct {
	receiver *Receiver
	row      *receiverRow
	ctx      context.Context
	span     trace.Span
}

// Start begins the span of a request of signal s. Call the consumer with the
// returned context.
func (r *Receiver) Start(ctx context.Context, s otlp.Signal) (context.Context, ReceiveOp) {
	row := &r.rows[s]
	ctx, span := r.tracer.Start(ctx, row.spanName)
	return ctx, ReceiveOp{receiver: r, row: row, ctx: ctx, span: span}
}

// End counts the items of the request and ends its span. format is "protobuf"
// or "json", anything else is counted as "unknown"; err is the reason if not
// all items were accepted.
func (op ReceiveOp) End(format string, out Outcome, err error) {
	items := [3]int64{int64(out.Accepted), int64(out.Refused), int64(out.Failed)}
	g := &op.row.formats[min(int(formatOf(format)), len(op.row.formats)-1)]
	g.begin(op.ctx)
	for i, n := range items {
		g.series[i].add(op.ctx, n)
	}
	if op.span.IsRecording() {
		op.span.SetAttributes(op.receiver.tags[1], attribute.String("format", format),
			op.row.spanKeys[0].Int64(items[0]), op.row.spanKeys[1].Int64(items[1]), op.row.spanKeys[2].Int64(items[2]))
		if err != nil {
			op.span.SetStatus(codes.Error, err.Error())
		}
	}
	op.span.End()
}
