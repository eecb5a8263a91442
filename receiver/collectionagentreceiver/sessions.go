package collectionagentreceiver

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/reporter"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// instance names a reporter: ReportRequest.instance_id.
type instance [collectionagentv1.IDBytes]byte

// sessions are the current reporters: at most max, each until it has been idle for
// the duration idle. A session counts until it has ended: until then it has its
// caches. If there are max sessions, a new reporter replaces the one that has been
// idle longest, if that was for at least evictable; otherwise it gets a retryable
// error.
type sessions struct {
	max       int
	idle      time.Duration
	evictable time.Duration
	full      backlog
	open      func(instance) (*reporter.OTLPReporter, error)
	log       *slog.Logger

	mu     sync.Mutex
	of     map[instance]*session
	ending map[*session]bool // removed from of, not ended yet
	past   reporter.Stats    // of those that have ended: Samples and Points
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
	// fullRetry is the retry delay if there are max sessions.
	fullRetry = 5 * time.Second
)

// newSessions makes sessions whose reporters hand over to next.
func newSessions(c Config, log *slog.Logger, next pipeline.Consumer, metrics bool) *sessions {
	base := c.reporterConfig()
	base.Consumer = next
	if !metrics {
		base.MetricDefinitions = nil // they are counted and ignored
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &sessions{
		ctx: ctx, cancel: cancel,
		max: c.MaxReporters, idle: c.ReporterIdleTimeout, evictable: evictableAfter, log: log,
		full: backlogOf(base),
		open: func(id instance) (*reporter.OTLPReporter, error) {
			cfg := base
			cfg.Logger = log.With("reporter", hex.EncodeToString(id[:]))
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

// start begins to look for reporters that are gone.
func (s *sessions) start() {
	s.running.Go(func() {
		tick := time.NewTicker(max(s.idle/8, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.expire()
			case <-s.stop:
				return
			}
		}
	})
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
	close(one.settled)
}

// flow adds up what became of all that was ever reported of a signal.
func (s *sessions) flow(signal otlp.Signal) reporter.Flow {
	s.mu.Lock()
	sum := s.past.Of(signal)
	all := slices.AppendSeq(slices.Collect(maps.Values(s.of)), maps.Keys(s.ending))
	s.mu.Unlock()
	for _, one := range all { // each was alive when the past was read
		stats := one.reporter.Stats()
		sum = sum.Plus(stats.Of(signal))
	}
	return sum
}

// take hands a request to its session.
func (s *sessions) take(ctx context.Context, q *collectionagentv1.ReportRequest) *frontend.Refusal {
	one, refused := s.find(ctx, instance(q.InstanceId))
	if refused != nil {
		return refused
	}
	return one.take(q, s.full)
}

// find returns the session of id, a new one if there is none. It waits a moment for
// a session that has to end first.
func (s *sessions) find(ctx context.Context, id instance) (*session, *frontend.Refusal) {
	one, ending, refused := s.lookUp(id)
	if ending == nil {
		return one, refused
	}
	ctx, cancel := context.WithTimeout(ctx, maxEndWait)
	defer cancel()
	for ending != nil {
		select {
		case <-ending.settled:
			one, ending, refused = s.lookUp(id)
		case <-ctx.Done():
			return nil, refused
		}
	}
	return one, refused
}

// lookUp returns the session of id, a new one if there is none. Where there is no
// room it refuses, and returns the session that is to end first, if there is one.
func (s *sessions) lookUp(id instance) (one, ending *session, refused *frontend.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, shuttingDown()
	}
	if one := s.of[id]; one != nil {
		one.used = time.Now()
		return one, nil, nil
	}
	if known := len(s.of) + len(s.ending); known >= s.max {
		return nil, s.makeRoom(), refuseFor(fullRetry, "%d reporters are known already, as many as max_reporters allows", known)
	}
	rep, err := s.open(id)
	if err == nil {
		err = rep.Start(context.Background())
	}
	if err != nil {
		return nil, nil, frontend.Refuse(codes.Internal, obsreport.ReasonInternal, "open a session: %v", err)
	}
	one = &session{reporter: rep, used: time.Now(), settled: make(chan struct{})}
	s.of[id] = one
	return one, nil, nil
}

// makeRoom returns a session that is ending; if there is none, it removes the one
// that has been silent longest. It returns nil if that was not for long enough.
func (s *sessions) makeRoom() *session {
	for one := range s.ending {
		return one
	}
	var oldest instance
	var found *session
	for id, one := range s.of {
		if found == nil || one.used.Before(found.used) {
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
