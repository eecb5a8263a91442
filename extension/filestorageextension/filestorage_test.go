package filestorageextension

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var _ component.Storage = (*Extension)(nil)

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

// start returns the error of Start and what it logged.
func start(t *testing.T, cfg Config) (log string, err error) {
	t.Helper()
	var lines testkit.Log
	e, err := New(cfg, component.Settings{ID: "file_storage", Logger: lines.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Start(t.Context())
	if again := e.Start(t.Context()); again != err {
		t.Errorf("the second call returned %v", again)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	return lines.String(), err
}

// The Collector's README has these settings.
func TestConfigOfTheCollectorIsRead(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, `
directory: /var/lib/otelcol/mydir
timeout: 1s
max_size: 268435456
recreate: true
create_directory: false
directory_permissions: "0770"
compaction:
  on_start: true
  on_rebound: true
  directory: /tmp/
  max_transaction_size: 65_536
  rebound_needed_threshold_mib: 100
  rebound_trigger_threshold_mib: 10
  check_interval: 5s
  cleanup_on_start: true
fsync: false
`)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Directory != "/var/lib/otelcol/mydir" || cfg.MaxSize != 268435456 || cfg.CreateDirectory || cfg.DirectoryPermissions != "0770" {
		t.Errorf("%+v", cfg)
	}
	warnings := cfg.Warnings()
	for i, key := range []string{"fsync: false", "timeout", "recreate", "compaction"} {
		if len(warnings) != 4 || !strings.HasPrefix(warnings[i], key+" has no effect: ") {
			t.Errorf("%q", warnings)
		}
	}
	cfg, err = decode(t, "{}")
	if err != nil || len(cfg.Warnings()) != 0 || !cfg.CreateDirectory || cfg.DirectoryPermissions != "0700" {
		t.Errorf("%+v, %v", cfg, err)
	}
	if runtime.GOOS != "windows" && cfg.Directory != "/var/lib/otelcol/file_storage" {
		t.Errorf("the default is %s", cfg.Directory)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{directory: ""}`:                               "directory: the path of the directory is missing",
		`{max_size: -1}`:                                "max_size: expected 0 or more bytes, found -1",
		`{directory_permissions: "0999"}`:               `directory_permissions: expected permissions in octal digits such as "0700", found "0999"`,
		`{directory_permissions: "10000"}`:              "in octal digits",
		`{compaction: {on_sart: true}}`:                 `did you mean "on_start"?`,
		`{directory: "", directory_permissions: "rwx"}`: "directory_permissions: ",
	} {
		if _, err := decode(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := New(Config{}, component.Settings{ID: "file_storage/x"}); err == nil || !strings.Contains(err.Error(), `extension "file_storage/x"`) {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryIsCreated(t *testing.T) {
	t.Parallel()
	for permissions, want := range map[string]fs.FileMode{"": 0o700, "0710": 0o710} {
		cfg := DefaultConfig()
		cfg.Directory = filepath.Join(t.TempDir(), "a", "b")
		cfg.DirectoryPermissions = permissions
		if _, err := start(t, cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := start(t, cfg); err != nil { // it exists
			t.Fatal(err)
		}
		for _, dir := range []string{cfg.Directory, filepath.Dir(cfg.Directory)} {
			info, err := os.Stat(dir)
			if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want %v", dir, info.Mode(), err, want)
			}
		}
		if entries, err := os.ReadDir(cfg.Directory); err != nil || len(entries) != 0 {
			t.Errorf("left in the directory: %v, %v", entries, err)
		}
	}
}

// A directory that cannot be used is an error of Start that names it.
func TestUnusableDirectory(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	file, closed := filepath.Join(base, "file"), filepath.Join(base, "closed")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		directory string
		create    bool
		want      string
	}{
		{file, true, "expected a directory, found a file"},
		{filepath.Join(base, "none"), false, "it does not exist, and create_directory is false"},
		{filepath.Join(file, "below"), true, "not a directory"},
		{closed, true, "permission denied"},
		{"/proc", true, ""}, // where nobody can create a file
		{filepath.Join(closed, "below"), true, "permission denied"},
	} {
		if c.directory == "/proc" && runtime.GOOS != "linux" {
			continue
		}
		if strings.HasPrefix(c.directory, closed) && (os.Geteuid() <= 0 || runtime.GOOS == "windows") {
			continue // root may write everywhere
		}
		cfg := DefaultConfig()
		cfg.Directory, cfg.CreateDirectory = c.directory, c.create
		_, err := start(t, cfg)
		if err == nil || !strings.HasPrefix(err.Error(), "prepare the directory "+c.directory+": ") || runtime.GOOS != "windows" && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.directory, err, c.want)
		}
	}
}

// bboltContent is four pages, of which some have the magic number after their header.
func bboltContent(pageSize int, order binary.ByteOrder, magic ...bool) []byte {
	file := make([]byte, 4*pageSize)
	for i, has := range magic {
		if has {
			order.PutUint32(file[i*pageSize+16:], 0xED0CDAED)
		}
	}
	return file
}

// Files of bbolt are named with their sizes, and stay as they are; others are not
// mentioned.
func TestFilesOfTheCollectorAreReported(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Directory = t.TempDir()
	files := map[string][]byte{
		"exporter_otlp__traces":    bboltContent(4096, binary.LittleEndian, true, true),
		"exporter_otlp_b_logs":     bboltContent(4096, binary.LittleEndian, false, true), // the first page is torn
		"exporter_otlp_c_logs":     bboltContent(65536, binary.LittleEndian, false, true),
		"exporter_otlp_d_metrics":  bboltFileOf(t, "large"),
		"receiver_filelog_":        bboltContent(4096, binary.BigEndian, true, true),
		"0000000000000001-ab.seg":  make([]byte, 10_000),
		"LOCK":                     []byte("1\n"),
		"empty":                    nil,
		"exporter_not_bbolt__logs": []byte(strings.Repeat("text ", 5000)),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(cfg.Directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(cfg.Directory, "quarantine"), 0o700); err != nil {
		t.Fatal(err)
	}
	log, err := start(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	large := len(files["exporter_otlp_d_metrics"])
	want := fmt.Sprintf(`files=5 bytes=%d names="[exporter_otlp__traces (16384 bytes) exporter_otlp_b_logs (16384 bytes) exporter_otlp_c_logs (262144 bytes) exporter_otlp_d_metrics (%d bytes, 2003 requests) receiver_filelog_ (16384 bytes)]"`, 311296+large, large)
	if !strings.Contains(log, "level=WARN") || !strings.Contains(log, want) || strings.Count(log, "\n") != 1 {
		t.Errorf("logged %s, want %s", log, want)
	}
	for name, content := range files {
		if got, err := os.ReadFile(filepath.Join(cfg.Directory, name)); err != nil || string(got) != string(content) {
			t.Errorf("%s has changed: %v", name, err)
		}
	}
}

func TestNothingToReport(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Directory = t.TempDir()
	if log, err := start(t, cfg); err != nil || log != "" {
		t.Errorf("%v, logged %s", err, log)
	}
}
