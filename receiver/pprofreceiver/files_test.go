package pprofreceiver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/libpf"
)

func writeProfile(t *testing.T, path string, p *profile.Profile) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreReadOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	old := heapAt(0, simple("a", 1, 2, 3, 4))
	old.DurationNanos = int64(time.Minute)
	writeProfile(t, at("1.pb.gz"), old)
	writeProfile(t, at("2.pb.gz"), heapAt(1, simple("b", 1, 0, 0, 0)))
	if err := os.Mkdir(at("3.pb.gz"), 0o700); err != nil {
		t.Fatal(err)
	}
	makePipe(t, at("4.pb.gz"))
	cfg := DefaultConfig()
	cfg.Files, cfg.ServiceName = []string{at("*.pb.gz"), at("1*")}, "shop"
	r := newRig(t, cfg)
	r.rounds(3)
	calls := r.sink.calls()
	if len(calls) != 2 {
		t.Fatalf("%d reports, want one for each file", len(calls))
	}
	sameTotals(t, "the first file", calls[0].totals, totalsOf(old))
	if m := calls[0].meta; !m.Start.Equal(noon) || m.Duration != time.Minute {
		t.Errorf("the first file is of %s at %s", m.Duration, m.Start)
	}
	if want := libpf.StringAttr("service.name", "shop").Value; attribute(calls[0].meta.Resource, "service.name") != want {
		t.Errorf("resource %q", calls[0].meta.Resource)
	}

	// A rewritten file is another profile; one whose time changed, or that was
	// removed, is not.
	writeProfile(t, at("2.pb.gz"), heapAt(2, simple("b", 1, 0, 0, 0), simple("c", 5, 0, 0, 0)))
	if err := os.Remove(at("1.pb.gz")); err != nil {
		t.Fatal(err)
	}
	r.rounds(2)
	if n := len(r.sink.calls()); n != 3 {
		t.Errorf("%d reports, want 3", n)
	}
	if len(r.files.seen) != 1 {
		t.Errorf("%d files are remembered, of which there is one", len(r.files.seen))
	}
	if got := r.failed(); got != "map[]" {
		t.Errorf("failures %s", got)
	}
}

// A profile that does not say when it was taken is as old as its file.
func TestFilesWithoutTimes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "heap")
	p := heapAt(0, simple("a", 1, 2, 3, 4))
	p.TimeNanos = 0
	writeProfile(t, path, p)
	if err := os.Chtimes(path, noon, noon); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Files = []string{path}
	r := newRig(t, cfg)
	r.rounds(1)
	if calls := r.sink.calls(); len(calls) != 1 || calls[0].meta.Start.Sub(noon).Abs() > time.Second {
		t.Errorf("reports %+v, want one of noon", calls)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	whole := filepath.Join(t.TempDir(), "whole")
	writeProfile(t, whole, heapAt(0, simple("a", 1, 2, 3, 4)))
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"half": data[:20], "text": []byte("hello"), "empty": nil, "large": make([]byte, 1<<20+1)} {
		if err := os.WriteFile(at(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	cfg.Files, cfg.MaxProfileBytes = []string{at("*")}, 1<<20
	r := newRig(t, cfg)
	r.rounds(3)
	if got := r.failed(); got != "map[not_pprof:3 too_large:1]" {
		t.Errorf("failures %s", got)
	}
	lines := r.log.Lines("")
	if len(lines) != 4 || !strings.Contains(strings.Join(lines, "\n"), "file="+at("half")) {
		t.Errorf("want a line for each bad file, got\n%s", strings.Join(lines, "\n"))
	}
	// What was half written is read when it is whole.
	if err := os.WriteFile(at("half"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"text", "empty", "large"} {
		if err := os.Remove(at(name)); err != nil {
			t.Fatal(err)
		}
	}
	r.rounds(2)
	if n := len(r.sink.calls()); n != 1 {
		t.Errorf("%d reports, want the one of the file that is whole now", n)
	}
	if s := r.Status()[0]; s.Problem != "" {
		t.Errorf("status %+v", s)
	}
}

func TestFilesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it makes thousands of files")
	}
	t.Parallel()
	dir := t.TempDir()
	for i := range maxFiles + 5 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	cfg.Files = []string{filepath.Join(dir, "*")}
	r := newRig(t, cfg)
	for range 2 {
		if got := len(r.files.matches()); got != maxFiles {
			t.Errorf("%d files are read, want %d", got, maxFiles)
		}
	}
	if lines := r.log.Lines(""); len(lines) != 1 || !strings.Contains(lines[0], "too many files") {
		t.Errorf("log %q", lines)
	}
}

// ** stands for any number of folders.
func TestMatchFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"a.pb.gz", "x/a.pb.gz", "x/y/a.pb.gz", "x/y/b.txt", "z/x/y/c.pb.gz"} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string][]string{
		"**/*.pb.gz":     {"a.pb.gz", "x/a.pb.gz", "x/y/a.pb.gz", "z/x/y/c.pb.gz"},
		"x/**/*.pb.gz":   {"x/a.pb.gz", "x/y/a.pb.gz"},
		"**/y/*":         {"x/y/a.pb.gz", "x/y/b.txt", "z/x/y/c.pb.gz"},
		"**/x/**/c.*":    {"z/x/y/c.pb.gz"},
		"x/**":           {"x/a.pb.gz", "x/y/a.pb.gz", "x/y/b.txt"},
		"*/a.pb.gz":      {"x/a.pb.gz"},
		"none/**/*":      nil,
		"**/nothing.txt": nil,
	} {
		var got []string
		for _, path := range MatchFiles(filepath.Join(root, pattern)) {
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, filepath.ToSlash(name))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", pattern, got, want)
		}
	}
}

// Files may have the formats from before protobuf, and their name is in the resource.
func TestLegacyFiles(t *testing.T) {
	t.Parallel()
	var cpu []byte
	for _, word := range []uint64{0, 3, 0, 10_000, 0, 5, 2, 0x401000, 0x402000, 0, 1, 0} {
		cpu = binary.LittleEndian.AppendUint64(cpu, word)
	}
	for name, c := range map[string]struct {
		data []byte
		typ  string
		want int64
	}{
		"cpu.prof":      {cpu, "samples", 5},
		"heap.txt":      {[]byte("heap profile: 1: 100 [2: 200] @ heap/1\n1: 100 [2: 200] @ 0x401000 0x402000\n"), "inuse_space", 100},
		"goroutine.txt": {[]byte("goroutine profile: total 7\n7 @ 0x401000 0x402000\n"), "goroutine", 7},
		"lock.txt":      {[]byte("--- contentionz 1 ---\ncycles/second=1000000000\nsampling period=1\nms since reset=1\n100 3 @ 0x401000 0x402000\n"), "contentions", 3},
	} {
		cfg := DefaultConfig()
		cfg.Files = []string{filepath.Join(t.TempDir(), name)}
		if err := os.WriteFile(cfg.Files[0], c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, cfg)
		r.rounds(1)
		if got := r.sink.sum().total(c.typ); got != c.want || len(r.Stats().Failures) > 0 {
			t.Errorf("%s: %d %s, want %d; %+v, %v", name, got, c.typ, c.want, r.Stats(), r.Status())
			continue
		}
		meta := r.sink.calls()[0].meta
		if text := string(meta.Resource); !strings.Contains(text, "file.name") || !strings.Contains(text, "file.path") || !strings.Contains(text, cfg.Files[0]) {
			t.Errorf("%s: resource %q", name, meta.Resource)
		}
	}
}

// Text that is not one of the formats is refused, and targets may not answer with any.
func TestLegacyIsForFilesAlone(t *testing.T) {
	t.Parallel()
	text := []byte("goroutine profile: total 7\n7 @ 0x401000 0x402000\n")
	if _, err := parse(text, 1<<20, nil, false); causeOf(err) != causeNotPprof {
		t.Errorf("of a target: %v", err)
	}
	for _, bad := range []string{"goroutine profile: total 7\n7 @ nonsense\n--", "heap profile: 1: 100", "heap profile: \n\x00"} {
		if p, err := parse([]byte(bad), 1<<20, nil, true); err == nil && len(p.Sample) > 0 {
			t.Errorf("%q passes with %d samples", bad, len(p.Sample))
		}
	}
}
