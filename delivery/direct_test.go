package delivery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// answers is a consumer whose answer a test sets. It counts what arrives.
type answers struct {
	mu      sync.Mutex
	answer  func(n int) error // of the n-th attempt, from 1
	calls   int
	now     int // at this moment
	most    int
	release chan struct{} // nil: it answers at once
}

func (a *answers) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (a *answers) Consume(ctx context.Context, _ *pipeline.Batch) error {
	a.mu.Lock()
	a.calls++
	a.now++
	a.most = max(a.most, a.now)
	n, answer, release := a.calls, a.answer, a.release
	a.mu.Unlock()
	defer func() { a.mu.Lock(); a.now--; a.mu.Unlock() }()
	if release != nil {
		select {
		case <-release:
		case <-ctx.Done():
			return &pipeline.Error{Kind: pipeline.Retryable, Err: ctx.Err()}
		}
	}
	if answer == nil {
		return nil
	}
	return answer(n)
}

func (a *answers) set(f func(n int) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

func (a *answers) count() (calls, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls, a.most
}

var errAway = &pipeline.Error{Kind: pipeline.Retryable, Err: errors.New("down")}

func down(int) error { return errAway }

// ofLogs is a batch with n records.
func ofLogs(t testing.TB, n int) *pipeline.Batch {
	t.Helper()
	b, err := pipeline.NewBatch(otlp.Logs, logRequest(make([]string, n)...), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

func newDirect(a *answers, change func(*DestinationConfig)) *Direct {
	cfg := DestinationConfig{Name: "logs/otlp", Signal: otlp.Logs, Next: a, InitialBackoff: time.Second, MaxBackoff: 30 * time.Second}
	if change != nil {
		change(&cfg)
	}
	return NewDirect(cfg)
}

// balance checks the ledger.
func balance(t *testing.T, l Ledger) {
	t.Helper()
	if sum := l.Delivered + l.Rejected + l.DeadLettered + l.Dropped + l.Damaged + l.Returned + l.Held; sum != l.Accepted {
		t.Errorf("the ledger does not balance: %+v", l)
	}
}

// What a destination answers is what the sender gets; what may pass is sent again as long
// as the sender waits.
func TestDirectAnswers(t *testing.T) {
	refused := &pipeline.Error{Kind: pipeline.Permanent, Code: 3, Err: errors.New("no")}
	partial := &pipeline.Error{Kind: pipeline.Partial, Rejected: 2, Err: errors.New("two")}
	for name, c := range map[string]struct {
		answer func(int) error
		change func(*DestinationConfig)
		calls  int
		err    error
		want   Ledger
	}{
		"taken":             {calls: 1, want: Ledger{Delivered: 5}},
		"refused for good":  {answer: func(int) error { return refused }, calls: 1, err: refused, want: Ledger{Rejected: 5}},
		"a part":            {answer: func(int) error { return partial }, calls: 1, err: partial, want: Ledger{Delivered: 3, Rejected: 2}},
		"down for a moment": {answer: func(n int) error { return map[bool]error{true: errAway}[n < 4] }, calls: 4, want: Ledger{Delivered: 5}},
		"given up":          {answer: down, change: func(c *DestinationConfig) { c.GiveUpAfter = -1 }, calls: 1, err: errAway, want: Ledger{Returned: 5}},
		"a panic": {answer: func(int) error { panic("broken") }, calls: 1,
			err: &pipeline.Error{Kind: pipeline.Permanent, Err: errors.New("")}, want: Ledger{Rejected: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{answer: c.answer}
				d := newDirect(a, c.change)
				err := pipeline.Classify(d.Consume(t.Context(), ofLogs(t, 5)))
				if want := pipeline.Classify(c.err); (err == nil) != (want == nil) || err != nil && (err.Kind != want.Kind || err.Code != want.Code) {
					t.Errorf("the sender got %v, want %v", err, c.err)
				}
				if calls, _ := a.count(); calls != c.calls {
					t.Errorf("%d attempts, want %d", calls, c.calls)
				}
				c.want.Accepted = 5
				if diff := cmp.Diff(c.want, d.Ledger()); diff != "" {
					t.Errorf("ledger (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A sender with a deadline gets the failure when the next attempt would be too late, and
// not only at the deadline; the failure is the destination's.
func TestDirectDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{answer: down}
		d := newDirect(a, func(c *DestinationConfig) { c.InitialBackoff, c.MaxBackoff = 20*time.Second, time.Minute })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		err := d.Consume(ctx, ofLogs(t, 5))
		if e := pipeline.Classify(err); e == nil || e.Kind != pipeline.Retryable || !errors.Is(err, errAway.Err) {
			t.Errorf("got %v, want the destination's failure", err)
		}
		if time.Since(begun) != 0 {
			t.Error("the sender waited for an attempt that could not come")
		}
		if l := d.Ledger(); l.Returned != 5 || l.Held != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

// A sender that leaves during an attempt is answered, whether or not the destination was
// down before.
func TestDirectSenderLeaves(t *testing.T) {
	for name, before := range map[string]int{"up": 0, "down": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{answer: down}
				d := newDirect(a, nil)
				for range before {
					_ = d.Consume(canceledAfter(t, time.Nanosecond), ofLogs(t, 1))
				}
				time.Sleep(time.Minute)
				a.mu.Lock()
				a.release = make(chan struct{})
				a.mu.Unlock()
				if e := pipeline.Classify(d.Consume(canceledAfter(t, time.Hour), ofLogs(t, 1))); e == nil || e.Kind != pipeline.Retryable {
					t.Errorf("got %v", e)
				}
				if calls, _ := a.count(); calls != before+1 {
					t.Errorf("%d attempts, want %d", calls, before+1)
				}
			})
		})
	}
}

// While the destination is down one request at a time tries it; when it is
// up all are sent.
func TestDirectTriesOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{answer: down}
		d := newDirect(a, nil)
		if err := d.Consume(canceledAfter(t, time.Nanosecond), ofLogs(t, 1)); err == nil {
			t.Fatal("no error")
		}
		before, _ := a.count()
		var wg sync.WaitGroup
		var failed atomic.Int32
		for range 100 {
			wg.Go(func() {
				if err := d.Consume(t.Context(), ofLogs(t, 1)); err != nil {
					failed.Add(1)
				}
			})
		}
		time.Sleep(5 * time.Minute)
		if calls, most := a.count(); most != 1 || calls-before < 5 || calls-before > 40 {
			t.Errorf("%d attempts in five minutes, at most %d at a time, want one every half a minute", calls-before, most)
		}
		if l := d.Ledger(); l.HeldRequests != 100 {
			t.Errorf("%d requests wait, want 100", l.HeldRequests)
		}
		a.set(nil)
		wg.Wait()
		if failed.Load() > 0 {
			t.Errorf("%d requests failed", failed.Load())
		}
		balance(t, d.Ledger())
		if l := d.Ledger(); l.Delivered != 100 || l.Held != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

func canceledAfter(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Beyond its bound a sender is asked to retry, or waits.
func TestDirectBounds(t *testing.T) {
	for name, change := range map[string]func(*DestinationConfig){
		"requests": func(c *DestinationConfig) { c.MaxHeldRequests = 2 },
		"items":    func(c *DestinationConfig) { c.MaxHeldItems = 10 },
		"bytes":    func(c *DestinationConfig) { c.MaxHeldBytes = uint64(2 * len(logRequest(make([]string, 5)...))) },
		"blocking": func(c *DestinationConfig) { c.MaxHeldRequests, c.Block = 2, true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{release: make(chan struct{})}
				d := newDirect(a, change)
				results := make(chan error, 3)
				for range 3 {
					go func() { results <- d.Consume(t.Context(), ofLogs(t, 5)) }()
				}
				synctest.Wait()
				if calls, _ := a.count(); calls != 2 {
					t.Fatalf("%d requests are being sent, want 2", calls)
				}
				refused := 0
				if name != "blocking" {
					if e := pipeline.Classify(<-results); e == nil || e.Kind != pipeline.Overloaded || e.RetryAfter == 0 {
						t.Errorf("got %v, want a request to retry", e)
					}
					refused++
				}
				close(a.release)
				for range 3 - refused {
					if err := <-results; err != nil {
						t.Error(err)
					}
				}
				if l := d.Ledger(); int(l.Accepted) != 5*(3-refused) || l.Delivered != l.Accepted {
					t.Errorf("ledger %+v", l)
				}
			})
		})
	}
}

// Stop ends all waits; what comes later is sent once.
func TestDirectStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{answer: down}
		d := newDirect(a, nil)
		results := make(chan error)
		for range 10 {
			go func() { results <- d.Consume(t.Context(), ofLogs(t, 1)) }()
		}
		time.Sleep(time.Hour)
		begun := time.Now()
		d.Stop()
		for range 10 {
			if e := pipeline.Classify(<-results); e == nil || e.Kind != pipeline.Retryable {
				t.Errorf("got %v, want a failure that asks to retry", e)
			}
		}
		before, _ := a.count()
		if e := pipeline.Classify(d.Consume(t.Context(), ofLogs(t, 1))); e == nil || e.Kind != pipeline.Retryable {
			t.Errorf("got %v", e)
		}
		if calls, _ := a.count(); calls != before+1 {
			t.Errorf("%d attempts after Stop, want 1", calls-before)
		}
		if time.Since(begun) != 0 {
			t.Error("a request waited after Stop")
		}
		balance(t, d.Ledger())
	})
}

// Many senders, a destination that comes and goes, senders that leave: the ledger
// balances, and nothing waits forever.
func TestDirectComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{answer: func(n int) error { return map[bool]error{true: errAway}[n/50%2 == 1] }}
		d := newDirect(a, func(c *DestinationConfig) { c.MaxHeldRequests = 30 })
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				for k := range 50 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(i*k)%90)*time.Second)
					_ = d.Consume(ctx, ofLogs(t, 1))
					cancel()
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		balance(t, d.Ledger())
		if l := d.Ledger(); l.Held != 0 || l.Delivered == 0 || l.Returned == 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}
