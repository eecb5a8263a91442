package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/penstock-telemetry/penstock/otlp"
)

// The OpenTelemetry JS SDK, which speaks OTLP/HTTP in JSON: what the Collector's
// pdata reads in the text that it sent is what pdata reads in the bytes that
// arrived. Its protobuf arrives to the byte.
func TestJSSDK(t *testing.T) {
	dir := installJS(t)
	for _, tt := range []struct{ name, format, compression string }{
		{"json", "json", "none"},
		{"json-gzip", "json", "gzip"},
		{"proto", "proto", "none"},
		{"proto-gzip", "proto", "gzip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(t)
			p := newTap(t, c.a.grpc, c.a.http)
			want := exportJS(t, dir, p.http, tt.format, tt.compression)
			for s := range want {
				if gzipped := p.gzipped[s]; len(p.sent[s]) == 0 || gzipped != 0 && gzipped != len(p.sent[s]) || (gzipped > 0) != (tt.compression == "gzip") {
					t.Errorf("%s: %d of %d bodies were compressed", s, gzipped, len(p.sent[s]))
				}
			}
			if tt.format == "proto" {
				c.arrived(t, want, p.sent)
				return
			}
			for s, got := range c.counted(t, want) {
				var sent, arrived []string
				for _, text := range p.sent[s] {
					sent = append(sent, canonical(t, s, []byte(text), pdataRequest.UnmarshalJSON))
				}
				for _, request := range got {
					arrived = append(arrived, canonical(t, s, []byte(request), pdataRequest.UnmarshalProto))
				}
				slices.Sort(sent)
				slices.Sort(arrived)
				if !slices.Equal(sent, arrived) {
					t.Errorf("%s: what pdata reads in the %d requests that arrived is not what it reads in the %d that were sent", s, len(arrived), len(sent))
				}
			}
		})
	}
}

// pdataRequest is a request as the Collector's receiver has it.
type pdataRequest interface {
	UnmarshalJSON([]byte) error
	UnmarshalProto([]byte) error
	MarshalProto() ([]byte, error)
}

// canonical returns what pdata makes of a request that it read from b.
func canonical(t *testing.T, s otlp.Signal, b []byte, read func(pdataRequest, []byte) error) string {
	t.Helper()
	var r pdataRequest
	switch s {
	case otlp.Traces:
		r = ptraceotlp.NewExportRequest()
	case otlp.Metrics:
		r = pmetricotlp.NewExportRequest()
	default:
		r = plogotlp.NewExportRequest()
	}
	if err := read(r, b); err != nil {
		t.Fatalf("%s: pdata: %v", s, err)
	}
	out, err := r.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// installJS puts the SDK, at the versions of js/package-lock.json, into a folder
// and returns that. It skips the test where there is no Node.js or no registry.
func installJS(t *testing.T) string {
	t.Helper()
	absent := t.Skipf
	if os.Getenv("CI") == "true" { // it has a network, and nobody reads its skips
		absent = t.Fatalf
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			absent("the JS SDK is not tested: %v", err)
		}
	}
	version, err := exec.Command("node", "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if n, _ := strconv.Atoi(major); err != nil || n < 20 {
		absent("the JS SDK is not tested: it wants Node.js 20 or newer, this is %q (%v)", version, err)
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "export.mjs"} {
		b, err := os.ReadFile(filepath.Join("js", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		absent("the JS SDK is not tested: npm ci: %v\n%s", err, out)
	}
	return dir
}

// exportJS runs js/export.mjs, and returns how many items it says it has sent.
func exportJS(t *testing.T, dir, addr, format, compression string) map[otlp.Signal]int {
	t.Helper()
	cmd := exec.Command("node", "export.mjs", "http://"+addr, format, compression)
	cmd.Dir = dir
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("export.mjs: %v\n%s", err, errors.String())
	}
	var sent map[string]int
	if err := json.Unmarshal(out, &sent); err != nil {
		t.Fatalf("export.mjs printed %q: %v", out, err)
	}
	want := map[otlp.Signal]int{}
	for name, n := range sent {
		s, ok := otlp.SignalByName(name)
		if !ok {
			t.Fatalf("export.mjs printed %q", out)
		}
		want[s] = n
	}
	if len(want) != 3 {
		t.Fatalf("export.mjs printed %q", out)
	}
	return want
}
