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

// Receiver measures what one receiver takes in over one transport. It is safe
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

// receiverRow is what Receiver holds for the items of one signal. Row 0 stays
// empty.
type receiverRow struct {
	spanName string
	spanKeys [3]attribute.Key // accepted_spans, …
	formats  [formatCount]group
}

// Outcome splits a request's items by what became of them. The three add up to
// the items of the request.
type Outcome struct {
	// Accepted items were kept by the pipeline.
	Accepted int
	// Refused items came back from the pipeline; the sender was told.
	Refused int
	// Failed items were lost to a fault in the receiver itself.
	Failed int
}

// NewReceiver makes the instruments of the receiver called id in the
// configuration ("otlp/2") for one transport ("grpc", "http"). routes are the
// HTTP paths that it answers; without any they are the signals' own. Close it.
func NewReceiver(id, transport string, tp trace.TracerProvider, mp metric.MeterProvider, routes ...string) (*Receiver, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("receiver %q", id)}
	r := &Receiver{
		tracer: tp.Tracer(id),
		tags:   []attribute.KeyValue{attrReceiver.key.String(id), attrTransport.key.String(transport)},
	}
	for _, s := range otlp.Signals() {
		r.rows[s].init(m, id, s, r.tags)
	}
	r.requests.init(m, r.tags)
	r.server.init(m, transport, r.tags[0], routes)
	r.initConnections(m)
	if err := m.err(); err != nil {
		return nil, err
	}
	return r, nil
}

func (row *receiverRow) init(m *maker, id string, s otlp.Signal, tags []attribute.KeyValue) {
	row.spanName = "receiver/" + id + "/" + s.Spec().ReceiveOp
	for i, name := range [...]string{"accepted_", "refused_", "failed_"} {
		row.spanKeys[i] = attribute.Key(name + s.Spec().Item)
		c := m.counter(itemsAccepted+i, s)
		for f := range row.formats {
			g := &row.formats[f]
			g.series = append(g.series, newSeries(c, with(tags, attrFormat.key.String(formatNames[f]))...))
		}
	}
}

// Close takes the gauges off the meter, so that a receiver made anew starts
// alone. Counters go on counting: a drain may still be heard of.
func (r *Receiver) Close() error {
	var err error
	r.closing.Do(func() { err = r.gauges.Unregister() })
	return err
}

// ReceiveOp is one request under measurement. End it once.
type ReceiveOp struct {
	receiver *Receiver
	row      *receiverRow
	ctx      context.Context
	span     trace.Span
}

// Start begins the span of a request of signal s. The consumer is to be called
// with the context that it returns.
func (r *Receiver) Start(ctx context.Context, s otlp.Signal) (context.Context, ReceiveOp) {
	row := &r.rows[s]
	ctx, span := r.tracer.Start(ctx, row.spanName)
	return ctx, ReceiveOp{receiver: r, row: row, ctx: ctx, span: span}
}

// End counts the request's items and ends its span. format is "protobuf" or
// "json", anything else counts as "unknown"; err is nil, or why not all items
// were accepted.
func (op ReceiveOp) End(format string, out Outcome, err error) {
	items := [3]int64{int64(out.Accepted), int64(out.Refused), int64(out.Failed)}
	g := &op.row.formats[formatOf(format)]
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
