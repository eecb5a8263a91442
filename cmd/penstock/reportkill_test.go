//go:build unix

package main

import (
	"bytes"
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

// counting is a target whose contentions grow by step with each fetch.
type counting struct {
	server *httptest.Server
	step   int64
	served atomic.Int64 // contentions
	frozen atomic.Bool  // they do not grow any more
}

func newCounting(t *testing.T, step int64) *counting {
	c := &counting{step: step}
	served := http.NewServeMux()
	served.HandleFunc("/debug/pprof/mutex", func(w http.ResponseWriter, _ *http.Request) {
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
				for i := range 10 {
					if name := fmt.Sprintf("file%d.", i); strings.Contains(s.Stack, name) {
						files[name]++
					}
				}
			}
		}
	}
	return sum, files
}

// penstock report with a spool loses nothing when it is killed again and again, while the
// server is down and while it is not. What arrives twice was in flight at a kill.
func TestReportIsKilled(t *testing.T) {
	t.Parallel()
	const step, kills = 1000, 4
	target, dir := newCounting(t, step), t.TempDir()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Stop()
	begin := func() *child {
		return runChild(t, exec.Command("penstock", "report", "--to", b.GRPCEndpoint(), "--profiles", "mutex", "--interval", "1s",
			"--spool-dir", filepath.Join(dir, "spool"), target.server.URL, filepath.Join(dir, "*.pprof")))
	}
	// The state after the first fetch is where counting begins.
	c := begin()
	awaitFile(t, filepath.Join(dir, "spool", "fetched", "*.state"))
	first := target.served.Load()
	for life := range kills {
		if life == 2 {
			b.Start(t)
		}
		writeProfile(t, filepath.Join(dir, fmt.Sprint(life, ".pprof")), fmt.Sprintf("file%d.", life))
		c.await(t, " fetch")
		c.await(t, " fetch")
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.exit(t)
		c = begin()
	}
	c.await(t, " fetch")
	target.frozen.Store(true)
	c.await(t, " fetch")
	c.await(t, " fetch")
	c.signal(t, syscall.SIGTERM)
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	sum, files := arrivedContentions(t, b)
	if want, most := target.served.Load()-first, target.served.Load()-first+2*kills*step; sum < want || sum > most {
		t.Errorf("%d contentions arrived, want %d to %d", sum, want, most)
	}
	for life := range kills {
		if n := files[fmt.Sprintf("file%d.", life)]; n < 1 || n > 1+kills {
			t.Errorf("file %d came %d times", life, n)
		}
	}
}

// awaitFile waits until a file matches.
func awaitFile(t *testing.T, pattern string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second) // only a test that fails waits so long
	for {
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no file %s", pattern)
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
