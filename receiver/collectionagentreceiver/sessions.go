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
	"github.com/penstock-telemetry/penstock/reporter"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// instance names a reporter: ReportRequest.instance_id.
type instance [collectionagentv1.IDBytes]byte

// sessions are the reporters that are known: at most max, each until it has said
// nothing for idle. Who comes when there is no room takes the place of the one that
// has been silent longest, if that was spareable; else it is told to come back.
type sessions struct {
	max       int
	idle      time.Duration
	spareable time.Duration
	crowded   crowding
	open      func(instance) (*reporter.OTLPReporter, error)
	log       *slog.Logger

	mu      sync.Mutex
	of      map[instance]*session
	leaving map[*session]bool // dismissed, not ended yet
	past    reporter.Stats    // of those that have ended: Samples and Points
	closed  bool

	stop    chan struct{}   // closed by shutdown
	ctx     context.Context // ends with the time of shutdown
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// crowding is from how many bytes on a session takes no more.
type crowding struct{ window, pending int64 }

const (
	// spareableAfter is the silence after which a reporter is taken to be gone, if
	// another needs its place.
	spareableAfter = time.Minute
	// farewellTime is how long a session that is not wanted any more may take to
	// pass on what it holds.
	farewellTime = 10 * time.Second
	// fullRetry is when to come back where there is no room.
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
		max: c.MaxReporters, idle: c.ReporterIdleTimeout, spareable: spareableAfter, log: log,
		crowded: crowding{window: int64(base.MaxWindowBytes) / 4 * 3, pending: int64(base.MaxPendingBytes) / 4 * 3},
		open: func(id instance) (*reporter.OTLPReporter, error) {
			cfg := base
			cfg.Logger = log.With("reporter", hex.EncodeToString(id[:]))
			return reporter.NewOTLP(cfg)
		},
		of: map[instance]*session{}, leaving: map[*session]bool{}, stop: make(chan struct{}),
	}
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

// expire ends the sessions that said nothing for too long.
func (s *sessions) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.of {
		if time.Since(one.used) >= s.idle {
			s.dismiss(id, one)
		}
	}
}

// dismiss ends a session. The lock is held; what it holds is passed on behind it.
func (s *sessions) dismiss(id instance, one *session) {
	delete(s.of, id)
	s.leaving[one] = true
	s.running.Go(func() {
		defer s.bury(one)
		ctx, cancel := context.WithTimeout(s.ctx, farewellTime)
		defer cancel()
		if err := one.end(ctx); err != nil {
			s.log.Warn("a reporter that is gone left samples that could not be passed on", "reporter", hex.EncodeToString(id[:]), "error", err)
		}
	})
}

// bury keeps the books of a session that has ended.
func (s *sessions) bury(one *session) {
	stats := one.reporter.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leaving, one)
	s.past.Samples, s.past.Points = s.past.Samples.Plus(stats.Samples), s.past.Points.Plus(stats.Points)
}

// flow adds up what became of all that was ever reported of a signal.
func (s *sessions) flow(signal otlp.Signal) reporter.Flow {
	s.mu.Lock()
	sum := s.past.Of(signal)
	all := slices.AppendSeq(slices.Collect(maps.Values(s.of)), maps.Keys(s.leaving))
	s.mu.Unlock()
	for _, one := range all { // each was alive when the past was read
		stats := one.reporter.Stats()
		sum = sum.Plus(stats.Of(signal))
	}
	return sum
}

// take hands a request to its session.
func (s *sessions) take(q *collectionagentv1.ReportRequest) *refusal {
	one, refused := s.find(instance(q.InstanceId))
	if refused != nil {
		return refused
	}
	return one.take(q, s.crowded)
}

// find returns the session of id, a new one if there is none.
func (s *sessions) find(id instance) (*session, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errShuttingDown()
	}
	if one := s.of[id]; one != nil {
		one.used = time.Now()
		return one, nil
	}
	if len(s.of) >= s.max && !s.spare() {
		r := refuse(codes.Unavailable, obsreport.ReasonAdmission, "%d reporters are known already, as many as max_reporters allows", len(s.of))
		r.retryAfter = fullRetry
		return nil, r
	}
	rep, err := s.open(id)
	if err == nil {
		err = rep.Start(context.Background())
	}
	if err != nil {
		return nil, refuse(codes.Internal, obsreport.ReasonInternal, "open a session: %v", err)
	}
	one := &session{reporter: rep, used: time.Now()}
	s.of[id] = one
	return one, nil
}

// spare makes room by ending the session that has been silent longest.
func (s *sessions) spare() bool {
	var oldest instance
	var found *session
	for id, one := range s.of {
		if found == nil || one.used.Before(found.used) {
			oldest, found = id, one
		}
	}
	if found == nil || time.Since(found.used) < s.spareable {
		return false
	}
	s.dismiss(oldest, found)
	return true
}

// shutdown ends all sessions, together, until ctx ends.
func (s *sessions) shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := s.of
	s.of = nil
	for _, one := range all {
		s.leaving[one] = true
	}
	s.mu.Unlock()
	close(s.stop)
	defer s.cancel()
	defer context.AfterFunc(ctx, s.cancel)()
	errs := make(chan error, len(all))
	for _, one := range all {
		s.running.Go(func() {
			defer s.bury(one)
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

func errShuttingDown() *refusal {
	return refuse(codes.Unavailable, obsreport.ReasonShutdown, "the collection agent is shutting down")
}
