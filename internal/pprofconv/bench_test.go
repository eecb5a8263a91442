package pprofconv

import (
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func BenchmarkToPprof(b *testing.B) {
	request := testkit.ProfilerPayloads(b)["hz997-001.binpb"]
	b.SetBytes(int64(len(request)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ToPprof(request); err != nil {
			b.Fatal(err)
		}
	}
}
