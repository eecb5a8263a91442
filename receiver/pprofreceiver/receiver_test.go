package pprofreceiver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var _ pipeline.Component = (*Receiver)(nil)

// sent is what a request says, in the words of totals: sample type and functions.
func sent(t *testing.T, request []byte, into totals, resources map[string]bool) {
	t.Helper()
	testkit.CheckProfiles(t, request)
	testkit.CheckBackends(t, request)
	m := &colprofiles.ExportProfilesServiceRequest{}
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	d := m.Dictionary
	text := func(i int32) string { return d.StringTable[i] }
	for _, rp := range m.ResourceProfiles {
		resources[resourceText(d.StringTable, rp.Resource.Attributes)] = true
		for _, sp := range rp.ScopeProfiles {
			for _, p := range sp.Profiles {
				if p.DurationNano == 0 || p.TimeUnixNano == 0 {
					t.Errorf("a profile of %s lasts %d ns from %d", text(p.SampleType.TypeStrindex), p.DurationNano, p.TimeUnixNano)
				}
				for _, s := range p.Samples {
					key := text(p.SampleType.TypeStrindex) + " "
					for _, l := range d.StackTable[s.StackIndex].LocationIndices {
						for _, line := range d.LocationTable[l].Lines {
							key += text(d.FunctionTable[line.FunctionIndex].NameStrindex) + ", "
						}
						key += "< "
					}
					for _, a := range s.AttributeIndices {
						kv := d.AttributeTable[a]
						key += text(kv.KeyStrindex) + "=" + kv.Value.GetStringValue() + " "
					}
					for _, v := range s.Values {
						into[key] += v
					}
				}
			}
		}
	}
}

func resourceText(table []string, list []*common.KeyValue) string {
	var all []string
	for _, kv := range list {
		key, value := kv.Key, kv.Value.GetStringValue()
		if kv.KeyStrindex != 0 {
			key = table[kv.KeyStrindex]
		}
		if i := kv.Value.GetStringValueStrindex(); i != 0 {
			value = table[i]
		}
		all = append(all, key+"="+value)
	}
	return strings.Join(all, " ")
}

func newReceiver(t *testing.T, cfg Config, next pipeline.Consumer) *Receiver {
	t.Helper()
	r, err := New(cfg, component.Settings{ID: "pprof/test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Register(otlp.Profiles, next); err != nil {
		t.Fatal(err)
	}
	return r
}

// From a target to the pipeline: what comes out is what the target counted.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	first := heapAt(0, simple("a", 10, 100, 1, 10), simple("bb", 5, 50, 0, 0))
	second := heapAt(1, simple("a", 12, 120, 2, 20), simple("bb", 5, 50, 0, 0))
	last := heapAt(2, simple("a", 12, 120, 3, 30), simple("bb", 8, 80, 0, 0), simple("ccc", 1, 1, 0, 0))
	block := makeProfile(lockTypes, noon, program, 0, simple("wait", 1, 1))
	block2 := makeProfile(lockTypes, noon.Add(time.Second), program, 0, simple("wait", 3, 5))
	mux := http.NewServeMux()
	heap := &script{left: []*profile.Profile{first, second, last}}
	mux.Handle("/debug/pprof/heap", heap)
	mux.Handle("/debug/pprof/block", &script{left: []*profile.Profile{block, block2}})
	mux.Handle("/debug/pprof/mutex", &script{left: []*profile.Profile{block, block2}})
	cfg := one(serve(t, mux), "heap")
	cfg.Profiles = ProfilesOf("heap", "allocs", "mutex", "block")
	cfg.CollectionInterval, cfg.ServiceName = time.Second, "shop"
	cfg.Files = []string{filepath.Join(t.TempDir(), "*")}
	writeProfile(t, filepath.Join(filepath.Dir(cfg.Files[0]), "cpu.pb.gz"), makeProfile([]string{"cpu"}, noon, program, 0, simple("spin", 77)))

	sink := &testkit.Sink{}
	r := newReceiver(t, cfg, sink)
	if err := errors.Join(r.Start(t.Context()), r.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for r.Stats().Fetches < 4*3+1 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if err := errors.Join(r.Shutdown(t.Context()), r.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); len(s.Failures) != 0 || s.Refused != 0 || s.Restarts != 0 {
		t.Fatalf("stats %+v", s)
	}
	got, resources := totals{}, map[string]bool{}
	for _, request := range sink.Requests(otlp.Profiles) {
		sent(t, request, got, resources)
	}
	for key := range got { // values in use are reported in each round, and the number of rounds varies
		if strings.HasPrefix(key, "inuse") {
			delete(got, key)
		}
	}
	sameTotals(t, "sum", got, totals{
		"alloc_objects a, < ": 2, "alloc_space a, < ": 20, "alloc_objects bb, < ": 3, "alloc_space bb, < ": 30,
		"alloc_objects ccc, < ": 1, "alloc_space ccc, < ": 1, "cpu spin, < ": 77,
		"contentions wait, < " + attrProfile + "=mutex ": 2, "delay wait, < " + attrProfile + "=mutex ": 4,
		"contentions wait, < " + attrProfile + "=block ": 2, "delay wait, < " + attrProfile + "=block ": 4,
	})
	if len(resources) != 2 {
		t.Errorf("resources %v, want that of the target and that of the file", resources)
	}
	for text := range resources {
		if !strings.Contains(text, "service.name=shop") || !strings.Contains(text, "process.executable.name=shop") {
			t.Errorf("resource %s", text)
		}
	}
}

// The five lines of YAML, against a real process.
func TestFiveLines(t *testing.T) {
	busy(t)
	addr := serve(t, newProcess())
	cfg, err := decode(t, "targets: ["+addr+"]\ncollection_interval: 1s\n")
	if err != nil {
		t.Fatal(err)
	}
	sink := &testkit.Sink{}
	r := newReceiver(t, cfg, sink)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(60 * time.Second)
	for r.Stats().Fetches < 5*4 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, resources := totals{}, map[string]bool{}
	for _, request := range sink.Requests(otlp.Profiles) {
		sent(t, request, got, resources)
	}
	for _, typ := range []string{"cpu", "samples", "inuse_space", "alloc_space", "goroutine", "contentions", "delay"} {
		if got.total(typ) <= 0 {
			t.Errorf("no %s has come", typ)
		}
	}
	if s := r.Stats(); len(s.Failures) != 0 || s.Restarts != 0 {
		t.Errorf("stats %+v", s)
	}
	if int64(len(resources)) != 1 {
		t.Errorf("resources %v", resources)
	}
}

func TestLifeCycle(t *testing.T) {
	t.Parallel()
	cfg := one("127.0.0.1:1", "heap")
	r, err := New(cfg, component.Settings{ID: "pprof/test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "expected a pipeline of profiles") {
		t.Errorf("started without a consumer: %v", err)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}

	r = newReceiver(t, cfg, &testkit.Sink{})
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Profiles, 0} {
		if err := r.Register(s, &testkit.Sink{}); err == nil {
			t.Errorf("a consumer of %s was taken", s)
		}
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Start(t.Context()); err == nil {
		t.Error("started after Shutdown")
	}
	if got := r.Name(); got != "pprof/test" {
		t.Errorf("its name is %q", got)
	}
}

// Shutdown does not wait for a CPU profile, nor for a consumer that is stuck.
func TestShutdownIsQuick(t *testing.T) {
	t.Parallel()
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/profile") {
			<-r.Context().Done()
			return
		}
		io.Copy(w, bytes.NewReader(plainProfile(t)))
	}))
	cfg := one(addr, "cpu")
	cfg.Profiles, cfg.CountFrom = ProfilesOf("cpu", "mutex"), FromProcessStart
	stuck := pipeline.ConsumerFunc(func(ctx context.Context, _ *pipeline.Batch) error { <-ctx.Done(); return ctx.Err() })
	r := newReceiver(t, cfg, stuck)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for r.Stats().Numbers == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := r.Shutdown(ctx)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Shutdown took %s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "abandoned at the deadline") {
		t.Errorf("got %v, want what is lost", err)
	}
}

// A profile that is larger than what the reporter may hold passes through it.
func TestALargeFileArrivesWhole(t *testing.T) {
	t.Parallel()
	const stacks = 200_000
	p := makeProfile([]string{"alloc_objects", "alloc_space"}, noon, program, 0, simple("f", 1, 1))
	for i := range 1000 {
		l := *p.Location[0]
		l.ID, l.Address = uint64(i+2), l.Address+uint64(i+1)
		p.Location = append(p.Location, &l)
	}
	at := p.Location
	for i := range stacks - 1 {
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{at[i%1000], at[i/1000], at[(i+7)%1000]}, Value: []int64{1, 2}})
	}
	cfg := DefaultConfig()
	cfg.Files = []string{filepath.Join(t.TempDir(), "*")}
	writeProfile(t, filepath.Join(filepath.Dir(cfg.Files[0]), "large.pb.gz"), p)
	sink := &testkit.Sink{}
	r, err := New(cfg, component.Settings{ID: "pprof/test", Memory: admission.New(admission.Config{Bytes: 512 << 20})})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Register(otlp.Profiles, sink), r.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the file was read", func() bool { return r.Stats().Fetches > 0 })
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Numbers != 2*stacks || s.Refused != 0 {
		t.Errorf("stats %+v", s)
	}
	items := 0
	for _, b := range sink.Received(otlp.Profiles) {
		items += b.Items
	}
	if items != 2*stacks {
		t.Errorf("%d samples arrived, want %d", items, 2*stacks)
	}
}

// Backends name and distinguish the profiles of a target as their users know them.
func TestNamesAtBackends(t *testing.T) {
	t.Parallel()
	value := func(typ, unit string) *profile.ValueType { return &profile.ValueType{Type: typ, Unit: unit} }
	withPeriod := func(p *profile.Profile, period *profile.ValueType) *profile.Profile {
		p.PeriodType, p.Period = period, 1
		return p
	}
	locks := withPeriod(makeProfile(lockTypes, noon, program, 0, simple("wait", 1, 1)), value("contentions", "count"))
	mux := http.NewServeMux()
	for path, p := range map[string]*profile.Profile{
		"profile": withPeriod(makeProfile([]string{"samples"}, noon, program, 0, simple("spin", 7)), value("cpu", "nanoseconds")),
		"heap":    withPeriod(heapAt(0, simple("a", 10, 100, 1, 10)), value("space", "bytes")),
		"mutex":   locks, "block": locks,
		"goroutine": withPeriod(makeProfile([]string{"goroutine"}, noon, program, 0, simple("g", 3)), value("goroutine", "count")),
	} {
		mux.Handle("/debug/pprof/"+path, &script{left: []*profile.Profile{p}})
	}
	cfg := one(serve(t, mux), "heap")
	cfg.Profiles, cfg.CountFrom, cfg.CollectionInterval = DefaultProfiles(), FromProcessStart, 2*time.Second
	sink := &testkit.Sink{}
	r := newReceiver(t, cfg, sink)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "all are fetched", func() bool { return r.Stats().Fetches >= 5 })
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, atParca := map[string]bool{}, map[string]bool{}
	for _, request := range sink.Requests(otlp.Profiles) {
		m := &colprofiles.ExportProfilesServiceRequest{}
		if err := proto.Unmarshal(request, m); err != nil {
			t.Fatal(err)
		}
		for _, rp := range m.ResourceProfiles {
			for _, sp := range rp.ScopeProfiles {
				for _, p := range sp.Profiles {
					name := testkit.NameAtPyroscope(m.Dictionary, p)
					names[name] = true
					atParca[name+" "+m.Dictionary.StringTable[p.SampleType.TypeStrindex]] = true
				}
			}
		}
	}
	for _, want := range []string{"process_cpu", "memory", "mutex", "block", "goroutines"} {
		if !names[want] {
			t.Errorf("%s is not among %v", want, names)
		}
	}
	if len(names) != 5 || len(atParca) != 1+4+2+2+1 {
		t.Errorf("names %v, types %v", names, atParca)
	}
}
