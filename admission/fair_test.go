package admission

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hold runs n goroutines that make requests of client until stop is closed.
// Each request holds size bytes for the duration held.
func hold(t *testing.T, b *Budget, wg *sync.WaitGroup, stop chan struct{}, client string, n, size int, held time.Duration) {
	for range n {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				k, err := b.Acquire(t.Context(), client, size)
				if err != nil { // a sender that does not care for RetryAfter
					time.Sleep(time.Millisecond)
					continue
				}
				time.Sleep(held)
				k.Release()
			}
		})
	}
}

// A sender with a hundred requests at a time, all of which it wants at once,
// never keeps a small one waiting beyond MaxWait, whatever the sizes.
func TestSmallOneBesideAGreedyOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ greedy, small int }{{1 * mib, 100 * kib}, {16 * mib, 100 * kib}, {64 * mib, 64 * mib}, {50 * kib, 40 * mib}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := New(Config{Bytes: 256 * mib, MaxWait: time.Second, MaxWaiting: 50})
				var wg sync.WaitGroup
				stop := make(chan struct{})
				hold(t, b, &wg, stop, "greedy", 100, c.greedy, 300*time.Millisecond)
				time.Sleep(10 * time.Millisecond)
				for range 50 {
					k, err := b.Acquire(t.Context(), "small", c.small)
					if err != nil {
						t.Error(err)
						break
					}
					time.Sleep(5 * time.Millisecond)
					k.Release()
				}
				close(stop)
				wg.Wait()
				verify(t, b, nil)
			})
		})
	}
}

// Ten senders of which one wants ten times what the others do: the others get
// what they want, and the budget is used.
func TestNoisyNeighbour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100 * mib, MaxWait: time.Second})
		var wg sync.WaitGroup
		stop := make(chan struct{})
		hold(t, b, &wg, stop, "noisy", 200, mib, 100*time.Millisecond)
		for i := range 9 {
			wg.Go(func() {
				for range 100 {
					k, err := b.Acquire(t.Context(), fmt.Sprint(i), mib)
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(100 * time.Millisecond)
					k.Release()
				}
			})
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s := b.Stats()
		b.mu.Lock()
		noisy := b.clients["noisy"].used
		b.mu.Unlock()
		if noisy > 67*mib || s.Used < 60*mib {
			t.Errorf("the noisy one has %s, all have %s", size(noisy), size(s.Used))
		}
		close(stop)
		wg.Wait()
		verify(t, b, nil)
	})
}

// Clients are let in by turns, the requests of one in their order, and a newcomer
// does not pass those of its own client.
func TestOrderOfLettingIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Minute})
		all := get(t, b, "x", 100)
		var mu sync.Mutex
		var got []string
		var in []*Ticket
		for _, name := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			go func() {
				k, err := b.Acquire(t.Context(), name[:1], 10)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				got, in = append(got, name), append(in, k)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		for n := 99; n >= 0; n-- { // ten bytes at a time, a byte at a time
			all.Shrink(n)
			synctest.Wait()
			verify(t, b, append([]*Ticket{all}, in...))
		}
		want := []string{"a1", "b1", "c1", "a2", "b2", "a3"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		all.Release()
		for _, k := range in {
			k.Release()
		}
		verify(t, b, nil)
	})
}

// A continuous sequence of small requests does not overtake a large one
// forever.
func TestLargeOneIsNotPassedOverForever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Second})
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range 30 {
			hold(t, b, &wg, stop, fmt.Sprint(i), 1, 5, 100*time.Millisecond)
		}
		time.Sleep(30 * time.Millisecond)
		began := time.Now()
		k, err := b.Acquire(t.Context(), "large", 80)
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 500*time.Millisecond {
			t.Errorf("admitted after %s: the test has no effect", waited)
		}
		k.Release()
		close(stop)
		wg.Wait()
		verify(t, b, nil)
	})
}

func TestGrowthGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Second})
		x, a := get(t, b, "x", 60), get(t, b, "a", 30)
		var order []string
		var wg sync.WaitGroup
		var c *Ticket
		wg.Go(func() {
			c = get(t, b, "c", 20)
			order = append(order, "c let in")
		})
		synctest.Wait()
		wg.Go(func() {
			if err := a.Reserve(60); err != nil {
				t.Error(err)
			}
			order = append(order, "a grown")
		})
		synctest.Wait()
		x.Shrink(45) // 25 are free: enough for c, which waits longer, not for a
		synctest.Wait()
		if len(order) > 0 {
			t.Error(order)
		}
		verify(t, b, []*Ticket{x, a})
		x.Shrink(40)
		synctest.Wait()
		x.Release()
		wg.Wait()
		if got := fmt.Sprint(order); got != "[a grown c let in]" {
			t.Error(got)
		}
		a.Release()
		c.Release()
		verify(t, b, nil)
	})
}

// Where all wait for each other, the youngest is refused at once, and all others
// come to their end without waiting for nothing.
func TestGrowthDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	for name, clientOf := range map[string]func(int) string{
		"many clients": func(i int) string { return fmt.Sprint(i) },
		"one client":   func(int) string { return "one" },
		"two clients":  func(i int) string { return fmt.Sprint(i % 2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := New(Config{Bytes: 100, MaxWait: time.Hour})
				began := time.Now()
				var wg sync.WaitGroup
				var mu sync.Mutex
				done, refused := 0, 0
				start := make(chan struct{})
				for i := range 10 {
					k := get(t, b, clientOf(i), 6)
					wg.Go(func() {
						<-start
						defer k.Release()
						for n := 7; n <= 50; n++ {
							if err := k.Reserve(n); err != nil {
								mu.Lock()
								refused++
								mu.Unlock()
								return
							}
							time.Sleep(time.Millisecond)
						}
						mu.Lock()
						done++
						mu.Unlock()
					})
				}
				close(start)
				wg.Wait()
				if took := time.Since(began); took > time.Second || done < 2 {
					t.Errorf("%d done, %d refused, in %s", done, refused, took)
				}
				verify(t, b, nil)
			})
		})
	}
}

// Requests that start small and grow must not pass their client's share by
// turns: each of them may be the one that is spared, but only the eldest is.
func TestGrowthMindsTheShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 3000, MaxWait: time.Minute})
		var wg sync.WaitGroup
		for range 100 {
			k := get(t, b, "bombs", 1)
			wg.Go(func() {
				defer k.Release()
				for n := 2; n <= 300; n++ {
					if err := k.Reserve(n); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		for range 50 {
			time.Sleep(10 * time.Millisecond)
			if used := b.Stats().Used; used > 2000+300 {
				t.Fatalf("it holds %d: two thirds of 3000 and one request are 2300", used)
			}
			get(t, b, "small", 700).Release()
		}
		wg.Wait()
		verify(t, b, nil)
	})
}

func TestOnlyTheEldestIsSpared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 300, MaxWait: time.Second})
		eldest, younger, other := get(t, b, "a", 100), get(t, b, "a", 80), get(t, b, "x", 60)
		var wg sync.WaitGroup
		ends := func(k *Ticket, total int) {
			wg.Go(func() {
				if err := k.Reserve(total); err != nil {
					t.Errorf("Reserve(%d): %v", total, err)
				}
				k.Release()
			})
			synctest.Wait()
		}
		ends(younger, 90) // beyond the share, while another runs
		ends(eldest, 200) // 60 are free: it waits for more, and the younger for it
		verify(t, b, []*Ticket{eldest, younger, other})
		if s := b.Stats(); s.Used != 240 || s.Growing != 2 {
			t.Errorf("the younger went first: %+v", s)
		}
		other.Shrink(20) // enough for the eldest
		wg.Wait()
		other.Release()
		verify(t, b, nil)
	})
}
