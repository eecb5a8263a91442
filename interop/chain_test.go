package interop

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// program is penstock as users run it, built once.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "penstock-interop")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "penstock")
		build := exec.Command("go", "-C", "..", "build", "-o", program, "./cmd/penstock")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build penstock: %v\n%s", err, out)
			return 1
		}
		return testkit.Checked(m).Run()
	}())
}

// chain is two penstocks, one behind the other, the second writing files.
type chain struct {
	dir  string
	a, b *instance
}

// instance is one running penstock.
type instance struct{ grpc, http, metrics string }

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{dir: t.TempDir()}
	var exporters, pipelines strings.Builder
	for _, s := range otlp.Signals() {
		fmt.Fprintf(&exporters, "  file/%s: {path: %q, format: proto}\n", s, c.file(s))
		fmt.Fprintf(&pipelines, "    %s: {receivers: [otlp], exporters: [file/%s]}\n", s, s)
	}
	c.b = runPenstock(t, exporters.String(), pipelines.String())

	pipelines.Reset()
	for i, s := range otlp.Signals() {
		// Two go on by gRPC, two by HTTP.
		fmt.Fprintf(&pipelines, "    %s: {receivers: [otlp], exporters: [%s]}\n", s, []string{"otlp", "otlphttp"}[i%2])
	}
	// Without queues, what the clients have an answer to is in the files, unmerged.
	c.a = runPenstock(t, fmt.Sprintf("  otlp: {endpoint: %q, tls: {insecure: true}, sending_queue: {enabled: false}}\n  otlphttp: {endpoint: %q, compression: zstd, sending_queue: {enabled: false}}\n",
		c.b.grpc, "http://"+c.b.http), pipelines.String())
	return c
}

func (c *chain) file(s otlp.Signal) string { return filepath.Join(c.dir, s.String()) }

func runPenstock(t *testing.T, exporters, pipelines string) *instance {
	t.Helper()
	p := &instance{freeAddr(t), freeAddr(t), freeAddr(t)}
	host, port, _ := net.SplitHostPort(p.metrics)
	conf := filepath.Join(t.TempDir(), "penstock.yaml")
	text := fmt.Sprintf(`receivers:
  otlp:
    protocols:
      grpc: {endpoint: %q}
      http: {endpoint: %q}
exporters:
%sservice:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: %s, port: %s}}}}]}}
  pipelines:
%s`, p.grpc, p.http, exporters, host, port, pipelines)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "--config", conf, "--data-dir", filepath.Join(t.TempDir(), "data"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("interrupt: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("penstock ended with %v; its log:\n%s", err, &log)
		}
	})
	for range 200 {
		if resp, err := http.Get("http://" + p.metrics + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("penstock did not become ready with\n%s", text)
	return nil
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// accepted sums the receiver's counter of accepted items over transports.
func (p *instance) accepted(t *testing.T, s otlp.Signal) (n int) {
	t.Helper()
	resp, err := http.Get("http://" + p.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "otelcol_receiver_accepted_"+s.Spec().Item+"{") {
			f := strings.Fields(line)
			v, err := strconv.ParseFloat(f[len(f)-1], 64)
			if err != nil {
				t.Fatal(err)
			}
			n += int(v)
		}
	}
	return n
}

// records reads what the file exporter wrote: a length of four bytes, big
// endian, then a request.
func (c *chain) records(t *testing.T, s otlp.Signal) (out []string) {
	t.Helper()
	b, err := os.ReadFile(c.file(s))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint32(b))
		out = append(out, string(b[4:4+n]))
		b = b[4+n:]
	}
	return out
}

// arrived demands what counted does, and that the file's requests are the sent
// ones to the byte.
func (c *chain) arrived(t *testing.T, want map[otlp.Signal]int, sent map[otlp.Signal][]string) {
	t.Helper()
	for s, got := range c.counted(t, want) {
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(sent[s]))) {
			t.Errorf("%s: the %d requests in the file are not to the byte the %d that the client sent", s, len(got), len(sent[s]))
		}
	}
}

// counted demands that of each signal want items were counted at both stages
// and lie in the file, and returns the file's requests.
func (c *chain) counted(t *testing.T, want map[otlp.Signal]int) map[otlp.Signal][]string {
	t.Helper()
	records := map[otlp.Signal][]string{}
	for _, s := range slices.Sorted(maps.Keys(want)) {
		got := c.records(t, s)
		items := 0
		for _, r := range got {
			n, err := otlp.Check(s, []byte(r))
			if err != nil {
				t.Errorf("%s: a record in the file: %v", s, err)
			}
			items += n
		}
		a, b := c.a.accepted(t, s), c.b.accepted(t, s)
		if want[s] == 0 || a != want[s] || b != want[s] || items != want[s] {
			t.Errorf("%s: %d items sent, %d accepted by the first, %d by the second, %d in the file", s, want[s], a, b, items)
		}
		t.Logf("%s: %d items in %d requests", s, items, len(got))
		records[s] = got
	}
	return records
}
