package reporter

import (
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
)

// BenchmarkGRPCCount is ReportCountForTrace from all processors at once, into a
// queue that overwrites.
func BenchmarkGRPCCount(b *testing.B) {
	r, err := newGRPCReporter(testConfig("agent:1"), (&testkit.Log{}).Logger())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(4)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r.ReportCountForTrace(libpf.NewTraceHash(1, 2), 3, 1, "comm", "pod", "container")
		}
	})
}
