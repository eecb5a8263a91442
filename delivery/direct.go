package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Direct sends a batch while its sender waits: Consume returns what the destination
// answered. What may pass is sent again as long as the sender waits, and what the
// sender does not wait for is its own again, so that nothing has to be kept.
//
//	Consume ─► bounds ─► turn ─► Next ─┬─► taken, or refused for good: the answer
//	                      ▲            └─► later ─┬─► the sender still waits
//	                      └───────────────────────┘
//
// While the destination fails one request at a time tries it, at the intervals that
// the backoff allows, and the others wait for what becomes of it.
type Direct struct {
	cfg     DestinationConfig
	stopped context.Context
	stop    context.CancelFunc

	refusals lograte.Limiter

	mu      sync.Mutex
	ledger  Ledger
	outage  outage
	pace    pace
	trying  bool          // a request tries a destination that has failed
	changed chan struct{} // closed when one of the above changes
}

// NewDirect returns a Direct. Of cfg it uses Name, Signal, Next, the bounds and Block,
// the backoff, GiveUpAfter, Logger and Observer.
func NewDirect(cfg DestinationConfig) *Direct {
	cfg = cfg.orDefaults()
	d := &Direct{cfg: cfg, outage: outage{direct: true}, pace: cfg.pace(), changed: make(chan struct{})}
	d.stopped, d.stop = context.WithCancel(context.Background())
	return d
}

// Capabilities implements pipeline.Consumer: bytes are sent as they are.
func (d *Direct) Capabilities() pipeline.Capabilities { return d.cfg.Next.Capabilities() }

// Stop ends waits: from now on a batch is sent once, and a failure goes back at once.
func (d *Direct) Stop() { d.stop() }

// Ledger returns the ledger at this moment. Held are the batches in Consume.
func (d *Direct) Ledger() Ledger {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ledger
}

// Consume returns nil when the destination has taken the batch.
func (d *Direct) Consume(ctx context.Context, b *pipeline.Batch) error {
	if err := d.enter(ctx, b); err != nil {
		return &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: fullRetry, Err: err}
	}
	b.MarkShared() // it may be sent again
	e := d.deliver(ctx, b)
	d.leave(ctx, b, e)
	if e == nil {
		return nil
	}
	return e
}

// enter counts a batch in, if the bounds allow it.
func (d *Direct) enter(ctx context.Context, b *pipeline.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		err := d.cfg.room(d.ledger.HeldRequests, d.ledger.Held, d.ledger.HeldBytes, b)
		if err == nil {
			break
		}
		if !d.cfg.Block || !d.await(ctx, 0) {
			return err
		}
	}
	items, size := uint64(b.Items()), uint64(len(b.Bytes()))
	d.ledger.Accepted += items
	d.ledger.Held += items
	d.ledger.HeldBytes += size
	d.ledger.HeldRequests++
	return nil
}

// await waits for a change, or for as long as wait if that is above 0. It returns false
// if the caller has to give up. The mutex is held, but not meanwhile.
func (d *Direct) await(ctx context.Context, wait time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && wait > 0 && time.Until(end) < wait {
		return false
	}
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	changed := d.changed
	d.mu.Unlock()
	defer d.mu.Lock()
	select {
	case <-changed:
	case <-late:
	case <-ctx.Done():
		return false
	case <-d.stopped.Done():
		return false
	}
	return true
}

// change wakes all that wait. The mutex is held.
func (d *Direct) change() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// deliver sends a batch until the destination has decided, or its sender waits no more.
func (d *Direct) deliver(ctx context.Context, b *pipeline.Batch) *pipeline.Error {
	var last *pipeline.Error
	for begun := time.Now(); ; {
		may, trying := d.turn(ctx, begun, last != nil)
		if !may {
			break
		}
		e := pipeline.Classify(safely(ctx, d.cfg.Next, b))
		result := e
		if e != nil && e.Kind == pipeline.Partial && e.Rejected <= 0 {
			result = nil
		}
		d.cfg.Observer.Attempt(ctx, b.Signal(), result)
		last = e
		passes := e != nil && (e.Kind == pipeline.Retryable || e.Kind == pipeline.Overloaded)
		d.tried(ctx, b, e, passes, trying)
		if !passes || d.cfg.givesUp(begun) {
			return e
		}
	}
	if last == nil {
		last = &pipeline.Error{Kind: pipeline.Retryable, Code: uint32(codes.Unavailable), RetryAfter: fullRetry, Err: fmt.Errorf("send to %s: %w", d.cfg.Name, errOthersFail)}
	}
	return last
}

var errOthersFail = errors.New("the destination does not take requests at present")

// turn waits until the caller, which has begun at a time, may send, and returns false if it
// has to give up. again says that it has sent before, trying that the others wait for what
// becomes of it. Where nothing is sent again there is nothing to wait for.
func (d *Direct) turn(ctx context.Context, begun time.Time, again bool) (may, trying bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.outage.since.IsZero() && d.cfg.GiveUpAfter >= 0 {
		if again && ctx.Err() != nil || d.cfg.givesUp(begun) {
			return false, false
		}
		wait := time.Until(d.pace.notBefore)
		if wait <= 0 && !d.trying {
			d.trying = true
			return true, true
		}
		if d.stopped.Err() != nil && !again {
			return true, false // each is sent once
		}
		if d.trying {
			wait = 0
		}
		if d.cfg.GiveUpAfter > 0 {
			left := time.Until(begun.Add(d.cfg.GiveUpAfter))
			wait = min(cmp.Or(max(wait, 0), left), left)
		}
		if !d.await(ctx, wait) {
			return d.stopped.Err() != nil && !again, false
		}
	}
	return !again || d.stopped.Err() == nil && ctx.Err() == nil, false
}

// tried notes the result of an attempt.
func (d *Direct) tried(ctx context.Context, b *pipeline.Batch, e *pipeline.Error, passes, trying bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	down := !d.outage.since.IsZero()
	switch {
	case !passes:
		d.outage.over(d.cfg.Logger, int64(d.ledger.HeldRequests))
		d.pace.reset()
	case ctx.Err() != nil: // the sender's end, not the destination's failure
	case !down || !time.Now().Before(d.pace.notBefore):
		d.outage.failed(d.cfg.Logger, b.Signal(), causeOf(e), int64(d.ledger.HeldRequests))
		d.pace.failed(time.Now(), e.RetryAfter)
	}
	if trying {
		d.trying = false
	}
	if trying || down != !d.outage.since.IsZero() {
		d.change()
	}
}

// leave counts a batch out.
func (d *Direct) leave(ctx context.Context, b *pipeline.Batch, e *pipeline.Error) {
	items, size := uint64(b.Items()), uint64(len(b.Bytes()))
	var rejected, returned uint64
	switch {
	case e == nil:
	case e.Kind == pipeline.Partial:
		rejected = min(uint64(max(e.Rejected, 0)), items)
	case e.Kind == pipeline.Permanent:
		rejected = items
	default:
		returned = items
	}
	d.cfg.Observer.Outcome(ctx, b.Signal(), int(items), int(rejected+returned), e)
	if rejected > 0 {
		d.logRefused(rejected, e)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ledger.Rejected += rejected
	d.ledger.Returned += returned
	d.ledger.Delivered += items - rejected - returned
	d.ledger.Held -= items
	d.ledger.HeldBytes -= size
	d.ledger.HeldRequests--
	if d.cfg.Block {
		d.change()
	}
}

// logRefused logs what the destination has refused. The sender gets it too, but it may be
// silent about it, and the destination is the operator's.
func (d *Direct) logRefused(items uint64, e *pipeline.Error) {
	if n, ok := d.refusals.Allow(warningEvery); ok {
		d.cfg.Logger.Warn("the destination refused items (logged at most once in "+warningEvery.String()+")",
			slog.String("signal", d.cfg.Signal.String()), slog.Uint64("items", items), slog.Any("error", causeOf(e)), slog.Int64("requests", n))
	}
}
