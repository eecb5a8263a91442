package reporter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// reported returns what comes of report, checked.
func reported(t *testing.T, cfg OTLPConfig, report func(r *OTLPReporter)) []testkit.ProfileSample {
	t.Helper()
	sink := &testkit.Sink{}
	cfg.Consumer = sink
	g := newOTLPRig(t, cfg)
	report(g.OTLPReporter)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	checkFlow(t, "samples", g.Stats().Samples)
	requests := sink.Requests(otlp.Profiles)
	for _, request := range requests {
		testkit.CheckProfiles(t, request)
		testkit.CheckBackends(t, request)
	}
	return testkit.ProfileSamples(t, requests...)
}

func pythonStack(function string) (frames libpf.Frames) {
	frames.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: function, SourceFile: function + ".py"})
	frames.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "main", SourceFile: "main.py"})
	return frames
}

func event(t *testing.T, r *OTLPReporter, frames libpf.Frames, change func(*samples.TraceEventMeta)) {
	t.Helper()
	m := &samples.TraceEventMeta{Timestamp: time.Now().UnixNano(), Origin: loadCPU, PID: 1, TID: 2, Comm: "python3"}
	if change != nil {
		change(m)
	}
	if err := r.ReportTraceEvent(&samples.Trace{Frames: frames}, m); err != nil {
		t.Error(err)
	}
}

// Two Python stacks of equal depth on one thread stay two samples, with the hash
// of stacks as it is and with one that is the same for all, through both APIs.
func TestOTLPStacksStayApart(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]func(libpf.Frames) uint64{"hash": nil, "collision": func(libpf.Frames) uint64 { return 4711 }} {
		cfg := quickOTLP
		cfg.hashStack = hash
		list := reported(t, cfg, func(r *OTLPReporter) {
			for range 3 {
				event(t, r, pythonStack("alpha"), nil)
			}
			event(t, r, pythonStack("beta"), nil)
			now := libpf.UnixTime32(time.Now().Unix())
			for i, function := range []string{"gamma", "delta"} {
				trace := &libpf.Trace{Hash: libpf.NewTraceHash(1, uint64(i))}
				trace.AppendFrame(libpf.PythonFrame, libpf.NewFileID(5, 5), libpf.AddressOrLineno(i))
				trace.AppendFrame(libpf.PythonFrame, libpf.NewFileID(5, 5), 100)
				r.ReportFramesForTrace(trace)
				r.FrameMetadata(libpf.NewFileID(5, 5), libpf.AddressOrLineno(i), 1, 0, function, function+".py")
				r.ReportCountForTrace(trace.Hash, now, uint16(i+1), "python3", "", "")
			}
			r.FrameMetadata(libpf.NewFileID(5, 5), 100, 1, 0, "main", "main.py")
		})
		got := map[string]int64{}
		for _, s := range list {
			function, _, _ := strings.Cut(strings.TrimPrefix(s.Stack, "0x0 "), "(")
			got[function] += int64(len(s.Times))
			for _, v := range s.Values {
				got[function] += v - 1
			}
		}
		if diff := cmp.Diff(map[string]int64{"alpha": 3, "beta": 1, "gamma": 1, "delta": 2}, got); diff != "" || len(list) != 4 {
			t.Errorf("%s: %d samples (-want +got):\n%s", name, len(list), diff)
		}
	}
}

// One stack in different processes is one sample for each: with the documented API
// they are distinguished by comm, pod and container, with today's by much more.
func TestOTLPProcessesStayApart(t *testing.T) {
	t.Parallel()
	trace := loadTrace(1)
	list := reported(t, quickOTLP, func(r *OTLPReporter) {
		r.ReportFramesForTrace(trace)
		for _, who := range [][3]string{{"a", "p", "c"}, {"b", "p", "c"}, {"a", "q", "c"}, {"a", "p", "d"}} {
			for range 2 {
				r.ReportCountForTrace(trace.Hash, 1_700_000_000, 5, who[0], who[1], who[2])
			}
		}
	})
	var got []string
	for _, s := range list {
		got = append(got, fmt.Sprint(s.Resource, " ", s.Attributes, " ", s.Values, len(s.Times)))
	}
	slices.Sort(got)
	want := []string{ // a time for each of the 5 and 5
		`k8s.container.name="c"[] k8s.pod.name="p"[] thread.name="a"[] [] 10`,
		`k8s.container.name="c"[] k8s.pod.name="p"[] thread.name="b"[] [] 10`,
		`k8s.container.name="c"[] k8s.pod.name="q"[] thread.name="a"[] [] 10`,
		`k8s.container.name="d"[] k8s.pod.name="p"[] thread.name="a"[] [] 10`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented API (-want +got):\n%s", diff)
	}

	changes := map[string]func(*samples.TraceEventMeta){
		"none": nil,
		"Comm": func(m *samples.TraceEventMeta) { m.Comm = "x" }, "TID": func(m *samples.TraceEventMeta) { m.TID = 77 },
		"CPU": func(m *samples.TraceEventMeta) { m.CPU = 7 }, "PID": func(m *samples.TraceEventMeta) { m.PID = 77 },
		"ProcessName":    func(m *samples.TraceEventMeta) { m.ProcessName = "x" },
		"ExecutablePath": func(m *samples.TraceEventMeta) { m.ExecutablePath = "x" },
		"ContainerID":    func(m *samples.TraceEventMeta) { m.ContainerID = "x" },
		"PodName":        func(m *samples.TraceEventMeta) { m.PodName = "x" },
		"ContainerName":  func(m *samples.TraceEventMeta) { m.ContainerName = "x" },
		"APMServiceName": func(m *samples.TraceEventMeta) { m.APMServiceName = "x" },
		"EnvVars":        func(m *samples.TraceEventMeta) { m.EnvVars = map[string]string{"A": "x"} },
		"Resource":       func(m *samples.TraceEventMeta) { m.Resource = libpf.NewAttributes(libpf.IntAttr("r", 1)) },
		"Attributes":     func(m *samples.TraceEventMeta) { m.Attributes = libpf.NewAttributes(libpf.IntAttr("r", 1)) },
		"TraceID":        func(m *samples.TraceEventMeta) { m.TraceID, m.SpanID = [16]byte{1}, [8]byte{1} },
		"SpanID":         func(m *samples.TraceEventMeta) { m.TraceID, m.SpanID = [16]byte{1}, [8]byte{2} },
		"NoThread":       func(m *samples.TraceEventMeta) { m.NoThread = true },
		"Origin":         func(m *samples.TraceEventMeta) { m.Origin = samples.Probe() },
	}
	list = reported(t, quickOTLP, func(r *OTLPReporter) {
		for range 2 {
			for _, change := range changes {
				event(t, r, pythonStack("alpha"), change)
			}
		}
	})
	keys := map[string]bool{}
	for _, s := range list {
		keys[s.Key()] = true
		if len(s.Times) != 2 {
			t.Errorf("%d times of %s", len(s.Times), s.Key())
		}
	}
	if len(keys) != len(changes) || len(list) != len(changes) {
		t.Errorf("%d samples, %d different, want %d", len(list), len(keys), len(changes))
	}
}

// What is said of a frame after the count goes with it, if it comes in time.
func TestOTLPLateSymbols(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	cfg := quickOTLP
	cfg.Consumer, cfg.ReportInterval = sink, time.Hour
	g := newOTLPRig(t, cfg)
	g.toSink(sink)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := libpf.NewFileID(9, 9)
	late := &libpf.Trace{Hash: libpf.NewTraceHash(1, 1)}
	late.AppendFrame(libpf.PythonFrame, file, 8)
	reports := 0
	flush := func() { // and wait for the report
		g.begun.Add(1)
		g.made.Add(1)
		event(t, g.OTLPReporter, pythonStack("flush"), nil)
		g.Flush()
		reports++
		g.eventuallyStats("a report", func(s Stats) bool { return s.Samples.Acknowledged >= int64(reports) })
	}
	g.begun.Add(2)
	g.made.Add(2)
	g.ReportCountForTrace(late.Hash, loadStart+1, 3, "python3", "", "")
	g.ReportCountForTrace(libpf.NewTraceHash(6, 6), loadStart+2, 1, "lost", "", "") // nobody ever tells its frames
	flush()
	if s := g.Stats(); s.Samples.Held != 2 || s.WithoutStack != 0 {
		t.Errorf("before the frames came: %+v", s)
	}
	g.ReportFramesForTrace(late)
	flush()
	if s := g.Stats(); s.Samples.Held != 2 {
		t.Errorf("before the symbol came: %+v", s)
	}
	g.FrameMetadata(file, 8, 12, 2, "late", "late.py")
	flush()
	g.eventuallyStats("the late one", func(s Stats) bool { return s.Samples.Held == 1 })
	g.Stop()
	if s := g.Stats(); s.WithoutStack != 1 || s.Samples.Held != 0 {
		t.Errorf("of one sample the frames never came: %+v", s)
	}
	g.end()
	got := map[string]string{}
	for _, s := range testkit.ProfileSamples(t, sink.Requests(otlp.Profiles)...) {
		if !strings.Contains(s.Stack, "flush") {
			got[s.Attributes] = fmt.Sprint(s.Stack, s.Values, len(s.Times))
		}
	}
	want := map[string]string{
		`thread.name="lost"[]`:    "[] 1",
		`thread.name="python3"[]`: "0x0 late() late.py from 10:12.0 {profile.frame.type=\"cpython\"[]}\n[] 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Host metadata wins over the configured resource, in profiles and metrics; what a
// process says of itself wins over both.
func TestOTLPHostMetadata(t *testing.T) {
	t.Parallel()
	cfg := quickOTLP
	cfg.Resource = libpf.NewAttributes(libpf.StringAttr("host.name", "configured"), libpf.StringAttr("env", "test"), libpf.StringAttr("k8s.pod.name", "configured"))
	list := reported(t, cfg, func(r *OTLPReporter) {
		r.ReportHostMetadata(map[string]string{"host.name": "first", "": "none"})
		if err := r.ReportHostMetadataBlocking(context.Background(), map[string]string{"host.name": "second", "host.id": "1"}, 3, time.Hour); err != nil {
			t.Error(err)
		}
		event(t, r, pythonStack("a"), func(m *samples.TraceEventMeta) { m.PodName, m.PID = "process", 0 })
	})
	const want = `env="test"[] host.id="1"[] host.name="second"[] k8s.pod.name="process"[]`
	if len(list) != 1 || list[0].Resource != want {
		t.Errorf("got %+v, want %s", list, want)
	}
}

// No Report waits for the destination, and half a window is reported without
// waiting for the interval.
func TestOTLPReportNeverWaits(t *testing.T) {
	t.Parallel()
	sink, answer := &testkit.Sink{}, make(chan struct{})
	sink.Respond(func(context.Context, *pipeline.Batch) error { <-answer; return nil })
	cfg := quickOTLP
	cfg.Consumer, cfg.ReportInterval, cfg.ReportMetricsInterval = sink, time.Hour, time.Hour
	cfg.MaxWindowBytes, cfg.MaxPendingBytes, cfg.MaxRequestBytes = 1<<20, 1<<20, 256<<10
	g := newOTLPRig(t, cfg)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { close(answer) })
	defer release()
	g.load(12500, nil)   // 100,000 calls
	sink.WaitCalls(t, 1) // a report was made on the byte bound
	g.load(125, nil)
	g.ReportMetrics(1, []uint32{1}, []int64{1})
	g.ReportHostMetadata(map[string]string{"a": "b"})
	s := g.observe()
	if s.Samples.Acknowledged != 0 || s.Samples.Held == 0 {
		t.Errorf("nothing can have been accepted: %+v", s.Samples)
	}
	if s.Samples.Dropped[DropPendingFull]+s.Samples.Dropped[DropWindowFull] == 0 {
		t.Errorf("the bounds were not reached: %+v", s)
	}
	release()
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	g.end()
}

// Text that is not UTF-8 must not make a request that a receiver refuses whole.
func TestOTLPInvalidText(t *testing.T) {
	t.Parallel()
	const bad = "a\xffb\xf0\x28c"
	sink := &testkit.Sink{}
	cfg := quickOTLP
	cfg.Consumer, cfg.Name, cfg.Version = sink, bad+"scope", bad+"version"
	cfg.Resource = libpf.NewAttributes(libpf.StringAttr(bad+"resource", bad).In(bad))
	cfg.MetricDefinitions = map[uint32]MetricDefinition{1: {Name: bad + "metric", Description: bad + "description", Unit: bad + "unit"}}
	g := newOTLPRig(t, cfg)
	g.ReportHostMetadata(map[string]string{bad + "host": bad + "hostvalue"})
	var frames libpf.Frames
	frames.Append(libpf.Frame{
		Type: libpf.NativeFrame, FunctionName: bad + "function", SystemName: bad + "system", SourceFile: bad + "file",
		Mapping: unique.Make(libpf.Mapping{FileName: bad + "mapping", GNUBuildID: bad + "gnu", GoBuildID: bad + "go",
			Attributes: libpf.NewAttributes(libpf.StringAttr(bad+"mkey", bad+"mvalue").In(bad + "munit"))}),
		InlinedInto: unique.Make(libpf.Frame{FunctionName: bad + "inlinedinto", SourceFile: bad + "inlinedfile"}),
		Attributes:  libpf.NewAttributes(libpf.StringAttr(bad+"fkey", bad+"fvalue")),
	})
	origin := &samples.Origin{SampleType: samples.ValueType{Type: bad + "sampletype", Unit: bad + "sampleunit"},
		PeriodType: samples.ValueType{Type: bad + "periodtype", Unit: bad + "periodunit"},
		Attributes: libpf.NewAttributes(libpf.StringAttr(bad+"okey", bad+"ovalue"))}
	meta := &samples.TraceEventMeta{
		Timestamp: 5, Origin: origin, Comm: bad + "comm", ProcessName: bad + "process", ExecutablePath: bad + "path", ContainerID: bad + "id",
		PodName: bad + "pod", ContainerName: bad + "container", APMServiceName: bad + "service", EnvVars: map[string]string{bad + "env": bad + "envvalue"},
		Resource:   libpf.NewAttributes(libpf.StringAttr(bad+"rkey", bad+"rvalue")),
		Attributes: libpf.NewAttributes(libpf.StringsAttr(bad+"akey", bad+"avalue", "x")),
	}
	// Two labels that differ only in what cannot be written are still one key.
	labels := map[string]string{bad + "label": bad + "labelvalue", "l\xfe": "1", "l\xff": "1"}
	if err := g.ReportTraceEvent(&samples.Trace{Frames: frames, CustomLabels: labels}, meta); err != nil {
		t.Error(err)
	}
	g.ReportMetrics(1, []uint32{1}, []int64{1})
	file := libpf.NewFileID(8, 8)
	trace := &libpf.Trace{Hash: libpf.NewTraceHash(1, 1)}
	trace.AppendFrame(libpf.PythonFrame, file, 1)
	trace.AppendFrame(libpf.NativeFrame, file, 2)
	trace.AppendFrame(libpf.KernelFrame, file, 3)
	g.ReportFramesForTrace(trace)
	g.ExecutableMetadata(t.Context(), file, bad+"exefile", bad+"exebuild")
	g.FrameMetadata(file, 1, 1, 0, bad+"metafunction", bad+"metafile")
	g.ReportFallbackSymbol(libpf.NewFrameID(file, 3), bad+"fallback")
	g.ReportCountForTrace(trace.Hash, 1, 1, bad+"countcomm", bad+"countpod", bad+"countcontainer")
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Stop()
	var text strings.Builder
	for _, s := range []otlp.Signal{otlp.Profiles, otlp.Metrics} {
		requests := sink.Requests(s)
		if len(requests) != 1 {
			t.Fatalf("%d requests of %s", len(requests), s)
		}
		m := testkit.NewMessage(s)
		if err := proto.Unmarshal(requests[0], m); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		text.WriteString(fmt.Sprint(m))
	}
	testkit.CheckProfiles(t, sink.Requests(otlp.Profiles)[0])
	testkit.CheckBackends(t, sink.Requests(otlp.Profiles)[0])
	if !utf8.ValidString(text.String()) {
		t.Error("the messages are not UTF-8")
	}
	const good = "a\ufffdb\ufffd(c"
	for _, suffix := range []string{"scope", "version", "resource", "metric", "description", "unit", "host", "hostvalue", "function", "system", "file",
		"mapping", "gnu", "go", "mkey", "mvalue", "munit", "inlinedinto", "inlinedfile", "fkey", "fvalue", "sampletype", "sampleunit", "periodtype",
		"periodunit", "okey", "ovalue", "comm", "process", "path", "id", "pod", "container", "service", "env", "envvalue", "rkey", "rvalue", "akey",
		"avalue", "label", "labelvalue", "exefile", "exebuild", "metafunction", "metafile", "fallback", "countcomm", "countpod", "countcontainer"} {
		if !strings.Contains(text.String(), good+suffix+`"`) {
			t.Errorf("%q is not there", good+suffix)
		}
	}
}

// An event that is years ahead does not make its Profile years long. It is in the window.
func TestWrongTimesDoNotStretchAProfile(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	r, err := NewOTLP(OTLPConfig{Consumer: sink})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for _, at := range []time.Time{begun, begun.Add(-time.Hour), begun.AddDate(89, 0, 0)} {
		err := r.ReportTraceEvent(&samples.Trace{Frames: loadStack(1)}, &samples.TraceEventMeta{Timestamp: at.UnixNano(), Origin: samples.CPU(20)})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.Stop()
	for _, request := range sink.Requests(otlp.Profiles) {
		testkit.CheckProfiles(t, request)
		testkit.CheckBackends(t, request)
		list, err := pprofconv.ToPprof(request)
		if err != nil {
			t.Fatal(err)
		}
		p := list[0].Profile
		if got := time.Duration(p.DurationNanos); got < time.Hour || got > 2*time.Hour || p.Sample[0].Value[0] != 3 {
			t.Errorf("%d samples in %s from %s, want 3 in an hour", p.Sample[0].Value[0], got, time.Unix(0, p.TimeNanos))
		}
	}
}
