package pprofreceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/reporter"
)

// network is targets in a bubble of synctest, where time costs nothing.
type network struct {
	mu     sync.Mutex
	began  time.Time
	asked  map[string][]time.Duration // by host and path: since began
	active map[string]int
	fault  []string
	// reading is how many bodies are being read.
	reading, mostReading int
	total, most          int
	// slow is how long a host takes to answer, lateBody to begin its body after the
	// head, and slowBody to give it after the first byte.
	slow, lateBody, slowBody map[string]time.Duration
	body                     []byte
}

func newNetwork(t testing.TB) *network {
	return &network{
		began: time.Now(), asked: map[string][]time.Duration{}, active: map[string]int{},
		slow: map[string]time.Duration{}, slowBody: map[string]time.Duration{}, lateBody: map[string]time.Duration{}, body: plainProfile(t),
	}
}

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	at := req.URL.Host + req.URL.Path
	n.mu.Lock()
	n.asked[at] = append(n.asked[at], time.Since(n.began))
	n.active[at]++
	n.total++
	n.most = max(n.most, n.total)
	if n.active[at] > 1 {
		n.fault = append(n.fault, at+" is asked twice at a time")
	}
	wait := n.slow[req.URL.Host]
	if s := req.URL.Query().Get("seconds"); s != "" {
		d, _ := time.ParseDuration(s + "s")
		wait += d
	}
	n.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-req.Context().Done():
		n.done(at)
		return nil, req.Context().Err()
	}
	return &http.Response{StatusCode: http.StatusOK, Body: &slowBody{n: n, at: at, ctx: req.Context(), late: n.lateBody[req.URL.Host], wait: n.slowBody[req.URL.Host], rest: bytes.NewReader(n.body)}}, nil
}

func (n *network) done(at string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.active[at]--
	n.total--
}

type slowBody struct {
	n     *network
	at    string
	ctx   context.Context
	late  time.Duration
	wait  time.Duration
	rest  io.Reader
	first bool
	began bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if !b.first {
		b.first = true
		select {
		case <-time.After(b.late):
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
		return b.rest.Read(p[:1])
	}
	if !b.began {
		b.began = true
		b.n.mu.Lock()
		b.n.reading++
		b.n.mostReading = max(b.n.mostReading, b.n.reading)
		b.n.mu.Unlock()
		select {
		case <-time.After(b.wait):
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	return b.rest.Read(p)
}

func (b *slowBody) Close() error {
	if b.began {
		b.n.mu.Lock()
		b.n.reading--
		b.n.mu.Unlock()
	}
	b.n.done(b.at)
	return nil
}

// run starts an engine over the network, and ends it after a while.
func (n *network) run(t *testing.T, cfg Config, while time.Duration) Stats {
	t.Helper()
	return n.runInto(t, &recorder{}, cfg, while)
}

func (n *network) runInto(t *testing.T, sink Sink, cfg Config, while time.Duration) Stats {
	t.Helper()
	e, err := NewEngine(cfg, settings(), sink)
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range e.targets {
		tg.http = &http.Client{Transport: n}
	}
	if err := errors.Join(e.Start(t.Context()), e.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	time.Sleep(while)
	stop := time.Now()
	if err := errors.Join(e.Shutdown(t.Context()), e.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(stop); took > 0 {
		t.Errorf("Shutdown took %s", took)
	}
	for _, f := range n.fault {
		t.Error(f)
	}
	if n.total != 0 {
		t.Errorf("%d requests are left", n.total)
	}
	if err := e.Start(t.Context()); err == nil {
		t.Error("it was started again after Shutdown")
	}
	return e.Stats()
}

func manyTargets(n int, profiles ...string) Config {
	cfg := DefaultConfig()
	cfg.Profiles = ProfilesOf(profiles...)
	for i := range n {
		cfg.Targets = append(cfg.Targets, Target{Endpoint: fmt.Sprintf("t%d:1", i)})
	}
	return cfg
}

func TestRoundsKeepTheInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		cfg := manyTargets(1, "cpu", "heap", "mutex")
		cfg.InitialDelay = 3 * time.Second
		s := n.run(t, cfg, 63*time.Second)
		for _, path := range []string{"profile", "heap", "mutex"} {
			if got, want := fmt.Sprint(n.asked["t0:1/debug/pprof/"+path]), "[3s 18s 33s 48s 1m3s]"; got != want && got != "[3s 18s 33s 48s]" {
				t.Errorf("%s was asked for at %s, want %s", path, got, want)
			}
		}
		if len(s.Failures) != 0 || s.Skipped != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A round that takes longer than the interval is not joined by another.
func TestNoOverlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.slow["t0:1"] = 4 * time.Second
		cfg := manyTargets(1, "cpu", "heap")
		cfg.CollectionInterval = 3 * time.Second
		s := n.run(t, cfg, 32*time.Second)
		if got, want := fmt.Sprint(n.asked["t0:1/debug/pprof/heap"]), "[0s 6s 12s 18s 24s 30s]"; got != want {
			t.Errorf("heap was asked for at %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(n.asked["t0:1/debug/pprof/profile"]), "[0s 9s 18s 27s]"; got != want {
			t.Errorf("the CPU profile was asked for at %s, want %s", got, want)
		}
		if s.Skipped != 5+2*3 {
			t.Errorf("%d turns were left out, want 11", s.Skipped)
		}
	})
}

// Targets begin one after the other, within the first interval.
func TestTargetsAreSpread(t *testing.T) {
	t.Parallel()
	for _, count := range []int{2, 400} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.run(t, manyTargets(count, "heap"), 16*time.Second)
			last, at := time.Duration(-1), map[time.Duration]int{}
			for i := range count {
				first := n.asked[fmt.Sprintf("t%d:1/debug/pprof/heap", i)][0]
				at[first]++
				last = max(last, first)
			}
			if len(at) != count {
				t.Errorf("%d targets begin at %d different times", count, len(at))
			}
			if last >= 15*time.Second || count == 2 && last > apart {
				t.Errorf("the last of %d targets begins after %s", count, last)
			}
		})
	}
}

// Hundreds of CPU profiles are waited for at a time, and none of them takes a
// place from those that have something to read.
func TestManyTargets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		cfg := manyTargets(300, "cpu", "heap")
		cfg.MaxConcurrency = 4
		for i := range 300 {
			n.slowBody[fmt.Sprintf("t%d:1", i)] = 20 * time.Millisecond
		}
		s := n.run(t, cfg, 61*time.Second)
		if len(s.Failures) != 0 || s.Skipped != 0 || s.Fetches < 300*(4+3) {
			t.Errorf("stats %+v", s)
		}
		if n.mostReading > 4 || n.most < 280 {
			t.Errorf("at most %d were asked at a time and %d read, want all and 4", n.most, n.mostReading)
		}
	})
}

func TestSlowTargetsDelayNoOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.slow["t0:1"], n.slowBody["t1:1"] = time.Hour, time.Hour
		cfg := manyTargets(20, "cpu", "heap", "mutex", "goroutine")
		cfg.MaxConcurrency = 3 // the trickler takes two at most
		s := n.run(t, cfg, 10*time.Minute)
		for i := 2; i < 20; i++ {
			for _, path := range []string{"profile", "heap", "mutex", "goroutine"} {
				if got := len(n.asked[fmt.Sprintf("t%d:1/debug/pprof/%s", i, path)]); got != 40 {
					t.Errorf("t%d: %s was asked for %d times in 10 minutes, want 40", i, path, got)
				}
			}
		}
		if len(s.Failures) != 1 || s.Failures[string(causeTimeout)] == 0 {
			t.Errorf("failures %v", s.Failures)
		}
		for _, path := range []string{"heap", "mutex", "goroutine"} { // all had their turn
			if got := len(n.asked["t0:1/debug/pprof/"+path]); got < 13 {
				t.Errorf("t0: %s was asked for %d times", path, got)
			}
		}
	})
}

// A day of rounds leaves nothing behind but one baseline.
func TestADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		s := n.run(t, manyTargets(1, "mutex"), 24*time.Hour)
		if s.Fetches < 5760 || s.BaselineBytes > 1000 || s.Restarts != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestRunOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		e, err := NewEngine(manyTargets(5, "cpu", "heap"), settings(), &recorder{})
		if err != nil {
			t.Fatal(err)
		}
		for _, tg := range e.targets {
			tg.http = &http.Client{Transport: n}
		}
		if err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := e.Stats(); s.Fetches != 10 || len(s.Failures) != 0 {
			t.Errorf("stats %+v", s)
		}
		if took := time.Since(n.began); took != 14*time.Second {
			t.Errorf("it took %s, want the 14s of the CPU profile", took)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRunOnceEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		e, err := NewEngine(manyTargets(2, "cpu"), settings(), &recorder{})
		if err != nil {
			t.Fatal(err)
		}
		for _, tg := range e.targets {
			tg.http = &http.Client{Transport: n}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := e.RunOnce(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if s := e.Stats(); s.Fetches != 0 || len(s.Failures) != 0 {
			t.Errorf("what was interrupted is counted: %+v", s)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStatusNamesTargets(t *testing.T) {
	t.Parallel()
	cfg := manyTargets(2, "heap")
	cfg.Files = []string{t.TempDir() + "/*"}
	r := newRig(t, cfg)
	var names []string
	for _, s := range r.Status() {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "t0:1 t1:1 files" {
		t.Errorf("got %s", got)
	}
}

// No more answers are read at a time than there are places for.
func TestReadingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		cfg := manyTargets(20, "heap")
		cfg.MaxConcurrency = 4
		for i := range 20 {
			n.slowBody[fmt.Sprintf("t%d:1", i)] = 2 * time.Second // eight at a time, if they could
		}
		s := n.run(t, cfg, 61*time.Second)
		if len(s.Failures) != 0 || s.Skipped != 0 || n.mostReading != 4 {
			t.Errorf("%d were read at a time, want 4; stats %+v", n.mostReading, s)
		}
	})
}

// An answer that does not end gives its place back long before its timeout.
func TestTricklersAreCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		cfg := manyTargets(2, "heap")
		cfg.MaxConcurrency, cfg.HTTP.Timeout = 1, time.Hour
		n.slowBody["t0:1"] = time.Hour
		s := n.run(t, cfg, 151*time.Second)
		if s.Failures[string(causeTimeout)] != 10 || s.Fetches != 20 || s.Skipped != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A body may begin as late as the timeout allows, after a head that was sent early, and
// then be slow, as long as it makes progress.
func TestBodiesMayBeginLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		cfg := manyTargets(2, "heap", "cpu")
		cfg.CollectionInterval, cfg.MaxConcurrency, cfg.HTTP.Timeout = 2*time.Minute, 1, 90*time.Second
		cfg.Profiles["cpu"], cfg.CountFrom = Profile{Enabled: true, Seconds: 30}, FromProcessStart
		n.lateBody["t0:1"], n.slowBody["t0:1"] = 40*time.Second, 9*time.Second
		s := n.run(t, cfg, 119*time.Second)
		if len(s.Failures) != 0 || s.Fetches < 4 || s.Numbers == 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// slowSink takes its time, and counts who is there.
type slowSink struct {
	mu        sync.Mutex
	now, most int
}

func (s *slowSink) ReportPprof(context.Context, *profile.Profile, reporter.PprofMeta) error {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	time.Sleep(time.Second)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	return nil
}

// What was read waits for the parser in its place: no more is held in memory.
func TestWhatIsReadIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		cfg := manyTargets(12, "mutex")
		cfg.MaxConcurrency, cfg.CountFrom = 4, FromProcessStart
		sink := &slowSink{}
		s := n.runInto(t, sink, cfg, 14*time.Second)
		if len(s.Failures) != 0 || s.Fetches != 12 || n.mostReading != 4 || sink.most != parsers {
			t.Errorf("%d bodies in memory and %d in the sink at a time, want 4 and %d; stats %+v", n.mostReading, sink.most, parsers, s)
		}
	})
}
