package profile

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unique"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// epoch is when the tests' samples are from.
const epoch = 1_700_000_000_000_000_000

// write takes the window and returns its requests, which must be right.
func write(t testing.TB, s *Store, o Options) (requests [][]byte, all Request, out Outcome) {
	t.Helper()
	if o.MaxRequestBytes == 0 {
		o.MaxRequestBytes = 4 << 20
	}
	if o.ScopeName == "" {
		o.ScopeName = "test"
	}
	out = s.Take(time.Unix(0, s.begun.Load()).Add(time.Minute)).Write(o, func(r Request) {
		if len(r.Bytes) > o.MaxRequestBytes {
			t.Errorf("a request of %d bytes, the bound is %d", len(r.Bytes), o.MaxRequestBytes)
		}
		testkit.CheckProfiles(t, r.Bytes)
		requests = append(requests, r.Bytes)
		all.Events += r.Events
		all.Profiles += r.Profiles
	})
	return requests, all, out
}

func newStore() *Store {
	return New(Config{MaxBytes: 1 << 30}, time.Unix(0, epoch-int64(time.Second)))
}

// A universe is what random samples are made of: few of each, so that many are
// alike in all but one thing.
type universe struct {
	stacks  []libpf.Frames
	metas   []samples.TraceEventMeta
	labels  []map[string]string
	origins []*samples.Origin
}

func newUniverse() *universe {
	u := &universe{labels: []map[string]string{nil, {"k": "v"}, {"k": "w", "l": "v"}}}
	lib := unique.Make(libpf.Mapping{FileName: "libc.so", FileID: libpf.NewFileID(1, 2), GNUBuildID: "abcd", Start: 0x1000, Limit: 0x2000})
	bare := unique.Make(libpf.Mapping{FileID: libpf.NewFileID(3, 4)})
	all := libpf.Frames{
		unique.Make(libpf.Frame{Type: libpf.NativeFrame, Mapping: lib, Address: 0x1010}),
		unique.Make(libpf.Frame{Type: libpf.NativeFrame, Mapping: lib, Address: 0x1020}),
		unique.Make(libpf.Frame{Type: libpf.NativeFrame, Mapping: bare, Address: 0x1020}),
		unique.Make(libpf.Frame{Type: libpf.KernelFrame, FunctionName: "do_syscall", Address: 0x1020}),
		unique.Make(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "f", SourceFile: "a.py", SourceLine: 3, StartLine: 1}),
		unique.Make(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "f", SourceFile: "a.py", SourceLine: 4, StartLine: 1}),
		unique.Make(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "f", SourceFile: "b.py", SourceLine: 4, StartLine: 1}),
		unique.Make(libpf.Frame{Type: libpf.RubyFrame, FunctionName: "f", SourceFile: "b.py", SourceLine: 4, StartLine: 1}),
		unique.Make(libpf.Frame{FunctionName: "inner", Address: 7, InlinedInto: unique.Make(libpf.Frame{FunctionName: "outer", SourceLine: 9})}),
		unique.Make(libpf.Frame{FunctionName: "inner", Address: 7, InlinedInto: unique.Make(libpf.Frame{FunctionName: "other", SourceLine: 9})}),
		unique.Make(libpf.Frame{FunctionName: "x", Attributes: libpf.NewAttributes(libpf.BoolAttr("pprof.location.is_folded", true))}),
		unique.Make(libpf.Frame{Type: libpf.AbortFrame}),
	}
	r := rand.New(rand.NewPCG(7, 7))
	u.stacks = []libpf.Frames{nil, {}}
	for range 20 {
		var s libpf.Frames
		for range r.IntN(5) {
			s = append(s, all[r.IntN(len(all))])
		}
		u.stacks = append(u.stacks, s)
	}
	window := samples.Origin{SampleType: samples.ValueType{Type: "alloc_space", Unit: "bytes"}, Shape: samples.Totals,
		Start: time.Unix(0, epoch), Duration: time.Minute, Attributes: libpf.NewAttributes(libpf.StringAttr("pprof.profile.doc_url", "u"))}
	again := *samples.CPU(20)
	u.origins = []*samples.Origin{samples.CPU(20), &again, samples.OffCPU(), samples.Probe(), &window}
	plain := samples.TraceEventMeta{Comm: "c", PID: 1, TID: 2, CPU: 3}
	u.metas = []samples.TraceEventMeta{plain}
	for _, change := range []func(*samples.TraceEventMeta){
		func(m *samples.TraceEventMeta) { m.Comm = "d" }, func(m *samples.TraceEventMeta) { m.PID = 2 },
		func(m *samples.TraceEventMeta) { m.TID = 9 }, func(m *samples.TraceEventMeta) { m.CPU = 9 },
		func(m *samples.TraceEventMeta) { m.ContainerID = "x" }, func(m *samples.TraceEventMeta) { m.PodName = "x" },
		func(m *samples.TraceEventMeta) { m.ContainerName = "x" }, func(m *samples.TraceEventMeta) { m.ProcessName = "x" },
		func(m *samples.TraceEventMeta) { m.ExecutablePath = "x" }, func(m *samples.TraceEventMeta) { m.APMServiceName = "x" },
		func(m *samples.TraceEventMeta) { m.EnvVars = map[string]string{"A": "b"} },
		func(m *samples.TraceEventMeta) { m.EnvVars = map[string]string{"A": "c"} },
		func(m *samples.TraceEventMeta) { m.NoThread = true },
		func(m *samples.TraceEventMeta) { m.TraceID[3], m.SpanID[2] = 1, 1 },
		func(m *samples.TraceEventMeta) { m.TraceID[3], m.SpanID[2] = 2, 1 },
		func(m *samples.TraceEventMeta) {
			m.Resource = libpf.NewAttributes(libpf.IntAttr("process.pid", 77))
		},
		func(m *samples.TraceEventMeta) {
			m.Attributes = libpf.NewAttributes(libpf.IntAttr("bytes", 77).In("By"), libpf.StringsAttr("l", "a", "b"))
		},
	} {
		m := plain
		change(&m)
		u.metas = append(u.metas, m)
	}
	return u
}

// event is one sample of the universe.
type event struct {
	stack, meta, label, origin int
	time, value                int64
}

func (u *universe) report(s *Store, e event) {
	m := u.metas[e.meta]
	m.Origin, m.Timestamp, m.Value = u.origins[e.origin], e.time, e.value
	s.Event(u.stacks[e.stack], u.labels[e.label], &m)
}

// counted is the oracle: what each sample alone comes to when it is reported to a
// Store of its own, added up by key. It trusts the writing of one sample, which
// TestOneSample looks at.
func (u *universe) counted(t testing.TB, events []event) map[string]int64 {
	t.Helper()
	keys := map[[4]int]string{}
	sums := map[string]int64{}
	for _, e := range events {
		id := [4]int{e.stack, e.meta, e.label, e.origin}
		key, ok := keys[id]
		if !ok {
			one := newStore()
			u.report(one, e)
			requests, _, _ := write(t, one, Options{})
			key = testkit.ProfileSamples(t, requests...)[0].Key()
			keys[id] = key
		}
		switch u.origins[e.origin].Shape {
		case samples.Timestamps:
			sums[fmt.Sprint(key, e.time)]++
		case samples.TimestampsAndValues:
			sums[fmt.Sprint(key, e.time)] += e.value
		case samples.Totals:
			sums[key] += e.value
		}
	}
	return sums
}

func summed(t testing.TB, requests [][]byte) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	for _, s := range testkit.ProfileSamples(t, requests...) {
		switch {
		case len(s.Times) == 0:
			sums[s.Key()] += s.Values[0]
		case len(s.Values) == 0:
			for _, ts := range s.Times {
				sums[fmt.Sprint(s.Key(), ts)]++
			}
		default:
			for i, ts := range s.Times {
				sums[fmt.Sprint(s.Key(), ts)] += s.Values[i]
			}
		}
	}
	return sums
}

func compare(t testing.TB, got, want map[string]int64) {
	t.Helper()
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%d, reported were %d of\n%s", got[k], n, k)
		}
	}
	for k, n := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%d of what nobody reported:\n%s", n, k)
		}
	}
}

// Whatever is reported comes out, once, with everything that belongs to it, however
// it is split.
func TestWhatIsReportedComesOut(t *testing.T) {
	u := newUniverse()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var events []event
		for range 1 + r.IntN(400) {
			events = append(events, event{r.IntN(len(u.stacks)), r.IntN(len(u.metas)), r.IntN(len(u.labels)), r.IntN(len(u.origins)),
				epoch + r.Int64N(50), 1 + r.Int64N(3)})
		}
		s := newStore()
		if seed%3 == 0 {
			s.cfg.HashStack = func(f libpf.Frames) uint64 { return uint64(len(f)%2) << 63 } // nearly all collide
		}
		for _, e := range events {
			u.report(s, e)
		}
		requests, all, out := write(t, s, Options{MaxRequestBytes: 1500 + r.IntN(4000)})
		if int(all.Events) != len(events) || out != (Outcome{}) {
			t.Errorf("seed %d: %d events were written of %d, %+v", seed, all.Events, len(events), out)
		}
		compare(t, summed(t, requests), u.counted(t, events))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzWhatIsReportedComesOut(f *testing.F) {
	u := newUniverse()
	f.Add([]byte("some bytes that say which samples are reported"), uint16(1500))
	f.Fuzz(func(t *testing.T, data []byte, limit uint16) {
		var events []event
		for ; len(data) >= 6 && len(events) < 300; data = data[6:] {
			events = append(events, event{int(data[0]) % len(u.stacks), int(data[1]) % len(u.metas), int(data[2]) % len(u.labels),
				int(data[3]) % len(u.origins), epoch + int64(data[4]), 1 + int64(data[5]%4)})
		}
		s := newStore()
		for _, e := range events {
			u.report(s, e)
		}
		requests, all, _ := write(t, s, Options{MaxRequestBytes: 1500 + int(limit)})
		if int(all.Events) != len(events) {
			t.Errorf("%d events were written of %d", all.Events, len(events))
		}
		compare(t, summed(t, requests), u.counted(t, events))
	})
}

// One sample, field by field, as the eBPF profiler of today writes it.
func TestOneSample(t *testing.T) {
	s := newStore()
	var frames libpf.Frames
	vmlinux := unique.Make(libpf.Mapping{FileName: "vmlinux", GNUBuildID: "k1"})
	frames.Append(libpf.Frame{Type: libpf.KernelFrame, Mapping: vmlinux, Address: 0xffff, FunctionName: "do_sys"})
	frames.Append(libpf.Frame{Type: libpf.NativeFrame, Address: 0x401000, Mapping: unique.Make(libpf.Mapping{
		FileName: "app", FileID: libpf.NewFileID(0x77efa716a912a492, 0x17445787329fd29a), GNUBuildID: "b1", GoBuildID: "g1", Start: 0x400000, Limit: 0x500000, FileOffset: 0x1000})})
	frames.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "main", SourceFile: "main.py", SourceLine: 12, SourceColumn: 4, StartLine: 10})
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(997), Comm: "app", TID: 11, CPU: 0, PID: 10,
		ProcessName: "app", ExecutablePath: "/bin/app", ContainerID: "c0", APMServiceName: "shop", EnvVars: map[string]string{"A": "b"},
		TraceID: [16]byte{1}, SpanID: [8]byte{2}}
	s.Event(frames, map[string]string{"user": "u"}, &m)
	requests, _, _ := write(t, s, Options{ScopeName: "prof", ScopeVersion: "1", Base: libpf.NewAttributes(libpf.StringAttr("host.name", "h"), libpf.StringAttr("service.name", "host"))})
	got := testkit.ProfileSamples(t, requests...)
	want := testkit.ProfileSample{
		Resource: `container.id="c0"[] host.name="h"[] process.environment_variable.A="b"[] process.executable.name="app"[] process.executable.path="/bin/app"[] process.pid=10[] service.name="shop"[]`,
		Scope:    "prof 1", Profile: "samples/count period cpu/nanoseconds 1003009 ",
		Stack: `0xffff in vmlinux [0x0,0x0)+0x0 {process.executable.build_id.gnu="k1"[]} do_sys()  from 0:0.0 {profile.frame.type="kernel"[]}
0x401000 in app [0x400000,0x500000)+0x1000 {process.executable.build_id.gnu="b1"[] process.executable.build_id.go="g1"[] process.executable.build_id.htlhash="77efa716a912a49217445787329fd29a"[]} {profile.frame.type="native"[]}
0x0 main() main.py from 10:12.4 {profile.frame.type="cpython"[]}
`,
		Attributes: `cpu.logical_number=0[] process.context.label.user="u"[] thread.id=11[] thread.name="app"[]`,
		Link:       "01000000000000000000000000000000/0200000000000000",
		Times:      []uint64{epoch},
	}
	if len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// Two interpreted stacks of equal depth in one thread stay two samples.
func TestInterpretedStacksStayApart(t *testing.T) {
	for name, hash := range map[string]func(libpf.Frames) uint64{"hash": nil, "colliding hash": func(libpf.Frames) uint64 { return 42 }} {
		t.Run(name, func(t *testing.T) {
			s := New(Config{MaxBytes: 1 << 20, HashStack: hash}, time.Unix(0, epoch))
			m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20), TID: 1}
			for _, name := range []string{"alpha", "beta"} {
				var f libpf.Frames
				f.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: name, SourceFile: name + ".py", SourceLine: 1})
				s.Event(f, nil, &m)
				s.Event(f, nil, &m)
			}
			requests, _, _ := write(t, s, Options{})
			got := testkit.ProfileSamples(t, requests...)
			if len(got) != 2 || got[0].Stack == got[1].Stack || len(got[0].Times) != 2 || len(got[1].Times) != 2 {
				t.Errorf("expected two samples of two events each, got %+v", got)
			}
		})
	}
}

// Frames that differ only in what the wire does not carry are one location, one
// stack, one sample.
func TestWhatIsOneOnTheWireIsOnce(t *testing.T) {
	s := newStore()
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20), TID: 1}
	for _, f := range []libpf.Frame{
		{Type: libpf.PHPFrame, FunctionName: "f"}, {Type: libpf.PHPJITFrame, FunctionName: "f"}, {Type: libpf.PHPFrame | 0x80, FunctionName: "f"},
		{Type: libpf.PHPFrame, FunctionName: "f", SystemName: "f"}, {Type: libpf.PHPFrame, FunctionName: "f", Mapping: unique.Make(libpf.Mapping{})},
		{FunctionName: "f", Attributes: libpf.NewAttributes(libpf.StringAttr(keyFrameType, "php"))},
	} {
		s.Event(libpf.Frames{unique.Make(f)}, nil, &m)
	}
	requests, _, _ := write(t, s, Options{})
	if got := testkit.ProfileSamples(t, requests...); len(got) != 1 || len(got[0].Times) != 6 {
		t.Errorf("expected one sample of six events, got %+v", got)
	}
}

// Resources written as references say the same, in fewer bytes.
func TestStringReferences(t *testing.T) {
	u := newUniverse()
	var got [2]map[string]int64
	var size [2]int
	for i, references := range []bool{false, true} {
		s := newStore()
		for j := range 500 {
			u.report(s, event{stack: j % len(u.stacks), meta: j % len(u.metas), time: epoch, value: 1})
		}
		requests, _, _ := write(t, s, Options{StringReferences: references, Base: libpf.NewAttributes(libpf.StringAttr("host.name", "somewhere"), libpf.IntAttr("n", 1))})
		got[i], size[i] = summed(t, requests), len(requests[0])
	}
	compare(t, got[1], got[0])
	if size[1] >= size[0] {
		t.Errorf("%d bytes with references, %d without", size[1], size[0])
	}
}

// Counted stacks wait for their frames, and go without when they never come.
func TestCountsWaitForFrames(t *testing.T) {
	s := newStore()
	known := map[libpf.TraceHash]libpf.Frames{}
	o := Options{MaxWait: 150 * time.Second, Resolve: func(h libpf.TraceHash, final bool) (libpf.Frames, bool) { f, ok := known[h]; return f, ok }}
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20), NoThread: true}
	late, never := libpf.NewTraceHash(1, 1), libpf.NewTraceHash(2, 2)
	s.Count(late, &m, 3)
	s.Count(never, &m, 1)
	s.Count(never, &m, 1)
	if requests, _, out := write(t, s, o); len(requests) != 0 || out.Carried != 3 {
		t.Fatalf("%d requests, %+v", len(requests), out)
	}
	known[late] = newUniverse().stacks[5]
	requests, all, out := write(t, s, o)
	got := testkit.ProfileSamples(t, requests...)
	if all.Events != 1 || out.Carried != 2 || len(got[0].Times) != 3 || len(got[0].Values) != 0 || got[0].Stack == "" {
		t.Fatalf("%+v %+v %+v", all, out, got)
	}
	requests, all, out = write(t, s, o)
	got = testkit.ProfileSamples(t, requests...)
	if all.Events != 2 || out.Carried != 0 || out.WithoutStack != 2 || got[0].Stack != "" {
		t.Fatalf("%+v %+v %+v", all, out, got)
	}
	if c := s.Counts(); c != (Counts{Reported: 3}) {
		t.Errorf("counts: %+v", c)
	}
}

// A sample that is larger than a request is split by its events, one that cannot be
// split is given up, alone.
func TestTooLarge(t *testing.T) {
	s := newStore()
	long := unique.Make(libpf.Frame{FunctionName: strings.Repeat("x", 5000)})
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20)}
	s.Event(libpf.Frames{long}, nil, &m)
	for i := range 2000 {
		m.Timestamp = epoch + int64(i)
		s.Event(nil, nil, &m)
	}
	requests, all, out := write(t, s, Options{MaxRequestBytes: 2000})
	if out.TooLarge != 1 || all.Events != 2000 || len(requests) < 8 || len(requests) > 14 {
		t.Errorf("%d requests with %d events, %+v", len(requests), all.Events, out)
	}
	var times []uint64
	for _, s := range testkit.ProfileSamples(t, requests...) {
		times = append(times, s.Times...)
	}
	slices.Sort(times)
	if len(slices.Compact(times)) != 2000 {
		t.Errorf("%d different times of 2000", len(slices.Compact(times)))
	}
}

// A full window takes no more, and says so once it is half full.
func TestFullWindow(t *testing.T) {
	calls := 0
	s := New(Config{MaxBytes: 256 << 10, NearlyFull: func() { calls++ }}, time.Unix(0, epoch))
	var key [16]byte
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20), TraceID: [16]byte{1}}
	kept := 0
	for i := range 10_000 {
		binary.LittleEndian.PutUint64(key[:], uint64(i+1))
		m.SpanID = [8]byte(key[:8])
		if s.Event(nil, nil, &m) == Kept {
			kept++
		}
	}
	if calls != 1 || kept < 100 || kept > 2000 || s.Bytes() > 300<<10 {
		t.Errorf("called %d times, %d kept in %d bytes", calls, kept, s.Bytes())
	}
	if c := s.Counts(); c.Reported != 10_000 || c.Held != int64(kept) || c.Full != int64(10_000-kept) {
		t.Errorf("counts: %+v", c)
	}
	if _, all, _ := write(t, s, Options{}); int(all.Events) != kept {
		t.Errorf("%d events were written, %d were kept", all.Events, kept)
	}
	if s.Event(nil, nil, &m) != Kept {
		t.Error("the next window takes nothing")
	}
	s.Close()
	if s.Event(nil, nil, &m) != Closed {
		t.Error("a closed store takes something")
	}
}

// Reporters, and windows taken meanwhile: nothing is lost or duplicated.
func TestConcurrentWindows(t *testing.T) {
	u := newUniverse()
	s := newStore()
	const reporters, each = 8, 20_000
	var wg sync.WaitGroup
	for g := range reporters {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			for i := range each {
				u.report(s, event{stack: r.IntN(len(u.stacks)), meta: r.IntN(len(u.metas)), time: epoch + int64(i), value: 1})
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var events int64
	for stop := false; !stop; {
		select {
		case <-done:
			stop = true
		default:
		}
		_, all, _ := write(t, s, Options{})
		events += all.Events
	}
	if events != reporters*each {
		t.Errorf("%d events were written, %d reported", events, reporters*each)
	}
}

// A window whose tables were used before takes no memory of its own.
func TestTablesAreUsedAgain(t *testing.T) {
	u := newUniverse()
	s := newStore()
	fill := func() {
		for i := range 2000 {
			u.report(s, event{stack: i % len(u.stacks), meta: i % len(u.metas), time: epoch, value: 1})
		}
	}
	fill()
	first, _, _ := write(t, s, Options{})
	for range 5 {
		fill()
		again, _, _ := write(t, s, Options{})
		compare(t, summed(t, again), summed(t, first))
	}
}
