//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// queuedRelay is a configuration without keys of queues.
const queuedRelay = `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}}
exporters: {otlp: {endpoint: "%s", tls: {insecure: true}, retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}}}
service:
  telemetry: {metrics: {level: none}, logs: {encoding: json}}
  pipelines: {logs: {receivers: [otlp], exporters: [otlp]}}
`

// The program acknowledges what is in its data directory, also while the destination is
// down, and delivers it after it was killed.
func TestKilledWithADataDirectory(t *testing.T) {
	t.Parallel()
	dir, backend := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	backend.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} })
	start := func() *child {
		cmd := exec.Command("penstock", "--config", "yaml:"+fmt.Sprintf(queuedRelay, backend.GRPCEndpoint()))
		cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(dir, "state"))
		c := runChild(t, cmd)
		c.backend = backend
		var line struct{ Endpoint string }
		if err := json.Unmarshal([]byte(c.await(t, `"msg":"Starting GRPC server"`)), &line); err != nil {
			t.Fatal(err)
		}
		c.address = line.Endpoint
		if line := c.await(t, `"msg":"queues"`); !strings.Contains(line, filepath.Join(dir, "state")) {
			t.Errorf("the log says %s", line)
		}
		c.await(t, "Everything is ready")
		return c
	}
	c := start()
	if err := <-c.send(t); err != nil {
		t.Error(err)
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.exit(t)
	backend.Respond(nil)
	c = start()
	backend.Wait(t, otlp.Logs, 5)
	c.signal(t, os.Interrupt)
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
