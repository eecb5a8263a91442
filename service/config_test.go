package service

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the results of the tests to testdata as the expected results")

// Load does not panic on any file, and accepts its own output for every file
// that it accepts.
func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("testdata/config/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(ar.Files[0].Data))
	}
	f.Add(everything)
	f.Add("{receivers: {otlp: {protocols: {grpc: , http: }}}, exporters: {debug: }, service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}}")
	f.Add("service: {telemetry: {metrics: {address: ':1', readers: []}}}")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "${") {
			t.Skip("no files, no variables")
		}
		cfg, err := loadAll("yaml:" + text)
		if err != nil {
			return
		}
		printed, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := loadAll("yaml:" + string(printed)); err != nil {
			t.Fatalf("%v\nin the output:\n%s", err, printed)
		}
	})
}

// Several exporters may write to the null device. An absolute and a relative
// path can name the same file.
func TestSameFileTwice(t *testing.T) {
	t.Parallel()
	abs, err := filepath.Abs("x.otlp")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ first, second, want string }{
		{os.DevNull, os.DevNull, "<nil>"},
		{"x.otlp", abs, ": exporters.file/2.path: the file " + abs + " is already written by exporters.file.path (x.otlp); expected a file of its own"},
	} {
		_, err := loadAll(fmt.Sprintf("yaml:{receivers: {otlp: {protocols: {grpc: }}}, exporters: {file: {format: proto, path: %q}, file/2: {format: proto, path: %q}}, "+
			"service: {pipelines: {logs: {receivers: [otlp], exporters: [file, file/2]}}}}", c.first, c.second))
		if got := fmt.Sprint(err); !strings.HasSuffix(got, c.want) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// Each case in testdata/config is a configuration and the errors of Load, or
// its warnings if there are no errors.
func TestLoadMessages(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/config/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "config.yaml")
			if err := os.WriteFile(file, ar.Files[0].Data, 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := loadAll(file)
			got := ""
			if err != nil {
				got = err.Error() + "\n"
			} else {
				got = "warnings:\n" + strings.Join(cfg.Warnings(), "\n") + "\n"
			}
			got = strings.ReplaceAll(got, dir+string(filepath.Separator), "")
			if *update {
				ar.Files[1].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(ar), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(ar.Files[1].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
