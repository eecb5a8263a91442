package pprofconv

import (
	"os"
	"testing"
)

func BenchmarkToPprof(b *testing.B) {
	request, err := os.ReadFile("testdata/hz997-001.binpb")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(request)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ToPprof(request); err != nil {
			b.Fatal(err)
		}
	}
}
