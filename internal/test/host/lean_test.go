package host

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What an embedder of the reporter or of the client builds, beside the standard
// library. A module that is not here is a decision: each is one more for every
// profiler to build, to watch and to ship.
var clientModules = []string{
	"github.com/klauspost/compress",             // gzip, zstd, snappy
	"golang.org/x/net",                          // HTTP/2 for gRPC
	"golang.org/x/sys",                          // gRPC
	"golang.org/x/text",                         // names of hosts, for x/net
	"google.golang.org/genproto/googleapis/rpc", // Status and its details
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
}

// reporterModules are those of a reporter: ReportPprof takes the profile package's
// type, which has no dependencies.
var reporterModules = append([]string{"github.com/google/pprof"}, clientModules...)

// clientPackages are the module's own packages beneath a client.
var clientPackages = []string{
	"admission", "config", "internal/bufpool", "internal/compress", "internal/suggest", "internal/wire", "otlp", "otlp/otlpfield", "otlpclient", "pipeline",
}

var reporterPackages = append([]string{
	"delivery", "internal/lograte", "internal/pprofconv", "libpf",
	"reporter", "reporter/collectionagent/v1", "reporter/internal/join", "reporter/internal/profile", "reporter/samples",
}, clientPackages...)

// A program that embeds the reporter, or only the client, builds a gRPC client,
// protobuf and one library of compressors: no YAML, no server, no OpenTelemetry API.
func TestDependencies(t *testing.T) {
	t.Parallel()
	for pkg, want := range map[string]struct{ modules, packages []string }{
		"otlpclient": {clientModules, clientPackages},
		"reporter":   {reporterModules, reporterPackages},
	} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if .Module}}{{.Module.Path}} {{end}}{{.ImportPath}}", module+"/"+pkg)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		all, modules, packages := 0, map[string]bool{}, map[string]bool{}
		for line := range strings.Lines(string(out)) {
			all++
			path, name, inModule := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case !inModule: // the standard library
			case path == module:
				packages[strings.TrimPrefix(name, module+"/")] = true
			default:
				modules[path] = true
			}
		}
		t.Logf("%s: %d modules, %d packages, %d of them of this module", pkg, len(modules), all, len(packages))
		compare(t, pkg+": modules", want.modules, modules)
		compare(t, pkg+": packages of this module", want.packages, packages)
	}
}

func compare(t *testing.T, what string, want []string, got map[string]bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !slices.Contains(want, name) {
			t.Errorf("%s: %s is new", what, name)
		}
	}
	for _, name := range want {
		if !got[name] {
			t.Errorf("%s: %s is gone, take it off the list", what, name)
		}
	}
}
