package reporter

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// clockedAgent is an agent without a network, for a reporter in a bubble of
// synctest.
type clockedAgent struct {
	answer func(try int) error
	mu     sync.Mutex
	at     []time.Time // of each request
	counts int
}

func (a *clockedAgent) Report(_ context.Context, q *collectionagentv1.ReportRequest, _ ...grpc.CallOption) (*collectionagentv1.ReportResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Now())
	if a.answer != nil {
		if err := a.answer(len(a.at)); err != nil {
			return nil, err
		}
	}
	a.counts += len(q.Counts) + len(q.Metrics)
	return &collectionagentv1.ReportResponse{}, nil
}

func (a *clockedAgent) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

func clocked(t *testing.T, times testTimes, a *clockedAgent) *GRPCReporter {
	t.Helper()
	c := testConfig("agent:1")
	c.Times = times
	r, err := newGRPCReporter(c, (&testkit.Log{}).Logger())
	if err != nil {
		t.Fatal(err)
	}
	r.begin(a, func() error { return nil })
	return r
}

func realTimes() testTimes {
	return testTimes{
		report: 5 * time.Second, metrics: time.Minute, connection: 3 * time.Second, operation: 5 * time.Second,
		startup: time.Minute, auth: 10 * time.Minute,
	}
}

// between fails the test for a gap outside of least and most.
func between(t *testing.T, gap, least, most time.Duration) {
	t.Helper()
	if gap < least || gap > most {
		t.Errorf("a gap of %s, want %s to %s", gap, least, most)
	}
}

// Reports are an interval apart, give or take a fifth, and not all alike; metrics
// have their own interval.
func TestGRPCIntervals(t *testing.T) {
	for name, c := range map[string]struct {
		report func(*GRPCReporter)
		every  time.Duration
	}{
		"events":  {func(r *GRPCReporter) { count(r, 1) }, 5 * time.Second},
		"metrics": {func(r *GRPCReporter) { r.ReportMetrics(1, nil, nil) }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &clockedAgent{}
				r := clocked(t, realTimes(), a)
				last := time.Now()
				gaps := map[time.Duration]bool{}
				for i := range 50 {
					c.report(r)
					for a.asked() == i {
						time.Sleep(10 * time.Millisecond)
						synctest.Wait()
					}
					gap := a.at[i].Sub(last)
					between(t, gap, c.every*8/10, c.every*12/10)
					gaps[gap], last = true, a.at[i]
				}
				if len(gaps) < 40 {
					t.Errorf("only %d of 50 gaps differ", len(gaps))
				}
				r.Stop()
			})
		})
	}
}

// Attempts are further and further apart, to a bound, and go on forever.
func TestGRPCBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &clockedAgent{}
		a.answer = func(try int) error {
			if try <= 50 {
				return status.Error(codes.Unavailable, "away")
			}
			return nil
		}
		r := clocked(t, realTimes(), a)
		count(r, 1)
		time.Sleep(time.Hour)
		synctest.Wait()
		if a.counts != 1 || len(a.at) != 51 {
			t.Fatalf("%d counts after %d attempts", a.counts, len(a.at))
		}
		pause := 625 * time.Millisecond // an eighth of the interval
		for i := range 50 {
			between(t, a.at[i+1].Sub(a.at[i]), pause*8/10, pause*12/10)
			pause = min(2*pause, 20*time.Second) // four intervals
		}
		r.Stop()
	})
}

// Refused credentials are shown again after GRPCAuthErrorDelay.
func TestGRPCAuthDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &clockedAgent{}
		a.answer = func(try int) error {
			if try <= 5 {
				return status.Error(codes.Unauthenticated, "who?")
			}
			return nil
		}
		r := clocked(t, realTimes(), a)
		count(r, 1)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(a.at) != 6 || r.Stats().AuthErrors != 5 {
			t.Fatalf("%d attempts, %+v", len(a.at), r.Stats())
		}
		for i := range 5 {
			between(t, a.at[i+1].Sub(a.at[i]), 8*time.Minute, 12*time.Minute)
		}
		r.Stop()
	})
}

// A day of reports with an agent that is away every other hour: all that fits
// into the queues arrives, the rest is counted.
func TestGRPCDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &clockedAgent{}
		began := time.Now()
		a.answer = func(int) error {
			if int(time.Since(began).Hours())%2 == 1 {
				return status.Error(codes.Unavailable, "away")
			}
			return nil
		}
		r := clocked(t, realTimes(), a)
		const n = 24 * 60 * 60 // one a second; the queue holds 1024, an outage has 3600
		for i := range n {
			count(r, i)
			time.Sleep(time.Second)
		}
		r.Stop() // in an hour in which the agent is away
		s := r.Stats()
		checkEquation(t, s)
		q := s.CountsForTraces
		if q.Reported != n || q.Queued != 0 || int(q.Acknowledged) != a.counts {
			t.Errorf("%+v, the agent has %d", q, a.counts)
		}
		if lost := q.Overwritten + q.Dropped; lost < 12*2400 || lost > 12*2600 {
			t.Errorf("%d are lost: %+v", lost, q)
		}
	})
}

// Stop ends after GRPCOperationTimeout, and after 5 s where that is longer,
// although the agent does not answer.
func TestGRPCStopInTime(t *testing.T) {
	for operation, most := range map[time.Duration]time.Duration{2 * time.Second: 2 * time.Second, time.Minute: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			times := realTimes()
			times.operation = operation
			a := &clockedAgent{answer: func(int) error { return status.Error(codes.Unavailable, "away") }}
			r := clocked(t, times, a)
			count(r, 1)
			began := time.Now()
			r.Stop()
			between(t, time.Since(began), most, most)
			if got := r.Stats().CountsForTraces; got != (QueueStats{Reported: 1, Dropped: 1}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Stop does not wait for the end of a pause: it tries once more at once.
func TestGRPCStopCutsPauseShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &clockedAgent{answer: func(try int) error {
			if try == 1 {
				return status.Error(codes.Unauthenticated, "who?")
			}
			return nil
		}}
		r := clocked(t, realTimes(), a)
		count(r, 1)
		time.Sleep(time.Minute) // the next attempt is minutes away
		began := time.Now()
		r.Stop()
		between(t, time.Since(began), 0, 0)
		if got := r.Stats().CountsForTraces; got != (QueueStats{Reported: 1, Acknowledged: 1}) {
			t.Errorf("%+v", got)
		}
	})
}

// A queue that is full again after it was emptied is logged again.
func TestGRPCWarnsOncePerFullPeriod(t *testing.T) {
	log := &testkit.Log{}
	c := testConfig("agent:1")
	c.CountsForTracesMaxQueue = 3
	r, err := newGRPCReporter(c, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	for period := 1; period <= 3; period++ {
		for i := range 10 {
			count(r, i)
		}
		if n := strings.Count(log.String(), "is full"); n != period {
			t.Errorf("%d warnings in period %d", n, period)
		}
		r.counts.take()
	}
}
