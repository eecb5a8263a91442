package fileexporter

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

func rotating(t *testing.T, r Rotation) Config {
	cfg := protoConfig(filepath.Join(t.TempDir(), "traces.binpb"))
	cfg.Rotation = &r
	return cfg
}

func TestRotationSplitsNoRecord(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{0, time.Hour} {
		cfg := rotating(t, Rotation{MaxMegabytes: 1})
		cfg.FlushInterval = interval
		var want [][]byte
		for range 2 { // the second time it appends to the existing file
			e := start(t, cfg)
			for i := range 25 {
				r := request(100_000+i, 'x')
				mustConsume(t, e, r)
				want = append(want, r)
			}
			stop(t, e)
		}
		files := allFiles(t, cfg.Path)
		equal(t, records(t, files...), want)
		if len(files) != 5 { // ten records in each file
			t.Errorf("%d files", len(files))
		}
		name := regexp.MustCompile(`^traces-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.binpb$`)
		for i, f := range files {
			if info, err := os.Stat(f); err != nil || info.Size() > 1<<20 {
				t.Errorf("%s: %d bytes, %v", f, info.Size(), err)
			}
			if i < len(files)-1 && !name.MatchString(filepath.Base(f)) {
				t.Errorf("name %s", f)
			}
		}
	}
}

func TestRecordLargerThanMaximum(t *testing.T) {
	t.Parallel()
	cfg := rotating(t, Rotation{MaxMegabytes: 1})
	e := start(t, cfg)
	in := [][]byte{request(2<<20, 'a'), request(10, 'b'), request(3<<20, 'c'), request(4<<20, 'd')}
	mustConsume(t, e, in...)
	files := allFiles(t, cfg.Path)
	if len(files) != 4 {
		t.Errorf("files: %v", files)
	}
	equal(t, records(t, files...), in)
}

// Files that become full within one millisecond get different names.
func TestRotationNeverOverwrites(t *testing.T) {
	t.Parallel()
	cfg := rotating(t, Rotation{MaxMegabytes: 1})
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	e := start(t, cfg, func(e *Exporter) { e.file.now = func() time.Time { return noon } })
	var in [][]byte
	for i := range 5 {
		in = append(in, request(1<<20+i, 'x'))
	}
	mustConsume(t, e, in...)
	equal(t, records(t, allFiles(t, cfg.Path)...), in)
	if _, err := os.Stat(filepath.Join(filepath.Dir(cfg.Path), "traces-2026-01-02T12-00-00.003.binpb")); err != nil {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	names := map[string]bool{ // true: no setting below deletes it
		"traces-2026-01-10T11-00-00.000.binpb": true,
		"traces-2026-01-09T11-00-00.000.binpb": true,
		"traces-2026-01-08T11-00-00.000.binpb": false,
		"traces-2026-01-05T11-00-00.000.binpb": false,
		"traces-yesterday.binpb":               true,
		"traces-2026-01-05T11-00-00.000.json":  true,
		"logs-2026-01-05T11-00-00.000.binpb":   true,
	}
	for _, test := range []struct {
		Rotation
		oldest, deleted string
	}{
		{Rotation{MaxBackups: 2, MaxDays: 9}, "traces-2026-01-09T11-00-00.000.binpb", "traces-2026-01-08T11-00-00.000.binpb"},
		{Rotation{MaxDays: 4}, "traces-2026-01-08T11-00-00.000.binpb", "traces-2026-01-05T11-00-00.000.binpb"},
		{Rotation{}, "traces-2026-01-05T11-00-00.000.binpb", ""},
	} {
		cfg := rotating(t, test.Rotation)
		dir := filepath.Dir(cfg.Path)
		for name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e := start(t, cfg, func(e *Exporter) { e.file.now = func() time.Time { return now } })
		exists := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
		if !exists(test.oldest) || test.deleted != "" && exists(test.deleted) {
			t.Errorf("%+v: %s exists: %t, %s exists: %t", test.Rotation, test.oldest, exists(test.oldest), test.deleted, exists(test.deleted))
		}
		for name, stays := range names {
			if stays && !exists(name) {
				t.Errorf("%+v: %s was deleted", test.Rotation, name)
			}
		}
		if test.MaxBackups != 2 {
			continue
		}
		// A new backup causes the oldest to be deleted.
		e.file.rotation.MaxMegabytes = 1
		mustConsume(t, e, request(1<<20, 'a'), request(1<<20, 'b'))
		if exists(test.oldest) || !exists("traces-2026-01-10T12-00-00.000.binpb") {
			t.Error("the oldest backup was not deleted")
		}
	}
}

func TestLocalTime(t *testing.T) {
	t.Parallel()
	cfg := rotating(t, Rotation{MaxMegabytes: 1, LocalTime: true})
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	e := start(t, cfg, func(e *Exporter) { e.file.now = func() time.Time { return noon } })
	mustConsume(t, e, request(1<<20, 'a'), request(1, 'b'))
	if files := allFiles(t, cfg.Path); filepath.Base(files[0]) != "traces-2026-01-02T12-00-00.000.binpb" {
		t.Errorf("files: %v", files)
	}
	if b, err := e.file.backups(); err != nil || len(b) != 1 || !b[0].time.Equal(noon) {
		t.Errorf("%v, %v", b, err)
	}
}

// A rotation that fails refuses the record and is completed later.
func TestRotationFails(t *testing.T) {
	t.Parallel()
	d := &disk{room: 10 << 20}
	cfg := rotating(t, Rotation{MaxMegabytes: 1})
	e := start(t, cfg, d.seam)
	in := [][]byte{request(900_000, 'a'), request(900_000, 'b'), request(900_000, 'c')}
	mustConsume(t, e, in[0])
	d.noOpen = true
	for range 2 {
		if err := consume(t, e, otlp.Traces, in[1]); !errors.Is(err, os.ErrPermission) {
			t.Fatalf("got %v", err)
		}
	}
	d.noOpen = false
	mustConsume(t, e, in[1], in[2])
	equal(t, records(t, allFiles(t, cfg.Path)...), in)
}
