package batchprocessor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// sink is what follows the processor: it takes a second for each request.
type sink struct {
	answer func(b *pipeline.Batch) error

	mu      sync.Mutex
	sizes   []int // items of each request
	at      []time.Duration
	clients []*pipeline.Client
	begin   time.Time
}

func (s *sink) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (s *sink) Consume(_ context.Context, b *pipeline.Batch) error {
	if n, err := otlp.Check(b.Signal(), b.Bytes()); err != nil || n != b.Items() {
		panic(fmt.Sprintf("%d items, %v, the batch says %d", n, err, b.Items()))
	}
	s.mu.Lock()
	s.sizes, s.at, s.clients = append(s.sizes, b.Items()), append(s.at, time.Since(s.begin)), append(s.clients, b.Client())
	s.mu.Unlock()
	time.Sleep(time.Second)
	if s.answer == nil {
		return nil
	}
	return s.answer(b)
}

// logs is a request of n items.
func logs(n int, client *pipeline.Client) *pipeline.Batch {
	b, err := pipeline.NewBatch(otlp.Logs, testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Logs, n), client)
	if err != nil {
		panic(err)
	}
	return b
}

// run calls f in a bubble with a processor.
func run(t *testing.T, cfg Config, f func(t *testing.T, p *Processor, s *sink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{begin: time.Now()}
		p, err := New(cfg, component.Settings{}, s)
		if err != nil {
			t.Fatal(err)
		}
		f(t, p, s)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.groups) > 0 {
			t.Errorf("%d groups are left", len(p.groups))
		}
	})
}

// consume sends batches at once, and returns the results.
func consume(p *Processor, batches ...*pipeline.Batch) (errs []error) {
	errs = make([]error, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() {
			errs[i] = p.Consume(context.Background(), b)
			b.Release()
		})
		synctest.Wait() // in this order
	}
	wg.Wait()
	return errs
}

func several(n int, client *pipeline.Client) (all []*pipeline.Batch) {
	for range n {
		all = append(all, logs(1, client))
	}
	return all
}

// items of a request of logs(1, nil).
var one = func() int { b := logs(1, nil); defer b.Release(); return b.Items() }()

// The first request goes at once, and those that come meanwhile are merged.
func TestMerge(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Timeout = time.Minute
	run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
		for i, err := range consume(p, several(9, nil)...) {
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		}
		if want := []int{one, 8 * one}; !slices.Equal(s.sizes, want) || s.at[0] != 0 || s.at[1] != time.Second {
			t.Errorf("requests of %v at %v, want %v at 0 and 1s", s.sizes, s.at, want)
		}
	})
}

// A merged request that is full goes at once, and one that waits goes after the timeout.
func TestTriggers(t *testing.T) {
	run(t, Config{Timeout: 300 * time.Millisecond, SendBatchSize: 4 * one, SendBatchMaxSize: 5 * one}, func(t *testing.T, p *Processor, s *sink) {
		consume(p, several(1+4+2, nil)...)
		if want := []int{one, 4 * one, 2 * one}; !slices.Equal(s.sizes, want) {
			t.Errorf("requests of %v, want %v", s.sizes, want)
		}
		if want := []time.Duration{0, 0, 300 * time.Millisecond}; !slices.Equal(s.at, want) {
			t.Errorf("at %v, want %v", s.at, want)
		}
	})
}

// What is larger than the bound is passed on as it is.
func TestLargeRequests(t *testing.T) {
	run(t, Config{SendBatchSize: 2, SendBatchMaxSize: 2, Timeout: time.Minute}, func(t *testing.T, p *Processor, s *sink) {
		consume(p, logs(40, nil), logs(40, nil))
		if len(s.sizes) != 2 || s.at[1] != 0 {
			t.Errorf("requests of %v at %v", s.sizes, s.at)
		}
	})
}

// Only the sender of what is refused gets the refusal.
func TestRefusal(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Timeout = time.Minute
	run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
		bad := logs(7, nil)
		refused := bad.Items()
		s.answer = func(b *pipeline.Batch) error {
			if b.Items() >= refused {
				return pipeline.Permanently(errors.New("no"))
			}
			return nil
		}
		errs := consume(p, append(several(4, nil), bad)...)
		for i, err := range errs {
			if (err != nil) != (i == 4) {
				t.Errorf("request %d: %v", i, err)
			}
		}
	})
}

// counting is a branch of a fan-out that counts what it gets, and what it gets again.
type counting struct{ items, again int }

func (*counting) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }
func (c *counting) Consume(_ context.Context, b *pipeline.Batch) error {
	c.items += b.Items()
	return nil
}
func (c *counting) Repeated(_ context.Context, b *pipeline.Batch) { c.again += b.Items() }

// Where one of several branches refuses a merged request for good, the others get its
// parts again, which is counted.
func TestRefusalOfABranch(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Timeout = time.Minute
	run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
		s.answer = func(b *pipeline.Batch) error {
			if b.Items() > one {
				return pipeline.Permanently(errors.New("no"))
			}
			return nil
		}
		other := &counting{}
		p.next = pipeline.Fanout(other, pipeline.Fanout(s, s))
		for i, err := range consume(p, several(5, nil)...) {
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		}
		if other.items != 9*one || other.again != 4*one {
			t.Errorf("the other branch got %d items, %d of them again; want %d, %d", other.items, other.again, 9*one, 4*one)
		}
	})
}

// The rejected items of a partial success are those of the senders together.
func TestPartialSuccess(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Timeout = time.Minute
	run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
		s.answer = func(b *pipeline.Batch) error {
			if b.Items() == one {
				return nil
			}
			return &pipeline.Error{Kind: pipeline.Partial, Rejected: int64(2*one) + 1, Err: errors.New("too old")}
		}
		sum := int64(0)
		for _, err := range consume(p, several(6, nil)...) {
			if e := pipeline.Classify(err); e != nil {
				if e.Kind != pipeline.Partial || e.Rejected > int64(one) {
					t.Errorf("got %v", e)
				}
				sum += e.Rejected
			}
		}
		if want := int64(2*one) + 1; sum != want {
			t.Errorf("%d items rejected, want %d", sum, want)
		}
	})
}

// A failure that may pass is that of all.
func TestRetryable(t *testing.T) {
	cfg := DefaultConfig()
	run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
		s.answer = func(*pipeline.Batch) error {
			return &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Second}
		}
		for i, err := range consume(p, several(5, nil)...) {
			if e := pipeline.Classify(err); e == nil || e.Kind != pipeline.Overloaded {
				t.Errorf("request %d: %v", i, err)
			}
		}
	})
}

// The end of the context of one caller is its own affair, also of the one that sends.
func TestContexts(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Timeout = time.Minute
	run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			ctx, cancel := context.WithCancel(context.Background())
			wg.Go(func() {
				b := logs(1, nil)
				defer b.Release()
				errs[i] = p.Consume(ctx, b)
			})
			synctest.Wait()
			switch i {
			case 2: // it waits
				cancel()
			case 1: // it will send the merged request
				time.AfterFunc(1500*time.Millisecond, cancel)
			default:
				defer cancel()
			}
		}
		wg.Wait()
		if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], context.Canceled) || errs[3] != nil {
			t.Errorf("got %v", errs)
		}
		if want := []int{one, 2 * one}; !slices.Equal(s.sizes, want) {
			t.Errorf("requests of %v, want %v", s.sizes, want)
		}
	})
}

// Requests are merged only with those of which the same is known.
func TestClients(t *testing.T) {
	tenant := func(name, agent string) *pipeline.Client {
		return &pipeline.Client{Addr: agent, Metadata: map[string][]string{"x-tenant": {name}, "user-agent": {agent}}}
	}
	user := func(name string) *pipeline.Client {
		return &pipeline.Client{Identity: &pipeline.Identity{Subject: name}}
	}
	for name, c := range map[string]struct {
		keys    []string
		clients [3]*pipeline.Client // the first is sent alone
		merged  bool
	}{
		"unknown":            {nil, [3]*pipeline.Client{nil, nil, nil}, true},
		"same tenant":        {[]string{"X-Tenant"}, [3]*pipeline.Client{tenant("a", "1"), tenant("a", "2"), tenant("a", "3")}, true},
		"different tenants":  {[]string{"X-Tenant"}, [3]*pipeline.Client{tenant("a", "1"), tenant("a", "2"), tenant("b", "2")}, false},
		"without keys":       {nil, [3]*pipeline.Client{tenant("a", "1"), tenant("a", "1"), tenant("a", "2")}, false},
		"exactly the same":   {nil, [3]*pipeline.Client{tenant("a", "1"), tenant("a", "1"), tenant("a", "1")}, true},
		"different subjects": {nil, [3]*pipeline.Client{user("a"), user("a"), user("b")}, false},
		"same subject":       {nil, [3]*pipeline.Client{user("a"), user("a"), user("a")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Timeout, cfg.MetadataKeys = time.Minute, c.keys
			run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
				var batches []*pipeline.Batch
				for _, client := range c.clients {
					batches = append(batches, logs(1, client))
				}
				consume(p, batches...)
				if merged := len(s.sizes) == 2; merged != c.merged {
					t.Errorf("requests of %v", s.sizes)
				}
				if last := s.clients[len(s.clients)-1]; c.merged && len(c.keys) > 0 {
					if len(last.Metadata) != 1 || last.Metadata["x-tenant"][0] != "a" || last.Addr != "" {
						t.Errorf("the merged request has client %+v", last)
					}
				}
			})
		})
	}
}

// Profiles get one dictionary.
func TestProfiles(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SendBatchSize, cfg.Timeout = 1<<20, time.Minute
	run(t, cfg, func(t *testing.T, p *Processor, s *sink) {
		var batches []*pipeline.Batch
		payloads := testkit.ProfilerPayloads(t)
		for _, name := range []string{"oncpu-010.binpb", "oncpu-011.binpb", "oncpu-013.binpb"} {
			b, err := pipeline.NewBatch(otlp.Profiles, payloads[name], nil)
			if err != nil {
				t.Fatal(err)
			}
			batches = append(batches, b)
		}
		want := []int{batches[0].Items(), batches[1].Items() + batches[2].Items()}
		for _, err := range consume(p, batches...) {
			if err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(s.sizes, want) {
			t.Errorf("requests of %v, want %v", s.sizes, want)
		}
	})
}

// Many callers at random: each gets an answer, and every item is passed on once.
func TestEveryCallIsAnswered(t *testing.T) {
	for seed := range uint64(20) {
		run(t, Config{Timeout: 50 * time.Millisecond, SendBatchSize: 30, SendBatchMaxSize: 60}, func(t *testing.T, p *Processor, s *sink) {
			r := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			var wg sync.WaitGroup
			sent, answered := 0, 0
			for range 200 {
				n, wait, quit := 1+r.IntN(9), time.Duration(r.IntN(3000))*time.Millisecond, r.IntN(5) == 0
				wg.Go(func() {
					time.Sleep(wait)
					ctx := context.Background()
					if quit {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
						defer cancel()
					}
					b := logs(n, nil)
					defer b.Release()
					err := p.Consume(ctx, b)
					mu.Lock()
					defer mu.Unlock()
					answered++
					if err == nil {
						sent += b.Items()
					} else if !quit {
						t.Errorf("seed %d: %v", seed, err)
					}
				})
			}
			wg.Wait()
			got := 0
			for _, n := range s.sizes {
				got += n
			}
			if got != sent || answered != 200 {
				t.Errorf("seed %d: %d items passed on, %d acknowledged, %d answers", seed, got, sent, answered)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{}": "",
		"{timeout: 10s, send_batch_size: 10000, send_batch_max_size: 11000, metadata_keys: [a, b], metadata_cardinality_limit: 50}": "",
		"{send_batch_max_size: 5}":                        "send_batch_max_size: expected 0, or at least send_batch_size, which is 8192, found 5",
		"{timeout: -1s}":                                  "timeout: expected 0s or more, found -1s",
		"{metadata_keys: [a, A]}":                         `metadata_keys: "a" is duplicated`,
		"{send_batch_size: 0, send_batch_max_size: 1000}": "",
	} {
		cfg := DefaultConfig()
		err := testkit.Decode(t, yaml, &cfg)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
}

// waiting is a destination that answers when nobody waits any more.
type waiting struct{ deadlines atomic.Int32 }

func (*waiting) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }
func (w *waiting) Consume(ctx context.Context, _ *pipeline.Batch) error {
	if _, ok := ctx.Deadline(); ok {
		w.deadlines.Add(1)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// A merged request is sent as long as one of its senders waits, and no longer.
func TestMergedRequestEndsWithItsSenders(t *testing.T) {
	for name, withDeadline := range map[string]bool{"deadlines": true, "a sender without": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := &waiting{}
				p, err := New(Config{SendBatchSize: 1000, Timeout: time.Second}, component.Settings{}, next)
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				var wg sync.WaitGroup
				for i := range 4 {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if withDeadline {
						ctx, cancel = context.WithTimeout(t.Context(), time.Duration(10+i)*time.Second)
						defer cancel()
					} else {
						time.AfterFunc(time.Duration(10+i)*time.Second, cancel)
					}
					wg.Go(func() {
						b := logs(1, nil)
						defer b.Release()
						if err := p.Consume(ctx, b); err == nil {
							t.Error("no error")
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				if took := time.Since(begun); took != 13*time.Second {
					t.Errorf("the senders waited %v, want 13 s as the last one", took)
				}
				if got := next.deadlines.Load() > 0; got != withDeadline {
					t.Errorf("the requests have deadlines: %v, want %v", got, withDeadline)
				}
				if err := p.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
