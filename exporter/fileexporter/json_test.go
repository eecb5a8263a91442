package fileexporter

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

func jsonConfig(path string) Config {
	cfg := DefaultConfig()
	cfg.Path = path
	return cfg
}

// lines decodes a file of JSON lines. The first key of a line names its signal.
func lines(t testing.TB, text []byte) (out [][]byte) {
	t.Helper()
	keys := map[string]otlp.Signal{"resourceSpans": otlp.Traces, "resourceMetrics": otlp.Metrics, "resourceLogs": otlp.Logs, "resourceProfiles": otlp.Profiles}
	for line := range bytes.Lines(text) {
		var top map[string]json.RawMessage
		if err := json.Unmarshal(line, &top); err != nil || line[len(line)-1] != '\n' {
			t.Fatalf("%q: %v, want one object and a line end", line, err)
		}
		for key, s := range keys {
			if _, ok := top[key]; !ok {
				continue
			}
			wire, err := otlp.DecodeJSON(make([]byte, 0, 4*len(line)), s, line)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, wire)
		}
	}
	return out
}

// A file of the default format has JSON lines that decode to the requests that
// were sent, also if all signals share the file.
func TestJSONLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "all.json")
	e := start(t, jsonConfig(path))
	rng := rand.New(rand.NewPCG(1, 2))
	var want [][]byte
	for _, s := range otlp.Signals() {
		for range 5 {
			request := testkit.Request(rng, s, 20)
			if err := consume(t, e, s, request); err != nil {
				t.Fatal(err)
			}
			again, err := otlp.DecodeJSON(make([]byte, 0, 8*len(request)), s, otlp.AppendJSON(nil, s, request))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, again)
		}
	}
	stop(t, e)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, lines(t, text), want)
}

// With compression the format is that of the Collector: a length, and a frame
// of JSON.
func TestJSONZstd(t *testing.T) {
	t.Parallel()
	cfg := jsonConfig(filepath.Join(t.TempDir(), "logs.json.zst"))
	cfg.Compression = compressionZstd
	e := start(t, cfg)
	request := testkit.Request(rand.New(rand.NewPCG(3, 4)), otlp.Logs, 9)
	mustConsumeSignal(t, e, otlp.Logs, request)
	stop(t, e)
	f, err := os.Open(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := NewZstdReader(f, maxTestRecordBytes)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, readAll(t, r), [][]byte{otlp.AppendJSON(nil, otlp.Logs, request)})
}

func mustConsumeSignal(t *testing.T, e *Exporter, s otlp.Signal, request []byte) {
	t.Helper()
	if err := consume(t, e, s, request); err != nil {
		t.Fatal(err)
	}
}

// An incomplete line of a crash is removed; a file without a line end is renamed.
func TestIncompleteJSONLineOfACrash(t *testing.T) {
	t.Parallel()
	long := `{"resourceLogs":[{"schemaUrl":"` + strings.Repeat("x", 200<<10)
	for _, tt := range []struct{ before, kept string }{
		{"{}\n", "{}\n"},
		{"{}\n{\"resour", "{}\n"},
		{"{}\n{}\n" + long, "{}\n{}\n"},
		{long + "\"}]}\n" + long, long + "\"}]}\n"},
		{long, ""},
	} {
		dir := t.TempDir()
		cfg := jsonConfig(filepath.Join(dir, "f.json"))
		cfg.Append = true
		if err := os.WriteFile(cfg.Path, []byte(tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		e := start(t, cfg)
		request := testkit.Request(rand.New(rand.NewPCG(5, 6)), otlp.Logs, 1)
		mustConsumeSignal(t, e, otlp.Logs, request)
		stop(t, e)
		got, err := os.ReadFile(cfg.Path)
		if want := tt.kept + string(otlp.AppendJSON(nil, otlp.Logs, request)) + "\n"; err != nil || string(got) != want {
			t.Errorf("%.20q of %d bytes: now %.40q (%d bytes), %v", tt.before, len(tt.before), got, len(got), err)
		}
		if others := otherFiles(t, cfg.Path); len(others) != oneIf(tt.kept == "") {
			t.Errorf("%.20q: files %v", tt.before, others)
		}
	}
}
