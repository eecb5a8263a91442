package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// added is a request as the destination needs to know it.
type added struct {
	order        int64 // its place in the order of Add
	items, units int64
}

// erratic is a destination that answers at random, and counts for itself. It is the
// Observer too.
type erratic struct {
	t    *testing.T
	unit time.Duration // how long things take

	mu        sync.Mutex
	rng       *rand.Rand
	inside    int
	requests  map[*pipeline.Batch]added
	settled   map[*pipeline.Batch]bool
	last      int64 // the order of the latest request seen
	delivered int64
	refused   int64
	rejected  int64

	attempts, retryable atomic.Int64 // seen by the Observer
	sent, failed        atomic.Int64 // items
	outcomes            atomic.Int64
}

func (w *erratic) Attempt(_ context.Context, _ otlp.Signal, refusal *pipeline.Error) {
	w.attempts.Add(1)
	if refusal != nil && (refusal.Kind == pipeline.Retryable || refusal.Kind == pipeline.Overloaded) {
		w.retryable.Add(1)
	}
}

func (w *erratic) Outcome(_ context.Context, _ otlp.Signal, items, failed int, _ *pipeline.Error) {
	w.outcomes.Add(1)
	w.sent.Add(int64(items - failed))
	w.failed.Add(int64(failed))
}

// cutShort is the choice of a send whose context ended.
const cutShort = -1

func (w *erratic) enter(b *pipeline.Batch) (choice int, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inside++
	if w.inside > 1 {
		w.t.Error("two sends at a time")
	}
	if w.settled[b] {
		w.t.Error("a settled request is sent again")
	}
	if n := w.requests[b].order; n < w.last {
		w.t.Errorf("request %d is sent after %d", n, w.last)
	} else {
		w.last = n
	}
	return w.rng.IntN(12), time.Duration(w.rng.Int64N(int64(w.unit)))
}

func (w *erratic) send(ctx context.Context, b *pipeline.Batch) error {
	choice, delay := w.enter(b)
	switch choice {
	case 0: // hangs for long, perhaps until the end
		delay *= 50
		fallthrough
	case 1, 2: // slow
		late := time.NewTimer(delay)
		defer late.Stop()
		select {
		case <-late.C:
		case <-ctx.Done():
			return w.answer(b, cutShort)
		}
	}
	return w.answer(b, choice)
}

func (w *erratic) answer(b *pipeline.Batch, choice int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.requests[b]
	w.inside--
	if choice == cutShort && w.rng.IntN(2) == 0 { // else it was taken all the same
		choice = 5
	}
	switch choice {
	case 3:
		return errDown
	case 4:
		return &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Duration(w.rng.Int64N(int64(w.unit))), Err: errDown}
	case 5:
		return context.Canceled
	case 6:
		w.settled[b] = true
		w.refused += r.items
		return refuse(pipeline.Permanent)
	case 7:
		w.settled[b] = true
		rejected := w.rng.Int64N(r.units + 1)
		lost := (r.items*rejected + r.units - 1) / r.units
		w.rejected += lost
		w.delivered += r.items - lost
		return &pipeline.Error{Kind: pipeline.Partial, Rejected: rejected}
	}
	w.settled[b] = true
	w.delivered += r.items
	return nil
}

const testBound = 4000

// observe looks at the stats until done, and compares them each time.
func observe(t *testing.T, q *Queue, done <-chan struct{}, nap time.Duration) {
	var before [2]Stats
	for {
		for i, signal := range []otlp.Signal{otlp.Metrics, otlp.Profiles} {
			a := q.Stats(signal)
			balanced(t, a)
			for why, n := range a.Dropped {
				if n < before[i].Dropped[why] {
					t.Errorf("fewer items than before were dropped as %s", Reason(why))
				}
			}
			if a.Added < before[i].Added || a.Delivered < before[i].Delivered || a.Retries < before[i].Retries {
				t.Errorf("counts went back from %+v to %+v", before[i], a)
			}
			before[i] = a
		}
		q.mu.Lock() // both signals at one moment
		held, counted, queued := q.heldBytes, q.signals[otlp.Metrics].stats.HeldBytes+q.signals[otlp.Profiles].stats.HeldBytes, 0
		for _, r := range q.rest {
			queued += r.size()
		}
		if q.head != nil {
			queued += q.head.size()
		}
		q.mu.Unlock()
		if held > testBound || int64(held) != counted || held != queued {
			t.Errorf("%d bytes are held, %d in the stats, %d in memory; the bound is %d", held, counted, queued, testBound)
		}
		select {
		case <-done:
			return
		default:
		}
		if t.Failed() {
			<-done
			return
		}
		if nap > 0 {
			time.Sleep(nap)
		} else {
			runtime.Gosched()
		}
	}
}

// add adds n requests of random sizes, some of them after Shutdown, and returns how
// many items they have.
func (w *erratic) add(q *Queue, rng *rand.Rand, order *int64, mu *sync.Mutex, n int) (items int64) {
	for range n {
		signal, size := otlp.Metrics, 3+rng.IntN(900)
		if rng.IntN(2) == 0 {
			signal = otlp.Profiles
		}
		if rng.IntN(30) == 0 {
			size = testBound - 100 + rng.IntN(200)
		}
		r := Request{Batch: filler(signal, size), Items: 1 + rng.Int64N(1000), Units: 1 + rng.Int64N(20)}
		mu.Lock() // the number and the place in the queue are one
		*order++
		w.mu.Lock()
		w.requests[r.Batch] = added{*order, r.Items, r.Units}
		w.mu.Unlock()
		q.Add(r)
		mu.Unlock()
		items += r.Items
		time.Sleep(time.Duration(rng.Int64N(int64(w.unit))))
	}
	return items
}

// life is one Queue's life with random requests, answers and end.
func life(t *testing.T, seed uint64, unit, nap time.Duration) (total Stats) {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &erratic{t: t, unit: unit, rng: rand.New(rand.NewPCG(seed, 8)), requests: map[*pipeline.Batch]added{}, settled: map[*pipeline.Batch]bool{}}
	q := New(Config{Next: pipeline.ConsumerFunc(w.send), Observer: w, MaxPendingBytes: testBound, InitialBackoff: unit / 2, MaxBackoff: 4 * unit})
	var watching, adding sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() { observe(t, q, done, nap) })
	if rng.IntN(10) > 0 {
		q.Start()
	}
	var mu, sum sync.Mutex
	var order, items int64
	for i := range 3 {
		own := rand.New(rand.NewPCG(seed, 100+uint64(i)))
		adding.Go(func() {
			n := w.add(q, own, &order, &mu, 40)
			sum.Lock()
			items += n
			sum.Unlock()
		})
	}
	time.Sleep(time.Duration(rng.Int64N(int64(40 * unit))))
	for range 1 + rng.IntN(2) {
		timeout := time.Duration(rng.Int64N(int64(20 * unit)))
		adding.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			q.Shutdown(ctx)
		})
	}
	adding.Wait()
	close(done)
	watching.Wait()
	for _, signal := range []otlp.Signal{otlp.Metrics, otlp.Profiles} {
		a := q.Stats(signal)
		balanced(t, a)
		if a.Held != 0 || a.HeldBytes != 0 || a.HeldRequests != 0 {
			t.Errorf("after Shutdown %+v is held", a)
		}
		total.Added += a.Added
		total.Delivered += a.Delivered
		total.Retries += a.Retries
		for why := range a.Dropped {
			total.Dropped[why] += a.Dropped[why]
		}
	}
	if total.Added != items || total.Delivered != w.delivered || total.Dropped[Refused] != w.refused || total.Dropped[Rejected] != w.rejected {
		t.Errorf("%d items were added, %d delivered, %d refused, %d rejected: the stats have %+v", items, w.delivered, w.refused, w.rejected, total)
	}
	dropped := int64(0)
	for _, n := range total.Dropped {
		dropped += n
	}
	// One outcome for each request, whatever the number of attempts.
	if w.sent.Load() != total.Delivered || w.failed.Load() != dropped || w.outcomes.Load() != order {
		t.Errorf("%d outcomes of %d requests, %d items sent, %d failed: the stats have %+v", w.outcomes.Load(), order, w.sent.Load(), w.failed.Load(), total)
	}
	if retried := w.retryable.Load(); retried < total.Retries || w.attempts.Load() < total.Retries {
		t.Errorf("%d attempts, %d of them to be repeated; %d were", w.attempts.Load(), retried, total.Retries)
	}
	return total
}

// Whatever comes and whatever is answered, every item is at each moment in one place of
// the stats, and they agree with the destination's and the Observer's.
func TestEveryItemIsAccountedFor(t *testing.T) {
	t.Parallel()
	var all Stats
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one := life(t, seed, time.Second, 50*time.Millisecond)
				all.Delivered += one.Delivered
				all.Retries += one.Retries
				for why := range one.Dropped {
					all.Dropped[why] += one.Dropped[why]
				}
			})
		})
	}
	if all.Delivered == 0 || all.Retries == 0 || all.Dropped[PendingFull] == 0 || all.Dropped[Refused] == 0 || all.Dropped[Rejected] == 0 || all.Dropped[Stopped] == 0 {
		t.Errorf("not everything happened: %+v", all)
	}
}

// The same in real time, as fast as it goes, for the race detector.
func TestEveryItemIsAccountedForAtOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		life(t, 1000+seed, time.Millisecond, 0)
	}
}
