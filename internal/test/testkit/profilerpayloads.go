package testkit

import (
	"embed"
	"testing"
)

//go:embed testdata/profiles/*.binpb
var profilerPayloads embed.FS

// ProfilerPayloads returns requests of the OpenTelemetry eBPF profiler by file
// name, as it sent them: on-CPU samples at 20 and at 997 Hz, each of one second on
// a machine that runs Go, Python and JavaScript. Each call returns new copies.
func ProfilerPayloads(t testing.TB) map[string][]byte {
	t.Helper()
	const folder = "testdata/profiles"
	files, err := profilerPayloads.ReadDir(folder)
	if err != nil {
		t.Fatalf("list the profiler's payloads: %v", err)
	}
	payloads := make(map[string][]byte, len(files))
	for _, f := range files {
		if payloads[f.Name()], err = profilerPayloads.ReadFile(folder + "/" + f.Name()); err != nil {
			t.Fatalf("read a payload of the profiler: %v", err)
		}
	}
	return payloads
}
