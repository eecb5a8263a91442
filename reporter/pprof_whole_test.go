package reporter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// manyStacks is a profile of n different stacks with depth frames and two values each.
func manyStacks(n, depth int) *profile.Profile {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}},
		TimeNanos:  1_700_000_000_000_000_000, DurationNanos: 10,
	}
	for i := range 2000 {
		f := &profile.Function{ID: uint64(i + 1), Name: fmt.Sprintf("example.com/shop/cart.(*Cart).step%d", i), Filename: "cart.go"}
		p.Function = append(p.Function, f)
		p.Location = append(p.Location, &profile.Location{ID: f.ID, Address: uint64(i) * 16, Line: []profile.Line{{Function: f, Line: int64(i)}}})
	}
	for i := range n {
		s := &profile.Sample{Value: []int64{int64(i%7 + 1), int64(i%1000 + 1)}}
		for k := range depth {
			s.Location = append(s.Location, p.Location[(i*(k+1)+i/2000+k)%2000])
		}
		p.Sample = append(p.Sample, s)
	}
	return p
}

// sumsOf adds up a profile's values by sample type.
func sumsOf(list ...*profile.Profile) map[string]int64 {
	sums := map[string]int64{}
	for _, p := range list {
		for _, s := range p.Sample {
			for i, v := range s.Value {
				sums[p.SampleType[i].Type] += v
			}
		}
	}
	return sums
}

// arrived adds up what a sink has.
func arrived(t *testing.T, sink *testkit.Sink) map[string]int64 {
	t.Helper()
	var all []*profile.Profile
	for _, request := range sink.Requests(otlp.Profiles) {
		list, err := pprofconv.ToPprof(request)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			all = append(all, n.Profile)
		}
	}
	return sumsOf(all...)
}

func requireSums(t *testing.T, got, want map[string]int64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("values arrived: %v, want %v", got, want)
	}
}

// A profile that is larger than the window and than what may wait to be sent arrives
// whole, at a destination that is slower than the caller.
func TestPprofArrivesWhole(t *testing.T) {
	for name, cfg := range map[string]OTLPConfig{
		"small window":  {MaxWindowBytes: 1 << 20},
		"small pending": {MaxPendingBytes: 1 << 20, MaxRequestBytes: 64 << 10},
		"both":          {MaxWindowBytes: 1 << 20, MaxPendingBytes: 512 << 10, MaxRequestBytes: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := &testkit.Sink{}
			cfg.Consumer = pipeline.ConsumerFunc(func(ctx context.Context, b *pipeline.Batch) error {
				time.Sleep(time.Millisecond) // slower than the caller
				return sink.Consume(ctx, b)
			})
			p := manyStacks(4000, 10)
			stats := reportWhole(t, cfg, p, p)
			if stats.Samples.Reported != 16_000 || stats.Samples.Acknowledged != 16_000 {
				t.Errorf("not all was acknowledged: %+v", stats.Samples)
			}
			requireSums(t, arrived(t, sink), sumsOf(p, p))
		})
	}
}

// reportWhole reports profiles at once, each by a goroutine of its own.
func reportWhole(t *testing.T, cfg OTLPConfig, profiles ...*profile.Profile) Stats {
	t.Helper()
	r, err := NewOTLP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for _, p := range profiles {
		go func() { ended <- r.ReportPprof(t.Context(), p, PprofMeta{}) }()
	}
	for range profiles {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.Stats()
}

// What cannot arrive whole is refused before any of it is taken.
func TestPprofIsRefusedWhole(t *testing.T) {
	t.Parallel()
	deep := simple()
	for range maxFrames {
		deep.Sample[0].Location = append(deep.Sample[0].Location, deep.Location[0])
	}
	large := simple()
	large.Function[0].Name = strings.Repeat("x", 128<<10)
	labels := simple()
	labels.Sample = append(labels.Sample, &profile.Sample{Location: labels.Location, Value: []int64{1, 1}, Label: map[string][]string{"query": {strings.Repeat("x", 128<<10)}}})
	for name, c := range map[string]struct {
		p    *profile.Profile
		want string
	}{
		"a deep stack":            {deep, "sample 1 of 1 has 65537 frames, more than 65536"},
		"a large sample":          {large, "sample 1 of 1 may take 131"},
		"a large label, at last ": {labels, "sample 2 of 2 may take 131"},
	} {
		sink := &testkit.Sink{}
		r, err := NewOTLP(OTLPConfig{Consumer: sink, MaxRequestBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		err = r.ReportPprof(t.Context(), c.p, PprofMeta{})
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a refusal with %s", name, err, c.want)
		}
		if s := r.Stats().Samples; s.Reported != 0 {
			t.Errorf("%s: a part was taken: %+v", name, s)
		}
		r.Stop()
		if err := r.ReportPprof(t.Context(), simple(), PprofMeta{}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "the reporter is stopped") {
			t.Errorf("after Stop: %v", err)
		}
	}
}

// A destination that takes nothing makes callers wait: for a while before a profile is
// begun, which is then refused whole, and to the end of their context within one, of
// which the rest is counted.
func TestPprofWaitsForTheDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, open := &testkit.Sink{}, &atomic.Bool{}
		r, err := NewOTLP(OTLPConfig{MaxPendingBytes: 128 << 10, MaxRequestBytes: 32 << 10, ReportInterval: time.Hour, initialBackoff: time.Second, maxBackoff: time.Second,
			Consumer: pipeline.ConsumerFunc(func(ctx context.Context, b *pipeline.Batch) error {
				if !open.Load() {
					return errors.New("not now")
				}
				return sink.Consume(ctx, b)
			})})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p := manyStacks(5000, 10)
		err = r.ReportPprof(ctx, p, PprofMeta{})
		s := r.Stats().Samples
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || s.Reported != 10_000 || s.Held+s.Dropped[DropStopped] != 10_000 || s.Held == 0 || s.Dropped[DropStopped] == 0 {
			t.Errorf("within a profile: %v, %+v", err, s)
		}
		begun := time.Now()
		var refused *RefusedError
		if err := r.ReportPprof(t.Context(), p, PprofMeta{}); !errors.As(err, &refused) || time.Since(begun) != pprofBeginTimeout {
			t.Errorf("before a profile: %v after %s, want a refusal after %s", err, time.Since(begun), pprofBeginTimeout)
		}
		if after := r.Stats().Samples; after.Reported != s.Reported {
			t.Errorf("a part of what was refused was taken: %+v", after)
		}
		open.Store(true)
		if err := r.ReportPprof(t.Context(), p, PprofMeta{}); err != nil {
			t.Errorf("the destination is back: %v", err)
		}
		if err := r.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := r.Stats().Samples; s.Acknowledged+s.Dropped[DropStopped] != 20_000 || s.Reported != 20_000 {
			t.Errorf("in the end: %+v", s)
		}
	})
}
