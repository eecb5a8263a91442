package ship

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// whim is a destination that answers at random, and keeps books of its own.
type whim struct {
	t    *testing.T
	unit time.Duration // how long things take

	mu           sync.Mutex
	rng          *rand.Rand
	inside       int
	settled      map[*Payload]bool
	last         int64 // the number of the latest payload seen
	acknowledged int64
	refused      int64
	rejected     int64
}

// cutShort is the choice of a send whose context ended.
const cutShort = -1

// orderOf returns a payload's place in the order of Add, which is in its bytes.
func orderOf(p *Payload) int64 {
	return int64(p.Bytes[0])<<16 | int64(p.Bytes[1])<<8 | int64(p.Bytes[2])
}

func (w *whim) enter(p *Payload) (choice int, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inside++
	if w.inside > 1 {
		w.t.Error("two sends at a time")
	}
	if w.settled[p] {
		w.t.Error("a settled request is sent again")
	}
	if n := orderOf(p); n < w.last {
		w.t.Errorf("request %d is sent after %d", n, w.last)
	} else {
		w.last = n
	}
	return w.rng.IntN(12), time.Duration(w.rng.Int64N(int64(w.unit)))
}

func (w *whim) send(ctx context.Context, p *Payload) error {
	choice, delay := w.enter(p)
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
			return w.answer(p, cutShort)
		}
	}
	return w.answer(p, choice)
}

func (w *whim) answer(p *Payload, choice int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
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
		w.settled[p] = true
		w.refused += p.Events
		return refuse(pipeline.Permanent)
	case 7:
		w.settled[p] = true
		rejected := w.rng.Int64N(p.Units + 1)
		lost := (p.Events*rejected + p.Units - 1) / p.Units
		w.rejected += lost
		w.acknowledged += p.Events - lost
		return &pipeline.Error{Kind: pipeline.Partial, Rejected: rejected}
	}
	w.settled[p] = true
	w.acknowledged += p.Events
	return nil
}

const testBound = 4000

// observe looks at the books until done, and compares them each time.
func observe(t *testing.T, s *Shipper, done <-chan struct{}, nap time.Duration) {
	var before [2]Accounts
	for {
		for i, signal := range []otlp.Signal{otlp.Metrics, otlp.Profiles} {
			a := s.Accounts(signal)
			balanced(t, a)
			for why, n := range a.Dropped {
				if n < before[i].Dropped[why] {
					t.Errorf("fewer events than before were dropped as %s", Reason(why))
				}
			}
			if a.Added < before[i].Added || a.Acknowledged < before[i].Acknowledged || a.Retries < before[i].Retries {
				t.Errorf("counts went back from %+v to %+v", before[i], a)
			}
			before[i] = a
		}
		s.mu.Lock() // both signals at one moment
		held, counted, queued := s.heldBytes, s.books[otlp.Metrics].HeldBytes+s.books[otlp.Profiles].HeldBytes, 0
		for _, p := range s.rest {
			queued += p.size()
		}
		if s.head != nil {
			queued += s.head.size()
		}
		s.mu.Unlock()
		if held > testBound || int64(held) != counted || held != queued {
			t.Errorf("%d bytes are held, %d in the books, %d in memory; the bound is %d", held, counted, queued, testBound)
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

// add adds n requests of random sizes, some of them after Stop, and returns how
// many events they have.
func add(s *Shipper, rng *rand.Rand, order *int64, mu *sync.Mutex, n int, unit time.Duration) (events int64) {
	for range n {
		p := &Payload{Signal: otlp.Metrics, Bytes: make([]byte, 3+rng.IntN(900)), Events: rng.Int64N(1000), Units: 1 + rng.Int64N(20)}
		if rng.IntN(2) == 0 {
			p.Signal = otlp.Profiles
		}
		if rng.IntN(30) == 0 {
			p.Bytes = make([]byte, testBound-100+rng.IntN(200))
		}
		mu.Lock() // the number and the place in the queue are one
		*order++
		p.Bytes[0], p.Bytes[1], p.Bytes[2] = byte(*order>>16), byte(*order>>8), byte(*order)
		s.Add(p)
		mu.Unlock()
		events += p.Events
		time.Sleep(time.Duration(rng.Int64N(int64(unit))))
	}
	return events
}

// life is one Shipper's life with random requests, answers and end.
func life(t *testing.T, seed uint64, unit, nap time.Duration) (total Accounts) {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &whim{t: t, unit: unit, rng: rand.New(rand.NewPCG(seed, 8)), settled: map[*Payload]bool{}}
	s := New(Config{Send: w.send, MaxPendingBytes: testBound, InitialBackoff: unit / 2, MaxBackoff: 4 * unit})
	var watching, adding sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() { observe(t, s, done, nap) })
	if rng.IntN(10) > 0 {
		s.Start()
	}
	var mu, sum sync.Mutex
	var order, events int64
	for i := range 3 {
		own := rand.New(rand.NewPCG(seed, 100+uint64(i)))
		adding.Go(func() {
			n := add(s, own, &order, &mu, 40, unit)
			sum.Lock()
			events += n
			sum.Unlock()
		})
	}
	time.Sleep(time.Duration(rng.Int64N(int64(40 * unit))))
	for range 1 + rng.IntN(2) {
		patience := time.Duration(rng.Int64N(int64(20 * unit)))
		adding.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			s.Stop(ctx)
		})
	}
	adding.Wait()
	close(done)
	watching.Wait()
	for _, signal := range []otlp.Signal{otlp.Metrics, otlp.Profiles} {
		a := s.Accounts(signal)
		balanced(t, a)
		if a.Held != 0 || a.HeldBytes != 0 || a.HeldRequests != 0 {
			t.Errorf("after Stop %+v is held", a)
		}
		total.Added += a.Added
		total.Acknowledged += a.Acknowledged
		total.Retries += a.Retries
		for why := range a.Dropped {
			total.Dropped[why] += a.Dropped[why]
		}
	}
	if total.Added != events || total.Acknowledged != w.acknowledged || total.Dropped[Refused] != w.refused || total.Dropped[Rejected] != w.rejected {
		t.Errorf("%d events were added, %d acknowledged, %d refused, %d rejected: the books have %+v", events, w.acknowledged, w.refused, w.rejected, total)
	}
	return total
}

// Whatever comes and whatever is answered, every event is at each moment in one
// place of the books, and they agree with the destination's.
func TestEveryEventIsAccountedFor(t *testing.T) {
	t.Parallel()
	var all Accounts
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one := life(t, seed, time.Second, 50*time.Millisecond)
				all.Acknowledged += one.Acknowledged
				all.Retries += one.Retries
				for why := range one.Dropped {
					all.Dropped[why] += one.Dropped[why]
				}
			})
		})
	}
	if all.Acknowledged == 0 || all.Retries == 0 || all.Dropped[PendingFull] == 0 || all.Dropped[Refused] == 0 || all.Dropped[Rejected] == 0 || all.Dropped[Stopped] == 0 {
		t.Errorf("not everything happened: %+v", all)
	}
}

// The same in real time, as fast as it goes, for the race detector.
func TestEveryEventIsAccountedForAtOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		life(t, 1000+seed, time.Millisecond, 0)
	}
}
