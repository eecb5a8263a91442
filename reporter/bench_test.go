package reporter

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// benchReporter returns a reporter that is not started: what is reported stays in
// its window, which has no end.
func benchReporter(tb testing.TB) *OTLPReporter {
	r, err := NewOTLP(OTLPConfig{Consumer: &testkit.Sink{CountOnly: true}, MaxWindowBytes: 16 << 30, SamplesPerSecond: 20})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// inEight makes RunParallel use eight goroutines.
func inEight(b *testing.B) {
	b.SetParallelism((8 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
}

// The target: 150 ns a call and no allocation, from eight goroutines at once.
func BenchmarkReportCountForTrace(b *testing.B) {
	for _, traces := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("traces=%d", traces), func(b *testing.B) {
			r := benchReporter(b)
			hashes := make([]libpf.TraceHash, traces)
			for i := range hashes {
				hashes[i] = libpf.NewTraceHash(uint64(i+1)*0x9e3779b97f4a7c15, uint64(i))
				r.ReportCountForTrace(hashes[i], 1_790_000_000, 1, "worker", "pod-12345", "container-1")
			}
			inEight(b)
			var goroutine atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for i := int(goroutine.Add(1)) * traces / 8; pb.Next(); i++ {
					r.ReportCountForTrace(hashes[i%traces], 1_790_000_000, 1, "worker", "pod-12345", "container-1")
				}
			})
		})
	}
}

// knownEvent returns a stack of 24 frames and what is known of a sample of it.
func knownEvent() (*samples.Trace, samples.TraceEventMeta) {
	t := &samples.Trace{}
	for i := range 24 {
		t.Frames.Append(libpf.Frame{Type: libpf.GoFrame, Address: libpf.AddressOrLineno(0x401000 + 64*i), FunctionName: fmt.Sprintf("program.function%d", i)})
	}
	return t, samples.TraceEventMeta{Timestamp: 1_790_000_000_000_000_000, Origin: samples.CPU(20), Comm: "worker", TID: 17, CPU: 3, PID: 12,
		ExecutablePath: "/usr/bin/program", ContainerID: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
}

// The target: 400 ns a call.
func BenchmarkReportTraceEvent(b *testing.B) {
	r := benchReporter(b)
	trace, meta := knownEvent()
	b.ReportAllocs()
	for b.Loop() {
		meta.Timestamp++
		if err := r.ReportTraceEvent(trace, &meta); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReportTraceEventParallel(b *testing.B) {
	r := benchReporter(b)
	trace, known := knownEvent()
	inEight(b)
	b.RunParallel(func(pb *testing.PB) {
		meta := known
		for pb.Next() {
			meta.Timestamp++
			if err := r.ReportTraceEvent(trace, &meta); err != nil {
				b.Error(err)
			}
		}
	})
}

// What is known costs no allocation, but for a chunk of memory for a thousand
// events.
func TestReportingAllocatesNothing(t *testing.T) {
	r := benchReporter(t)
	trace, meta := knownEvent()
	hash := libpf.NewTraceHash(1, 2)
	for name, report := range map[string]func(){
		"ReportCountForTrace":       func() { r.ReportCountForTrace(hash, 1_790_000_000, 1, "worker", "pod-12345", "container-1") },
		"ReportCountForTrace, many": func() { r.ReportCountForTrace(hash, 1_790_000_000, 3, "worker", "pod-12345", "container-1") },
		"ReportTraceEvent": func() {
			if err := r.ReportTraceEvent(trace, &meta); err != nil {
				t.Error(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(900, report); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
