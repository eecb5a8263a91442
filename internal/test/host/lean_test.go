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

// serverPackages are the parts of this module that a client must not build.
var serverPackages = []string{
	"cmd", "component", "components", "exporter", "extension", "internal/conf", "internal/decompress", "obsreport", "processor", "receiver", "service",
}

// A program that embeds the reporter, or only the client, builds a gRPC client,
// protobuf and one library of compressors: no YAML, no server, no OpenTelemetry API.
func TestDependencies(t *testing.T) {
	t.Parallel()
	for pkg, want := range map[string][]string{"otlpclient": clientModules, "reporter": reporterModules} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if .Module}}{{.Module.Path}} {{end}}{{.ImportPath}}", module+"/"+pkg)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		all, own, modules := 0, 0, map[string]bool{}
		for line := range strings.Lines(string(out)) {
			all++
			path, name, inModule := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case !inModule: // the standard library
			case path == module:
				own++
				for _, server := range serverPackages {
					if p := strings.TrimPrefix(name, module+"/"); p == server || strings.HasPrefix(p, server+"/") {
						t.Errorf("%s builds %s", pkg, p)
					}
				}
			default:
				modules[path] = true
			}
		}
		t.Logf("%s: %d modules, %d packages, %d of them of this module", pkg, len(modules), all, own)
		compare(t, pkg, want, modules)
	}
}

func compare(t *testing.T, pkg string, want []string, got map[string]bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !slices.Contains(want, name) {
			t.Errorf("%s builds the module %s, which is not on the list", pkg, name)
		}
	}
	for _, name := range want {
		if !got[name] {
			t.Errorf("%s does not build the module %s any more, take it off the list", pkg, name)
		}
	}
}
