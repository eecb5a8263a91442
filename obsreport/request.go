package obsreport

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Request is a request as it ended.
type Request struct {
	// Signal is 0 where it never became clear.
	Signal otlp.Signal
	// Format is "protobuf", "json", or empty where it never became clear.
	Format string
	// Began is when the head of the request had been read. The zero time leaves
	// the duration out.
	Began time.Time
	// WireBytes is the size of the body as it came, as far as it was read; Bytes
	// is the size after decompression. HTTP's histogram is of the first, gRPC's of
	// the second.
	WireBytes, Bytes int
	// Reason is ReasonNone for a request that was served.
	Reason Reason
	// Status is the HTTP status or gRPC code of the answer. HTTP status 0: nobody
	// was there to get one.
	Status int
	// Method is HTTP's. Any text will do: unknown ones are counted as _OTHER.
	Method string
	// Route is the path of an HTTP request, or the pattern that it matched. What is
	// not among the receiver's routes is left out.
	Route string
}

// Begin says that a request has reached the server. A Done must follow.
func (r *Receiver) Begin() { r.active.Add(1) }

// Done measures a request that ended, served or refused, by whomever.
func (r *Receiver) Done(ctx context.Context, q Request) {
	r.active.Add(-1)
	r.requests.count(ctx, &q)
	r.server.record(ctx, &q)
}

// InvalidUTF8 counts a request that was taken although strings in it are not
// valid UTF-8.
func (r *Receiver) InvalidUTF8(ctx context.Context, s otlp.Signal, format string) {
	if c := &r.requests; c.invalid.Enabled(ctx) {
		cell := c.cell(s, formatOf(format))
		cell.begin(ctx)
		cell.series[outcomeCount].add(ctx, 1)
	}
}

// requestCounters count requests by signal and format.
type requestCounters struct {
	tags                   []attribute.KeyValue
	done, refused, invalid metric.Int64Counter
	cells                  [otlp.Profiles + 1][formatCount]atomic.Pointer[requestCell] // row 0: signal unknown
}

// requestCell is the attribute sets of one signal and format, made when the
// first such request ends: few of the fifteen ever occur. Its group is the
// outcomes and, at outcomeCount, invalid UTF-8.
type requestCell struct {
	group
	reasons [reasonCount]series // not for ReasonNone
}

func (c *requestCounters) init(m *maker, tags []attribute.KeyValue) {
	c.tags = tags
	c.done, c.refused, c.invalid = m.counter(requestsDone, 0), m.counter(requestsRefused, 0), m.counter(requestsInvalidUTF8, 0)
}

func (c *requestCounters) count(ctx context.Context, q *Request) {
	if !c.done.Enabled(ctx) && !c.refused.Enabled(ctx) {
		return
	}
	why := q.Reason.known()
	cell := c.cell(q.Signal, formatOf(q.Format))
	cell.begin(ctx)
	cell.series[why.outcome()].add(ctx, 1)
	if why != ReasonNone {
		cell.reasons[why].add(ctx, 1)
	}
}

// cell returns the cell of s and f. Two who are first at once may make two; one
// of them is kept.
func (c *requestCounters) cell(s otlp.Signal, f format) *requestCell {
	if !s.Valid() {
		s = 0
	}
	at := &c.cells[s][f]
	if cell := at.Load(); cell != nil {
		return cell
	}
	at.CompareAndSwap(nil, c.newCell(s, f))
	return at.Load()
}

func (c *requestCounters) newCell(s otlp.Signal, f format) *requestCell {
	tags := with(c.tags, attrFormat.key.String(formatNames[f]), attrSignal.key.String(signalName(s)))
	cell := &requestCell{}
	for _, name := range outcomeNames {
		cell.series = append(cell.series, newSeries(c.done, with(tags, attrOutcome.key.String(name))...))
	}
	cell.series = append(cell.series, newSeries(c.invalid, tags...))
	for why := ReasonNone + 1; why < reasonCount; why++ {
		cell.reasons[why] = newSeries(c.refused, with(tags, attrReason.key.String(why.String()))...)
	}
	return cell
}
