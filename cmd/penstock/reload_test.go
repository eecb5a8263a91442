//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/service"
)

// reloadable logs in JSON, serves metrics, and sends to a backend without a queue.
const reloadable = `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}}
exporters:
  otlp: {endpoint: "%s", tls: {insecure: true}, sending_queue: {enabled: false}}
  debug: {verbosity: %s}
service:
  telemetry:
    metrics: {address: "localhost:0"}
    logs: {encoding: json}
  pipelines: {logs: {receivers: [otlp], exporters: [otlp, debug]}}
`

// reloading is a penstock whose configuration is in a file.
type reloading struct {
	*child
	file, data string
	metrics    string // URL
}

// startReloading starts penstock with a file, and arguments and variables in addition.
func startReloading(t *testing.T, variables []string, args ...string) *reloading {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{file: filepath.Join(dir, "penstock.yaml"), data: filepath.Join(dir, "data")}
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	r.write(t, fmt.Sprintf(reloadable, backend.GRPCEndpoint(), "basic"))
	cmd := exec.Command("penstock", append([]string{"--config", r.file, "--data-dir", r.data}, args...)...)
	cmd.Env = append(os.Environ(), variables...)
	r.child = runChild(t, cmd)
	r.backend = backend
	var line struct{ Endpoint, URL string }
	if err := json.Unmarshal([]byte(r.await(t, `"msg":"Starting GRPC server"`)), &line); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(r.await(t, `"msg":"metrics of penstock itself"`)), &line); err != nil {
		t.Fatal(err)
	}
	r.address, r.metrics = line.Endpoint, line.URL
	r.await(t, "Everything is ready")
	return r
}

// write replaces the file as an editor does.
func (r *reloading) write(t *testing.T, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(r.file+"~", []byte(text), 0o600), os.Rename(r.file+"~", r.file)); err != nil {
		t.Fatal(err)
	}
}

// verbosity writes the file with another exporter debug.
func (r *reloading) verbosity(t *testing.T, verbosity string) {
	t.Helper()
	r.write(t, fmt.Sprintf(reloadable, r.backend.GRPCEndpoint(), verbosity))
}

// penstock runs a command in another process.
func penstock(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "penstock", args...)
	cmd.Dir = t.TempDir()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// measured returns the lines of the metrics of reloads, without the time.
func (r *reloading) measured(t *testing.T) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(getBody(t, r.metrics)) {
		if strings.HasPrefix(line, "otelcol_config_") && !strings.Contains(line, "timestamp") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

func getBody(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (r *reloading) sendAll(t *testing.T) {
	t.Helper()
	if err := <-r.send(t); err != nil {
		t.Errorf("a request: %v", err)
	}
}

// end stops the process, which must have drained.
func (r *reloading) end(t *testing.T) {
	t.Helper()
	r.signal(t, syscall.SIGTERM)
	r.await(t, "shut down; no request is left in progress")
	if code := r.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// penstock reload prints what a reload did, or what penstock validate prints.
func TestReloadCommand(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	r.verbosity(t, "normal")
	code, stdout, stderr := penstock(t, "reload", "--data-dir", r.data)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "3 kept, 1 changed, 0 added, 0 removed\n  changed: exporter \"debug\"\n") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	r.await(t, `"msg":"the configuration was reloaded"`)
	r.await(t, `exporter \"debug\"`)
	r.sendAll(t)

	for _, broken := range []string{"loud", "loud}, unknown: {}, x: {a: 1", "loud # ${env:PENSTOCK_TEST_NOT_SET}"} {
		r.verbosity(t, broken)
		wantCode, _, want := penstock(t, "validate", "--config", r.file)
		code, stdout, stderr := penstock(t, "reload", "--data-dir", r.data)
		if code != wantCode || code != exitConfig || stdout != "" || stderr != want || !strings.Contains(stderr, r.file+":") {
			t.Errorf("%s: exit code %d, %q, %q; validate: %d, %q", broken, code, stdout, stderr, wantCode, want)
		}
		r.await(t, "the previous one stays in effect")
		r.await(t, "problem in the configuration")
	}
	r.sendAll(t)
	want := "otelcol_config_last_reload_successful 0\notelcol_config_reloads{result=\"failure\"} 3\notelcol_config_reloads{result=\"success\"} 1"
	if got := r.measured(t); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	info, err := os.Stat(filepath.Join(r.data, "penstock", "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has the mode %v, %v", info.Mode(), err)
	}
	r.end(t)
	if _, err := os.Stat(filepath.Join(r.data, "penstock", "control.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// SIGHUP reloads; many of them end in the last configuration, and requests succeed
// meanwhile.
func TestHangupReloads(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	r.verbosity(t, "normal")
	r.signal(t, syscall.SIGHUP)
	if line := r.await(t, "the configuration was reloaded"); !strings.Contains(line, `"reason":"SIGHUP"`) || !strings.Contains(line, `"changed":1`) {
		t.Errorf("logged %s", line)
	}
	r.write(t, "receivers: {}")
	r.signal(t, syscall.SIGHUP)
	r.await(t, "the previous one stays in effect")
	if line := r.await(t, "problem in the configuration"); !strings.Contains(line, filepath.Base(r.file)) {
		t.Errorf("logged %s", line)
	}
	var storm sync.WaitGroup
	storm.Go(func() {
		for range 200 {
			_ = r.cmd.Process.Signal(syscall.SIGHUP) // the process runs
		}
	})
	for range 20 {
		r.sendAll(t)
	}
	storm.Wait()
	r.verbosity(t, "detailed")
	r.signal(t, syscall.SIGHUP)
	r.await(t, "the configuration was reloaded")
	r.sendAll(t)
	r.end(t)
}

// --watch reloads when the content changes, once for each change, also if it is wrong.
func TestWatch(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil, "--watch")
	r.verbosity(t, "normal")
	if line := r.await(t, "the configuration was reloaded"); !strings.Contains(line, `"reason":"changed files"`) {
		t.Errorf("logged %s", line)
	}
	r.verbosity(t, "normal # a comment")
	r.write(t, "receivers: {}")
	if line := r.await(t, "configuration"); !strings.Contains(line, "reloading the configuration failed") {
		t.Errorf("logged %s", line)
	}
	r.await(t, "problem in the configuration")
	if err := os.Chtimes(r.file, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	r.write(t, "receivers: {}")
	r.verbosity(t, `"${file:`+r.file+`.part}"`)
	if line := r.await(t, "problem in the configuration"); !strings.Contains(line, ".part") {
		t.Errorf("logged %s", line)
	}
	if err := os.WriteFile(r.file+".part", []byte("detailed"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.await(t, "the configuration was reloaded")
	if err := os.WriteFile(r.file+".part", []byte("basic"), 0o600); err != nil { // in place
		t.Fatal(err)
	}
	r.await(t, "the configuration was reloaded")
	if got := r.measured(t); !strings.Contains(got, "last_reload_successful 1\n") {
		t.Errorf("got %s", got)
	}
	r.end(t)
}

// A configuration that goes back to the one in effect is a success again.
func TestWatchBackToTheSame(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil, "--watch")
	r.write(t, "receivers: {}")
	r.await(t, "problem in the configuration")
	r.verbosity(t, "basic")
	if line := r.await(t, "the configuration was reloaded"); !strings.Contains(line, `"kept":4,"changed":0`) {
		t.Errorf("logged %s", line)
	}
	r.end(t)
}

// Kubernetes replaces the directory behind a link.
func TestWatchKubernetes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, verbosity string) {
		t.Helper()
		text := fmt.Sprintf(reloadable, "localhost:1", verbosity)
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o755),
			os.WriteFile(filepath.Join(dir, name, "penstock.yaml"), []byte(text), 0o600),
			os.Symlink(name, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "basic")
	if err := os.Symlink("..data/penstock.yaml", filepath.Join(dir, "penstock.yaml")); err != nil {
		t.Fatal(err)
	}
	c := runChild(t, exec.Command("penstock", "--config", filepath.Join(dir, "penstock.yaml"), "--watch"))
	c.await(t, "Everything is ready")
	for i, verbosity := range []string{"normal", "detailed"} {
		version(fmt.Sprint("..", i+2), verbosity)
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprint("..", i+1))); err != nil {
			t.Fatal(err)
		}
		c.await(t, "the configuration was reloaded")
	}
}

// systemd learns of a reload, and of its result.
func TestSystemdLearnsOfReloads(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	r := startReloading(t, []string{"NOTIFY_SOCKET=" + m.path})
	m.await(t, "READY=1\n")
	r.signal(t, syscall.SIGHUP)
	m.await(t, "RELOADING=1\nMONOTONIC_USEC=")
	if ready := m.await(t, "READY=1\n"); !strings.Contains(ready, "STATUS=ready, reloaded at ") {
		t.Errorf("got %q", ready)
	}
	r.write(t, "receivers: {}")
	r.signal(t, syscall.SIGHUP)
	m.await(t, "RELOADING=1\n")
	if ready := m.await(t, "READY=1\n"); !strings.Contains(ready, " failed and the previous configuration is in effect, OTLP/gRPC ") {
		t.Errorf("got %q", ready)
	}
	r.end(t)
}

// --reload-address reloads over HTTP, but not for web pages.
func TestReloadAddress(t *testing.T) {
	t.Parallel()
	r := startReloadingAddress(t)
	for _, c := range []struct {
		method, path, origin string
		want                 int
	}{
		{"POST", "/-/reload", "", 200}, {"POST", "/reload", "", 200}, {"GET", "/-/reload", "", 405}, {"POST", "/", "", 404},
		{"POST", "/-/reload", "http://example.com", 403},
	} {
		code, text := r.request(t, c.method, c.path, c.origin)
		if code != c.want || code == 200 && !strings.Contains(text, "4 kept, 0 changed") {
			t.Errorf("%s %s from %q: %d %q, want %d", c.method, c.path, c.origin, code, text, c.want)
		}
	}
	r.write(t, "receivers: {}")
	if code, text := r.request(t, "POST", "/-/reload", ""); code != 422 || !strings.Contains(text, "1 problem in the configuration") {
		t.Errorf("%d %q", code, text)
	}
	r.end(t)
}

// byAddress is a reloading with the URL of its --reload-address.
type byAddress struct {
	*reloading
	url string
}

func startReloadingAddress(t *testing.T) *byAddress {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{file: filepath.Join(dir, "penstock.yaml"), data: filepath.Join(dir, "data"), child: &child{}}
	r.child.backend = testkit.NewBackend(t, testkit.BackendConfig{})
	backend := r.child.backend
	r.verbosity(t, "basic")
	r.child = runChild(t, exec.Command("penstock", "--config", r.file, "--reload-address", ":0"))
	r.backend = backend
	var line struct{ URL string }
	if err := json.Unmarshal([]byte(r.await(t, "requests to reload are answered")), &line); err != nil {
		t.Fatal(err)
	}
	r.await(t, "Everything is ready")
	if !strings.HasPrefix(line.URL, "http://127.0.0.1:") {
		t.Errorf("it listens on %s", line.URL)
	}
	return &byAddress{r, strings.TrimSuffix(line.URL, "/-/reload")}
}

func (r *byAddress) request(t *testing.T, method, path, origin string) (code int, text string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if origin != "" {
		q.Header.Set("Origin", origin)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, b.String()
}

// What prevents a reload is said, with what to do.
func TestReloadCommandFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, _, stderr := penstock(t, "reload", "--data-dir", dir)
	if code != 1 || !strings.Contains(stderr, "the socket does not exist") || !strings.Contains(stderr, "SIGHUP") {
		t.Errorf("exit code %d, %q", code, stderr)
	}

	r := startReloading(t, nil)
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	code, _, stderr = penstock(t, "reload", "--data-dir", r.data, "--timeout", "50ms")
	if code != 1 || !strings.Contains(stderr, "it has not answered in time") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.exit(t)
	code, _, stderr = penstock(t, "reload", "--data-dir", r.data)
	if code != 1 || !strings.Contains(stderr, "the one that created it has ended") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// Two processes do not take the socket from each other; the second one says so and runs.
func TestReloadSocketHasOneOwner(t *testing.T) {
	t.Parallel()
	first := startReloading(t, nil)
	second := runChild(t, exec.Command("penstock", "--data-dir", first.data, "--config", "yaml:"+fmt.Sprintf(reloadable, "localhost:1", "basic")))
	second.await(t, "there is no control socket")
	second.await(t, "Everything is ready")
	second.signal(t, syscall.SIGTERM)
	if code := second.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code, stdout, stderr := penstock(t, "reload", "--data-dir", first.data); code != 0 {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	first.await(t, "the configuration was reloaded")
	first.end(t)
}

// A process that starts or shuts down is not reloaded, and says why.
func TestReloadOutsideOfLife(t *testing.T) {
	t.Parallel()
	a := &app{stdout: io.Discard, stderr: io.Discard, sources: service.Sources{URIs: []string{"yaml:" + fmt.Sprintf(relay, "localhost:1")}}, inMemory: true}
	cfg, err := a.load()
	if err != nil {
		t.Fatal(err)
	}
	svc, err := service.New(cfg, a.options())
	if err != nil {
		t.Fatal(err)
	}
	r := &reloader{sources: a.sources, svc: newSupervised(svc)}
	for _, when := range []string{"before the start", "after the shutdown"} {
		text, err := r.command(t.Context())
		if !errors.Is(err, service.ErrNotRunning) || text != "reload the configuration: the service is starting or shutting down" {
			t.Errorf("%s: %q, %v", when, text, err)
		}
		if err := r.svc.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// While requests are finished at the end, the command and SIGHUP reload nothing.
func TestReloadWhileDraining(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c := startChild(t, "--drain-within", "1h", "--data-dir", data)
	answered := c.send(t)
	c.signal(t, syscall.SIGTERM)
	c.await(t, "shutting down")
	code, _, stderr := penstock(t, "reload", "--data-dir", data)
	if code != 1 || stderr != "penstock: reload the configuration: the service is starting or shutting down\n" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	c.signal(t, syscall.SIGHUP)
	c.await(t, "received SIGHUP: nothing is reloaded")
	close(c.release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// What cannot be done is said, and everything stays: an address that another process uses.
func TestReloadAddressInUse(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	text := fmt.Sprintf(reloadable, r.backend.GRPCEndpoint(), "normal")
	for changed, want := range map[string]int{
		strings.Replace(text, `metrics: {address: "localhost:0"}`, `metrics: {address: "`+taken.Addr().String()+`"}`, 1):                                            exitFailure,
		strings.Replace(text, `grpc: {endpoint: "localhost:0"}`, `grpc: {endpoint: "`+taken.Addr().String()+`"}`, 1):                                                exitConfig,
		strings.NewReplacer("{otlp: {", `{otlp/2: {protocols: {grpc: {endpoint: "`+taken.Addr().String()+`"}}}, otlp: {`, "[otlp]", "[otlp, otlp/2]").Replace(text): exitConfig,
	} {
		r.write(t, changed)
		code, stdout, stderr := penstock(t, "reload", "--data-dir", r.data)
		if code != want || stdout != "" || !strings.Contains(stderr, taken.Addr().String()) || !strings.Contains(stderr, "in use") {
			t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
		}
		r.await(t, "the previous one stays in effect")
		r.sendAll(t)
	}
	if got := r.measured(t); !strings.Contains(got, `{result="failure"} 3`) {
		t.Errorf("got %s", got)
	}
	r.end(t)
}

// Many commands at a time are few reloads, and each gets an answer.
func TestReloadCommandsAtATime(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if text, err := control.RequestReload(t.Context(), r.data); err != nil || !strings.HasPrefix(text, "reloaded in ") {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	for range 5 {
		r.sendAll(t)
	}
	all.Wait()
	r.end(t)
}

// Requests that arrive while one waits for its turn are one; those that arrive later are
// not, since it may have read the files already.
func TestReloadsAreJoined(t *testing.T) {
	t.Parallel()
	r := &reloader{}
	first, runs := r.join()
	if !runs {
		t.Error("the first one does not run")
	}
	if second, runs := r.join(); second != first || runs {
		t.Error("the second one is not joined")
	}
	r.begin()
	if third, runs := r.join(); third == first || !runs {
		t.Error("one that arrived later is joined")
	}
}
