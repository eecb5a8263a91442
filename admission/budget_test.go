package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestNilBoundsNothing(t *testing.T) {
	t.Parallel()
	for _, b := range []*Budget{nil, New(Config{}), New(Config{Bytes: -1})} {
		k, err := b.Acquire(t.Context(), "a", 1<<40)
		if b != nil || k != nil || err != nil {
			t.Fatalf("budget %v, ticket %v, %v", b, k, err)
		}
		if err := k.Reserve(1 << 41); err != nil {
			t.Error(err)
		}
		k.Shrink(1)
		k.Release()
		k.Release()
		if s := b.Stats(); s != (Stats{}) {
			t.Errorf("%+v", s)
		}
	}
}

func TestHoldGrowShrinkRelease(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 100})
	k := get(t, b, "a", 10)
	for _, step := range []struct {
		do         func() error
		used, peak int64
	}{
		{func() error { return nil }, 10, 10},
		{func() error { return k.Reserve(5) }, 10, 10},
		{func() error { return k.Reserve(100) }, 100, 100},
		{func() error { k.Shrink(200); return nil }, 100, 100},
		{func() error { k.Shrink(30); return nil }, 30, 100},
		{func() error { return k.Reserve(40) }, 40, 100},
		{func() error { k.Shrink(-1); return nil }, 0, 100},
		{func() error { return k.Reserve(1) }, 1, 100},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		verify(t, b, []*Ticket{k})
		want := Stats{Limit: 100, Used: step.used, Peak: step.peak, Admitted: 1, Clients: 1}
		if got := b.Stats(); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	k.Release()
	if got, want := b.Stats(), (Stats{Limit: 100, Peak: 100}); got != want {
		t.Errorf("after the release: %+v", got)
	}
}

func TestSecondReleasePanics(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 100})
	k := get(t, b, "a", 10)
	k.Release()
	var others []*Ticket
	for range reuseAfter { // not even while others come and stay
		others = append(others, get(t, b, "b", 1))
	}
	for name, use := range map[string]func(){"Release": k.Release, "Reserve": func() { _ = k.Reserve(50) }, "Add": func() { _ = k.Add(t.Context(), 50) }, "Sub": func() { k.Sub(1) }} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, name+" of a ticket that is released") {
					t.Errorf("%s: %q", name, text)
				}
			}()
			use()
		}()
	}
	verify(t, b, others)
	for _, o := range others {
		o.Release()
	}
	get(t, b, "a", 100).Release() // the lock is free, and the bytes are there
}

func TestTooLargeIsForGood(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 64 * mib})
	k := get(t, b, "a", 1)
	defer k.Release()
	for name, err := range map[string]error{
		"Acquire": func() error { _, err := b.Acquire(t.Context(), "a", 65*mib); return err }(),
		"Reserve": k.Reserve(65 * mib),
	} {
		var o *Overload
		if !errors.As(err, &o) || !o.TooLarge || o.RetryAfter != 0 {
			t.Fatalf("%s: %#v", name, err)
		}
		if got, want := err.Error(), "a request of 65 MiB is larger than the whole memory budget of 64 MiB"; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if s := b.Stats(); s.RefusedTooLarge != 2 || s.Refused() != 2 {
		t.Errorf("%+v", s)
	}
	verify(t, b, []*Ticket{k})
}

func TestRefusalsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 300 * mib, MaxWait: -1})
	var held []*Ticket
	for range 2 {
		held = append(held, get(t, b, "noisy", 100*mib))
	}
	held = append(held, get(t, b, "small", 99*mib))
	refusal := func(client string, n int) *Overload {
		_, err := b.Acquire(t.Context(), client, n)
		var o *Overload
		if !errors.As(err, &o) {
			t.Fatalf("%s got %v", client, err)
		}
		if text := o.Error(); text != o.Reason+"; retry after "+o.RetryAfter.String() {
			t.Errorf("text %q", text)
		}
		if o.TooLarge || o.RetryAfter < time.Second || o.RetryAfter > 5*time.Second {
			t.Errorf("%+v", o)
		}
		return o
	}
	if got, want := refusal("third", 2*mib).Reason, "over the memory budget: 299 MiB of 300 MiB in use by 3 requests"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := refusal("noisy", 512*kib).Reason, "over this sender's share of the memory budget: it holds 200 MiB with 2 requests; 299 MiB of 300 MiB in use by 3 requests"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	delays := map[time.Duration]bool{}
	for range 100 {
		delays[refusal("third", 2*mib).RetryAfter] = true
	}
	if len(delays) < 3 {
		t.Errorf("all have the retry delays %v", delays)
	}
	if s := b.Stats(); s.RefusedFull != 101 || s.RefusedShare != 1 {
		t.Errorf("%+v", s)
	}
	verify(t, b, held)
}

// Alone, one client gets two thirds; the rest stays for those who hold nothing.
func TestShareOfOneClient(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 300, MaxWait: -1})
	var held []*Ticket
	for {
		k, err := b.Acquire(t.Context(), "greedy", 1)
		if err != nil {
			break
		}
		held = append(held, k)
	}
	if len(held) != 200 {
		t.Errorf("it has %d of 300", len(held))
	}
	held = append(held, get(t, b, "small", 100)) // all that is free
	verify(t, b, held)
	for _, k := range held {
		k.Release()
	}
	get(t, b, "greedy", 300).Release() // one request alone may be as large as all
	verify(t, b, nil)
}

func TestWaitEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: 3 * time.Second})
		all := get(t, b, "a", 100)
		began := time.Now()
		_, err := b.Acquire(t.Context(), "b", 1)
		var o *Overload
		if !errors.As(err, &o) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if !strings.HasSuffix(o.Reason, "in use by 1 request, after waiting 3s") {
			t.Error(o.Reason)
		}
		verify(t, b, []*Ticket{all})

		time.AfterFunc(time.Second, all.Release)
		began = time.Now()
		k := get(t, b, "b", 1)
		if time.Since(began) != time.Second {
			t.Errorf("let in after %s", time.Since(began))
		}
		k.Release()
		verify(t, b, nil)
	})
}

// Bytes come and go on a ticket, also while another goroutine waits for more of
// them, which is what lets it have them.
func TestAddAndSub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: 3 * time.Second})
		k := get(t, b, "a", 10)
		if err := k.Add(t.Context(), 50); err != nil || k.held != 60 {
			t.Fatalf("%v, holds %d", err, k.held)
		}
		k.Sub(20)
		verify(t, b, []*Ticket{k})
		other := get(t, b, "b", 50)
		time.AfterFunc(time.Second, func() { k.Sub(30) })
		began := time.Now()
		if err := k.Add(t.Context(), 15); err != nil || k.held != 25 || time.Since(began) != time.Second {
			t.Errorf("%v after %s, holds %d", err, time.Since(began), k.held)
		}
		verify(t, b, []*Ticket{k, other})

		ctx, cancel := context.WithCancelCause(t.Context()) // not the one that it was acquired with
		gone := errors.New("the client went away")
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if err := k.Add(ctx, 40); !errors.Is(err, gone) || k.held != 25 {
			t.Errorf("%v, holds %d", err, k.held)
		}
		var o *Overload
		if err := k.Add(t.Context(), 40); !errors.As(err, &o) || o.TooLarge || k.held != 25 || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %s, holds %d", err, time.Since(began), k.held)
		}
		if err := k.Add(t.Context(), 90); !errors.As(err, &o) || !o.TooLarge {
			t.Errorf("more than there is: %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("more was given back than held")
				}
			}()
			k.Sub(26)
		}()
		verify(t, b, []*Ticket{k, other})
		k.Release()
		other.Release()
		verify(t, b, nil)
	})
}

// Several goroutines add to one ticket and take away, next to others.
func TestAddAndSubConcurrently(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 1000, MaxWait: 10 * time.Millisecond})
	var all sync.WaitGroup
	for _, client := range []string{"a", "b", "c"} {
		k := get(t, b, client, 1)
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				for range 500 {
					if err := k.Add(t.Context(), 150); err == nil {
						runtime.Gosched()
						k.Sub(150)
					}
				}
			})
		}
		all.Go(func() { users.Wait(); k.Release() })
	}
	all.Wait()
	verify(t, b, nil)
}

// A ticket that grows often waits no longer than one that grows once.
func TestWaitsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: 3 * time.Second})
		other := get(t, b, "b", 90)
		k := get(t, b, "a", 10)
		began := time.Now()
		for range 2 { // a byte comes free every second
			time.AfterFunc(time.Second, func() { other.Shrink(int(other.held) - 1) })
			if err := k.Reserve(int(k.held) + 1); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // one second is left, and then none
			var o *Overload
			if err := k.Reserve(13); !errors.As(err, &o) || k.held != 12 {
				t.Errorf("%v, holds %d", err, k.held)
			}
		}
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("waited %s in all", waited)
		}
		verify(t, b, []*Ticket{k, other})
		k.Release()
		other.Release()
	})
}

func TestContextEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Hour})
		all := get(t, b, "a", 90)
		gone := errors.New("the client went away")
		within := func() context.Context {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(gone) })
			return ctx
		}
		if _, err := b.Acquire(within(), "b", 20); !errors.Is(err, gone) {
			t.Errorf("Acquire: %v", err)
		}
		k, err := b.Acquire(within(), "b", 10)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Reserve(20); !errors.Is(err, gone) || !strings.Contains(err.Error(), "wait for 10 B of the memory budget") {
			t.Errorf("Reserve: %v", err)
		}
		if s := b.Stats(); s.Cancelled != 2 || s.Refused() != 0 || s.Waiting+s.Growing != 0 {
			t.Errorf("%+v", s)
		}
		verify(t, b, []*Ticket{all, k})
		k.Release()
		all.Release()
		verify(t, b, nil)
	})
}

// The bytes may be granted at the moment when the context ends. The request is
// then admitted, and its next wait does not receive that grant.
func TestBytesComeAsTheContextEnds(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 100, MaxWait: time.Hour})
	all := get(t, b, "a", 90)
	ctx, cancel := context.WithCancel(t.Context())
	in := make(chan *Ticket)
	go func() {
		k, err := b.Acquire(ctx, "b", 50)
		if err != nil {
			t.Error(err)
		}
		in <- k
	}()
	for b.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	b.mu.Lock()
	cancel()
	time.Sleep(20 * time.Millisecond) // it has seen the end, and wants the lock
	b.giveBack(all, 90)
	b.settle()
	b.mu.Unlock()
	k := <-in
	k.ctx = t.Context()
	more := make(chan error)
	if err := all.Reserve(40); err != nil {
		t.Error(err)
	}
	go func() { more <- k.Reserve(90) }()
	for b.Stats().Growing == 0 {
		runtime.Gosched()
	}
	select {
	case <-more:
		t.Fatal("it does not wait")
	case <-time.After(20 * time.Millisecond):
	}
	all.Release()
	if err := <-more; err != nil || k.held != 90 {
		t.Errorf("%v, holds %d", err, k.held)
	}
	k.Release()
	verify(t, b, nil)
}

func TestWaitingRoomIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 10, MaxWaiting: 8})
		all := get(t, b, "holder", 10)
		sat := map[string]int{}
		for _, client := range []string{"noisy", "second", "third", "fourth", "fifth"} {
			for range 20 {
				go func() {
					if k, err := b.Acquire(t.Context(), client, 1); err == nil {
						k.Release()
					}
				}()
				synctest.Wait()
				verify(t, b, []*Ticket{all})
			}
			b.mu.Lock()
			if c := b.clients[client]; c != nil {
				sat[client] = len(c.queue)
			}
			b.mu.Unlock()
		}
		if got, want := fmt.Sprint(sat), "map[fifth:1 fourth:1 noisy:4 second:2 third:1]"; got != want && b.Stats().Waiting != 8 {
			t.Errorf("got %s", got)
		}
		if sat["noisy"] > 4 || sat["second"] == 0 || sat["third"] == 0 || sat["fourth"] == 0 {
			t.Errorf("waiting: %v", sat)
		}
		// A full room keeps nobody out who need not wait.
		all.Shrink(5)
		synctest.Wait()
		get(t, b, "sixth", 1).Release()
		all.Release()
		synctest.Wait()
		verify(t, b, nil)
	})
}

// Memory follows what is in flight, not who has ever been there.
func TestMillionClientsLeaveNothing(t *testing.T) {
	b := New(Config{Bytes: mib})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 1_000_000 {
		k, err := b.Acquire(t.Context(), strconv.Itoa(i), 10)
		if err != nil {
			t.Fatal(err)
		}
		k.Release()
	}
	if after := heap(); after > before+mib {
		t.Errorf("%d KiB are left", (after-before)/kib)
	}
	verify(t, b, nil)
}

func TestUncontendedIsFree(t *testing.T) {
	b := New(Config{Bytes: mib})
	for range 2 * reuseAfter {
		get(t, b, "a", 1).Release()
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		k, _ := b.Acquire(ctx, "a", 1000)
		_ = k.Reserve(2000)
		k.Release()
	}); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkAcquireRelease(b *testing.B) {
	budget := New(Config{Bytes: 1 << 30})
	b.ReportAllocs()
	for b.Loop() {
		k, _ := budget.Acquire(b.Context(), "192.0.2.1", 1000)
		k.Release()
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	budget := New(Config{Bytes: 1 << 30})
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k, err := budget.Acquire(ctx, "192.0.2.1", 1000)
			if err != nil {
				b.Error(err)
				return
			}
			k.Release()
		}
	})
}

// What a request costs that is refused because a thousand clients wait already.
func BenchmarkRefusal(b *testing.B) {
	budget := New(Config{Bytes: 1000, MaxWait: time.Hour})
	hold, err := budget.Acquire(b.Context(), "holder", 1000)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	for i := range DefaultMaxWaiting {
		go func() {
			_, _ = budget.Acquire(ctx, fmt.Sprint(i), 10)
			done <- struct{}{}
		}()
	}
	for budget.Stats().Waiting < DefaultMaxWaiting {
		runtime.Gosched()
	}
	for b.Loop() {
		if _, err := budget.Acquire(ctx, "late", 10); err == nil {
			b.Fatal("let in")
		}
	}
	cancel()
	for range DefaultMaxWaiting {
		<-done
	}
	hold.Release()
}

// TryAdd takes what is free, and waits for nothing.
func TestTryAdd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100})
		k := get(t, b, "a", 10)
		if !k.TryAdd(20) || k.held != 30 {
			t.Errorf("it holds %d bytes, want 30", k.held)
		}
		other := get(t, b, "b", 60)
		began := time.Now()
		if k.TryAdd(20) || k.TryAdd(200) || k.held != 30 {
			t.Errorf("it holds %d bytes, want 30: there is no room", k.held)
		}
		if s := b.Stats(); time.Since(began) > 0 || s.Refused() > 0 {
			t.Errorf("after %s, %d requests were refused", time.Since(began), s.Refused())
		}
		waits := make(chan error)
		go func() { waits <- k.Add(t.Context(), 20) }()
		synctest.Wait()
		if k.TryAdd(1) {
			t.Error("it has added while another goroutine waits")
		}
		other.Release()
		if err := <-waits; err != nil || k.held != 50 {
			t.Errorf("%v, holds %d", err, k.held)
		}
		verify(t, b, []*Ticket{k})
		k.Release()
		if none := (*Ticket)(nil); !none.TryAdd(1 << 40) {
			t.Error("a nil ticket has a bound")
		}
	})
}
