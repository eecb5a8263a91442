//go:build unix

package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

var profileKills = flag.Int("kills", 4, "lives of TestProfilesAreKeptOverKills")

// counting is a target whose contentions grow by step with each fetch.
type counting struct {
	server *httptest.Server
	step   int64
	served atomic.Int64 // contentions
	frozen atomic.Bool  // they do not grow any more
	asked  atomic.Int64 // fetches
}

func newCounting(t *testing.T, step int64) *counting {
	c := &counting{step: step}
	served := http.NewServeMux()
	served.HandleFunc("/debug/pprof/mutex", func(w http.ResponseWriter, _ *http.Request) {
		c.asked.Add(1)
		n := c.served.Load()
		if !c.frozen.Load() {
			n = c.served.Add(step)
		}
		_ = contended(n).Write(w) // the client may have been killed
	})
	c.server = httptest.NewServer(served)
	t.Cleanup(c.server.Close)
	return c
}

// writeProfile writes a profile of one sample, whose function has the name.
func writeProfile(t *testing.T, path, name string) {
	t.Helper()
	p := contended(1)
	p.Function[0].Name = name
	p.SampleType = []*profile.ValueType{{Type: "things", Unit: "count"}, {Type: "space", Unit: "bytes"}}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".tmp", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// arrivedContentions is the sum of all contentions that a backend has, and how often each
// function of a file came.
func arrivedContentions(t *testing.T, b *testkit.Backend) (sum int64, files map[string]int) {
	files = map[string]int{}
	for _, request := range b.Requests(otlp.Profiles) {
		for _, s := range testkit.ProfileSamples(t, request) {
			switch {
			case strings.HasPrefix(s.Profile, "contentions"):
				for _, v := range s.Values {
					sum += v
				}
			case strings.HasPrefix(s.Profile, "things"):
				for i := range *profileKills {
					if name := fmt.Sprintf("file%d.", i); strings.Contains(s.Stack, name) {
						files[name]++
					}
				}
			}
		}
	}
	return sum, files
}

// pulling is a configuration that profiles a target, with everything on disk.
const pulling = `
extensions: {file_storage: {directory: "%[1]s", create_directory: true}}
receivers: {pprof: {targets: ["%[2]s"], files: ["%[3]s"], profiles: [mutex], collection_interval: 1s, storage: file_storage}}
exporters:
  otlp:
    endpoint: "%[4]s"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 20ms, max_interval: 200ms}
    sending_queue: {storage: file_storage}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines: {profiles: {receivers: [pprof], exporters: [otlp]}}
`

// penstock report with a spool, and the pprof receiver with a storage and a queue on disk,
// lose nothing when they are killed again and again, and stopped now and then, while the
// server is down and while it is not. What arrives twice was in flight at a kill.
func TestProfilesAreKeptOverKills(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state   string // where the state of the first fetch is
		command func(dir, target, files, to string) *exec.Cmd
	}{
		"report": {"fetched", func(dir, target, files, to string) *exec.Cmd {
			return exec.Command("penstock", "report", "--to", to, "--profiles", "mutex", "--interval", "1s", "--stop-within", "1s", "--spool-dir", dir, target, files)
		}},
		"receiver": {"penstock/receivers/pprof", func(dir, target, files, to string) *exec.Cmd {
			return exec.Command("penstock", "--config", "yaml:"+fmt.Sprintf(pulling, dir, target, files, to))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killWhileProfiling(t, test.state, test.command)
		})
	}
}

func killWhileProfiling(t *testing.T, state string, command func(dir, target, files, to string) *exec.Cmd) {
	const step = 1000
	kills := *profileKills
	target, dir := newCounting(t, step), t.TempDir()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Stop()
	begin := func() *child {
		return runChild(t, command(filepath.Join(dir, "kept"), target.server.URL, filepath.Join(dir, "*.pprof"), b.GRPCEndpoint()))
	}
	c := begin()
	eventually(t, "a state", func() bool { // from which counting begins
		found, _ := filepath.Glob(filepath.Join(dir, "kept", state, "*.state"))
		return len(found) > 0
	})
	first := target.served.Load()
	for life := range kills {
		if life == kills/2 {
			b.Start(t)
		}
		writeProfile(t, filepath.Join(dir, fmt.Sprint(life, ".pprof")), fmt.Sprintf("file%d.", life))
		was := target.served.Load()
		eventually(t, "two fetches", func() bool { return target.served.Load() >= was+2*step })
		if orderly := life%4 == 1; orderly {
			c.signal(t, syscall.SIGTERM)
			if code := c.exit(t); code != 0 {
				t.Errorf("life %d: exit code %d", life, code)
			}
		} else {
			c.signal(t, syscall.SIGKILL)
			c.exit(t)
		}
		c = begin()
	}
	target.frozen.Store(true)
	asked := target.asked.Load()
	eventually(t, "the last process fetches", func() bool { return target.asked.Load() > asked })
	want := target.served.Load() - first
	eventually(t, "everything arrives", func() bool {
		sum, files := arrivedContentions(t, b)
		return sum >= want && len(files) == kills
	})
	c.signal(t, syscall.SIGTERM)
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	sum, files := arrivedContentions(t, b)
	if most := want + 2*int64(kills)*step; sum > most {
		t.Errorf("%d contentions arrived, want %d to %d", sum, want, most)
	}
	again := 0
	for file, n := range files {
		again += n - 1
		if n > 1+kills {
			t.Errorf("%s came %d times", file, n)
		}
	}
	t.Logf("%d lives: of %d contentions %d came again, of %d files %d", kills, want, sum-want, kills, again)
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second) // only a test that fails waits so long
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// What cannot be sent stays in the spool, and the exit code is 0; the next command sends
// it. A folder that another command has is an error that names it.
func TestReportSpool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeReportFile(t, dir)
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Stop()
	spool := filepath.Join(dir, "spool")
	args := []string{"--to", b.GRPCEndpoint(), "--once", "--stop-within", "200ms", "--spool-dir", spool}
	stdout, stderr, err := reportCommand(t.Context(), append(args, filepath.Join(dir, "*.pb.gz"))...)
	if err != nil || !strings.Contains(stdout, "2 samples: 0 sent, 2 held\n2 samples stay in "+spool) {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	b.Start(t)
	target := newCounting(t, 1)
	other := runChild(t, exec.Command("penstock", append([]string{"report", "--interval", "1s", "--profiles", "mutex", target.server.URL}, args[:2]...)...))
	other.await(t, "fetch") // another command without the spool does not matter
	other.signal(t, syscall.SIGTERM)
	other.exit(t)
	stdout, stderr, err = reportCommand(t.Context(), "--to", b.GRPCEndpoint(), "--once", "--spool-dir", spool, "--profiles", "mutex", target.server.URL)
	if err != nil || !strings.Contains(stdout, "4 samples: 4 sent, 0 held") {
		t.Errorf("%v\n%s%s", err, stdout, stderr)
	}
	holder := runChild(t, exec.Command("penstock", "report", "--to", b.GRPCEndpoint(), "--spool-dir", spool, "--interval", "1s", "--profiles", "mutex", target.server.URL))
	holder.await(t, "fetch")
	_, _, err = reportCommand(t.Context(), "--to", b.GRPCEndpoint(), "--once", "--spool-dir", spool, "--profiles", "mutex", target.server.URL)
	if err == nil || !strings.Contains(err.Error(), "open the spool "+spool) || !strings.Contains(err.Error(), fmt.Sprint("process ", holder.cmd.Process.Pid)) {
		t.Errorf("the folder is in use: %v", err)
	}
	holder.signal(t, syscall.SIGTERM)
	if code := holder.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
