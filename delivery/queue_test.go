package delivery

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) {
	// The decoder of zstd is made once, and must not belong to the bubble of a test.
	r := record.Record{Codec: pipeline.CodecZstd, Plain: 1, Body: testkit.Compress(pipeline.CodecZstd, []byte("x"))}
	if _, err := r.Request(); err != nil {
		panic(err)
	}
	testkit.Main(m)
}

// script is a destination that gives these answers, one each, and then accepts
// everything. It notes what was sent, and when.
type script struct {
	testkit.Sink
	mu   sync.Mutex
	sent []*pipeline.Batch
	at   []time.Time
}

func newScript(answers ...error) *script {
	d := &script{}
	d.Respond(func(_ context.Context, b *pipeline.Batch) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sent = append(d.sent, b)
		d.at = append(d.at, time.Now())
		if n := len(d.sent); n <= len(answers) {
			return answers[n-1]
		}
		return nil
	})
	return d
}

// calls returns what was sent, and when.
func (d *script) calls() ([]*pipeline.Batch, []time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sent, d.at
}

// hang is a destination that does not answer before ctx ends.
func hang(ctx context.Context, _ *pipeline.Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

var errDown = errors.New("down")

func refuse(kind pipeline.Kind) error { return &pipeline.Error{Kind: kind, Err: errDown} }

// filler is a valid request of n bytes, at least 2, and no items.
func filler(s otlp.Signal, n int) *pipeline.Batch {
	b := make([]byte, max(n, 2))
	b[0] = 15<<3 | 2 // a field that nobody knows
	if len(b) < 6 {
		b[1] = byte(len(b) - 2)
	} else { // a length of five bytes, however small
		for i, rest := 1, len(b)-6; i < 6; i, rest = i+1, rest>>7 {
			b[i] = byte(rest) | 0x80
		}
		b[5] &= 0x7f
	}
	return pipeline.NewUncheckedBatch(s, b, 0, nil)
}

// payload is a request of profiles with n bytes, as many items, and one unit.
func payload(n int) Request {
	return Request{Batch: filler(otlp.Profiles, n), Items: int64(n), Units: 1}
}

// number returns an attribute of a line.
func number(t *testing.T, line, key string) int64 {
	t.Helper()
	_, after, _ := strings.Cut(line, " "+key+"=")
	text, _, _ := strings.Cut(after, " ")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s in %q: %v", key, line, err)
	}
	return n
}

// balanced fails the test if items are lost from the stats or counted twice.
func balanced(t testing.TB, a Stats) {
	t.Helper()
	sum := a.Delivered + a.Held
	for _, n := range a.Dropped {
		sum += n
	}
	if sum != a.Added || a.Held < 0 || a.HeldBytes < 0 || a.HeldRequests < 0 {
		t.Errorf("the stats do not add up: %+v", a)
	}
}

func (q *Queue) expect(t *testing.T, want Stats) {
	t.Helper()
	got := q.Stats(otlp.Profiles)
	balanced(t, got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// ended is a context that leaves no time.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []error
		want    Stats
		sends   int
	}{
		"taken":      {nil, Stats{Added: 100, Delivered: 100}, 1},
		"retryable":  {[]error{refuse(pipeline.Retryable)}, Stats{Added: 100, Delivered: 100, Retries: 1}, 2},
		"of no kind": {[]error{errDown, errDown}, Stats{Added: 100, Delivered: 100, Retries: 2}, 3},
		"overloaded": {[]error{refuse(pipeline.Overloaded)}, Stats{Added: 100, Delivered: 100, Retries: 1}, 2},
		"permanent":  {[]error{refuse(pipeline.Permanent)}, Stats{Added: 100, Dropped: [NumReasons]int64{Refused: 100}}, 1},
		"then not":   {[]error{errDown, refuse(pipeline.Permanent)}, Stats{Added: 100, Dropped: [NumReasons]int64{Refused: 100}, Retries: 1}, 2},
		"partial": {[]error{&pipeline.Error{Kind: pipeline.Partial, Rejected: 1}},
			Stats{Added: 100, Delivered: 66, Dropped: [NumReasons]int64{Rejected: 34}}, 1},
		"partial of all": {[]error{&pipeline.Error{Kind: pipeline.Partial, Rejected: 1 << 40}},
			Stats{Added: 100, Dropped: [NumReasons]int64{Rejected: 100}}, 1},
		"remark": {[]error{&pipeline.Error{Kind: pipeline.Partial, Err: errDown}}, Stats{Added: 100, Delivered: 100}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newScript(c.answers...)
			q := New(Config{Next: d})
			q.Start()
			r := payload(100)
			r.Units = 3
			q.Add(r)
			time.Sleep(time.Minute)
			sent, _ := d.calls()
			if diff := cmp.Diff(c.want, q.Stats(otlp.Profiles)); diff != "" || len(sent) != c.sends {
				t.Errorf("%s: %d sends, want %d; stats (-want +got):\n%s", name, len(sent), c.sends, diff)
			}
			q.Shutdown(t.Context())
		})
	}
}

func TestLostItems(t *testing.T) {
	t.Parallel()
	const huge = 1<<63 - 1
	for _, c := range []struct{ items, rejected, units, want int64 }{
		{10, 0, 5, 0}, {10, -1, 5, 0}, {0, 3, 5, 0}, {10, 1, 5, 2}, {10, 5, 5, 10}, {10, 6, 5, 10},
		{10, 1, 3, 4}, {1, 1, 1000, 1}, {10, 3, 0, 3}, {10, 30, 0, 10}, {10, 3, -1, 3},
		{huge, huge - 1, huge, huge - 1}, {huge, 1, 2, 1 << 62}, {huge, huge, 1, huge},
	} {
		if got := lostItems(c.items, c.rejected, c.units); got != c.want {
			t.Errorf("%d of %d units rejected, %d items: %d lost, want %d", c.rejected, c.units, c.items, got, c.want)
		}
	}
}

// The oldest is sent first, and stays the first while it fails.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newScript(errDown, errDown, nil, errDown)
		q := New(Config{Next: d})
		var b []*pipeline.Batch
		for n := range 3 {
			r := payload(2 + n)
			b = append(b, r.Batch)
			q.Add(r)
		}
		q.Start()
		q.Start()
		time.Sleep(time.Minute)
		want := []*pipeline.Batch{b[0], b[0], b[0], b[1], b[1], b[2]}
		sent, _ := d.calls()
		if len(sent) != len(want) {
			t.Fatalf("%d sends, want %d", len(sent), len(want))
		}
		for i := range want {
			if sent[i] != want[i] {
				t.Errorf("attempt %d is with another request", i)
			}
		}
		q.Shutdown(t.Context())
	})
}

// Delays double from one second to thirty, half of each is jitter, and a
// response resets them.
func TestBackoff(t *testing.T) {
	t.Parallel()
	shortest, longest := map[int]time.Duration{}, map[int]time.Duration{}
	means := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 20 * time.Second, 20 * time.Second}
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			d := newScript(append(slices.Repeat([]error{errDown}, len(means)), nil, errDown)...)
			q := New(Config{Next: d})
			q.Start()
			q.Add(payload(1))
			q.Add(payload(2))
			time.Sleep(time.Hour)
			_, at := d.calls()
			if want := len(means) + 3; len(at) != want {
				t.Fatalf("%d sends, want %d", len(at), want)
			}
			for i, mean := range append(means, 0, time.Second) {
				wait := at[i+1].Sub(at[i])
				if wait < mean/2 || wait > mean*3/2 {
					t.Errorf("wait %d is %s, want %s to %s", i, wait, mean/2, mean*3/2)
				}
				if low, ok := shortest[i]; !ok || wait < low {
					shortest[i] = wait
				}
				longest[i] = max(longest[i], wait)
			}
			q.Shutdown(t.Context())
		})
	}
	for i, mean := range means {
		if longest[i]-shortest[i] < mean*3/4 { // of a hundred draws from a range as wide as mean
			t.Errorf("delay %d is %s to %s: there is not enough jitter", i, shortest[i], longest[i])
		}
	}
}

// A destination is left alone for as long as it asks for, not much longer, and
// also while stopping.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, kind := range []pipeline.Kind{pipeline.Retryable, pipeline.Overloaded} {
		for after, want := range map[time.Duration]time.Duration{
			time.Minute: time.Minute, 100 * time.Hour: time.Hour, time.Millisecond: 0, -time.Hour: 0,
		} {
			for _, stopping := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					d := newScript(&pipeline.Error{Kind: kind, RetryAfter: after})
					q := New(Config{Next: d})
					q.Start()
					q.Add(payload(1))
					synctest.Wait()
					q.Add(payload(2))
					if stopping {
						q.Shutdown(t.Context())
					}
					time.Sleep(2 * time.Hour)
					_, at := d.calls()
					wait := at[1].Sub(at[0])
					if wait < want || wait > want+1500*time.Millisecond {
						t.Errorf("%s, asked for %s, stopping %t: sent again after %s", kind, after, stopping, wait)
					}
					q.expect(t, Stats{Added: 3, Delivered: 3, Retries: 1})
					q.Shutdown(t.Context())
				})
			}
		}
	}
}

// Add returns while a send hangs; the bound holds; the one being sent stays, the
// oldest of the others go, and what fits in no case drives out nobody.
func TestAddWhileSendHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		q := New(Config{Next: pipeline.ConsumerFunc(hang), MaxPendingBytes: 1000, Logger: log.Logger()})
		q.Start()
		q.Add(payload(400))
		synctest.Wait()
		begin := time.Now()
		for range 100 {
			q.Add(payload(100))
			if a := q.Stats(otlp.Profiles); a.HeldBytes > 1000 {
				t.Fatalf("%d bytes are held", a.HeldBytes)
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("Add waited %s for a send", waited)
		}
		want := Stats{Added: 10400, Held: 1000, HeldBytes: 1000, HeldRequests: 7, Dropped: [NumReasons]int64{PendingFull: 9400}}
		q.expect(t, want)
		q.Add(payload(1001)) // larger than the bound
		q.Add(payload(601))  // not beside the one being sent
		want.Added += 1602
		want.Dropped[PendingFull] += 1602
		q.expect(t, want)
		q.Add(payload(550)) // six go
		want.Added += 550
		want.Dropped[PendingFull] += 600
		want.Held, want.HeldBytes, want.HeldRequests = 950, 950, 2
		q.expect(t, want)
		q.Shutdown(ended())
		want.Held, want.HeldBytes, want.HeldRequests = 0, 0, 0
		want.Dropped[Stopped] = 950
		q.expect(t, want)
		if n := len(log.Lines("reason=pending_full")); n != 2 {
			t.Errorf("%d lines, want the first and the rest: %q", n, log.Lines("pending_full"))
		}
	})
}

// While it waits to be sent again the head is as old as it is.
func TestHeadGoesFirstBetweenTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newScript(&pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Minute})
		q := New(Config{Next: d, MaxPendingBytes: 1000})
		q.Start()
		q.Add(payload(600))
		synctest.Wait()
		q.Add(payload(500))
		q.expect(t, Stats{Added: 1100, Held: 500, HeldBytes: 500, HeldRequests: 1, Dropped: [NumReasons]int64{PendingFull: 600}})
		time.Sleep(59 * time.Second)
		if sent, _ := d.calls(); len(sent) != 1 {
			t.Error("the destination was not left alone, since the request that it refused was gone")
		}
		time.Sleep(time.Minute)
		q.expect(t, Stats{Added: 1100, Delivered: 500, Dropped: [NumReasons]int64{PendingFull: 600}})
		q.Shutdown(t.Context())
	})
}

// Small requests are bounded too.
func TestSmallRequestsAreBounded(t *testing.T) {
	t.Parallel()
	q := New(Config{Next: pipeline.ConsumerFunc(hang), MaxPendingBytes: 10 * minRequestBytes})
	for range 100 {
		q.Add(Request{Batch: filler(otlp.Metrics, 2), Items: 1})
	}
	if a := q.Stats(otlp.Metrics); a.HeldRequests != 10 || a.Dropped[PendingFull] != 90 {
		t.Errorf("%+v", a)
	}
	q.Shutdown(t.Context())
}

// Stop sends what is held, also against a destination that fails for a while.
func TestStopSendsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newScript(errDown, errDown, errDown, errDown, errDown, errDown)
		q := New(Config{Next: d, InitialBackoff: time.Hour, MaxBackoff: 10 * time.Hour})
		q.Start()
		q.Add(payload(100))
		q.Add(payload(100))
		time.Sleep(time.Second)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		q.Shutdown(ctx)
		q.expect(t, Stats{Added: 200, Delivered: 200, Retries: 6})
		if took := time.Since(begin); took > 4500*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		q.Add(payload(7))
		q.expect(t, Stats{Added: 207, Delivered: 200, Retries: 6, Dropped: [NumReasons]int64{Stopped: 7}})
	})
}

// Stop ends with the first of its contexts, and is no longer than it.
func TestStopTwice(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]pipeline.ConsumerFunc{"hangs": hang, "fails": func(context.Context, *pipeline.Batch) error { return errDown }} {
		synctest.Test(t, func(t *testing.T) {
			log := &testkit.Log{}
			q := New(Config{Next: next, Logger: log.Logger()})
			q.Start()
			q.Add(payload(100))
			q.Add(payload(100))
			synctest.Wait()
			begin := time.Now()
			var wg sync.WaitGroup
			for _, limit := range []time.Duration{time.Hour, 3 * time.Second, time.Minute} {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					if err := q.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "200 items abandoned") {
						t.Errorf("%s: Shutdown says %v", name, err)
					}
					if a := q.Stats(otlp.Profiles); a.Held != 0 || a.Dropped[Stopped] != 200 {
						t.Errorf("%s: stopped, but %+v", name, a)
					}
				})
			}
			wg.Wait()
			if took := time.Since(begin); took != 3*time.Second {
				t.Errorf("%s: it took %s, want 3s", name, took)
			}
			q.Shutdown(ended())
			q.Start() // too late
			if lines := log.Lines("reason=stopped"); len(lines) != 1 || number(t, lines[0], "items") != 200 || number(t, lines[0], "requests") != 2 {
				t.Errorf("%s: %q", name, lines)
			}
		})
	}
}

func TestNeverStarted(t *testing.T) {
	t.Parallel()
	q := New(Config{})
	q.Add(payload(100))
	q.expect(t, Stats{Added: 100, Held: 100, HeldBytes: 100, HeldRequests: 1})
	q.Shutdown(context.Background())
	q.Shutdown(context.Background())
	q.Start()
	q.expect(t, Stats{Added: 100, Dropped: [NumReasons]int64{Stopped: 100}})
}
