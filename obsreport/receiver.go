package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-telemetry/penstock/otlp"
)

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

// Receiver measures what one receiver takes in over one transport. It is safe
// for concurrent use.
type Receiver struct {
	tracer  trace.Tracer
	add     []metric.AddOption // receiver and transport, shared by all counters
	spanTag attribute.KeyValue // transport
	rows    [otlp.Profiles + 1]receiverRow
}

// receiverRow is what Receiver holds for one signal. Row 0 stays empty.
type receiverRow struct {
	spanName string
	counters [3]metric.Int64Counter // in the order of receiverOutcomes
	spanKeys [3]attribute.Key       // accepted_spans, …
}

// receiverOutcomes names the three outcomes as the Collector's metrics do, with
// a description that takes the noun of the signal's items.
var receiverOutcomes = [3]struct{ name, describes string }{
	{"accepted", "Number of %s successfully pushed into the pipeline."},
	{"refused", "Number of %s that could not be pushed into the pipeline."},
	{"failed", "The number of %s that failed to be processed by the receiver due to internal errors."},
}

// NewReceiver makes the instruments of the receiver called id in the
// configuration ("otlp/2") for one transport ("grpc", "http").
func NewReceiver(id, transport string, tp trace.TracerProvider, mp metric.MeterProvider) (*Receiver, error) {
	set := attribute.NewSet(attribute.String("receiver", id), attribute.String("transport", transport))
	r := &Receiver{
		tracer:  tp.Tracer(id),
		add:     []metric.AddOption{metric.WithAttributeSet(set)},
		spanTag: attribute.String("transport", transport),
	}
	meter := mp.Meter(scope)
	for _, s := range otlp.Signals() {
		row, spec := &r.rows[s], s.Spec()
		row.spanName = "receiver/" + id + "/" + spec.ReceiveOp
		for i, o := range receiverOutcomes {
			name := "otelcol_receiver_" + o.name + "_" + spec.Item
			c, err := meter.Int64Counter(name, metric.WithUnit(spec.Unit),
				metric.WithDescription(fmt.Sprintf(o.describes, noun(s))))
			if err != nil {
				return nil, fmt.Errorf("create metric %s of receiver %q: %w", name, id, err)
			}
			row.counters[i], row.spanKeys[i] = c, attribute.Key(o.name+"_"+spec.Item)
		}
	}
	return r, nil
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
// "json"; err is nil, or why not all items were accepted.
func (op ReceiveOp) End(format string, out Outcome, err error) {
	items := [3]int64{int64(out.Accepted), int64(out.Refused), int64(out.Failed)}
	for i, n := range items {
		op.row.counters[i].Add(op.ctx, n, op.receiver.add...)
	}
	if op.span.IsRecording() {
		op.span.SetAttributes(op.receiver.spanTag, attribute.String("format", format),
			op.row.spanKeys[0].Int64(items[0]), op.row.spanKeys[1].Int64(items[1]), op.row.spanKeys[2].Int64(items[2]))
		if err != nil {
			op.span.SetStatus(codes.Error, err.Error())
		}
	}
	op.span.End()
}
