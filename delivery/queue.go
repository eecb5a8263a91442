package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// The defaults of Config.
const (
	defaultMaxPendingBytes = 64 << 20
	defaultInitialBackoff  = time.Second
	defaultMaxBackoff      = 30 * time.Second
)

// warningEvery is how often a destination's warning is logged at most.
const warningEvery = time.Minute

// Config is what New is given. The zero value of all but Next is its default.
type Config struct {
	// Next sends a batch and returns nil, or an error that pipeline.Classify
	// understands. Partial's Rejected is in Units; a Partial that rejects nothing is
	// a warning of a destination that took everything. Next is called by one
	// goroutine, and returns soon after its context has ended.
	Next pipeline.Consumer
	// Spool keeps a request elsewhere instead of sending it: after nil the Queue is done
	// with it. After an error the request is sent to Next, and Spool is called again a
	// second later at the earliest. r.Batch is borrowed. The one goroutine calls it, at
	// the end also after Shutdown's deadline, so it does not wait for long. nil: there is
	// none.
	Spool func(ctx context.Context, r Request) error
	// MaxPendingBytes bounds all unsent bytes, those being sent included.
	// Default 64 MiB.
	MaxPendingBytes int
	// InitialBackoff is the mean of the first wait after a failure, default 1 s;
	// MaxBackoff is the longest that is not asked for by the destination,
	// default 30 s.
	InitialBackoff, MaxBackoff time.Duration
	// Logger gets outages and drops. nil is silence.
	Logger *slog.Logger
	// Observer measures; nil: nobody does.
	Observer Observer
}

func (c Config) orDefaults() Config {
	if c.MaxPendingBytes <= 0 {
		c.MaxPendingBytes = defaultMaxPendingBytes
	}
	if c.InitialBackoff <= 0 {
		c.InitialBackoff = defaultInitialBackoff
	}
	if c.MaxBackoff <= 0 {
		c.MaxBackoff = defaultMaxBackoff
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	return c
}

// Queue sends requests, the oldest first, one at a time. It is safe for concurrent
// use.
type Queue struct {
	cfg    Config
	ctx    context.Context // of sends: ended when Shutdown has no more time
	cancel context.CancelFunc
	wake   chan struct{} // something was added, or Shutdown was called
	joined chan struct{} // closed when nothing is or will be sent

	// Used by the goroutine alone.
	pace     pace
	draining bool // waits are short
	outage   outage
	lastErr  error
	warnings lograte.Limiter
	spool    spoolState

	mu                      sync.Mutex
	started, stopping       bool
	head                    *Request   // taken from rest to be sent; nil: none yet
	sending                 bool       // head is with Next: it cannot be taken away
	rest                    []*Request // oldest first
	heldBytes, heldRequests int
	less                    chan struct{} // closed when heldBytes shrinks; nil: nobody waits
	abandoned               int64         // items that Shutdown dropped
	entered, gone           int64         // requests; they leave in the order in which they came
	signals                 [otlp.Profiles + 1]signalState
}

// New returns a Queue that keeps what is added until Start.
func New(cfg Config) *Queue {
	cfg = cfg.orDefaults()
	q := &Queue{cfg: cfg, wake: make(chan struct{}, 1), joined: make(chan struct{}),
		pace: newPace(cfg.InitialBackoff, cfg.MaxBackoff)}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// Start starts the one goroutine, which Shutdown joins. After Shutdown it does
// nothing.
func (q *Queue) Start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.started && !q.stopping {
		q.started = true
		go q.run()
	}
}

// Add is Put and LogDrops.
func (q *Queue) Add(r Request) {
	if q.Put(r) {
		q.LogDrops()
	}
}

// Put takes a request over. It never waits for a send: what does not fit is dropped,
// and so is everything after Shutdown. dropped says that something was, which LogDrops
// logs.
func (q *Queue) Put(r Request) (dropped bool) {
	r.Batch.MarkShared()
	if r.Items == 0 {
		r.Items = int64(r.Batch.Items())
	}
	if r.Units == 0 {
		r.Units = int64(r.Batch.Items())
	}
	q.mu.Lock()
	dropped = q.put(&r)
	q.mu.Unlock()
	q.signal()
	return dropped
}

func (q *Queue) put(r *Request) (dropped bool) {
	q.enter(r)
	if q.stopping {
		q.drop(r, Stopped, nil)
		return true
	}
	out, fits := q.overflow(r)
	for _, old := range out {
		q.drop(old, PendingFull, nil)
	}
	if fits {
		q.rest = append(q.rest, r)
	} else {
		q.entered, q.gone = q.entered-1, q.gone-1 // it is not in the order
		q.drop(r, PendingFull, fmt.Errorf("a request of %d bytes does not fit into the %d bytes for pending ones", r.size(), q.cfg.MaxPendingBytes))
	}
	return !fits || len(out) > 0
}

// overflow makes room for r, which is already counted, and reports whether r fits. out
// are the requests that have to leave memory for it, oldest first: fresh data is worth
// more than old. The request being sent stays, so r fits only beside it; for an r that
// does not fit in any case nothing else goes.
func (q *Queue) overflow(r *Request) (out []*Request, fits bool) {
	room := q.cfg.MaxPendingBytes
	if q.sending {
		room -= q.head.size()
	}
	if r.size() > room {
		return nil, false
	}
	for over := q.heldBytes - q.cfg.MaxPendingBytes; over > 0; {
		old := q.oldest()
		over -= old.size()
		out = append(out, old)
	}
	return out, true
}

// oldest takes out the oldest request that is not being sent; nil if there is none.
func (q *Queue) oldest() *Request {
	if q.head != nil && !q.sending {
		r := q.head
		q.head = nil
		return r
	}
	if len(q.rest) == 0 {
		return nil
	}
	r := q.rest[0]
	q.rest[0] = nil // the array does not keep it
	q.rest = q.rest[1:]
	return r
}

// signal makes the goroutine look again.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// AtMost reports whether no more than bytes are held. If more are, less is closed when
// some of them have left.
func (q *Queue) AtMost(bytes int64) (is bool, less <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if int64(q.heldBytes) <= bytes {
		return true, nil
	}
	if q.less == nil {
		q.less = make(chan struct{})
	}
	return false, q.less
}

// Settled waits until all requests that are held now have left: delivered, taken by
// Config.Spool, or dropped for another reason than the end. The error is that of ctx, or
// says that the Queue has dropped what was left at its end.
func (q *Queue) Settled(ctx context.Context) error {
	q.mu.Lock()
	until := q.entered
	q.mu.Unlock()
	for {
		q.mu.Lock()
		gone, abandoned := q.gone, q.abandoned
		if q.less == nil {
			q.less = make(chan struct{})
		}
		less := q.less
		q.mu.Unlock()
		switch {
		case abandoned > 0:
			return fmt.Errorf("wait for requests: %d items were abandoned", abandoned)
		case gone >= until:
			return nil
		}
		select {
		case <-less:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d requests: %w", until-gone, context.Cause(ctx))
		}
	}
}

// HeldBytes is what is held of all signals.
func (q *Queue) HeldBytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(q.heldBytes)
}

// Shutdown sends what is held, with short waits between attempts, until all is settled
// or ctx ends; what is left then is dropped, and the error says how much that was.
// When Shutdown returns nothing is being sent. It may be called several times, also at
// once: the context that ends first counts, and each call gets the error.
func (q *Queue) Shutdown(ctx context.Context) error {
	q.mu.Lock()
	idle := !q.started && !q.stopping
	q.stopping = true
	q.mu.Unlock()
	if idle {
		q.abandon()
		close(q.joined)
	}
	q.signal()
	select {
	case <-q.joined:
	case <-ctx.Done():
		q.cancel()
		<-q.joined
	}
	q.cancel()
	if q.abandoned > 0 {
		return fmt.Errorf("send what is left: %d items abandoned at the deadline", q.abandoned)
	}
	return nil
}

// run sends until it is stopped.
func (q *Queue) run() {
	defer close(q.joined)
	for q.await() {
		switch r := q.take(); {
		case r == nil || q.spooled(r):
		case q.pace.notBefore.After(time.Now()): // only Spool was due
			q.giveBack()
		default:
			q.sent(r)
			q.settle(r, q.send(r))
			q.logDrops(false)
		}
	}
	q.abandon()
}

// sent notes that r is sent now.
func (q *Queue) sent(r *Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.tried {
		q.signals[r.signal()].stats.Retries++
	}
	r.tried = true
}

// giveBack makes the request that was taken one that waits.
func (q *Queue) giveBack() {
	q.mu.Lock()
	q.sending = false
	q.mu.Unlock()
}

// send passes a request on.
func (q *Queue) send(r *Request) error { return safely(q.ctx, q.cfg.Next, r.Batch) }

// safely calls Consume. A panic is a failure, which would happen again.
func safely(ctx context.Context, next pipeline.Consumer, b *pipeline.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = pipeline.Permanently(&pipeline.PanicError{Value: p, Stack: debug.Stack()})
		}
	}()
	return next.Consume(ctx, b)
}

// await waits until there is something to send and it is time to. It returns false
// at the end.
func (q *Queue) await() bool {
	for q.ctx.Err() == nil {
		q.mu.Lock()
		empty, stopping := q.heldRequests == 0, q.stopping
		q.mu.Unlock()
		if stopping && !q.draining {
			q.draining = true
			q.pace.shorten()
		}
		wait := time.Until(q.pace.notBefore)
		if q.cfg.Spool != nil {
			wait = min(wait, time.Until(q.spool.again))
		}
		switch {
		case empty && stopping:
			return false
		case empty:
			q.sleep(nil)
		case wait <= 0:
			return true
		default:
			timer := time.NewTimer(wait)
			q.sleep(timer.C)
			timer.Stop()
		}
	}
	return false
}

// sleep waits for late, a change, or the end.
func (q *Queue) sleep(late <-chan time.Time) {
	select {
	case <-late:
	case <-q.wake:
	case <-q.ctx.Done():
	}
}

// take makes the oldest request the one being sent. It is nil if an overflow was
// faster.
func (q *Queue) take() *Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.oldest()
	if r == nil {
		return nil
	}
	q.head, q.sending = r, true
	return r
}

// settle does with r, which was sent, what the answer asks for.
func (q *Queue) settle(r *Request, err error) {
	e := pipeline.Classify(err)
	result := e
	if e != nil && e.Kind == pipeline.Partial && e.Rejected <= 0 {
		result = nil // it took all, and has something to say
	}
	q.cfg.Observer.Attempt(q.ctx, r.signal(), result)
	if e != nil && (e.Kind == pipeline.Retryable || e.Kind == pipeline.Overloaded) {
		q.keep(r, e)
		return
	}
	lost, why := int64(0), Rejected
	if e != nil {
		lost = lostItems(r.Items, e.Rejected, r.Units)
		if e.Kind == pipeline.Permanent {
			lost, why = r.Items, Refused
		}
	}
	signal := r.signal()
	q.mu.Lock()
	waiting := q.heldRequests
	q.head, q.sending = nil, false
	q.leave(r, lost, why, err)
	q.mu.Unlock()
	q.lastErr = nil
	q.outage.over(q.cfg.Logger, int64(waiting))
	q.pace.reset()
	switch {
	case e == nil:
	case e.Kind == pipeline.Permanent && concernsAll[codes.Code(e.Code)] && !q.draining:
		q.pace.pause(time.Now())
	case e.Kind == pipeline.Partial && e.Rejected <= 0:
		q.logWarning(signal, e)
	}
}

// concernsAll are the codes that refuse whatever is sent, rather than this one
// request. A destination that is being rolled out may say so for a moment: there is a
// short pause after each, so that a moment does not cost all that is held.
var concernsAll = map[codes.Code]bool{codes.Unimplemented: true, codes.Unauthenticated: true, codes.PermissionDenied: true}

// keep leaves r the head, to be sent again, unless its send was cut short.
func (q *Queue) keep(r *Request, e *pipeline.Error) {
	q.mu.Lock()
	q.sending = false
	waiting, signal := q.heldRequests, r.signal()
	q.mu.Unlock()
	if q.ctx.Err() != nil {
		return
	}
	cause := e.Err
	if cause == nil {
		cause = e
	}
	q.lastErr = cause
	q.outage.failed(q.cfg.Logger, signal, cause, int64(waiting))
	q.pace.failed(time.Now(), e.RetryAfter)
}

// logWarning logs what the destination says of a request that it took.
func (q *Queue) logWarning(s otlp.Signal, e *pipeline.Error) {
	if times, ok := q.warnings.Allow(warningEvery); ok {
		q.cfg.Logger.Warn("the destination took the data with a warning (logged at most once in "+warningEvery.String()+")",
			slog.String("signal", s.String()), slog.Any("warning", e.Err), slog.Int64("warnings", times))
	}
}

// errNeverStarted is the cause of drops if the queue was never started.
var errNeverStarted = errors.New("the queue was not started")

// abandon drops all that is held and that Spool does not take.
func (q *Queue) abandon() {
	q.spoolRest()
	q.mu.Lock()
	cause := q.lastErr
	if !q.started {
		cause = errNeverStarted
	}
	for r := q.oldest(); r != nil; r = q.oldest() {
		q.abandoned += r.Items
		q.drop(r, Stopped, cause)
	}
	q.mu.Unlock()
	q.logDrops(true)
}
