//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// relay has no queue: a request is in flight until the backend has answered.
const relay = `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}}
exporters: {otlp: {endpoint: "%s", tls: {insecure: true}, timeout: 0s, sending_queue: {enabled: false}}}
service:
  telemetry: {metrics: {level: none}, logs: {encoding: json}}
  pipelines: {logs: {receivers: [otlp], exporters: [otlp]}}
`

// child is penstock in a process of its own, with a backend that responds when it is
// released.
type child struct {
	cmd     *exec.Cmd
	lines   chan string // of its log; closed at its end
	address string
	backend *testkit.Backend
	release chan struct{}
}

func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	return startChildWith(t, func(args []string) *exec.Cmd { return exec.Command("penstock", args...) }, args...)
}

// startChildWith starts the command that command returns for the arguments of penstock.
func startChildWith(t *testing.T, command func(args []string) *exec.Cmd, args ...string) *child {
	t.Helper()
	backend, release := testkit.NewBackend(t, testkit.BackendConfig{}), make(chan struct{})
	backend.Respond(func(testkit.Call) testkit.Answer {
		<-release
		return testkit.Answer{}
	})
	args = append([]string{"--config", "yaml:" + fmt.Sprintf(relay, backend.GRPCEndpoint())}, args...)
	c := runChild(t, command(args))
	c.backend, c.release = backend, release
	var line struct{ Endpoint string }
	if err := json.Unmarshal([]byte(c.await(t, `"msg":"Starting GRPC server"`)), &line); err != nil {
		t.Fatal(err)
	}
	c.address = line.Endpoint
	c.await(t, "Everything is ready")
	return c
}

// runChild starts a command and reads its log. It is killed at the end of the test.
func runChild(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	cmd.Dir = t.TempDir() // of the queues
	c := &child{cmd: cmd, lines: make(chan string, 1000)}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go c.read(stderr)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // usually it has ended already
		_ = c.cmd.Wait()
	})
	return c
}

func (c *child) read(r io.Reader) {
	defer close(c.lines)
	for s := bufio.NewScanner(r); s.Scan(); {
		c.lines <- s.Text()
	}
}

// await returns the next line of the log that contains text.
func (c *child) await(t *testing.T, text string) string {
	t.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	var seen []string
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				t.Fatalf("it ended without saying %q:\n%s", text, strings.Join(seen, "\n"))
			}
			if strings.Contains(line, text) {
				return line
			}
			seen = append(seen, line)
		case <-late.C:
			t.Fatalf("it does not say %q:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

// send starts a request and waits until the backend has received it. The channel gets the
// result.
func (c *child) send(t *testing.T) <-chan error {
	t.Helper()
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint = "http://" + c.address
	client, err := otlpclient.NewGRPC(cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	done := make(chan error, 1)
	go func() {
		request := testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Logs, 5)
		_, err := client.Send(context.Background(), otlpclient.Request{Signal: otlp.Logs, Bytes: request})
		done <- err
	}()
	c.backend.WaitArrived(t, 1)
	return done
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code.
func (c *child) exit(t *testing.T) int {
	t.Helper()
	for range c.lines { // Wait closes the pipe
	}
	_ = c.cmd.Wait() // the error is in the exit code
	return c.cmd.ProcessState.ExitCode()
}

// A request in flight is finished during reloads, and later signals drain.
func TestHangupDuringARequest(t *testing.T) {
	c := startChild(t)
	sent := c.send(t)
	for range 2 {
		c.signal(t, syscall.SIGHUP)
		if line := c.await(t, "the configuration was reloaded"); !strings.Contains(line, `"kept":3,"changed":0`) {
			t.Errorf("logged %s", line)
		}
	}
	close(c.release)
	if err := <-sent; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	c.signal(t, syscall.SIGTERM)
	c.await(t, "shut down; no request is left in progress")
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// After the first signal the request in flight is finished: the client gets a success,
// then penstock exits.
func TestFirstSignalDrains(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		c := startChild(t)
		answered := c.send(t)
		c.signal(t, s)
		c.await(t, "shutting down")
		select {
		case err := <-answered:
			t.Errorf("%s: the request was answered before the backend did: %v", s, err)
		default:
		}
		close(c.release)
		if err := <-answered; err != nil {
			t.Errorf("%s: the request in flight failed: %v", s, err)
		}
		if code := c.exit(t); code != 0 {
			t.Errorf("%s: exit code %d, want 0", s, code)
		}
		if got := c.backend.Items(otlp.Logs); got != 5 {
			t.Errorf("%s: %d log records arrived, want 5", s, got)
		}
	}
}

// Two signals within a second are one: GNU timeout signals the process and then its group.
// The request in flight is finished.
func TestTwoSignalsAtOnceDrain(t *testing.T) {
	t.Parallel()
	c := startChild(t, "--drain-within", "1h")
	answered := c.send(t)
	c.signal(t, syscall.SIGTERM)
	c.await(t, "shutting down")
	c.signal(t, syscall.SIGTERM)
	// A process that ends at the second signal does it in less than this.
	for quiet, running := time.After(200*time.Millisecond), true; running; {
		select {
		case _, ok := <-c.lines:
			if !ok {
				t.Fatal("the second signal ended the process")
			}
		case <-quiet:
			running = false
		}
	}
	close(c.release)
	if err := <-answered; err != nil {
		t.Errorf("the request in flight failed: %v", err)
	}
	c.await(t, "shut down; no request is left in progress")
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A signal a second after the first exits at once, although a request is in flight.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := startChild(t, "--drain-within", "1h")
	defer close(c.release)
	c.send(t)
	c.signal(t, os.Interrupt)
	c.await(t, "shutting down")
	ended := make(chan struct{})
	var repeat sync.WaitGroup
	repeat.Go(func() {
		for tick := time.NewTicker(oneStop / 10); ; {
			select {
			case <-tick.C:
				_ = c.cmd.Process.Signal(os.Interrupt) // it may have ended
			case <-ended:
				tick.Stop()
				return
			}
		}
	})
	c.await(t, "penstock: second signal: exit without draining")
	close(ended)
	repeat.Wait()
	if code := c.exit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestSecondStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		after []time.Duration // between signals
		want  bool
	}{
		{nil, false},
		{[]time.Duration{0}, false},
		{[]time.Duration{5 * time.Millisecond, 5 * time.Millisecond, 5 * time.Millisecond}, false},
		{[]time.Duration{oneStop - 1}, false},
		{[]time.Duration{oneStop}, true},
		{[]time.Duration{oneStop / 2, oneStop / 2}, true},
		{[]time.Duration{time.Hour}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			signals, done := make(chan os.Signal), make(chan struct{})
			stopped := 0
			result := make(chan bool, 1)
			go func() { result <- awaitSecondStop(signals, done, func(error) { stopped++ }) }()
			signals <- os.Interrupt
			for _, d := range c.after {
				time.Sleep(d)
				signals <- os.Interrupt
				synctest.Wait()
			}
			if !c.want {
				close(done)
			}
			if got := <-result; got != c.want || stopped != 1 {
				t.Errorf("after %v: %t, want %t; stopped %d times", c.after, got, c.want, stopped)
			}
		})
	}
}

// GNU timeout signals the process and then its group: an acknowledged record is kept,
// and the drain ends by itself.
func TestStoppedByTimeout(t *testing.T) {
	t.Parallel()
	timeout, err := exec.LookPath("timeout")
	if err != nil {
		t.Skip("there is no program timeout")
	}
	c := startChildWith(t, func(args []string) *exec.Cmd {
		return exec.Command(timeout, append([]string{"--signal", "TERM", "3600", "penstock"}, args...)...)
	}, "--drain-within", "1h")
	answered := c.send(t)
	c.signal(t, syscall.SIGTERM) // timeout passes it on, and signals its group
	c.await(t, "shutting down")
	close(c.release)
	if err := <-answered; err != nil {
		t.Errorf("the request in flight failed: %v", err)
	}
	c.await(t, "shut down; no request is left in progress")
	c.exit(t)
	if got := c.backend.Items(otlp.Logs); got != 5 {
		t.Errorf("%d log records arrived, want 5", got)
	}
}

// A drain that takes too long is aborted, and is a failure.
func TestDrainHasADeadline(t *testing.T) {
	t.Parallel()
	c := startChild(t, "--drain-within", "50ms")
	defer close(c.release)
	answered := c.send(t)
	c.signal(t, os.Interrupt)
	c.await(t, `penstock: shut down receiver "otlp": 1 unfinished requests were aborted`)
	if err := <-answered; err == nil {
		t.Error("the client of the aborted request got a success")
	}
	if code := c.exit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

// A port in use is a failure at run time, reported in one line.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	c := startChild(t)
	defer close(c.release)
	cmd := exec.Command("penstock", "--config", "yaml:"+fmt.Sprintf(relay, "localhost:1"),
		"--set", "receivers.otlp.protocols.grpc.endpoint="+c.address, "--set", "service.telemetry.logs.output_paths=[]")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	var code int
	if failed, ok := err.(*exec.ExitError); ok {
		code = failed.ExitCode()
	}
	const want = `penstock: start receiver "otlp": protocols.grpc: listen on tcp `
	if code != 1 || !strings.HasPrefix(string(out), want) || !strings.Contains(string(out), "address already in use") ||
		!strings.Contains(string(out), "or --set receivers.otlp.protocols.grpc.endpoint=") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("exit code %d, want 1; it says\n%s", code, out)
	}
}
