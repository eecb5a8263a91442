package reporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// destination is out of order now and then. It counts what it accepts, and keeps
// nothing.
type destination struct {
	testkit.Sink
	t *testing.T

	mu             sync.Mutex
	out            bool
	requests       int
	taken, refused int64
}

// checkEvery is how many requests there are for each one that is checked: the check
// takes longer than sending a request.
const checkEvery = 40

func newDestination(t *testing.T) *destination {
	c := &destination{t: t}
	c.CountOnly = true
	c.Respond(c.answer)
	return c
}

func (c *destination) answer(_ context.Context, b *pipeline.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out {
		c.refused++
		return errors.New("out of order")
	}
	c.requests++
	if c.requests%checkEvery == 0 {
		if b.Signal() == otlp.Profiles {
			testkit.CheckProfiles(c.t, b.Bytes())
		} else if _, err := otlp.Check(b.Signal(), b.Bytes()); err != nil {
			c.t.Error(err)
		}
	}
	if b.Signal() == otlp.Profiles {
		c.taken += countTimes(b.Bytes())
	}
	return nil
}

// countTimes returns how many events there are in a request. One that counts n has its
// time n times, and the line of its leaf is n (count).
func countTimes(request []byte) (events int64) {
	dict := otlp.DictionaryOf(otlp.Profiles, request)
	for rp := range otlp.ExportProfilesServiceRequest(request).ResourceProfiles().All() {
		for sp := range rp.ScopeProfiles().All() {
			for p := range sp.Profiles().All() {
				for s := range p.Samples().All() {
					times := int64(s.TimestampsUnixNano().Len())
					if counts := s.Values().Len(); counts == 0 {
						times /= leafLine(dict, s)
					}
					events += times
				}
			}
		}
	}
	return events
}

// leafLine returns the line of a sample's leaf; 1 if it has no stack.
func leafLine(dict *otlp.Dictionary, s otlp.Sample) int64 {
	for l := range dict.Stack(s.StackIndex()).LocationIndices().All() {
		for line := range dict.Location(l).Lines().All() {
			return max(line.Line(), 1) // samples with a line of 0 count 1
		}
	}
	return 1
}

func (c *destination) set(out bool) {
	c.mu.Lock()
	c.out = out
	c.mu.Unlock()
}

// day is a profiler on a machine on which processes come and go.
type day struct {
	*otlpRig
	rng        *rand.Rand
	to         *destination
	generation int64 // of processes
	points     int64
	outages    int
	change     time.Time // when the destination goes out of order, or comes back
	out        bool
}

// tick is the time between two calls of work.
const tick = 5 * time.Second

// A day with outages of minutes to hours, and processes that come and go: memory
// stays flat, and the accounts add up at each hour.
func TestOTLPDay(t *testing.T) { // not parallel: it looks at the memory of the program
	synctest.Test(t, func(t *testing.T) {
		d := &day{rng: rand.New(rand.NewPCG(24, 7)), to: newDestination(t)}
		d.otlpRig = newOTLPRig(t, OTLPConfig{
			Consumer: d.to, MaxRequestBytes: 64 << 10, MaxWindowBytes: 1 << 20, MaxPendingBytes: 512 << 10, MaxCacheBytes: 256 << 10,
			MetricDefinitions: definitions,
		})
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.change = time.Now().Add(90 * time.Minute)
		goroutines := runtime.NumGoroutine()
		hours := 24
		if raceDetector {
			hours = 6
		}
		var heaps []uint64
		for hour := range hours {
			for range time.Hour / tick {
				d.work()
				time.Sleep(tick)
			}
			synctest.Wait()
			d.hourly(hour)
			heaps = append(heaps, heapBytes())
			if n := runtime.NumGoroutine(); n != goroutines {
				t.Errorf("hour %d: %d goroutines, at first %d", hour, n, goroutines)
			}
		}
		if early, late := slices.Max(heaps[1:hours/2]), slices.Max(heaps[hours/2:]); late > early+early/4+256<<10 {
			t.Errorf("the program has %d bytes in the later half, %d in the first: %d", late, early, heaps)
		}
		d.to.set(false)
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		s, _ := d.end()
		onlyDropped(t, s.Samples, DropPendingFull)
		if s.Samples.Acknowledged != d.to.taken || s.Points.Reported != d.points || s.Points.Acknowledged+s.Points.Dropped[DropPendingFull] != d.points {
			t.Errorf("%d samples were taken: %+v, %+v", d.to.taken, s.Samples, s.Points)
		}
		if d.outages < hours/6 || s.Evicted.Traces == 0 || s.Evicted.Frames == 0 || s.Retries == 0 || s.WithoutStack == 0 {
			t.Errorf("it was too quiet a day: %d outages, %+v", d.outages, s)
		}
	})
}

// work is what a profiler tells in one tick.
func (d *day) work() {
	now := time.Now()
	if now.After(d.change) {
		d.out = !d.out
		d.to.set(d.out)
		d.change = now.Add(time.Duration(d.rng.Int64N(int64(3*time.Hour))) + 3*time.Minute)
		if d.out {
			d.outages++
		}
	}
	if d.rng.IntN(60) == 0 { // a process begins every five minutes
		d.generation++
	}
	for range 8 {
		d.event(now)
	}
	for range 3 {
		d.count(now)
	}
	if d.rng.IntN(12) == 0 {
		d.points += 2
		d.ReportMetrics(uint32(now.Unix()), []uint32{1, 2}, []int64{d.rng.Int64N(100), 1})
	}
}

// process returns one of the latest processes.
func (d *day) process() int64 { return max(0, d.generation-d.rng.Int64N(4)) }

func (d *day) event(now time.Time) {
	d.begun.Add(1)
	defer d.made.Add(1)
	pid, n := d.process(), d.rng.IntN(30)
	var frames libpf.Frames
	for depth := range 8 {
		frames.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: fmt.Sprintf("process %d function %d", pid, n/(depth+1)), SourceFile: "a.py", SourceLine: libpf.SourceLineno(depth)})
	}
	frames.Append(libpf.Frame{Type: libpf.NativeFrame, Address: libpf.AddressOrLineno(n), Mapping: unique.Make(libpf.Mapping{FileName: "python", FileID: libpf.NewFileID(1, uint64(pid))})})
	meta := &samples.TraceEventMeta{Timestamp: now.UnixNano(), Origin: loadCPU, PID: pid, TID: pid*100 + int64(n%4), CPU: int64(n % 2), Comm: "python"}
	if n%7 == 0 {
		meta.Origin, meta.Value = loadOffCPU, 1000
	}
	if err := d.ReportTraceEvent(&samples.Trace{Frames: frames}, meta); err != nil {
		d.t.Error(err)
	}
}

func (d *day) count(now time.Time) {
	d.begun.Add(1)
	defer d.made.Add(1)
	pid, n := d.process(), d.rng.IntN(30)
	file := libpf.NewFileID(2, uint64(pid))
	trace := &libpf.Trace{Hash: libpf.NewTraceHash(uint64(pid), uint64(n))}
	for depth := range 8 {
		trace.AppendFrame(libpf.PythonFrame, file, libpf.AddressOrLineno(n/(depth+1)))
	}
	if n != 0 { // the frames of one stack never come
		d.ReportFramesForTrace(trace)
		for _, line := range trace.Linenos {
			d.FrameMetadata(file, line, libpf.SourceLineno(line+1), 0, fmt.Sprintf("process %d line %d", pid, line), "b.py")
		}
	}
	d.ExecutableMetadata(context.Background(), file, fmt.Sprint("executable", pid), "")
	d.ReportCountForTrace(trace.Hash, libpf.UnixTime32(now.Unix()), uint16(n+1), "python", "pod", fmt.Sprint("container", pid))
}

// hourly compares the accounts and the bounds.
func (d *day) hourly(hour int) {
	s := d.observe()
	if s.Samples.Reported != d.made.Load() || s.Points.Reported != d.points {
		d.t.Errorf("hour %d: %d samples and %d points were reported: %+v", hour, d.made.Load(), d.points, s)
	}
	if s.Samples.Acknowledged != d.to.taken {
		d.t.Errorf("hour %d: %d samples were taken: %+v", hour, d.to.taken, s.Samples)
	}
	for what, n := range map[string][2]int64{
		"caches": {s.CacheBytes, int64(d.cfg.MaxCacheBytes)}, "window": {s.WindowBytes, int64(d.cfg.MaxWindowBytes)}, "pending": {s.PendingBytes, int64(d.cfg.MaxPendingBytes)},
	} {
		if n[0] > n[1] {
			d.t.Errorf("hour %d: %s: %d bytes, more than %d", hour, what, n[0], n[1])
		}
	}
}

// heapBytes returns what is in use.
func heapBytes() uint64 {
	for range 3 { // what is interned goes a cycle after its last user
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
