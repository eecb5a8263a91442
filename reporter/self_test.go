package reporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// pprofOf returns a profile with one sample.
func pprofOf(types string, values ...int64) *profile.Profile {
	fn := &profile.Function{ID: 1, Name: "main.work"}
	at := &profile.Location{ID: 1, Line: []profile.Line{{Function: fn, Line: 17}}}
	p := &profile.Profile{PeriodType: &profile.ValueType{}, Sample: []*profile.Sample{{Location: []*profile.Location{at}, Value: values}}, Location: []*profile.Location{at}, Function: []*profile.Function{fn}}
	for name := range strings.FieldsSeq(types) {
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: name, Unit: "count"})
	}
	return p
}

// sums adds up what a consumer gets, by sample type.
type sums struct {
	mu    sync.Mutex
	of    map[string]int64
	times []uint64 // of profiles
	names map[string]bool
	err   error
}

func (s *sums) consume(_ context.Context, b *pipeline.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	dict := otlp.DictionaryOf(otlp.Profiles, b.Bytes())
	for r := range otlp.ExportProfilesServiceRequest(b.Bytes()).ResourceProfiles().All() {
		for k, v := range otlp.Attributes(r.Resource().Attributes(), dict) {
			s.names[string(k)+"="+string(v.Text())] = true
		}
		for scope := range r.ScopeProfiles().All() {
			for p := range scope.Profiles().All() {
				s.times = append(s.times, p.DurationNano())
				for sample := range p.Samples().All() {
					for v := range sample.Values().All() {
						s.of[string(dict.String(p.SampleType().TypeStrindex()))] += v
					}
				}
			}
		}
	}
	return nil
}

// fake are collectors of profiles that grow by 10 with each.
type fake struct {
	mu           sync.Mutex
	inUse        bool // by another part of the program
	running      io.Writer
	starts, busy int
	heap         int64
}

func (f *fake) collectors() *collectors {
	return &collectors{
		startCPU: func(w io.Writer) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.inUse {
				f.busy++
				return errors.New("cpu profiling already in use")
			}
			f.starts++
			f.running = w
			return nil
		},
		stopCPU: func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			_ = pprofOf("samples", 3).Write(f.running)
		},
		write: func(_ string, w io.Writer) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.heap += 10
			return pprofOf("alloc_space inuse_space", f.heap, 5).Write(w)
		},
	}
}

func newSelf(t *testing.T, f *fake, s *sums, change func(*SelfConfig)) (*Self, *testkit.Log) {
	t.Helper()
	log := &testkit.Log{}
	s.of, s.names = map[string]int64{}, map[string]bool{}
	cfg := SelfConfig{collect: f.collectors(), OTLPConfig: OTLPConfig{Consumer: pipeline.ConsumerFunc(s.consume), Logger: log.Logger()}}
	if change != nil {
		change(&cfg)
	}
	self, err := NewSelf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return self, log
}

// Every interval has a CPU profile and what the heap grew by, the last one up to Stop.
func TestSelfProfiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := &fake{}, &sums{}
		self, log := newSelf(t, f, s, func(c *SelfConfig) { c.ServiceName = "shop" })
		time.Sleep(4*defaultSelfInterval + defaultSelfInterval/2)
		self.Stop()
		self.Stop()
		if f.starts != 5 || s.of["samples"] != 15 || s.of["alloc_space"] != 50 || s.of["inuse_space"] != 25 {
			t.Errorf("%d CPU profiles; sums %v", f.starts, s.of)
		}
		if got := self.Stats().Samples; got.Reported != 15 || got.Acknowledged != 15 {
			t.Errorf("%+v", got)
		}
		if !s.names["service.name=shop"] || !s.names["process.runtime.name=go"] {
			t.Errorf("resource %v", s.names)
		}
		if !slices.Contains(s.times, uint64(defaultSelfInterval)) || log.String() != "" {
			t.Errorf("durations %v, log %s", s.times, log.String())
		}
		if err := self.Start(t.Context()); err == nil {
			t.Error("no error for Start after Stop")
		}
	})
}

// While another part of the program profiles the CPU the heap is still sent, and the CPU
// again afterwards. It is logged once a minute.
func TestSelfWhileTheCPUIsProfiled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := &fake{inUse: true}, &sums{}
		self, log := newSelf(t, f, s, nil)
		time.Sleep(3*defaultSelfInterval + time.Second)
		f.mu.Lock()
		f.inUse = false
		f.mu.Unlock()
		time.Sleep(2 * defaultSelfInterval)
		self.Stop()
		if f.busy != 4 || f.starts != 2 || s.of["samples"] != 6 || s.of["alloc_space"] != 60 {
			t.Errorf("in use %d times, %d profiles, sums %v", f.busy, f.starts, s.of)
		}
		const want = "a profile of this process is missing"
		if text := log.String(); strings.Count(text, want) != 1 || !strings.Contains(text, "cpu profiling already in use") {
			t.Errorf("log %s", text)
		}
	})
}

// The runtime's own profiler, which another part of this program uses first.
func TestSelfWithTheRuntime(t *testing.T) {
	var other bytes.Buffer
	if err := pprof.StartCPUProfile(&other); err != nil {
		t.Skip(err) // the test itself is profiled
	}
	w := &cpuWindow{}
	if err := w.begin(&runtimeCollectors); err == nil {
		t.Error("no error although the CPU is profiled")
	}
	if p, err := w.end(); p != nil || err != nil {
		t.Errorf("got %v, %v", p, err)
	}
	pprof.StopCPUProfile()
	if _, err := profile.ParseData(other.Bytes()); err != nil {
		t.Errorf("the other's profile: %v", err)
	}
	if err := w.begin(&runtimeCollectors); err != nil {
		t.Fatal(err)
	}
	if p, err := w.end(); p == nil || err != nil {
		t.Errorf("got %v, %v", p, err)
	}
	for name := range deltaTypes {
		o := newSnapshots(name, &runtimeCollectors)
		for i := range 2 {
			if p, err := o.next(time.Now()); err != nil || (p != nil) != (i == 1) || p != nil && p.CheckValid() != nil {
				t.Errorf("%s: %v, %v", name, p, err)
			}
		}
	}
}

// Stop does not wait longer for a destination than it may.
func TestSelfStopsWhileTheDestinationIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := &fake{}, &sums{err: errors.New("down")}
		self, _ := newSelf(t, f, s, func(c *SelfConfig) { c.StopTimeout = 3 * time.Second })
		time.Sleep(time.Minute)
		start := time.Now()
		self.Stop()
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("Stop took %s", took)
		}
		if got := self.Stats().Samples; got.Held != 0 || got.Acknowledged != 0 || got.Reported != got.Dropped[DropStopped] {
			t.Errorf("%+v", got)
		}
	})
}

func TestDifference(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, current, want []int64 }{
		{[]int64{10, 7}, []int64{25, 4}, []int64{15, 4}},
		{[]int64{10, 7}, []int64{9, 4}, []int64{0, 4}}, // extrapolated less
		{[]int64{10, 0}, []int64{10, 0}, nil},
	} {
		got, err := difference(pprofOf("alloc_space inuse_space", c.before...), pprofOf("alloc_space inuse_space", c.current...), deltaTypes["heap"])
		if err != nil {
			t.Fatal(err)
		}
		var values []int64
		for _, s := range got.Sample {
			values = append(values, s.Value...)
		}
		if !slices.Equal(values, c.want) {
			t.Errorf("%v to %v: %v, want %v", c.before, c.current, values, c.want)
		}
	}
}

func TestSelfProfileIsBounded(t *testing.T) {
	t.Parallel()
	var data limited
	if n, err := data.Write(make([]byte, maxSelfProfileBytes)); n != maxSelfProfileBytes || err != nil {
		t.Fatal(n, err)
	}
	if n, err := data.Write([]byte{0}); n != 0 || !errors.Is(err, errSelfProfileTooLarge) {
		t.Error(n, err)
	}
	if _, err := data.parse(); !errors.Is(err, errSelfProfileTooLarge) {
		t.Error(err)
	}
}

func TestSelfConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  SelfConfig
		want string
	}{
		{SelfConfig{}, "localhost:4317 insecure=true unknown_service:"},
		{SelfConfig{OTLPConfig: OTLPConfig{lookup: environment("SERVICE_NAME=shop EXPORTER_OTLP_ENDPOINT=https://c:1")}}, "c:1 insecure=false shop"},
		{SelfConfig{ServiceName: "mine", OTLPConfig: OTLPConfig{Endpoint: "d:1", lookup: environment("SERVICE_NAME=shop")}}, "d:1 insecure=false mine"},
		{SelfConfig{OTLPConfig: OTLPConfig{NoEnvironment: true, lookup: environment("SERVICE_NAME=shop EXPORTER_OTLP_ENDPOINT=https://c:1")}}, "localhost:4317 insecure=true unknown_service:"},
		{SelfConfig{OTLPConfig: OTLPConfig{Consumer: &testkit.Sink{}, lookup: environment("SERVICE_NAME=shop EXPORTER_OTLP_ENDPOINT=https://c:1")}}, " insecure=false shop"},
		{SelfConfig{Profiles: []string{"heap", "threadcreate", "heap"}, Interval: 1}, `Interval is 1ns: expected at least 1s
Profiles[1] is "threadcreate": expected cpu, heap, goroutine, mutex or block
Profiles[2] is a duplicate: "heap"`},
	} {
		if c.cfg.lookup == nil {
			c.cfg.lookup = environment("")
		}
		got, err := c.cfg.orDefaults()
		text := ""
		if err != nil {
			text = err.Error()
		} else {
			for a := range got.Resource.All() {
				if a.Key == serviceNameKey {
					text = fmt.Sprintf("%s insecure=%t %s", got.Endpoint, got.Insecure, textOf(a))
				}
			}
		}
		if !strings.HasPrefix(text, c.want) {
			t.Errorf("got %s, want %s", text, c.want)
		}
	}
}

// ProfileSelf logs what is wrong, and the program goes on.
func TestProfileSelfLogs(t *testing.T) {
	t.Parallel()
	log := &testkit.Log{}
	ProfileSelf(SelfConfig{Interval: -1, OTLPConfig: OTLPConfig{Logger: log.Logger()}})()
	if !strings.Contains(log.String(), "this process is not profiled") || !strings.Contains(log.String(), "Interval is -1ns") {
		t.Errorf("log %s", log.String())
	}
	log = &testkit.Log{}
	ProfileSelf(SelfConfig{Interval: -1, OTLPConfig: OTLPConfig{Logger: log.Logger(), lookup: environment("SDK_DISABLED=true")}})()
	if log.String() != "" {
		t.Errorf("log %s", log.String())
	}
}
