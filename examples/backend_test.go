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

// The backend's configuration runs as it is, except for addresses and the file, and
// receives the profiles of an example.
func TestBackend(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("stops penstock with an interrupt, which Windows does not have")
	}
	dir := t.TempDir()
	penstock, example := filepath.Join(dir, "penstock"), filepath.Join(dir, "embed")
	for bin, pkg := range map[string]string{penstock: "../cmd/penstock", example: "./embed"} {
		if out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	grpc, http, kept := freeAddress(t), freeAddress(t), filepath.Join(dir, "profiles.json")
	backend := exec.Command(penstock, "--config", "backend/penstock.yaml",
		"--set", "receivers.otlp.protocols.grpc.endpoint="+grpc, "--set", "receivers.otlp.protocols.http.endpoint="+http,
		"--set", "receivers.pprof.targets=["+freeAddress(t)+"]", "--set", "exporters.file.path="+kept,
		"--set", "service.telemetry.metrics.level=none")
	var output bytes.Buffer
	backend.Stdout, backend.Stderr = &output, &output
	if err := backend.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(example, "-to", grpc, "-for", "1s").CombinedOutput()
	if endErr := end(backend); endErr != nil {
		t.Errorf("the backend: %v", endErr)
	}
	if err != nil || !strings.Contains(string(out), "acknowledged, dropped: map[]") {
		t.Fatalf("%v\n%s\nbackend:\n%s", err, out, &output)
	}
	if found, err := os.ReadFile(kept); err != nil || !bytes.Contains(found, []byte(`"main.work"`)) {
		t.Errorf("the profile is not in the file: %v, %d bytes", err, len(found))
	}
	if !strings.Contains(output.String(), "main.work") {
		t.Errorf("the profile was not printed:\n%s", &output)
	}
	list, err := exec.Command(penstock, "convert", kept, "--list").CombinedOutput()
	if err != nil || !strings.Contains(string(list), "goroutines") {
		t.Errorf("convert --list: %v\n%s", err, list)
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
