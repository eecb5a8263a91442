package reporter

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// outcome is what became of a request.
type outcome int

const (
	taken          outcome = iota // the agent has it
	refusedForGood                // sending it again is pointless
	tooLarge                      // in smaller parts it may be taken
	ended                         // there is no more time to try
	// again and unauthorized are between two attempts only.
	again
	unauthorized
)

const (
	// logEvery is how often one kind of failure is logged.
	logEvery = time.Minute
	// Two attempts are an eighth of the report interval apart, at most
	// maxFirstPause, at first, and four of it, at most maxPause, in the end.
	maxFirstPause = time.Second
	maxPause      = 30 * time.Second
	// maxAgentPause is the longest that the agent can make a reporter wait.
	maxAgentPause = 5 * time.Minute
)

// sender sends requests, one after the other but for ReportHostMetadataBlocking,
// which comes in between.
type sender struct {
	client   collectionagentv1.CollectionAgentClient
	target   string
	log      *slog.Logger
	stopping <-chan struct{}

	timeout, authDelay    time.Duration
	firstPause, longPause time.Duration

	answered func(*collectionagentv1.ReportResponse) // gets each answer
	instance []byte
	sequence atomic.Uint64
	maxBytes int // of a request

	authErrors atomic.Uint64
	// Log lines about credentials, retries, refused requests, and entries that
	// cannot be sent.
	linesAuth, linesRetry, linesRefused, linesUnsendable lograte.Limiter
}

// deliver sends a request until it is settled, or ctx ends. what is in it is for
// the log.
func (s *sender) deliver(ctx context.Context, r *collectionagentv1.ReportRequest, what string) outcome {
	s.number(r)
	for pause := s.firstPause; ; pause = min(2*pause, s.longPause) {
		err := s.exchange(ctx, r)
		result, asked := judge(err)
		stopping := isClosed(s.stopping)
		wait := max(pause, asked)
		switch result {
		case again:
			if times, ok := s.linesRetry.Allow(logEvery); ok && ctx.Err() == nil {
				s.log.Warn("sending to the collection agent failed, trying again", "agent", s.target, "what", what, "times", times, "error", err)
			}
		case unauthorized:
			s.authErrors.Add(1)
			if times, ok := s.linesAuth.Allow(logEvery); ok {
				s.log.Error("the collection agent refuses our credentials, trying again later",
					"agent", s.target, "after", s.authDelay, "times", times, "error", err)
			}
			if stopping {
				return ended
			}
			wait = max(pause, s.authDelay)
		case refusedForGood:
			if times, ok := s.linesRefused.Allow(logEvery); ok {
				s.log.Error("the collection agent refused data for good, it is dropped", "agent", s.target, "what", what, "times", times, "error", err)
			}
			return result
		default:
			return result
		}
		if stopping {
			wait = s.firstPause
		}
		if !s.pause(ctx, jitter(wait)) {
			return ended
		}
	}
}

// number makes r the next request of this instance.
func (s *sender) number(r *collectionagentv1.ReportRequest) {
	r.InstanceId, r.Sequence = s.instance, s.sequence.Add(1)
}

// exchange sends a request once.
func (s *sender) exchange(ctx context.Context, r *collectionagentv1.ReportRequest) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answer, err := s.client.Report(ctx, r)
	if err != nil {
		return fmt.Errorf("report to the collection agent %s: %w", s.target, err)
	}
	s.answered(answer)
	return nil
}

// pause waits for d. Stop cuts it short, for a last attempt; after that it waits
// again. It reports whether ctx goes on.
func (s *sender) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	stopping := s.stopping
	if isClosed(stopping) {
		stopping = nil
	}
	select {
	case <-timer.C:
	case <-stopping:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// logDropped logs an entry that cannot be sent.
func (s *sender) logDropped(what, why string) {
	if times, ok := s.linesUnsendable.Allow(logEvery); ok {
		s.log.Error("an entry for the collection agent was dropped", "agent", s.target, "what", what, "times", times, "reason", why)
	}
}

// judge says what an answer means (collectionagent.proto, "Answers beside OK";
// for the codes not named there the OTLP specification's table), and how long
// the agent asks to be left alone.
func judge(err error) (outcome, time.Duration) {
	if err == nil {
		return taken, 0
	}
	st, _ := status.FromError(err)
	asked := time.Duration(-1)
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			asked = min(max(info.GetRetryDelay().AsDuration(), 0), maxAgentPause)
		}
	}
	switch st.Code() {
	case codes.Unauthenticated, codes.PermissionDenied, codes.FailedPrecondition:
		return unauthorized, 0
	case codes.ResourceExhausted:
		if asked < 0 {
			return tooLarge, 0
		}
		return again, asked
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return again, max(asked, 0)
	}
	return refusedForGood, 0
}

// jitter returns d, give or take a fifth, so that many reporters do not act in
// step.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
