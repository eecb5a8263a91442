package obsreport

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Request describes a finished request.
type Request struct {
	// Signal is 0 if it is unknown.
	Signal otlp.Signal
	// Format is "protobuf", "json", or empty if it is unknown.
	Format string
	// Began is the time at which the head of the request had been read. With
	// the zero time no duration is recorded.
	Began time.Time
	// WireBytes is the compressed size of the body, as far as it was read; Bytes
	// is the size after decompression. The histogram of HTTP records the first,
	// that of gRPC the second.
	WireBytes, Bytes int
	// Reason is ReasonNone for a request that succeeded.
	Reason Reason
	// Status is the HTTP status or gRPC code of the response. HTTP status 0 means
	// that no response was sent.
	Status int
	// Method is the HTTP method. Unknown methods are counted as _OTHER.
	Method string
	// Protocol is the version of HTTP as in net/http's Request.Proto, and TLS says that
	// the connection is encrypted.
	Protocol string
	TLS      bool
	// Local is the address of this machine at which an HTTP request has arrived, the
	// zero value if it has none.
	Local netip.AddrPort
	// ResponseBytes is the size of the body of an HTTP response.
	ResponseBytes int
	// Route is the path of an HTTP request, or the pattern that it matched. It is
	// not recorded if it is not one of the receiver's routes.
	Route string
}

// Begin records that a request has reached the server. Done must follow.
func (r *Receiver) Begin() { r.active.Add(1) }

// Done records a finished request, successful or refused.
func (r *Receiver) Done(ctx context.Context, q Request) {
	r.active.Add(-1)
	r.requests.count(ctx, &q)
	r.server.record(ctx, &q)
}

// InvalidUTF8 counts a request that was accepted although it contains strings
// that are not valid UTF-8.
func (r *Receiver) InvalidUTF8(ctx context.Context, s otlp.Signal, format string) {
	if c := &r.requests; c.invalid.Enabled(ctx) {
		c.countOdd(ctx, s, format, outcomeCount)
	}
}

// Unrecognized counts a request that was accepted although it has no items, and
// fields that are not known.
func (r *Receiver) Unrecognized(ctx context.Context, s otlp.Signal, format string) {
	if c := &r.requests; c.unrecognized.Enabled(ctx) {
		c.countOdd(ctx, s, format, outcomeCount+1)
	}
}

func (c *requestCounters) countOdd(ctx context.Context, s otlp.Signal, format string, at int) {
	cell := c.cell(s, formatOf(format))
	cell.begin(ctx)
	cell.series[at].add(ctx, 1)
}

// requestCounters count requests by signal and format.
type requestCounters struct {
	tags                                 []attribute.KeyValue
	detailed                             bool // else all requests are in one cell
	done, refused, invalid, unrecognized metric.Int64Counter
	cells                                [otlp.Profiles + 1][formatCount]atomic.Pointer[requestCell] // row 0: signal unknown
}

// requestCell has the attribute sets of one signal and format. It is created
// when the first such request ends, since few of the fifteen ever occur. Its
// group has the outcomes and, from outcomeCount on, invalid UTF-8 and unrecognized.
type requestCell struct {
	group
	reasons [reasonCount]series // not for ReasonNone
}

func (c *requestCounters) init(m *maker, tags []attribute.KeyValue, detailed bool) {
	c.tags, c.detailed = tags, detailed
	c.done, c.refused, c.invalid = m.counter(requestsDone, 0), m.counter(requestsRefused, 0), m.counter(requestsInvalidUTF8, 0)
	c.unrecognized = m.counter(requestsUnrecognized, 0)
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

// cell returns the cell of s and f. Concurrent first calls may create two; only
// one of them is kept.
func (c *requestCounters) cell(s otlp.Signal, f format) *requestCell {
	if !s.Valid() || !c.detailed {
		s = 0
	}
	if !c.detailed {
		f = 0
	}
	at := &c.cells[s][f]
	if cell := at.Load(); cell != nil {
		return cell
	}
	at.CompareAndSwap(nil, c.newCell(s, f))
	return at.Load()
}

func (c *requestCounters) newCell(s otlp.Signal, f format) *requestCell {
	tags := c.tags
	if c.detailed {
		tags = with(tags, attrFormat.key.String(formatNames[f]), attrSignal.key.String(signalName(s)))
	}
	cell := &requestCell{}
	for _, name := range outcomeNames {
		cell.series = append(cell.series, newSeries(c.done, with(tags, attrOutcome.key.String(name))...))
	}
	cell.series = append(cell.series, newSeries(c.invalid, tags...), newSeries(c.unrecognized, tags...))
	for why := ReasonNone + 1; why < reasonCount; why++ {
		cell.reasons[why] = newSeries(c.refused, with(tags, attrReason.key.String(why.String()))...)
	}
	return cell
}
