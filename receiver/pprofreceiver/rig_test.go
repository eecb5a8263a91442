package pprofreceiver

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter"
)

// totals are numbers by stack and sample type: "alloc_space main.f a.go:3 < …".
type totals map[string]int64

// reported is a profile as the sink got it.
type reported struct {
	meta   reporter.PprofMeta
	time   int64
	totals totals
}

// recorder is a sink that adds up.
type recorder struct {
	mu   sync.Mutex
	all  []reported
	fail error
}

func (r *recorder) ReportPprof(_ context.Context, p *profile.Profile, m reporter.PprofMeta) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if err := p.CheckValid(); err != nil {
		return err
	}
	one := reported{meta: m, time: p.TimeNanos, totals: totals{}}
	for i, t := range p.SampleType {
		if m.Types != nil && !slices.Contains(m.Types, t.Type) {
			continue
		}
		for _, s := range p.Sample {
			if s.Value[i] != 0 {
				one.totals[t.Type+" "+textOf(s)] += s.Value[i]
			}
		}
	}
	r.all = append(r.all, one)
	return nil
}

func (r *recorder) calls() []reported {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// sum adds up all that was reported, of the types that begin with one of prefixes.
func (r *recorder) sum(prefixes ...string) totals {
	all := totals{}
	for _, c := range r.calls() {
		for key, v := range c.totals {
			if len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
				all[key] += v
			}
		}
	}
	return all
}

// textOf is a stack as a reader would write it down: all of its content.
func textOf(s *profile.Sample) string {
	var b strings.Builder
	for _, l := range s.Location {
		fmt.Fprintf(&b, "%#x ", l.Address)
		if m := l.Mapping; m != nil {
			fmt.Fprintf(&b, "%s@%x-%x+%x(%s) ", m.File, m.Start, m.Limit, m.Offset, m.BuildID)
		}
		for _, line := range l.Line {
			fmt.Fprintf(&b, "%s %s %s:%d:%d/%d, ", line.Function.Name, line.Function.SystemName, line.Function.Filename, line.Line, line.Column, line.Function.StartLine)
		}
		b.WriteString("< ")
	}
	for _, k := range slices.Sorted(maps.Keys(s.Label)) {
		fmt.Fprintf(&b, "%q=%q ", k, s.Label[k])
	}
	for _, k := range slices.Sorted(maps.Keys(s.NumLabel)) {
		fmt.Fprintf(&b, "%q=%d%q ", k, s.NumLabel[k], s.NumUnit[k])
	}
	return b.String()
}

// totalsOf is what a profile holds.
func totalsOf(p *profile.Profile, prefixes ...string) totals {
	r := &recorder{}
	if err := r.ReportPprof(context.Background(), p, reporter.PprofMeta{}); err != nil {
		panic(err)
	}
	return r.sum(prefixes...)
}

// minus is the difference, without zeros.
func (t totals) minus(u totals) totals {
	d := maps.Clone(t)
	for key, v := range u {
		d[key] -= v
	}
	maps.DeleteFunc(d, func(_ string, v int64) bool { return v == 0 })
	return d
}

func (t totals) total(prefix string) (n int64) {
	for key, v := range t {
		if strings.HasPrefix(key, prefix) {
			n += v
		}
	}
	return n
}

// sameTotals fails the test where the two differ.
func sameTotals(t testing.TB, what string, got, want totals) {
	t.Helper()
	for key := range want.minus(got) {
		t.Errorf("%s: %s: got %d, want %d", what, key, got[key], want[key])
	}
	for key := range got.minus(want) {
		if _, both := want[key]; !both {
			t.Errorf("%s: %s: got %d, want none", what, key, got[key])
		}
	}
}

// rig is an engine whose rounds a test makes.
type rig struct {
	*Engine
	sink *recorder
	log  *testkit.Log
	ctx  context.Context
	at   map[*target][]*rotation
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	return newRigWith(t, cfg, settings())
}

func newRigWith(t testing.TB, cfg Config, set component.Settings) *rig {
	t.Helper()
	r := &rig{sink: &recorder{}, log: &testkit.Log{}, at: map[*target][]*rotation{}}
	var err error
	set.Logger = r.log.Logger()
	if r.Engine, err = NewEngine(cfg, set, r.sink); err != nil {
		t.Fatal(err)
	}
	err = r.life.Start(func(undo *lifecycle.Undo) (err error) {
		r.ctx, err = r.begin(undo)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range r.targets {
		for _, jobs := range tg.loops() {
			r.at[tg] = append(r.at[tg], &rotation{jobs: jobs})
		}
	}
	t.Cleanup(func() {
		if err := r.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// rounds makes n rounds of all targets and the files.
func (r *rig) rounds(n int) {
	for range n {
		var all sync.WaitGroup
		for _, tg := range r.targets {
			for _, at := range r.at[tg] {
				all.Go(func() { r.round(r.ctx, tg, at) })
			}
		}
		if r.files != nil {
			all.Go(func() { r.files.poll(r.ctx) })
		}
		all.Wait()
	}
}

// failed returns the causes counted so far.
func (r *rig) failed() string { return fmt.Sprint(r.Stats().Failures) }

// serve runs a handler until the test ends and returns its host:port.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// script serves profiles, one each for a fetch, the last one again and again.
type script struct {
	mu   sync.Mutex
	left []*profile.Profile
}

func (s *script) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.left[0]
	if len(s.left) > 1 {
		s.left = s.left[1:]
	}
	if err := p.Write(w); err != nil {
		panic(err)
	}
}

// one configures a single target with one kind of profile.
func one(addr, kind string) Config {
	cfg := DefaultConfig()
	cfg.Targets = []Target{{Endpoint: addr}}
	cfg.Profiles = ProfilesOf(kind)
	return cfg
}

// A frame of a made-up stack. inlined are further functions of the location.
type frame struct {
	fn, file string
	line     int64
	address  uint64
	inlined  []string
}

// A stack of a made-up profile.
type stack struct {
	frames []frame // leaf first
	labels map[string][]string
	nums   map[string][]int64
	units  map[string][]string
	values []int64
}

// makeProfile builds a profile. ids are shifted by shift, since they must have
// no meaning.
func makeProfile(types []string, at time.Time, process profile.Mapping, shift uint64, stacks ...stack) *profile.Profile {
	m := &process
	m.ID = 1
	p := &profile.Profile{TimeNanos: at.UnixNano(), Mapping: []*profile.Mapping{m}, PeriodType: &profile.ValueType{Type: "space", Unit: "bytes"}, Period: 1}
	for _, name := range types {
		unit := "count"
		if strings.HasSuffix(name, "space") {
			unit = "bytes"
		}
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: name, Unit: unit})
	}
	for _, s := range stacks {
		sample := &profile.Sample{Value: s.values, Label: s.labels, NumLabel: s.nums, NumUnit: s.units}
		for _, f := range s.frames {
			l := &profile.Location{ID: uint64(len(p.Location)) + 1 + shift, Mapping: m, Address: f.address}
			for _, name := range append(slices.Clone(f.inlined), f.fn) {
				fn := &profile.Function{ID: uint64(len(p.Function)) + 1 + shift, Name: name, SystemName: name, Filename: f.file}
				p.Function = append(p.Function, fn)
				l.Line = append(l.Line, profile.Line{Function: fn, Line: f.line})
			}
			p.Location = append(p.Location, l)
			sample.Location = append(sample.Location, l)
		}
		p.Sample = append(p.Sample, sample)
	}
	return p
}

var (
	heapTypes = []string{"alloc_objects", "alloc_space", "inuse_objects", "inuse_space"}
	lockTypes = []string{"contentions", "delay"}
	program   = profile.Mapping{Start: 0x400000, Limit: 0x800000, File: "/usr/bin/shop", BuildID: "abc/def"}
)

func simple(name string, values ...int64) stack {
	return stack{frames: []frame{{fn: name, file: "shop.go", line: 7, address: 0x400000 + uint64(len(name))}}, values: values}
}

func attribute(set libpf.Attributes, key string) string {
	for a := range set.All() {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

func base64Lines(der []byte) string { return base64.StdEncoding.EncodeToString(der) + "\n" }

// ended returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func settings() component.Settings { return component.Settings{ID: "pprof"} }
