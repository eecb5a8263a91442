package pprofextension

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// The profiles are of the whole process, so these tests are not parallel.

func TestMain(m *testing.M) { testkit.Main(m) }

func start(t *testing.T, cfg Config) (*Extension, string) {
	t.Helper()
	cfg.Server.Endpoint = "localhost:0"
	e, err := New(cfg, component.Settings{ID: "pprof"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e, "http://" + e.Endpoints()[0].Addr.String()
}

func get(t *testing.T, url string) (code int, body []byte) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err = io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, body
}

func isGzip(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b }

func TestProfiles(t *testing.T) {
	_, url := start(t, DefaultConfig())
	for _, name := range []string{"heap", "allocs", "goroutine", "threadcreate", "block", "mutex", "profile?seconds=1"} {
		if code, body := get(t, url+"/debug/pprof/"+name); code != 200 || !isGzip(body) {
			t.Errorf("%s: %d, %d bytes", name, code, len(body))
		}
	}
	if code, body := get(t, url+"/debug/pprof/trace?seconds=0.01"); code != 200 || !strings.HasPrefix(string(body), "go 1.") {
		t.Errorf("trace: %d, %.20q", code, body)
	}
	if code, body := get(t, url+"/"); code != 200 || !strings.Contains(string(body), "goroutine") {
		t.Errorf("the list: %d %s", code, body)
	}
	for _, long := range []string{"profile?seconds=3600", "trace?seconds=1e99", "heap?seconds=601", "profile?seconds=NaN"} {
		if code, _ := get(t, url+"/debug/pprof/"+long); code != 400 {
			t.Errorf("%s: %d", long, code)
		}
	}
	for _, name := range []string{"/debug/vars", "/metrics", "/debug/pprof/nothing"} { // handlers of http.DefaultServeMux and others
		if code, _ := get(t, url+name); code != 404 {
			t.Errorf("%s: %d", name, code)
		}
	}
}

// The arguments of the test stand for secrets.
func TestTheCommandLineIsNotShown(t *testing.T) {
	_, url := start(t, DefaultConfig())
	code, body := get(t, url+"/debug/pprof/cmdline")
	if want := filepath.Base(os.Args[0]); code != 200 || string(body) != want || len(os.Args) < 2 {
		t.Errorf("%d %q, want %q of %q", code, body, want, os.Args)
	}
}

func TestSamplesWhileItRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	cfg := DefaultConfig()
	cfg.BlockProfileFraction, cfg.MutexProfileFraction, cfg.SaveToFile = 1, 7, file
	e, url := start(t, cfg)
	if n := runtime.SetMutexProfileFraction(-1); n != 7 {
		t.Errorf("mutex fraction %d", n)
	}
	wake := make(chan struct{})
	time.AfterFunc(10*time.Millisecond, func() { close(wake) })
	<-wake
	if _, body := get(t, url+"/debug/pprof/block?debug=1"); !strings.Contains(string(body), "TestSamplesWhileItRuns") {
		t.Errorf("the wait is not in the block profile:\n%s", body)
	}
	second, err := New(cfg, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	second.cfg.SaveToFile = filepath.Join(t.TempDir(), "other")
	if err := second.Start(t.Context()); err == nil { // the port or the CPU profile is in use
		t.Error("two CPU profiles at once")
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || !isGzip(b) {
		t.Errorf("the CPU profile: %d bytes, %v", len(b), err)
	}
	if n := runtime.SetMutexProfileFraction(-1); n != 0 {
		t.Errorf("mutex fraction %d after the end", n)
	}
	if err := e.Start(t.Context()); err == nil {
		t.Error("a second Start succeeded")
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Shutdown does not wait for a long profile; the profile is sent as far as it
// has been recorded.
func TestShutdownEndsAProfile(t *testing.T) {
	e, url := start(t, DefaultConfig())
	got := make(chan []byte)
	go func() {
		_, body := get(t, url+"/debug/pprof/profile?seconds=300")
		got <- body
	}()
	for { // until the profile has started
		if _, stacks := get(t, url+"/debug/pprof/goroutine?debug=1"); strings.Contains(string(stacks), "net/http/pprof.sleep") {
			break
		}
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if !isGzip(<-got) {
		t.Error("no profile was sent")
	}
}

func TestFileFailsToOpen(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Server.Endpoint, cfg.SaveToFile = "localhost:0", t.TempDir()
	e, err := New(cfg, component.Settings{ID: "pprof"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "save_to_file: ") {
			t.Errorf("got %v", err)
		}
	}
	if e.Endpoints() != nil {
		t.Error("the port is still bound")
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		"{block_profile_fraction: -1}": "block_profile_fraction: expected 0 or more",
		"{mutex_profile_fraction: -1}": "mutex_profile_fraction: expected 0 or more",
		"{endpoint: x}":                "endpoint: expected host:port",
		"{}":                           "<nil>",
	} {
		cfg := DefaultConfig()
		if err := testkit.Decode(t, yaml, &cfg); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
	if cfg := DefaultConfig(); cfg.Server.Endpoint != "localhost:1777" {
		t.Errorf("%+v", cfg)
	}
}
