package reporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// Everything that is reported is acknowledged, held, or dropped for a reason, at
// each moment. The cases say what the destination does first; then it takes all.
func TestOTLPConservation(t *testing.T) {
	t.Parallel()
	type answers func(b *testkit.Backend)
	first := func(n int, a testkit.Answer) answers {
		return func(b *testkit.Backend) {
			for range n {
				b.Script(a)
			}
		}
	}
	type test struct {
		name      string
		http      bool
		answers   answers
		permanent bool // the first answers refuse for good
		moreTaken bool
		change    func(*OTLPConfig)
		dropped   []DropReason
		retries   bool
	}
	tests := []test{
		{name: "grpc: takes all"},
		{name: "http: takes all", http: true},
		{name: "grpc: hangs up", answers: first(3, testkit.Answer{HangUp: true}), retries: true, moreTaken: true},
		{name: "http: hangs up", http: true, answers: first(3, testkit.Answer{HangUp: true}), retries: true, moreTaken: true},
		{name: "grpc: slower than the timeout", answers: first(3, testkit.Answer{Delay: time.Minute}), retries: true, moreTaken: true,
			change: func(c *OTLPConfig) { c.Timeout = 300 * time.Millisecond }},
		{name: "http: slower than the timeout", http: true, answers: first(3, testkit.Answer{Delay: time.Minute}), retries: true, moreTaken: true,
			change: func(c *OTLPConfig) { c.Timeout = 300 * time.Millisecond }},
		{name: "grpc: slow", answers: first(5, testkit.Answer{Delay: 20 * time.Millisecond})},
		{name: "http: slow", http: true, answers: first(5, testkit.Answer{Delay: 20 * time.Millisecond})},
	}
	retryable := map[codes.Code]bool{codes.Canceled: true, codes.DeadlineExceeded: true, codes.Aborted: true, codes.OutOfRange: true,
		codes.Unavailable: true, codes.DataLoss: true}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		c := test{name: "grpc: " + code.String(), answers: first(3, testkit.Answer{Code: code}), retries: retryable[code], permanent: !retryable[code]}
		if c.permanent {
			c.dropped = []DropReason{DropRefused}
		}
		tests = append(tests, c)
	}
	for _, code := range []codes.Code{codes.Unavailable, codes.ResourceExhausted} {
		tests = append(tests, test{name: "grpc: " + code.String() + " with RetryInfo", retries: true,
			answers: first(3, testkit.Answer{Code: code, RetryAfter: 10 * time.Millisecond})})
	}
	for _, status := range []int{400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504} {
		again := status == http.StatusTooManyRequests || status > 500
		c := test{name: fmt.Sprint("http: ", status), http: true, answers: first(3, testkit.Answer{Code: codes.Unknown, HTTPStatus: status}), retries: again, permanent: !again}
		if c.permanent {
			c.dropped = []DropReason{DropRefused}
		}
		tests = append(tests, c)
	}
	for _, status := range []int{429, 503} {
		tests = append(tests, test{name: fmt.Sprint("http: ", status, " with Retry-After"), http: true, retries: true,
			answers: first(1, testkit.Answer{Code: codes.Unavailable, HTTPStatus: status, RetryAfter: time.Second})})
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, testkit.BackendConfig{})
			if c.answers != nil {
				c.answers(b)
			}
			cfg := quickOTLP
			cfg.Endpoint, cfg.Insecure = b.GRPCEndpoint(), true
			if c.http {
				cfg.Endpoint, cfg.Insecure = b.HTTPEndpoint(), false
			}
			if c.change != nil {
				c.change(&cfg)
			}
			g := newOTLPRig(t, cfg)
			g.moreTaken = c.moreTaken
			g.toBackend(b, func(testkit.Answer) bool { return c.permanent })
			if err := g.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.watch()
			g.load(120, nil)
			if err := g.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			g.unwatch()
			s, sum := g.end()
			onlyDropped(t, s.Samples, c.dropped...)
			if (s.Retries > 0) != c.retries {
				t.Errorf("%d retries", s.Retries)
			}
			if c.dropped == nil && int64(len(sum.events)) != g.made.Load()-g.invalid.Load() {
				t.Errorf("%d different samples arrived of %d", len(sum.events), g.made.Load()-g.invalid.Load())
			}
		})
	}
}

// A backend that is down when the reporter starts, comes up, and goes down and up
// again, has everything in the end.
func TestOTLPBackendComesAndGoes(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"grpc", "http"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, testkit.BackendConfig{})
			cfg := quickOTLP
			cfg.Endpoint, cfg.Insecure = b.GRPCEndpoint(), true
			if transport == "http" {
				cfg.Endpoint, cfg.Insecure = b.HTTPEndpoint(), false
			}
			b.Stop()
			g := newOTLPRig(t, cfg)
			g.moreTaken = true // it may be stopped between taking and answering
			g.toBackend(b, nil)
			if err := g.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.watch()
			g.load(40, nil)
			g.eventuallyStats("a failed try", func(s Stats) bool { return s.Retries > 0 })
			if s := g.observe(); s.Samples.Held != g.made.Load()-g.invalid.Load() {
				t.Errorf("not all is held while the backend is down: %+v", s)
			}
			for range 2 {
				b.Start(t)
				g.load(40, nil)
				g.eventuallyStats("some acknowledged", func(s Stats) bool { return s.Samples.Acknowledged > 0 })
				b.Stop()
				g.load(40, nil)
			}
			b.Start(t)
			g.eventuallyStats("all acknowledged", func(s Stats) bool { return s.Samples.Held == 0 })
			g.Stop()
			g.unwatch()
			s, sum := g.end()
			onlyDropped(t, s.Samples)
			if int64(len(sum.events)) != g.made.Load()-g.invalid.Load() {
				t.Errorf("%d different samples arrived of %d", len(sum.events), g.made.Load()-g.invalid.Load())
			}
			if log := g.log.String(); !strings.Contains(log, "does not take requests") || !strings.Contains(log, "answers again") {
				t.Errorf("the outage was not told:\n%s", log)
			}
		})
	}
}

// With a backend that is down forever, the newest stay, within the bound.
func TestOTLPBackendDownForEver(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Stop()
	cfg := quickOTLP
	cfg.Endpoint, cfg.Insecure, cfg.MaxPendingBytes, cfg.StopTimeout = b.GRPCEndpoint(), true, 4*minBytes, 20*time.Millisecond
	g := newOTLPRig(t, cfg)
	g.toBackend(b, nil)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.watch()
	for g.Stats().Samples.Dropped[DropPendingFull] == 0 {
		g.load(100, nil)
	}
	err := g.Shutdown(endedContext(t))
	g.unwatch()
	s, _ := g.end()
	onlyDropped(t, s.Samples, DropPendingFull, DropStopped)
	if want := fmt.Sprint(s.Samples.Dropped[DropStopped], " items abandoned at the deadline"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Shutdown says %v, want %q", err, want)
	}
	if s.Samples.Acknowledged != 0 {
		t.Errorf("nobody can have taken %d", s.Samples.Acknowledged)
	}
	if m := g.GetMetrics(); int64(m.CountsForTracesOverwriteCount) != s.Samples.Dropped[DropPendingFull] {
		t.Errorf("GetMetrics reports %d, Stats %d", m.CountsForTracesOverwriteCount, s.Samples.Dropped[DropPendingFull])
	}
	for _, reason := range []string{"pending_full", "stopped"} {
		if !strings.Contains(g.log.String(), "reason="+reason) {
			t.Errorf("%s was not told:\n%s", reason, g.log)
		}
	}
}

// endedContext returns a context that has ended.
func endedContext(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A destination that rejects half of the profiles in a request.
func TestOTLPPartialSuccess(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	profilesIn := func(request []byte) int64 {
		distinct := map[string]bool{}
		for _, s := range testkit.ProfileSamples(t, request) {
			distinct[s.Resource+s.Profile] = true
		}
		return int64(len(distinct))
	}
	b.Respond(func(c testkit.Call) testkit.Answer {
		return testkit.Answer{Rejected: profilesIn(c.Bytes) / 2, Message: "too many"}
	})
	cfg := quickOTLP
	cfg.Endpoint, cfg.Insecure = b.GRPCEndpoint(), true
	g := newOTLPRig(t, cfg)
	g.toBackend(b, nil)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.watch()
	g.load(120, nil)
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	g.unwatch()
	s, sum := g.end()
	onlyDropped(t, s.Samples, DropRejected)
	if got := s.Samples.Acknowledged + s.Samples.Dropped[DropRejected]; got != sum.taken {
		t.Errorf("%d acknowledged or rejected, %d were sent", got, sum.taken)
	}
	want := int64(0) // the documented estimate, from what arrived
	for _, c := range b.Calls() {
		n, units := int64(len(eventTimes(t, c.Bytes))), profilesIn(c.Bytes)
		want += (n*c.Answer.Rejected + units - 1) / units
	}
	if got := s.Samples.Dropped[DropRejected]; got != want {
		t.Errorf("%d rejected, want the estimate %d", got, want)
	}
}

// What a consumer in this process says.
func TestOTLPConsumerAnswers(t *testing.T) {
	t.Parallel()
	cause := errors.New("no")
	for _, c := range []struct {
		err     error
		dropped []DropReason
		retries bool
	}{
		{err: nil},
		{err: cause, retries: true},
		{err: context.DeadlineExceeded, retries: true},
		{err: &pipeline.Error{Kind: pipeline.Retryable, Err: cause}, retries: true},
		{err: &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: 5 * time.Millisecond, Err: cause}, retries: true},
		{err: &pipeline.Error{Kind: pipeline.Permanent, Err: cause}, dropped: []DropReason{DropRefused}},
		{err: &pipeline.Error{Kind: pipeline.Partial, Rejected: 3, Err: cause}, dropped: []DropReason{DropRejected}},
		{err: &pipeline.Error{Kind: pipeline.Partial, Err: cause}}, // a remark
	} {
		name := "nil"
		if c.err != nil {
			name = pipeline.Classify(c.err).Kind.String() + " " + c.err.Error()
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := &testkit.Sink{}
			sink.FailNext(c.err, c.err, c.err)
			cfg := quickOTLP
			cfg.Consumer = sink
			g := newOTLPRig(t, cfg)
			g.toSink(sink)
			if err := g.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.watch()
			g.load(100, nil)
			if err := g.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			g.unwatch()
			// A Sink does not keep what it refused: the test knows it by what is missing.
			s := g.observe()
			sum := g.took()
			onlyDropped(t, s.Samples, c.dropped...)
			if (s.Retries > 0) != c.retries {
				t.Errorf("%d retries", s.Retries)
			}
			valid := g.made.Load() - g.invalid.Load()
			if s.Samples.Held != 0 || s.Samples.Reported != g.made.Load() || sum.taken != int64(len(sum.events)) {
				t.Errorf("%+v; %d taken, %d of them different", s, sum.taken, len(sum.events))
			}
			switch e := pipeline.Classify(c.err); {
			case e == nil || e.Kind != pipeline.Partial && c.dropped == nil || e.Kind == pipeline.Partial && e.Rejected == 0:
				if sum.taken != valid || s.Samples.Acknowledged != valid {
					t.Errorf("%d taken, %d acknowledged, want all %d", sum.taken, s.Samples.Acknowledged, valid)
				}
			case e.Kind == pipeline.Permanent:
				if sum.taken != s.Samples.Acknowledged || sum.taken+s.Samples.Dropped[DropRefused] != valid {
					t.Errorf("%d taken of %d: %+v", sum.taken, valid, s.Samples)
				}
			default:
				if sum.taken != valid || s.Samples.Acknowledged+s.Samples.Dropped[DropRejected] != valid {
					t.Errorf("%d taken of %d: %+v", sum.taken, valid, s.Samples)
				}
			}
		})
	}
}

// Stop comes while eight goroutines report, several times at once, with every
// kind of destination. What is reported afterwards is counted.
func TestOTLPStopAtAnyMoment(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	respond := map[string]func(testkit.Call) testkit.Answer{
		"takes all":   nil,
		"unavailable": func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} },
		"invalid":     func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.InvalidArgument} },
		"hangs":       func(testkit.Call) testkit.Answer { return testkit.Answer{Delay: time.Minute} },
		"hangs up":    func(testkit.Call) testkit.Answer { return testkit.Answer{HangUp: true} },
		"slow":        func(testkit.Call) testkit.Answer { return testkit.Answer{Delay: 3 * time.Millisecond} },
	}
	for name, answer := range respond {
		for i := range 4 {
			wait, http := time.Duration(rng.IntN(20))*time.Millisecond, i%2 == 1
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				t.Parallel()
				b := testkit.NewBackend(t, testkit.BackendConfig{})
				b.Respond(answer)
				cfg := quickOTLP
				cfg.Endpoint, cfg.Insecure = b.GRPCEndpoint(), true
				if http {
					cfg.Endpoint, cfg.Insecure = b.HTTPEndpoint(), false
				}
				cfg.StopTimeout = 30 * time.Millisecond
				g := newOTLPRig(t, cfg)
				g.moreTaken = true // Stop may cut an answer off
				g.toBackend(b, func(a testkit.Answer) bool { return a.Code == codes.InvalidArgument })
				if err := g.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				g.watch()
				stopped := make(chan struct{})
				var loading sync.WaitGroup
				loading.Go(func() { g.load(1<<20, stopped) })
				time.Sleep(wait)
				var stops sync.WaitGroup
				for range 3 {
					stops.Go(g.Stop)
					stops.Go(func() { _ = g.Shutdown(endedContext(t)) })
				}
				stops.Wait()
				before := g.observe()
				if before.Samples.Held != 0 {
					t.Errorf("after Stop something is held: %+v", before)
				}
				g.report(0, 4) // certainly after Stop
				close(stopped)
				loading.Wait()
				g.Stop()
				g.unwatch()
				s, _ := g.end()
				if s.Samples.Dropped[DropStopped] <= before.Samples.Dropped[DropStopped] {
					t.Errorf("what came after Stop was not counted: %+v", s)
				}
				if s.Samples.Acknowledged != before.Samples.Acknowledged {
					t.Errorf("something was sent after Stop")
				}
				if err := g.Start(t.Context()); err == nil {
					t.Error("a stopped reporter was started again")
				}
			})
		}
	}
}

// Stop keeps its time although Shutdown with all the time in the world came first.
func TestOTLPStopDoesNotWaitForShutdown(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	sink.Fail(errors.New("no"))
	cfg := quickOTLP
	cfg.Consumer, cfg.StopTimeout = sink, 10*time.Millisecond
	g := newOTLPRig(t, cfg)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.report(0, 4)
	first := make(chan error)
	go func() { first <- g.Shutdown(context.Background()) }()
	g.eventuallyStats("a try", func(s Stats) bool { return s.Retries > 0 })
	g.Stop()
	if err := <-first; err == nil {
		t.Error("Shutdown lost a sample and returns no error")
	}
	s, _ := g.end()
	onlyDropped(t, s.Samples, DropStopped)
}

// A reporter that is never started keeps what fits.
func TestOTLPNeverStarted(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	cfg := quickOTLP
	cfg.Consumer, cfg.MaxWindowBytes = sink, minWindowBytes
	cfg.MetricDefinitions = map[uint32]MetricDefinition{1: {Name: "m"}}
	g := newOTLPRig(t, cfg)
	g.toSink(sink)
	g.watch()
	g.load(30_000, nil)
	g.ReportMetrics(5, []uint32{1}, []int64{1})
	if s := g.observe(); s.Samples.Held == 0 || s.Samples.Dropped[DropWindowFull] == 0 || s.Points.Held != 1 {
		t.Errorf("before the end: %+v", s)
	}
	if s := g.Stats(); s.WindowBytes > int64(cfg.MaxWindowBytes)/2+16*(20<<10) {
		t.Errorf("the window takes %d bytes", s.WindowBytes)
	}
	lost := g.Shutdown(t.Context())
	if lost == nil {
		t.Error("Shutdown lost samples and returns no error")
	}
	g.unwatch()
	s, _ := g.end()
	onlyDropped(t, s.Samples, DropWindowFull, DropStopped)
	if s.Points.Dropped[DropStopped] != 1 || sink.Calls() != 0 {
		t.Errorf("%+v, %d calls", s.Points, sink.Calls())
	}
	if err := g.Shutdown(t.Context()); err != lost {
		t.Errorf("the second time: %v, the first time: %v", err, lost)
	}
}

// More than the window holds is refused, and told, while the reporter runs.
func TestOTLPWindowFull(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	cfg := quickOTLP
	cfg.Consumer, cfg.MaxWindowBytes, cfg.ReportInterval = sink, minWindowBytes, time.Hour
	g := newOTLPRig(t, cfg)
	g.toSink(sink)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.watch()
	for g.Stats().Samples.Dropped[DropWindowFull] == 0 {
		g.load(20_000, nil)
	}
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	g.unwatch()
	s, _ := g.end()
	onlyDropped(t, s.Samples, DropWindowFull)
	if !strings.Contains(g.log.String(), "window_full=") {
		t.Errorf("it was not told:\n%s", g.log)
	}
}

// A sample that fits into no request is counted and told, and takes nothing with
// it.
func TestOTLPTooLarge(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	cfg := quickOTLP
	cfg.Consumer = sink
	g := newOTLPRig(t, cfg)
	g.toSink(sink)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.load(10, nil)
	for i := range int64(3) {
		g.begun.Add(1)
		meta := &samples.TraceEventMeta{Timestamp: 5 + i, Origin: loadCPU, Comm: strings.Repeat("x", minBytes)}
		if err := g.ReportTraceEvent(&samples.Trace{Frames: loadStack(1)}, meta); err != nil {
			t.Error(err)
		}
		g.made.Add(1)
	}
	g.Stop()
	s, _ := g.end()
	onlyDropped(t, s.Samples, DropTooLarge)
	if s.Samples.Dropped[DropTooLarge] != 3 || !strings.Contains(g.log.String(), "too_large=") {
		t.Errorf("%+v\n%s", s.Samples, g.log)
	}
}

// StartOTLP with a context that has ended already, or ends, is a reporter that was
// stopped.
func TestOTLPContextEnds(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	for i := range 20 {
		config := &Config{CollAgentAddr: b.GRPCEndpoint(), DisableTLS: true, Times: quickTimes()}
		r, err := StartOTLP(endedContext(t), config)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // else nobody else stops it
			r.Stop()
		}
		stoppedSoon(t, r.(*OTLPReporter))
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := StartOTLP(ctx, &Config{CollAgentAddr: b.HTTPEndpoint(), Times: quickTimes()})
	if err != nil {
		t.Fatal(err)
	}
	o := r.(*OTLPReporter)
	g := &otlpRig{t: t, OTLPReporter: o, log: &testkit.Log{}}
	g.load(5, nil)
	cancel()
	stoppedSoon(t, o)
	s, _ := g.end()
	onlyDropped(t, s.Samples)
	if b.Items(otlp.Profiles) == 0 {
		t.Error("the end of the context lost what was collected")
	}
}

// stoppedSoon waits until a reporter has stopped.
func stoppedSoon(t *testing.T, r *OTLPReporter) {
	t.Helper()
	select {
	case <-r.stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("the end of the context did not stop the reporter")
	}
}
