package examples

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running is penstock with the configuration backend/penstock.yaml, except for addresses
// and the file.
type running struct {
	penstock, grpc, http, kept string
	program                    *exec.Cmd
	output                     bytes.Buffer
}

func startBackend(t *testing.T) *running {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("stops penstock with an interrupt, which Windows does not have")
	}
	dir := t.TempDir()
	r := &running{penstock: built(t, "../cmd/penstock"), grpc: freeAddress(t), http: freeAddress(t), kept: filepath.Join(dir, "profiles.json")}
	r.program = exec.Command(r.penstock, "--config", "backend/penstock.yaml",
		"--set", "receivers.otlp.protocols.grpc.endpoint="+r.grpc, "--set", "receivers.otlp.protocols.http.endpoint="+r.http,
		"--set", "receivers.pprof.targets=["+freeAddress(t)+"]", "--set", "exporters.file.path="+r.kept,
		"--set", "service.telemetry.metrics.level=none")
	r.program.Stdout, r.program.Stderr = &r.output, &r.output
	if err := r.program.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// built builds a program and returns its path.
func built(t *testing.T, pkg string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// The backend's configuration runs as it is and receives the profiles of an example.
func TestBackend(t *testing.T) {
	backend := startBackend(t)
	out, err := exec.Command(built(t, "./embed"), "-to", backend.grpc, "-for", "1s").CombinedOutput()
	if endErr := end(backend.program); endErr != nil {
		t.Errorf("the backend: %v", endErr)
	}
	if err != nil || !strings.Contains(string(out), "acknowledged, dropped: map[]") {
		t.Fatalf("%v\n%s\nbackend:\n%s", err, out, &backend.output)
	}
	if found, err := os.ReadFile(backend.kept); err != nil || !bytes.Contains(found, []byte(`"main.work"`)) {
		t.Errorf("the profile is not in the file: %v, %d bytes", err, len(found))
	}
	if !strings.Contains(backend.output.String(), "main.work") {
		t.Errorf("the profile was not printed:\n%s", &backend.output)
	}
	list, err := exec.Command(backend.penstock, "convert", backend.kept, "--list").CombinedOutput()
	if err != nil || !strings.Contains(string(list), "goroutines") {
		t.Errorf("convert --list: %v\n%s", err, list)
	}
}

// A program that profiles itself with one line sends CPU and heap profiles to penstock, to
// where the environment says.
func TestProfileSelf(t *testing.T) {
	backend := startBackend(t)
	program := built(t, "./profileself")
	for service, environment := range map[string][]string{
		"over-grpc": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + backend.grpc},
		"over-http": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://unused.invalid", "OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL=http/protobuf",
			"OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT=http://" + backend.http + "/v1development/profiles"},
	} {
		c := exec.Command(program, "-for", "1500ms")
		c.Env = append(append(os.Environ(), environment...), "OTEL_SERVICE_NAME="+service, "OTEL_RESOURCE_ATTRIBUTES=team=checkout")
		if out, err := c.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "hashes\n") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v\n%s", service, err, out)
		}
	}
	if err := end(backend.program); err != nil {
		t.Errorf("the backend: %v", err)
	}
	kept, err := os.ReadFile(backend.kept)
	for _, want := range []string{`"over-grpc"`, `"over-http"`, `"checkout"`, `"main.work"`, `"alloc_space"`, `"inuse_space"`, `"cpu"`} {
		if err != nil || !bytes.Contains(kept, []byte(want)) {
			t.Errorf("%s is not in the file: %v, %d bytes", want, err, len(kept))
		}
	}
}

// end interrupts a program and waits for it.
func end(c *exec.Cmd) error {
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	late := time.AfterFunc(20*time.Second, func() { _ = c.Process.Kill() })
	defer late.Stop()
	return c.Wait()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
