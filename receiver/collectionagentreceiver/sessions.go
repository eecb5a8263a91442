package collectionagentreceiver

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/held"
	"github.com/penstock-telemetry/penstock/reporter"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// instance names a reporter: ReportRequest.instance_id.
type instance [collectionagentv1.IDBytes]byte

// sessions are the current reporters: at most max, each until it has been idle for
// the duration idle. A session counts until it has ended: until then it has its
// caches. If there are max sessions, or its sender has a fair share of them, a new
// reporter replaces the one that has been idle longest, if that was for at least
// evictable; otherwise it gets a retryable error. What the sessions hold is charged to
// the memory budget (package held); if there is no room, the one that has been idle
// longest ends as well.
type sessions struct {
	max       int
	idle      time.Duration
	evictable time.Duration
	full      backlog
	open      func(instance) (*reporter.OTLPReporter, error)
	log       *slog.Logger
	budget    *admission.Budget
	group     held.Group    // of all sessions
	settles   time.Duration // how often memory is given back that is not held any more
	flushed   time.Time     // when relieve was called; under mu

	mu     sync.Mutex
	of     map[instance]*session
	ending map[*session]bool // removed from of, not ended yet
	old    frontend.Ending   // sessions whose consumers were replaced, see renew
	past   reporter.Stats    // of those that have ended: Samples, Points and WithoutStack
	closed bool

	stop    chan struct{}   // closed by shutdown
	ctx     context.Context // ends with the time of shutdown
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// backlog is from how many bytes on a session takes no more.
type backlog struct{ window, pending int64 }

const (
	// evictableAfter is the silence after which a reporter is taken to be gone, if
	// another needs its place.
	evictableAfter = time.Minute
	// flushTimeout is how long a session that is removed may take to pass on what it
	// holds.
	flushTimeout = 10 * time.Second
	// maxEndWait is how long a request waits for a session to end whose place it
	// needs.
	maxEndWait = time.Second
	// maxSettle is how often memory is given back at least that is not held any more.
	maxSettle = time.Second
	// fullRetry is the retry delay if there are max sessions.
	fullRetry = 5 * time.Second
)

// newSessions makes sessions. current is called when one begins: its reporter hands over
// to next, and makes metrics if there is a pipeline of metrics.
func newSessions(c Config, set component.Settings, current func() (next pipeline.Consumer, metrics bool)) *sessions {
	base := c.reporterConfig()
	ctx, cancel := context.WithCancel(context.Background())
	return &sessions{
		ctx: ctx, cancel: cancel,
		max: c.MaxReporters, idle: c.ReporterIdleTimeout, evictable: evictableAfter, log: set.Logger,
		full: backlogOf(base), budget: set.Memory, settles: min(c.ReportInterval, maxSettle),
		open: func(id instance) (*reporter.OTLPReporter, error) {
			cfg := base
			next, metrics := current()
			cfg.Consumer = next
			if !metrics {
				cfg.MetricDefinitions = nil // they are counted and ignored
			}
			cfg.Logger = set.Logger.With("reporter", hex.EncodeToString(id[:]))
			return reporter.NewOTLP(cfg)
		},
		of: map[instance]*session{}, ending: map[*session]bool{}, stop: make(chan struct{}),
	}
}

// backlogOf is three quarters of what a reporter has room for. Of MaxWindowBytes the
// window that is being collected has half: the other is for the one that is being
// written.
func backlogOf(c reporter.OTLPConfig) backlog {
	return backlog{window: int64(c.MaxWindowBytes) / 2 / 4 * 3, pending: int64(c.MaxPendingBytes) / 4 * 3}
}

// start begins to look for reporters that are gone, and for memory that is not held
// any more.
func (s *sessions) start() {
	s.running.Go(func() {
		idle, settle := time.NewTicker(max(s.idle/8, time.Millisecond)), time.NewTicker(s.settles)
		defer idle.Stop()
		defer settle.Stop()
		for {
			select {
			case <-idle.C:
				s.expire()
			case <-settle.C:
				for _, one := range s.all() {
					one.settle()
				}
			case <-s.stop:
				return
			}
		}
	})
}

// all returns the sessions that have not ended.
func (s *sessions) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(s.each())
}

// expire removes the sessions that were silent for too long.
func (s *sessions) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.of {
		if time.Since(one.used) >= s.idle {
			s.remove(id, one)
		}
	}
}

// renew begins to end all sessions, since their consumers were replaced. Reporters get new
// ones.
func (s *sessions) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.of {
		s.old.Add(one.settled)
		s.remove(id, one)
	}
}

// remove begins to end a session: what it holds is passed on. The lock is held.
func (s *sessions) remove(id instance, one *session) {
	delete(s.of, id)
	s.ending[one] = true
	s.running.Go(func() {
		defer s.settle(one)
		ctx, cancel := context.WithTimeout(s.ctx, flushTimeout)
		defer cancel()
		if err := one.end(ctx); err != nil {
			s.log.Warn("a reporter that is gone left samples that could not be passed on", "reporter", hex.EncodeToString(id[:]), "error", err)
		}
	})
}

// settle keeps the statistics of a session that has ended.
func (s *sessions) settle(one *session) {
	stats := one.reporter.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ending, one)
	s.past.Samples, s.past.Points = s.past.Samples.Plus(stats.Samples), s.past.Points.Plus(stats.Points)
	s.past.WithoutStack += stats.WithoutStack
	close(one.settled)
}

// flow adds up what became of all that was ever reported of a signal.
func (s *sessions) flow(signal otlp.Signal) reporter.Flow {
	s.mu.Lock()
	sum := s.past.Of(signal)
	all := slices.Collect(s.each())
	s.mu.Unlock()
	for _, one := range all { // each was alive when the past was read
		stats := one.reporter.Stats()
		sum = sum.Plus(stats.Of(signal))
	}
	return sum
}

// withoutStack is how many samples were sent without a stack.
func (s *sessions) withoutStack() int64 {
	s.mu.Lock()
	sum := s.past.WithoutStack
	all := slices.Collect(s.each())
	s.mu.Unlock()
	for _, one := range all {
		stats := one.reporter.Stats()
		sum += stats.WithoutStack
	}
	return sum
}

// take hands a request of a sender to its session, and returns the answer.
func (s *sessions) take(ctx context.Context, from string, q *collectionagentv1.Request) ([]byte, *frontend.Refusal) {
	one, refused := s.find(ctx, instance(q.InstanceID), from)
	if refused != nil {
		return nil, refused
	}
	refused, noRoom := one.take(ctx, q, s.full)
	if noRoom {
		s.relieve()
	}
	if refused != nil {
		return nil, refused
	}
	return one.answer(q), nil
}

// relieve makes room in memory: the sessions pass on their samples without waiting for
// the interval, and the one that has been silent for longest ends.
func (s *sessions) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || time.Since(s.flushed) < maxSettle {
		return
	}
	s.flushed = time.Now()
	for one := range s.each() {
		one.reporter.Flush()
	}
	s.makeRoom("")
}

// find returns the session of id, a new one if there is none. It waits a moment for
// a session that has to end first.
func (s *sessions) find(ctx context.Context, id instance, from string) (*session, *frontend.Refusal) {
	one, ending, refused := s.lookUp(id, from)
	if ending == nil {
		return one, refused
	}
	ctx, cancel := context.WithTimeout(ctx, maxEndWait)
	defer cancel()
	for ending != nil {
		select {
		case <-ending.settled:
			one, ending, refused = s.lookUp(id, from)
		case <-ctx.Done():
			return nil, refused
		}
	}
	return one, refused
}

// lookUp returns the session of id, a new one if there is none. Where there is no
// room it refuses, and returns the session that is to end first, if there is one.
func (s *sessions) lookUp(id instance, from string) (one, ending *session, refused *frontend.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, shuttingDown()
	}
	if one := s.of[id]; one != nil {
		one.used = time.Now()
		return one, nil, nil
	}
	if ending, refused := s.place(from); refused != nil {
		return nil, ending, refused
	}
	rep, err := s.open(id)
	if err == nil {
		err = rep.Start(context.Background())
	}
	if err != nil {
		return nil, nil, frontend.Refuse(codes.Internal, obsreport.ReasonInternal, "open a session: %v", err)
	}
	one = &session{reporter: rep, from: from, used: time.Now(), settled: make(chan struct{})}
	one.account = held.New(held.Config{Budget: s.budget, Group: &s.group, Client: from, Bytes: heldBytes(rep)})
	s.of[id] = one
	return one, nil, nil
}

// place refuses a sender another session when there are max sessions, or when it would
// have more than twice what it leaves free. ending is one that is to end first.
func (s *sessions) place(from string) (ending *session, refused *frontend.Refusal) {
	own := 0
	for one := range s.each() {
		if one.from == from {
			own++
		}
	}
	known := len(s.of) + len(s.ending)
	free := s.max - known
	switch {
	case free <= 0:
		return s.makeRoom(""), refuseFor(fullRetry, "%d reporters are known already, as many as max_reporters allows", known)
	case own > 0 && own+1 > 2*(free-1):
		return s.makeRoom(from), refuseFor(fullRetry, "%d reporters of this sender are known already, and %d of %d places are free (max_reporters): a sender may have twice what it leaves free",
			own, free, s.max)
	}
	return nil, nil
}

// each iterates over the sessions that have not ended. The lock is held.
func (s *sessions) each() iter.Seq[*session] {
	return func(yield func(*session) bool) {
		for _, one := range s.of {
			if !yield(one) {
				return
			}
		}
		for one := range s.ending {
			if !yield(one) {
				return
			}
		}
	}
}

// makeRoom returns a session that is ending, of the sender from if that is not empty;
// if there is none, it removes the one that has been silent longest. It returns nil if
// that was not for long enough.
func (s *sessions) makeRoom(from string) *session {
	for one := range s.ending {
		if from == "" || one.from == from {
			return one
		}
	}
	var oldest instance
	var found *session
	for id, one := range s.of {
		if (from == "" || one.from == from) && (found == nil || one.used.Before(found.used)) {
			oldest, found = id, one
		}
	}
	if found == nil || time.Since(found.used) < s.evictable {
		return nil
	}
	s.remove(oldest, found)
	return found
}

// shutdown ends all sessions, together, until ctx ends.
func (s *sessions) shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := s.of
	s.of = nil
	for _, one := range all {
		s.ending[one] = true
	}
	s.mu.Unlock()
	close(s.stop)
	defer s.cancel()
	defer context.AfterFunc(ctx, s.cancel)()
	errs := make(chan error, len(all))
	for _, one := range all {
		s.running.Go(func() {
			defer s.settle(one)
			errs <- one.end(ctx)
		})
	}
	s.running.Wait()
	close(errs)
	var failed []error
	for err := range errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d reporters' samples could not all be passed on: %w", len(failed), len(all), errors.Join(failed...))
	}
	return nil
}

func shuttingDown() *frontend.Refusal {
	return frontend.Refuse(codes.Unavailable, obsreport.ReasonShutdown, "the collection agent is shutting down")
}
