package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// shelf is a Config.Spool that can be broken.
type shelf struct {
	mu    sync.Mutex
	err   error
	calls int
	items int64
}

func (s *shelf) take(_ context.Context, r Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err == nil {
		s.items += r.Items
	}
	return s.err
}

func (s *shelf) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// checkSum fails if the stats do not add up.
func checkSum(t *testing.T, q *Queue) Stats {
	t.Helper()
	s := q.Stats(otlp.Profiles)
	sum := s.Delivered + s.Spooled + s.Held
	for _, n := range s.Dropped {
		sum += n
	}
	if sum != s.Added {
		t.Errorf("the stats do not add up: %+v", s)
	}
	return s
}

// Requests go to the spool, and not to the destination; while the spool fails they go to
// the destination, and the spool is asked once a second, whatever the destination says.
func TestSpoolComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spool, to, log := &shelf{}, &testkit.Sink{}, &testkit.Log{}
		q := New(Config{Next: to, Spool: spool.take, Logger: log.Logger()})
		q.Start()
		q.Add(payload(100))
		synctest.Wait()
		if s := checkSum(t, q); s.Spooled != 100 || s.Retries != 0 || len(to.Requests(otlp.Profiles)) != 0 {
			t.Errorf("the spool works: %+v, %d sent", s, len(to.Requests(otlp.Profiles)))
		}
		spool.set(errDown)
		q.Add(payload(200))
		synctest.Wait()
		if s := checkSum(t, q); s.Spooled != 100 || s.Delivered != 200 {
			t.Errorf("the spool is broken: %+v", s)
		}
		to.Respond(func(context.Context, *pipeline.Batch) error {
			return &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Hour, Err: errDown}
		})
		q.Add(payload(300))
		time.Sleep(time.Minute)
		if s := checkSum(t, q); s.Held != 300 || spool.calls < 55 || spool.calls > 65 {
			t.Errorf("both are down: %+v, and the spool was called %d times", s, spool.calls)
		}
		spool.set(nil)
		time.Sleep(2 * time.Second)
		if s := checkSum(t, q); s.Spooled != 400 || s.Held != 0 {
			t.Errorf("the spool works again: %+v", s)
		}
		if n := len(log.Lines("the spool does not take requests")); n < 1 || n > 2 || len(log.Lines("the spool takes requests again")) != 1 {
			t.Errorf("the log: %q", log.Lines("spool"))
		}
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// At the end everything goes to the spool, also after the deadline. What it does not take
// is dropped.
func TestSpoolAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			spool := &shelf{err: errDown}
			q := New(Config{Next: pipeline.ConsumerFunc(hang), Spool: spool.take})
			q.Start()
			for range 5 {
				q.Add(payload(100))
			}
			synctest.Wait()
			if !broken {
				spool.set(nil)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := q.Shutdown(ctx)
			if s := checkSum(t, q); broken != (err != nil) || broken && s.Dropped[Stopped] != 500 || !broken && s.Spooled != 500 {
				t.Errorf("broken %v: %v, %+v", broken, err, s)
			}
		})
	}
}

// Settled waits for what is there, not for what comes.
func TestSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		q := New(Config{MaxPendingBytes: 1000, Next: pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return <-answer })})
		q.Start()
		if err := q.Settled(t.Context()); err != nil {
			t.Error(err)
		}
		q.Add(payload(100))
		q.Add(payload(100))
		settled := make(chan error, 1)
		go func() { settled <- q.Settled(t.Context()) }()
		synctest.Wait()
		q.Add(payload(2000)) // does not fit, and leaves before those that came before it
		q.Add(payload(100))
		answer <- nil
		synctest.Wait()
		select {
		case err := <-settled:
			t.Fatalf("settled with a request held: %v", err)
		default:
		}
		answer <- nil
		if err := <-settled; err != nil {
			t.Error(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Settled(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("a request is held: %v", err)
		}
		answer <- nil
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What the journal drops while it is being sent is counted once.
func TestDroppedWhileItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := disk(t, vfs.NewMem(16<<20))
		j, err := journal.Open(dir, journal.Options{MaxBytes: 64 << 10, SegmentBytes: 8 << 10, ReserveBytes: -1, WhenFull: journal.DropOldest})
		if err != nil {
			t.Fatal(err)
		}
		log := NewLog(j, record.Keep{})
		for _, answer := range []error{nil, &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errDown}, refuse(pipeline.Permanent)} {
			sending, answers := make(chan struct{}), make(chan error)
			once := sync.OnceFunc(func() { close(sending) })
			d, err := log.Destination(DestinationConfig{Name: fmt.Sprint("logs/", answer), Signal: otlp.Logs, From: journal.End, MaxInFlight: 1,
				Next: pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { once(); return <-answers })})
			if err != nil {
				t.Fatal(err)
			}
			p := &process{t: t, j: j, log: log, dest: d}
			if err := p.consume("", "first", "second"); err != nil {
				t.Fatal(err)
			}
			d.Start()
			<-sending
			for p.balanced().Dropped == 0 {
				if err := p.consume("", strings.Repeat("x", 2000)); err != nil {
					t.Fatal(err)
				}
			}
			answers <- answer
			close(answers)
			time.Sleep(time.Minute)
			if l := p.balanced(); l.Held != 0 || l.Dropped < 2 {
				t.Errorf("%v: %+v", answer, l)
			}
			if err := d.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Drain sends all that is held, with short waits, and gives up at its deadline.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(int, []string) error { return errDown })
		p := open(t, dir, DestinationConfig{Next: b, InitialBackoff: time.Minute, MaxBackoff: time.Minute})
		p.fill(0, 10)
		p.dest.Start()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if p.dest.Drain(ctx) || b.callCount() < 3 {
			t.Errorf("drained from a destination that is down, after %d calls", b.callCount())
		}
		b.respond(nil)
		if !p.dest.Drain(t.Context()) {
			t.Error("not drained")
		}
		if l := p.balanced(); l.Held != 0 || l.Delivered != 10 {
			t.Errorf("%+v", l)
		}
		p.end()
	})
}

// The ledger counts what Add got, also of what is rejected and sent in parts.
func TestItemsOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(call int, _ []string) error {
			if call == 0 {
				return &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errDown}
			}
			return nil
		})
		p := open(t, dir, DestinationConfig{Next: b})
		p.dest.Start()
		batch, err := pipeline.NewBatch(otlp.Logs, bytes.Clone(logRequest("a", "b")), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer batch.Release()
		for range 2 {
			if err := p.log.Add(t.Context(), Request{Batch: batch, Items: 100}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if l := p.balanced(); l.Accepted != 200 || l.Rejected != 50 || l.Delivered != 150 {
			t.Errorf("%+v", l)
		}
		p.end()
	})
}
