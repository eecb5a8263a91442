package reporter

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unique"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// otlpRig is an OTLPReporter with a load and a watch over its accounts.
//
// Every reported event has a time of its own, so that it is known again at the
// destination.
type otlpRig struct {
	*OTLPReporter
	t   testing.TB
	log *testkit.Log
	// begun and made are calls of Report..., before and after.
	begun, made atomic.Int64
	invalid     atomic.Int64 // of them refused
	took        func() *tally
	moreTaken   bool // an answer may be lost: the destination may have more than was acknowledged
	stop        chan struct{}
	watching    sync.WaitGroup
}

// tally is what a destination got.
type tally struct {
	seen int // calls read
	// events are how often each event was taken; refused those in requests that
	// were refused for good.
	events         map[uint64]int
	taken, refused int64
}

var quickOTLP = OTLPConfig{
	ReportInterval: 3 * time.Millisecond, ReportMetricsInterval: 3 * time.Millisecond, StopTimeout: 20 * time.Second,
	MaxRequestBytes: minBytes, initialBackoff: 2 * time.Millisecond, maxBackoff: 10 * time.Millisecond,
}

func newOTLPRig(t testing.TB, cfg OTLPConfig) *otlpRig {
	t.Helper()
	g := &otlpRig{t: t, log: &testkit.Log{}, stop: make(chan struct{})}
	cfg.Logger = g.log.Logger()
	r, err := NewOTLP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.OTLPReporter = r
	t.Cleanup(r.Stop)
	return g
}

// toBackend makes b the destination that the accounts are compared with.
// permanent says which answers refuse for good.
func (g *otlpRig) toBackend(b *testkit.Backend, permanent func(testkit.Answer) bool) {
	sum := &tally{events: map[uint64]int{}}
	var mu sync.Mutex
	g.took = func() *tally {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range b.Calls()[sum.seen:] {
			sum.seen++
			switch {
			case c.Signal != otlp.Profiles:
			case c.Answer.Kept():
				sum.take(g.t, c.Bytes)
			case permanent != nil && permanent(c.Answer):
				sum.refused += int64(len(eventTimes(g.t, c.Bytes)))
			}
		}
		return sum.clone()
	}
}

// toSink makes a Sink the destination.
func (g *otlpRig) toSink(k *testkit.Sink) {
	sum := &tally{events: map[uint64]int{}}
	var mu sync.Mutex
	g.took = func() *tally {
		mu.Lock()
		defer mu.Unlock()
		for _, request := range k.Requests(otlp.Profiles)[sum.seen:] {
			sum.seen++
			sum.take(g.t, request)
		}
		return sum.clone()
	}
}

func (s *tally) take(t testing.TB, request []byte) {
	testkit.CheckProfiles(t, request)
	if len(request) > minBytes {
		t.Errorf("a request has %d bytes, more than MaxRequestBytes", len(request))
	}
	for _, at := range eventTimes(t, request) {
		s.events[at]++
		s.taken++
	}
}

func (s *tally) clone() *tally { c := *s; return &c }

// eventTimes returns the times of all events in a request. An event that counts n may have
// its time n times.
func eventTimes(t testing.TB, request []byte) (times []uint64) {
	t.Helper()
	for _, s := range testkit.ProfileSamples(t, request) {
		times = append(times, slices.Compact(s.Times)...)
	}
	return times
}

// watch compares the accounts again and again until unwatch.
func (g *otlpRig) watch() {
	g.watching.Go(func() {
		for {
			select {
			case <-g.stop:
				return
			default:
				g.observe()
				runtime.Gosched()
			}
		}
	})
}

func (g *otlpRig) unwatch() {
	close(g.stop)
	g.watching.Wait()
}

// observe compares the accounts with what the test knows.
func (g *otlpRig) observe() Stats {
	least := g.made.Load()
	s := g.Stats()
	most := g.begun.Load()
	if f := s.Samples; f.Reported < least || f.Reported > most {
		g.t.Errorf("%d samples are said to be reported, while %d to %d were", f.Reported, least, most)
	}
	checkFlow(g.t, "samples", s.Samples)
	checkFlow(g.t, "points", s.Points)
	if g.took != nil {
		if taken := g.took().taken; s.Samples.Acknowledged > taken {
			g.t.Errorf("%d samples are acknowledged, the destination has %d", s.Samples.Acknowledged, taken)
		}
	}
	if s.PendingBytes > int64(g.cfg.MaxPendingBytes) {
		g.t.Errorf("%d bytes are pending, more than %d", s.PendingBytes, g.cfg.MaxPendingBytes)
	}
	return s
}

func checkFlow(t testing.TB, what string, f Flow) {
	t.Helper()
	sum := f.Acknowledged + f.Held
	for reason, n := range f.Dropped {
		if n <= 0 {
			t.Errorf("%s: %d dropped as %s", what, n, reason)
		}
		sum += n
	}
	if sum != f.Reported+f.Restored || f.Held < 0 || f.Acknowledged < 0 {
		t.Errorf("%s: the accounts do not add up: %+v", what, f)
	}
}

// end compares the accounts after Stop, when nothing is held any more.
func (g *otlpRig) end() (Stats, *tally) {
	g.t.Helper()
	s := g.observe()
	if made := g.made.Load(); s.Samples.Reported != made {
		g.t.Errorf("%d samples are said to be reported, while %d were", s.Samples.Reported, made)
	}
	if s.Samples.Held != 0 || s.Points.Held != 0 || s.PendingBytes != 0 || s.PendingRequests != 0 {
		g.t.Errorf("something is held after the end: %+v", s)
	}
	if n := s.Samples.Dropped[DropInvalid]; n != g.invalid.Load() {
		g.t.Errorf("%d samples are said to be invalid, while %d were", n, g.invalid.Load())
	}
	if g.took == nil {
		return s, nil
	}
	sum := g.took()
	if s.Samples.Dropped[DropRejected] == 0 && !g.moreTaken {
		if s.Samples.Acknowledged != sum.taken {
			g.t.Errorf("%d samples are acknowledged, the destination has %d", s.Samples.Acknowledged, sum.taken)
		}
		if s.Samples.Dropped[DropRefused] != sum.refused {
			g.t.Errorf("%d samples are said to be refused, the destination refused %d", s.Samples.Dropped[DropRefused], sum.refused)
		}
		for at, n := range sum.events {
			if n != 1 {
				g.t.Errorf("the event of %d was taken %d times", at, n)
			}
		}
	}
	if int64(len(sum.events)) < s.Samples.Acknowledged {
		g.t.Errorf("%d samples are acknowledged, the destination has %d", s.Samples.Acknowledged, len(sum.events))
	}
	return s, sum
}

// onlyDropped fails if something was dropped for another reason. Some of the load
// is invalid on purpose.
func onlyDropped(t testing.TB, f Flow, reasons ...DropReason) {
	t.Helper()
	want := map[DropReason]int64{}
	if n := f.Dropped[DropInvalid]; n > 0 {
		want[DropInvalid] = n
	}
	for _, reason := range reasons {
		want[reason] = f.Dropped[reason]
		if f.Dropped[reason] == 0 {
			t.Errorf("nothing was dropped as %s", reason)
		}
	}
	if diff := cmp.Diff(want, f.Dropped); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
}

var (
	loadCPU    = samples.CPU(20)
	loadOffCPU = samples.OffCPU()
)

// loadStart is before the time of all events, in seconds since 1970. Those of
// ReportCountForTrace have whole seconds, later than those of the others.
const loadStart = 1_700_000_000

// stack returns one of many stacks.
func loadStack(n int) (frames libpf.Frames) {
	for depth := range 4 {
		frames.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: fmt.Sprint("f", n, "_", depth), SourceFile: "a.py", SourceLine: libpf.SourceLineno(depth + 1)})
	}
	frames.Append(libpf.Frame{Type: libpf.NativeFrame, Address: libpf.AddressOrLineno(0x1000 + n),
		Mapping: unique.Make(libpf.Mapping{FileName: "python3", FileID: libpf.NewFileID(1, 2), GNUBuildID: "abc"})})
	return frames
}

func loadTrace(n int) *libpf.Trace {
	trace := &libpf.Trace{Hash: libpf.NewTraceHash(7, uint64(n))}
	for depth := range 4 {
		trace.AppendFrame(libpf.NativeFrame, libpf.NewFileID(3, 4), libpf.AddressOrLineno(n*100+depth))
	}
	return trace
}

// report makes one call of Report..., by worker.
func (g *otlpRig) report(worker, i int) {
	n := g.begun.Add(1)
	defer g.made.Add(1)
	meta := &samples.TraceEventMeta{
		Timestamp: loadStart*int64(time.Second) + n, Origin: loadCPU, PID: int64(worker % 3), TID: int64(worker),
		Comm: "worker", ExecutablePath: "/bin/python3",
	}
	trace := &samples.Trace{Frames: loadStack((worker*7 + i) % 40), CustomLabels: map[string]string{"worker": fmt.Sprint(worker)}}
	count := func(n64 int64, hash libpf.TraceHash) {
		g.ReportCountForTrace(hash, libpf.UnixTime32(loadStart+1_000_000+n64), uint16(i), "worker", "pod", fmt.Sprint("container", worker%2))
	}
	switch i % 8 {
	case 0:
		t := loadTrace(i % 32)
		g.ReportFramesForTrace(t)
		count(n, t.Hash)
		return
	case 1: // its frames are reported later, or never
		count(n, libpf.NewTraceHash(7, uint64(i%64)))
		return
	case 2:
		meta.Origin, meta.Value = loadOffCPU, int64(i)
	case 3:
		if i%5 == 0 {
			meta.Origin = nil
			g.invalid.Add(1)
		}
	}
	if err := g.ReportTraceEvent(trace, meta); (err != nil) != (meta.Origin == nil) {
		g.t.Errorf("report a sample with origin %v: %v", meta.Origin, err)
	}
}

// load reports from 8 goroutines at once, each as often, or until ended.
func (g *otlpRig) load(each int, ended <-chan struct{}) {
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range each {
				select {
				case <-ended:
					return
				default:
					g.report(worker, i)
				}
			}
		})
	}
	wg.Wait()
}

// eventuallyStats waits until the accounts are as wanted.
func (g *otlpRig) eventuallyStats(what string, is func(Stats) bool) {
	g.t.Helper()
	deadline := time.Now().Add(30 * time.Second) // only a test that fails waits so long
	for !is(g.observe()) {
		if time.Now().After(deadline) {
			g.t.Fatalf("%s: not in time: %+v", what, g.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}
