package debugexporter

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var update = flag.Bool("update", false, "write the files in testdata")

func batchOf(t testing.TB, s otlp.Signal, request []byte) *pipeline.Batch {
	t.Helper()
	b, err := pipeline.NewBatch(s, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

// startPlain returns a running exporter with plain text to stdout.
func startPlain(t testing.TB, v Verbosity) (*Exporter, *bytes.Buffer) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Verbosity, cfg.UseInternalLogger = v, false
	e, err := New(cfg, component.Settings{ID: "debug"})
	if err != nil {
		t.Fatal(err)
	}
	out := new(bytes.Buffer)
	e.stdout = out
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e, out
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it); got\n%s", path, got)
	}
}

func TestGolden(t *testing.T) {
	profiler := testkit.ProfilerPayloads(t)["oncpu-001.binpb"]
	for _, v := range []Verbosity{Basic, Normal, Detailed} {
		for _, s := range otlp.Signals() {
			e, out := startPlain(t, v)
			if err := e.Consume(t.Context(), batchOf(t, s, requests[s](plainWord))); err != nil {
				t.Fatal(err)
			}
			golden(t, s.String()+"."+string(v)+".txt", out.Bytes())
		}
		e, out := startPlain(t, v)
		if err := e.Consume(t.Context(), batchOf(t, otlp.Profiles, profiler)); err != nil {
			t.Fatal(err)
		}
		golden(t, "profiler."+string(v)+".txt", out.Bytes())
	}
}

// A line of normal begins with the Collector's line, which testdata/collector has: scripts
// search for it.
func TestNormalBeginsAsTheCollectorDoes(t *testing.T) {
	for _, s := range otlp.Signals() {
		want, err := os.ReadFile(filepath.Join("testdata", "collector", s.String()+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(render(t, s, Normal, requests[s](plainWord), maxTextBytes), "\n")
		for line := range strings.SplitSeq(strings.TrimSuffix(string(want), "\n"), "\n") {
			for len(got) > 0 && strings.HasPrefix(got[0], "     -> ") {
				got = got[1:]
			}
			if len(got) == 0 || !strings.HasPrefix(got[0], line) || got[0] != line && !strings.HasPrefix(got[0][len(line):], " [") {
				t.Errorf("%s: no line begins with %q and ends, or goes on with details: %q", s, line, got)
				break
			}
			got = got[1:]
		}
	}
}
