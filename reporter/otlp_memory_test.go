package reporter

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unique"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // the first lets go of interned values, the second frees them
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// peakHeap returns the most that is in use while f runs, and when it has ended: the
// collector runs all the time.
func peakHeap(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stop, peaked := make(chan struct{}), make(chan int64)
	go func() {
		peak := int64(0)
		for {
			select {
			case <-stop:
				peaked <- peak
				return
			default:
				peak = max(peak, liveHeap())
			}
		}
	}()
	f()
	close(stop)
	return max(<-peaked, liveHeap())
}

// memoryLoads are what makes a reporter hold much of one kind.
func memoryLoads() map[string]func(r *OTLPReporter, i int) {
	count := func(r *OTLPReporter, trace int, comm, pod string) {
		r.ReportCountForTrace(libpf.NewTraceHash(1, uint64(trace)), 1, 1, comm, pod, "")
	}
	stack := func(r *OTLPReporter, i, frames int) {
		t := &libpf.Trace{Hash: libpf.NewTraceHash(1, uint64(i))}
		for k := range frames {
			t.AppendFrame(libpf.PythonFrame, libpf.NewFileID(uint64(i), uint64(k)), libpf.AddressOrLineno(k))
		}
		r.ReportFramesForTrace(t)
	}
	return map[string]func(*OTLPReporter, int){
		"stacks":   func(r *OTLPReporter, i int) { count(r, i, "", "") },
		"threads":  func(r *OTLPReporter, i int) { count(r, 1, fmt.Sprint(i), "") },
		"pods":     func(r *OTLPReporter, i int) { count(r, 1, "", fmt.Sprint("pod ", i)) },
		"values":   func(r *OTLPReporter, i int) { r.ReportCountForTrace(libpf.NewTraceHash(1, 1), 1, 2, "", "", "") },
		"events":   func(r *OTLPReporter, i int) { count(r, 1, "", "") },
		"resolved": func(r *OTLPReporter, i int) { stack(r, i, 20); count(r, i, "", "") },
		"shared": func(r *OTLPReporter, i int) {
			for k := range 20 {
				r.FrameMetadata(libpf.NewFileID(uint64(i), uint64(k)), libpf.AddressOrLineno(k), 1, 1, fmt.Sprint("function ", i%100), fmt.Sprint("file ", k))
			}
			stack(r, i, 20)
			count(r, i, fmt.Sprint(i%7), "")
		},
		"long stacks": func(r *OTLPReporter, i int) { stack(r, i%20, 1000); count(r, i%20, fmt.Sprint(i), "") },
		"few counts": func(r *OTLPReporter, i int) {
			if i < 10 {
				stack(r, i, 1000)
				count(r, i, "", "")
			}
		},
		"host": func(r *OTLPReporter, i int) {
			r.ReportHostMetadata(map[string]string{fmt.Sprint("key ", i): strings.Repeat("v", 20)})
			count(r, 1, "", fmt.Sprint("pod ", i))
		},
		"points": func(r *OTLPReporter, i int) { r.ReportMetrics(1, []uint32{1, 2, 1, 2}, []int64{int64(i), 2, 3, 4}) },
		"frames": func(r *OTLPReporter, i int) {
			frames := make(libpf.Frames, 20)
			for k := range frames {
				frames[k] = unique.Make(libpf.Frame{Type: libpf.NativeFrame, FunctionName: fmt.Sprint("function ", i, k), SourceFile: "file"})
			}
			_ = r.ReportTraceEvent(&samples.Trace{Frames: frames}, &samples.TraceEventMeta{Timestamp: 1, Origin: samples.CPU(20)})
		},
		"labels": func(r *OTLPReporter, i int) {
			_ = r.ReportTraceEvent(&samples.Trace{CustomLabels: map[string]string{"k": fmt.Sprint(i)}}, &samples.TraceEventMeta{Timestamp: 1, Origin: samples.CPU(20)})
		},
	}
}

// MemoryBytes is never less than what a reporter takes, also while it makes requests
// of a window. It does not run beside other tests, which share the heap. What becomes
// garbage during a collection counts as in use, so that one good measurement of three
// is enough.
func TestMemoryBytes(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(memoryLoads())) {
		var says, peak, later, then int64
		for range 3 {
			says, peak, later, then = measureMemory(t, name)
			if says >= peak && later >= then {
				break
			}
		}
		// Under the race detector a collection takes so long that most of the peak is
		// garbage.
		if says < peak && !raceDetector {
			t.Errorf("%s: MemoryBytes is %d, the heap grew by %d while a window was written", name, says, peak)
		}
		if later < then {
			t.Errorf("%s: MemoryBytes is %d after the window was written, the heap has grown by %d", name, later, then)
		}
	}
}

// measureMemory puts a load on a reporter, and writes its window. It returns what
// MemoryBytes says before and after, and by how much the heap has grown.
func measureMemory(t *testing.T, name string) (says, peak, later, then int64) {
	calls := 6000
	if raceDetector {
		calls = 1000
	}
	load := memoryLoads()[name]
	before := liveHeap()
	r, err := NewOTLP(OTLPConfig{
		Consumer: &testkit.Sink{}, MaxCacheBytes: 16 << 20, MaxWindowBytes: 8 << 20, MaxPendingBytes: 16 << 20,
		MetricDefinitions: map[uint32]MetricDefinition{1: {Name: "a"}, 2: {Name: "b", Kind: Counter}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range calls {
		load(r, i)
	}
	says = r.MemoryBytes()
	took := liveHeap() - before
	peak = peakHeap(func() {
		r.report(true)
		r.reportPoints()
	}) - before
	later, then = r.MemoryBytes(), liveHeap()-before
	t.Logf("%-11s says %6d KiB; took %6d KiB, at most %6d KiB; then says %d, %+v", name, says>>10, took>>10, peak>>10, later>>10, r.Stats().CacheBytes>>10)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_ = r.Shutdown(ended)
	return says, max(peak, took), later, then
}

// Metadata of a host stays within its bounds, however often it changes, and so does
// what is needed to know its oldest entry.
func TestHostMetadataThatChanges(t *testing.T) {
	t.Parallel()
	h := hostFacts{maxBytes: maxHostMetadataBytes}
	const n = 200_000
	for i := range n {
		h.add(map[string]string{fmt.Sprint(i % 40_000): fmt.Sprint(i)})
		if h.bytes > maxHostMetadataBytes || len(h.order) > 2*len(h.value)+17 {
			t.Fatalf("%d bytes, %d keys, %d places of them", h.bytes, len(h.value), len(h.order))
		}
	}
	if most := maxHostMetadataBytes / hostEntryBytes; len(h.value) > most || h.evicted < n-uint64(most) {
		t.Errorf("%d keys, %d evicted", len(h.value), h.evicted)
	}
	for k := range h.value { // the last ones stay
		if h.value[k].set < n-40_000 {
			t.Errorf("%q is from the change %d", k, h.value[k].set)
		}
	}
}
