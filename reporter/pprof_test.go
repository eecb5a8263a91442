package reporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// sent is what the reporter makes of a profile.
func sent(t *testing.T, p *profile.Profile, m PprofMeta) [][]byte {
	t.Helper()
	var sink testkit.Sink
	r, err := NewOTLP(OTLPConfig{Consumer: &sink, ReportInterval: time.Hour, MaxRequestBytes: 1 << 28, MaxWindowBytes: 1 << 30, MaxPendingBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.ReportPprof(t.Context(), p, m); err != nil {
		t.Fatal(err)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats().Samples; s.Reported != s.Acknowledged {
		t.Fatalf("not all was sent: %+v", s)
	}
	return sink.Requests(otlp.Profiles)
}

// viaOTLP reports a profile and converts what is sent back to pprof.
func viaOTLP(t *testing.T, p *profile.Profile, m PprofMeta) (list []pprofconv.Named) {
	t.Helper()
	for _, request := range sent(t, p, m) {
		testkit.CheckProfiles(t, request)
		testkit.CheckBackends(t, request)
		some, err := pprofconv.ToPprof(request)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, some...)
	}
	for _, n := range list {
		if err := n.Profile.CheckValid(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// content is all of a profile that OTLP can hold, in a form to compare. What it
// cannot hold: see ReportPprof.
type content struct {
	Header  string
	Samples map[string][]int64
	Order   []string // of sample types that have values
}

func contentOf(t *testing.T, p *profile.Profile) content {
	t.Helper()
	p = asFile(t, p)
	c := content{Samples: map[string][]int64{}}
	var used []int
	for i, v := range p.SampleType {
		if slices.ContainsFunc(p.Sample, func(s *profile.Sample) bool { return s.Value[i] != 0 }) {
			used, c.Order = append(used, i), append(c.Order, v.Type+"/"+v.Unit)
		}
	}
	c.Header = fmt.Sprintf("%+v every %d at %d for %d; comments %q doc %q drop %q keep %q default %q", *p.PeriodType, p.Period,
		p.TimeNanos, p.DurationNanos, p.Comments, p.DocURL, p.DropFrames, p.KeepFrames, p.DefaultSampleType)
	for _, s := range p.Sample {
		var values []int64
		empty := true
		for _, i := range used {
			values = append(values, s.Value[i])
			empty = empty && s.Value[i] == 0
		}
		if empty {
			continue
		}
		key := sampleKey(s)
		for i, v := range c.Samples[key] {
			values[i] += v
		}
		c.Samples[key] = values
	}
	return c
}

// asFile is what a reader of the file gets.
func asFile(t *testing.T, p *profile.Profile) *profile.Profile {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sampleKey(s *profile.Sample) string {
	var k strings.Builder
	for _, l := range s.Location {
		fmt.Fprintf(&k, "%#x folded=%v", l.Address, l.IsFolded)
		if m := l.Mapping; m != nil {
			start, limit := m.Start, m.Limit
			if start >= limit {
				start, limit = 0, 0
			}
			fmt.Fprintf(&k, " [%#x %#x %#x %q %q %v%v%v%v]", start, limit, m.Offset, m.File, m.BuildID,
				m.HasFunctions, m.HasFilenames, m.HasLineNumbers, m.HasInlineFrames)
		}
		for _, line := range l.Line {
			f := line.Function
			system := f.SystemName
			if system == "" {
				system = f.Name
			}
			start := max(f.StartLine, 0)
			if f.Name+system+f.Filename == "" { // no function, then
				start = 0
				if line.Line <= 0 {
					continue
				}
			}
			fmt.Fprintf(&k, " (%q %q %q:%d) %d:%d", f.Name, system, f.Filename, start, max(line.Line, 0), max(line.Column, 0))
		}
		k.WriteString("\n")
	}
	fmt.Fprintf(&k, "%v", s.Label) // fmt sorts maps
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key := range s.NumLabel {
			if !yield(key) {
				return
			}
		}
	}) {
		fmt.Fprintf(&k, "%s=%v%v", key, s.NumLabel[key], s.NumUnit[key])
	}
	return k.String()
}

func requireSame(t *testing.T, p *profile.Profile) *profile.Profile {
	t.Helper()
	list := viaOTLP(t, p, PprofMeta{})
	if len(list) != 1 {
		t.Fatalf("%d profiles came back, want 1", len(list))
	}
	if diff := cmp.Diff(contentOf(t, p), contentOf(t, list[0].Profile)); diff != "" {
		t.Error(diff)
	}
	return list[0].Profile
}

// randomProfile has everything that OTLP can hold, in odd combinations.
func randomProfile(rng *rand.Rand) *profile.Profile {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	maybe := func(s string) string { return pick("", s) }
	p := &profile.Profile{
		PeriodType: &profile.ValueType{Type: maybe("cpu"), Unit: maybe("nanoseconds")}, Period: rng.Int64N(3) * 10_000_000,
		TimeNanos: 1 + rng.Int64N(2e18), DurationNanos: rng.Int64N(2) * rng.Int64N(1e12),
		DocURL: maybe("http://doc"), DropFrames: maybe("drop.*"), KeepFrames: maybe("keep.*"), DefaultSampleType: maybe("b"),
	}
	for i := range rng.IntN(3) {
		p.Comments = append(p.Comments, fmt.Sprintf("comment %d", i))
	}
	for range 1 + rng.IntN(4) { // a type may be there twice
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: pick("a", "b", "c", "d"), Unit: pick("count", "bytes", "")})
	}
	for i := range rng.IntN(5) {
		m := &profile.Mapping{
			ID: uint64(i + 1), Start: uint64(i) << 20, Limit: uint64(i)<<20 + rng.Uint64N(3)<<19, Offset: rng.Uint64N(1 << 20),
			File: pick("", "/bin/app", "libc.so.6", "[vdso]"), BuildID: pick("", "0123abcd", "Go/build-id/x"),
		}
		m.HasFunctions, m.HasFilenames = rng.IntN(2) == 0, rng.IntN(2) == 0
		m.HasLineNumbers, m.HasInlineFrames = rng.IntN(2) == 0, rng.IntN(2) == 0
		p.Mapping = append(p.Mapping, m)
	}
	for i := range rng.IntN(8) {
		p.Function = append(p.Function, &profile.Function{
			ID: uint64(i + 1), Name: maybe(fmt.Sprintf("f%d", i%4)), SystemName: maybe(fmt.Sprintf("_Zf%d", i)),
			Filename: maybe("file.go"), StartLine: rng.Int64N(4) - 1,
		})
	}
	for i := range rng.IntN(12) {
		l := &profile.Location{ID: uint64(i + 1), Address: rng.Uint64N(1 << 22), IsFolded: rng.IntN(4) == 0}
		if len(p.Mapping) > 0 && rng.IntN(4) != 0 {
			m := p.Mapping[rng.IntN(len(p.Mapping))]
			if l.Mapping = m; m.Start < m.Limit { // where it should be
				l.Address = m.Start + rng.Uint64N(m.Limit-m.Start)
			}
		}
		for range rng.IntN(4) {
			if len(p.Function) > 0 {
				l.Line = append(l.Line, profile.Line{Function: p.Function[rng.IntN(len(p.Function))], Line: rng.Int64N(50) - 2, Column: rng.Int64N(9) - 1})
			}
		}
		p.Location = append(p.Location, l)
	}
	for range rng.IntN(30) {
		p.Sample = append(p.Sample, randomSample(rng, p))
	}
	return p
}

func randomSample(rng *rand.Rand, p *profile.Profile) *profile.Sample {
	s := &profile.Sample{Label: map[string][]string{}, NumLabel: map[string][]int64{}, NumUnit: map[string][]string{}}
	for range p.SampleType {
		s.Value = append(s.Value, rng.Int64N(5)*(rng.Int64N(2000)-1000))
	}
	if len(p.Location) > 0 {
		for range rng.IntN(6) {
			s.Location = append(s.Location, p.Location[rng.IntN(len(p.Location))])
		}
	}
	for range rng.IntN(3) {
		key := []string{"k", "thread", "bytes"}[rng.IntN(3)]
		s.Label[key] = append(s.Label[key], fmt.Sprintf("v%d", rng.IntN(3)))
	}
	for range rng.IntN(3) {
		key := []string{"k", "n", "bytes"}[rng.IntN(3)]
		s.NumLabel[key] = append(s.NumLabel[key], rng.Int64N(3))
	}
	for key, numbers := range s.NumLabel {
		if unit := []string{"", "bytes"}[rng.IntN(2)]; unit != "" || slices.Contains(numbers, 0) {
			for range numbers { // a bare 0 cannot be in a file
				s.NumUnit[key] = append(s.NumUnit[key], "bytes")
			}
		}
	}
	if rng.IntN(4) == 0 {
		s.Label["trace_id"] = []string{strings.Repeat([]string{"0a", "00", "zz"}[rng.IntN(3)], 16)}
		s.Label["span_id"] = []string{strings.Repeat([]string{"0b", "0B"}[rng.IntN(2)], 8)}
	}
	return s
}

// Whatever a profile holds that OTLP can hold comes back.
func TestPprofRoundTripOfRandomProfiles(t *testing.T) {
	t.Parallel()
	full := 0
	for seed := range uint64(150) {
		p := randomProfile(rand.New(rand.NewPCG(seed, 7)))
		if len(contentOf(t, p).Order) == 0 {
			if n := len(viaOTLP(t, p, PprofMeta{})); n != 0 {
				t.Fatalf("seed %d: %d profiles of nothing", seed, n)
			}
			continue
		}
		full++
		requireSame(t, p)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if full < 75 {
		t.Errorf("only %d profiles had values", full)
	}
}

// Profiles that Go's runtime writes are converted there and back, and `go tool pprof` finds the same
// in both.
func TestPprofRoundTripOfRuntimeProfiles(t *testing.T) {
	for name, p := range runtimeProfiles(t) {
		t.Run(name, func(t *testing.T) {
			if len(p.Sample) == 0 {
				t.Fatal("the runtime has no samples: nothing is shown")
			}
			back := requireSame(t, p)
			for i, v := range p.SampleType {
				if !slices.ContainsFunc(p.Sample, func(s *profile.Sample) bool { return s.Value[i] != 0 }) {
					continue
				}
				want, ok := top(t, p, v.Type)
				got, _ := top(t, back, v.Type)
				if !ok {
					t.Log("go is not installed: go tool pprof is not asked")
					return
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("go tool pprof -sample_index=%s: %s", v.Type, diff)
				}
			}
		})
	}
}

// runtimeProfiles makes one of each kind.
func runtimeProfiles(t *testing.T) map[string]*profile.Profile {
	t.Helper()
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	parse := func(b *bytes.Buffer) *profile.Profile {
		p, err := profile.ParseData(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	list := map[string]*profile.Profile{}
	var cpu bytes.Buffer
	if err := pprof.StartCPUProfile(&cpu); err != nil {
		t.Fatal(err)
	}
	kept := work()
	pprof.StopCPUProfile()
	list["cpu"] = parse(&cpu)
	runtime.GC() // the heap profile is as of the last collection
	for _, name := range []string{"heap", "allocs", "goroutine", "mutex", "block"} {
		var b bytes.Buffer
		if err := pprof.Lookup(name).WriteTo(&b, 0); err != nil {
			t.Fatal(err)
		}
		list[name] = parse(&b)
	}
	runtime.KeepAlive(kept)
	return list
}

// work uses the CPU under labels, allocates, and makes goroutines wait for each
// other.
func work() (kept [][]byte) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			pprof.Do(context.Background(), pprof.Labels("worker", fmt.Sprint(i)), func(context.Context) {
				for begun, sum := time.Now(), 0; time.Since(begun) < 300*time.Millisecond; sum++ {
					mu.Lock()
					if sum%1000 == 0 {
						kept = append(kept, make([]byte, 16<<10))
					}
					mu.Unlock()
				}
			})
		})
	}
	all.Wait()
	return kept
}

// top is the table of `go tool pprof -top`, sorted.
func top(t *testing.T, p *profile.Profile, sampleType string) (table []string, ok bool) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		return nil, false
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "profile.pb.gz")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "pprof", "-top", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0",
		"-symbolize=none", "-unit=minimum", "-sample_index="+sampleType, file)
	cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go tool pprof: %v\n%s", err, out)
	}
	_, lines, ok := strings.Cut(string(out), "cum%\n")
	if !ok {
		t.Fatalf("go tool pprof says\n%s", out)
	}
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		f[2] = "" // the running sum depends on the order of equals
		table = append(table, strings.Join(f, " "))
	}
	slices.Sort(table)
	return table, true
}

// simple is a profile with two types and one sample.
func simple() *profile.Profile {
	f := &profile.Function{ID: 1, Name: "f"}
	l := &profile.Location{ID: 1, Address: 0x10, Line: []profile.Line{{Function: f, Line: 3}}}
	return &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Sample:     []*profile.Sample{{Location: []*profile.Location{l}, Value: []int64{2, 20}, Label: map[string][]string{"k": {"label"}}}},
		Location:   []*profile.Location{l}, Function: []*profile.Function{f},
	}
}

// What is known beside the profile.
func TestPprofMeta(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 5)
	m := PprofMeta{
		Resource: libpf.NewAttributes(libpf.StringAttr("service.name", "web")),
		Types:    []string{"cpu"}, Start: start, Duration: time.Minute,
		Attributes: libpf.NewAttributes(libpf.StringAttr("k", "common"), libpf.StringAttr("more", "x")),
	}
	p := simple()
	list := viaOTLP(t, p, m)
	if len(list) != 1 || list[0].Name != "web" {
		t.Fatalf("%+v", list)
	}
	got := list[0].Profile
	if len(got.SampleType) != 1 || got.SampleType[0].Type != "cpu" || got.Sample[0].Value[0] != 20 {
		t.Errorf("not the type that was asked for: %v", got)
	}
	if got.TimeNanos != start.UnixNano() || got.DurationNanos != int64(time.Minute) {
		t.Errorf("time %d, duration %d", got.TimeNanos, got.DurationNanos)
	}
	if diff := cmp.Diff(map[string][]string{"k": {"label"}, "more": {"x"}}, got.Sample[0].Label); diff != "" {
		t.Error(diff)
	}
	p.TimeNanos, p.DurationNanos = 1_600_000_000_000_000_000, 77
	got = viaOTLP(t, p, m)[0].Profile
	if got.TimeNanos != p.TimeNanos || got.DurationNanos != 77 {
		t.Errorf("the profile knows its time: %d, duration %d", got.TimeNanos, got.DurationNanos)
	}
}

// translate is what ReportPprof does, without a reporter.
func translate(p *profile.Profile, m *PprofMeta, report func(*samples.Trace, *samples.TraceEventMeta) error) error {
	origins, err := pprofOrigins(p, m)
	if err != nil {
		return err
	}
	return eachPprofEvent(p, m, origins, report)
}

// A profile that is wrong is refused before any of it is reported.
func TestPprofRefusals(t *testing.T) {
	t.Parallel()
	noFunction := simple()
	noFunction.Location[0].Line[0].Function = nil
	short := simple()
	short.Sample[0].Value = []int64{1}
	for name, c := range map[string]struct {
		p    *profile.Profile
		m    PprofMeta
		want string
	}{
		"none":         {nil, PprofMeta{}, "there is none"},
		"no function":  {noFunction, PprofMeta{}, "not valid: location id: 1 has a line with nil function"},
		"short sample": {short, PprofMeta{}, "not valid: mismatch: sample has 1 values vs. 2 types"},
		"no such type": {simple(), PprofMeta{Types: []string{"cpu", "heap"}}, `no sample type "heap", but samples, cpu`},
		"a nil type": {
			&profile.Profile{SampleType: []*profile.ValueType{nil}}, PprofMeta{}, "sample type 0 is nil",
		},
	} {
		err := translate(c.p, &c.m, func(*samples.Trace, *samples.TraceEventMeta) error {
			t.Errorf("%s: something was reported", name)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	stop := errors.New("stop")
	err := translate(simple(), &PprofMeta{}, func(*samples.Trace, *samples.TraceEventMeta) error { return stop })
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

// A frame is made once for each location, however many samples go through it.
func TestPprofFramesAreMadeOnce(t *testing.T) {
	p := simple()
	for range 2000 {
		p.Sample = append(p.Sample, &profile.Sample{Location: slices.Repeat(p.Location, 20), Value: []int64{1, 1}})
	}
	discard := func(*samples.Trace, *samples.TraceEventMeta) error { return nil }
	allocs := testing.AllocsPerRun(5, func() {
		if err := translate(p, &PprofMeta{}, discard); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 200 {
		t.Errorf("%.0f allocations for 2001 samples of 20 frames", allocs)
	}
}

// What pprof can hold and OTLP cannot, or not as it is.
func TestPprofLabels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want profile.Sample }{
		"units that differ": {
			profile.Sample{NumLabel: map[string][]int64{"n": {1, 2}}, NumUnit: map[string][]string{"n": {"s", "ms"}}},
			profile.Sample{NumLabel: map[string][]int64{"n": {1, 2}}},
		},
		"a bare zero": {
			profile.Sample{NumLabel: map[string][]int64{"n": {0}}},
			profile.Sample{NumLabel: map[string][]int64{"n": {0}}, NumUnit: map[string][]string{"n": {"n"}}},
		},
		"a zero with its name for a unit": {
			profile.Sample{NumLabel: map[string][]int64{"n": {0}}, NumUnit: map[string][]string{"n": {"n"}}},
			profile.Sample{NumLabel: map[string][]int64{"n": {0}}, NumUnit: map[string][]string{"n": {"n"}}},
		},
		"that unit on others too": {
			profile.Sample{NumLabel: map[string][]int64{"bytes": {0, 7}}, NumUnit: map[string][]string{"bytes": {"bytes", "bytes"}}},
			profile.Sample{NumLabel: map[string][]int64{"bytes": {0, 7}}, NumUnit: map[string][]string{"bytes": {"bytes", "bytes"}}},
		},
		"a span alone": {
			profile.Sample{Label: map[string][]string{"span_id": {"0123456789abcdef"}}},
			profile.Sample{Label: map[string][]string{"span_id": {"0123456789abcdef"}}},
		},
	} {
		p := simple()
		p.Sample[0].Label, p.Sample[0].NumLabel, p.Sample[0].NumUnit = c.in.Label, c.in.NumLabel, c.in.NumUnit
		got := viaOTLP(t, p, PprofMeta{})[0].Profile.Sample[0]
		if len(got.NumUnit) == 0 {
			got.NumUnit = nil
		}
		if diff := cmp.Diff([]any{c.want.Label, c.want.NumLabel, c.want.NumUnit}, []any{got.Label, got.NumLabel, got.NumUnit}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A 0 that has its label's name for a unit has none: pprof could not write it
// otherwise.
func TestPprofUnits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		numbers []int64
		units   []string
		want    string
	}{
		{[]int64{0}, []string{"n"}, ""},
		{[]int64{1}, []string{"n"}, "n"},
		{[]int64{0, 1}, []string{"n", "n"}, "n"},
		{[]int64{0, 1}, []string{"n", ""}, ""},
		{[]int64{0, 1}, []string{"s", "s"}, "s"},
		{[]int64{0, 1}, []string{"s", "n"}, ""},
		{[]int64{0, 1}, []string{"s"}, ""},
		{[]int64{0}, nil, ""},
	} {
		if got := unitOf("n", c.numbers, c.units); got != c.want {
			t.Errorf("%v %q: got %q, want %q", c.numbers, c.units, got, c.want)
		}
	}
}

// Which build id a build id is.
func TestPprofBuildIDs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]libpf.Mapping{
		"":           {},
		"0123abCDEF": {GNUBuildID: "0123abCDEF"},
		"abc/def/0":  {GoBuildID: "abc/def/0"},
	} {
		got := pprofMapping(&profile.Mapping{BuildID: id})
		if got.GNUBuildID != want.GNUBuildID || got.GoBuildID != want.GoBuildID {
			t.Errorf("%q: %+v", id, got)
		}
	}
}

// The ids of a span become the sample's link.
func TestPprofLink(t *testing.T) {
	t.Parallel()
	p := simple()
	p.Sample[0].Label = map[string][]string{"trace_id": {"0102030405060708090a0b0c0d0e0f10"}, "span_id": {"1112131415161718"}}
	if err := translate(p, &PprofMeta{}, func(_ *samples.Trace, m *samples.TraceEventMeta) error {
		want := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
		if m.TraceID != want || m.SpanID != [8]byte{0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18} || m.Attributes != "" {
			t.Errorf("%+v", m)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Whatever can be read as pprof can be sent, and its totals are the same after conversion back.
func FuzzReportPprof(f *testing.F) {
	for seed := range uint64(20) {
		var b bytes.Buffer
		if err := randomProfile(rand.New(rand.NewPCG(seed, 8))).WriteUncompressed(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := profile.ParseUncompressed(file)
		if err != nil || p.CheckValid() != nil {
			return
		}
		if slices.ContainsFunc(p.Sample, func(s *profile.Sample) bool { return len(s.Location) > maxFrames }) {
			return
		}
		want, got := map[string]int64{}, map[string]int64{}
		sum := func(of map[string]int64, p *profile.Profile) {
			for _, s := range p.Sample {
				for i, v := range s.Value {
					of[strings.ToValidUTF8(p.SampleType[i].Type+"/"+p.SampleType[i].Unit, "\ufffd")] += v
				}
			}
		}
		sum(want, p)
		for _, request := range sent(t, p, PprofMeta{}) {
			if _, err := otlp.Check(otlp.Profiles, request); err != nil {
				t.Fatal(err)
			}
			list, err := pprofconv.ToPprof(request)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				if err := n.Profile.CheckValid(); err != nil {
					t.Fatal(err)
				}
				sum(got, n.Profile)
			}
		}
		for _, of := range []map[string]int64{want, got} {
			maps.DeleteFunc(of, func(_ string, v int64) bool { return v == 0 })
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
