package ship

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// remarkEvery is how often a destination's remark is told at most.
const remarkEvery = time.Minute

// Config is what New is given. The zero value of all but Send is its default.
type Config struct {
	// Send delivers. It is called by one goroutine.
	Send Send
	// MaxPendingBytes bounds all unsent bytes, those being sent included.
	// Default 64 MiB.
	MaxPendingBytes int
	// InitialBackoff is the mean of the first wait after a failure, default 1 s;
	// MaxBackoff is the longest that is not asked for by the destination,
	// default 30 s.
	InitialBackoff, MaxBackoff time.Duration
	// Logger is told of outages and losses. nil is silence.
	Logger *slog.Logger
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
	return c
}

// Shipper sends requests, the oldest first, one at a time. It is safe for
// concurrent use.
type Shipper struct {
	cfg    Config
	ctx    context.Context // of sends: ended when Stop has no more time
	cancel context.CancelFunc
	wake   chan struct{} // something was added, or Stop was called
	joined chan struct{} // closed when nothing is or will be sent

	// Used by the goroutine alone.
	pace     pace
	hurried  bool
	outage   outage
	lastFail error
	remarks  lograte.Limiter

	mu                      sync.Mutex
	started, stopping       bool
	head                    *Payload   // taken from rest to be sent; nil: none yet
	sending                 bool       // head is with Send: it cannot be taken away
	rest                    []*Payload // oldest first
	heldBytes, heldRequests int
	books                   [otlp.Profiles + 1]book // by signal
}

// New returns a Shipper that keeps what is added until Start.
func New(cfg Config) *Shipper {
	cfg = cfg.orDefaults()
	s := &Shipper{cfg: cfg, wake: make(chan struct{}, 1), joined: make(chan struct{}),
		pace: newPace(cfg.InitialBackoff, cfg.MaxBackoff)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Start starts the one goroutine, which Stop joins. After Stop it does nothing.
func (s *Shipper) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started && !s.stopping {
		s.started = true
		go s.run()
	}
}

// Add is Put and TellLosses.
func (s *Shipper) Add(p *Payload) {
	if s.Put(p) {
		s.TellLosses()
	}
}

// Put takes p over. It never waits for a send; what does not fit is dropped, and
// so is everything after Stop. lost says that something was dropped, which
// TellLosses logs.
func (s *Shipper) Put(p *Payload) (lost bool) {
	s.mu.Lock()
	s.enter(p)
	if s.stopping {
		s.drop(p, Stopped, nil)
		lost = true
	} else {
		out, fits := s.overflow(p)
		for _, old := range out {
			s.drop(old, PendingFull, nil)
		}
		if fits {
			s.rest = append(s.rest, p)
		} else {
			s.drop(p, PendingFull, fmt.Errorf("a request of %d bytes finds no room in the %d bytes for pending ones", p.size(), s.cfg.MaxPendingBytes))
		}
		lost = !fits || len(out) > 0
	}
	s.mu.Unlock()
	s.rouse()
	return lost
}

// overflow makes room for p, which is counted already, and says whether p fits.
// out are those that have to leave memory for it, oldest first: fresh data is
// worth more than old. The request being sent stays, so p fits only beside it;
// for a p that does not fit in any case nothing else goes.
//
// Everything that memory has no room for comes out of here, so this is where a
// journal on disk would take it over.
func (s *Shipper) overflow(p *Payload) (out []*Payload, fits bool) {
	room := s.cfg.MaxPendingBytes
	if s.sending {
		room -= s.head.size()
	}
	if p.size() > room {
		return nil, false
	}
	for over := s.heldBytes - s.cfg.MaxPendingBytes; over > 0; {
		old := s.oldest()
		over -= old.size()
		out = append(out, old)
	}
	return out, true
}

// oldest takes out the oldest request that is not being sent; nil if there is
// none.
func (s *Shipper) oldest() *Payload {
	if s.head != nil && !s.sending {
		p := s.head
		s.head = nil
		return p
	}
	if len(s.rest) == 0 {
		return nil
	}
	p := s.rest[0]
	s.rest[0] = nil // its bytes are not kept by the array
	s.rest = s.rest[1:]
	return p
}

// rouse makes the goroutine look again.
func (s *Shipper) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Stop sends what is held, with short waits between tries, until all is settled
// or ctx ends; what is left then is dropped. When it returns nothing is being
// sent. It may be called several times, also at once: the context that ends
// first counts.
func (s *Shipper) Stop(ctx context.Context) {
	s.mu.Lock()
	idle := !s.started && !s.stopping
	s.stopping = true
	s.mu.Unlock()
	if idle {
		s.abandon()
		close(s.joined)
	}
	s.rouse()
	select {
	case <-s.joined:
	case <-ctx.Done():
		s.cancel()
		<-s.joined
	}
}

// run sends until it is stopped.
func (s *Shipper) run() {
	defer close(s.joined)
	for s.await() {
		if p := s.take(); p != nil {
			s.settle(p, s.cfg.Send(s.ctx, p))
			s.tellLosses(false)
		}
	}
	s.abandon()
}

// await waits until there is something to send and it is time to. It returns
// false at the end.
func (s *Shipper) await() bool {
	for s.ctx.Err() == nil {
		s.mu.Lock()
		empty, stopping := s.heldRequests == 0, s.stopping
		s.mu.Unlock()
		if stopping && !s.hurried {
			s.hurried = true
			s.pace.hurry()
		}
		wait := time.Until(s.pace.notBefore)
		switch {
		case empty && stopping:
			return false
		case empty:
			s.sleep(nil)
		case wait <= 0:
			return true
		default:
			timer := time.NewTimer(wait)
			s.sleep(timer.C)
			timer.Stop()
		}
	}
	return false
}

// sleep waits for late, a change, or the end.
func (s *Shipper) sleep(late <-chan time.Time) {
	select {
	case <-late:
	case <-s.wake:
	case <-s.ctx.Done():
	}
}

// take makes the oldest request the one being sent. It is nil if an overflow was
// faster.
func (s *Shipper) take() *Payload {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.oldest()
	if p == nil {
		return nil
	}
	s.head, s.sending = p, true
	if p.tried {
		s.book(p.Signal).Retries++
	}
	p.tried = true
	return p
}

// settle does with p, which was sent, what the answer asks for.
func (s *Shipper) settle(p *Payload, err error) {
	e := pipeline.Classify(err)
	if e != nil && (e.Kind == pipeline.Retryable || e.Kind == pipeline.Overloaded) {
		s.keep(p, e)
		return
	}
	lost, why := int64(0), Rejected
	if e != nil {
		lost = lostEvents(p.Events, e.Rejected, unitsOf(p, err))
		if e.Kind == pipeline.Permanent {
			lost, why = p.Events, Refused
		}
	}
	s.mu.Lock()
	waiting := s.heldRequests
	s.head, s.sending = nil, false
	s.leave(p, lost, why, err)
	s.mu.Unlock()
	s.lastFail = nil
	s.outage.over(s.cfg.Logger, int64(waiting))
	s.pace.reset()
	switch {
	case e == nil:
	case e.Kind == pipeline.Permanent && aboutAll[codes.Code(e.Code)] && !s.hurried:
		s.pace.rest(time.Now())
	case e.Kind == pipeline.Partial && e.Rejected <= 0:
		s.remark(p, e)
	}
}

// aboutAll are the codes that refuse whatever is sent, rather than this one
// request. A destination that is being rolled out may say so for a moment: there
// is a short pause after each, so that a moment does not cost all that is held.
var aboutAll = map[codes.Code]bool{codes.Unimplemented: true, codes.Unauthenticated: true, codes.PermissionDenied: true}

// keep leaves p the head, to be sent again, unless its send was cut short.
func (s *Shipper) keep(p *Payload, e *pipeline.Error) {
	s.mu.Lock()
	s.sending = false
	waiting := s.heldRequests
	s.mu.Unlock()
	if s.ctx.Err() != nil {
		return
	}
	cause := e.Err
	if cause == nil {
		cause = e
	}
	s.lastFail = cause
	s.outage.failed(s.cfg.Logger, p, cause, int64(waiting))
	s.pace.failed(time.Now(), e.RetryAfter)
}

// remark tells what the destination says of a request that it took.
func (s *Shipper) remark(p *Payload, e *pipeline.Error) {
	if times, ok := s.remarks.Allow(remarkEvery); ok {
		s.cfg.Logger.Warn("the destination took the data with a remark (told at most once in "+remarkEvery.String()+")",
			slog.String("signal", p.Signal.String()), slog.Any("remark", e.Err), slog.Int64("remarks", times))
	}
}

// errNeverStarted is the cause of a loss that no destination is to blame for.
var errNeverStarted = errors.New("it was never started")

// abandon drops all that is held.
func (s *Shipper) abandon() {
	s.mu.Lock()
	cause := s.lastFail
	if !s.started {
		cause = errNeverStarted
	}
	for p := s.oldest(); p != nil; p = s.oldest() {
		s.drop(p, Stopped, cause)
	}
	s.mu.Unlock()
	s.tellLosses(true)
}
