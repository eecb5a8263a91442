package delivery

import (
	"context"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Request is one batch to deliver.
type Request struct {
	// Batch is what is sent. The Queue owns one reference from Add on, and marks the
	// batch shared, as it may be sent again.
	Batch *pipeline.Batch
	// Items is what the stats count; 0 is Batch.Items().
	Items int64
	// Units is how many of what the destination counts are in the batch; 0 is
	// Batch.Items(). It is another number where a destination rejects some profiles
	// and an item is a sample.
	Units int64

	tried bool // it was sent before
}

// minRequestBytes is what a request counts as at least: what it takes beside its
// bytes. So the bound of bytes is a bound of requests too.
const minRequestBytes = 64

func (r *Request) size() int { return max(len(r.Batch.Bytes()), minRequestBytes) }

func (r *Request) signal() otlp.Signal { return r.Batch.Signal() }

// Reason is why items were dropped.
type Reason uint8

// The reasons.
const (
	// PendingFull: the bound of unsent bytes was reached; the oldest went.
	PendingFull Reason = iota
	// Refused: the destination refused the request for good.
	Refused
	// Rejected: the destination took the rest of the request (partial success).
	Rejected
	// Stopped: Shutdown was called before it could be sent.
	Stopped
	// NumReasons is how many reasons there are.
	NumReasons
)

var reasonNames = [NumReasons]string{"pending_full", "refused", "rejected", "stopped"}

// String returns the reason as logs have it.
func (r Reason) String() string {
	if r >= NumReasons {
		return "unknown"
	}
	return reasonNames[r]
}

// Observer measures a Queue. *obsreport.Exporter is one. Its methods return soon and
// do not call the Queue.
type Observer interface {
	// Attempt is called after each attempt to send a request of signal s. refusal is
	// nil if the destination took it.
	Attempt(ctx context.Context, s otlp.Signal, refusal *pipeline.Error)
	// Outcome is called once for each request, when it is delivered or dropped.
	// failed of its items were dropped, because of refusal, which may be nil.
	Outcome(ctx context.Context, s otlp.Signal, items, failed int, refusal *pipeline.Error)
}

// unobserved is the Observer where nobody measures.
type unobserved struct{}

func (unobserved) Attempt(context.Context, otlp.Signal, *pipeline.Error)           {}
func (unobserved) Outcome(context.Context, otlp.Signal, int, int, *pipeline.Error) {}
