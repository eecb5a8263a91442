package pprofconv

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// total is the value of a function itself and including its callees.
type total struct{ flat, cum int64 }

// Requests of a real profiler: the totals of each function are those computed from the
// objects of the official module, and those of `go tool pprof`.
func TestRealPayloads(t *testing.T) {
	t.Parallel()
	for name, request := range testkit.ProfilerPayloads(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.CheckProfiles(t, request)
			naive := walk(t, request)
			list := valid(t, request)
			if len(list) != len(naive) {
				t.Fatalf("%d profiles, want %d", len(list), len(naive))
			}
			for i, n := range list {
				if diff := cmp.Diff(naive[i], totals(n.Profile, 0), cmp.AllowUnexported(total{})); diff != "" {
					t.Errorf("profile %d (%s): %s", i, n.Name, diff)
				}
			}
			merged, err := Merge(valid(t, request))
			if err != nil || len(merged) != 1 {
				t.Fatalf("%d merged, %v", len(merged), err)
			}
			want := map[string]total{}
			for _, of := range naive {
				for name, v := range of {
					want[name] = total{want[name].flat + v.flat, want[name].cum + v.cum}
				}
			}
			if diff := cmp.Diff(want, totals(merged[0].Profile, 0), cmp.AllowUnexported(total{})); diff != "" {
				t.Errorf("merged: %s", diff)
			}
			compareTop(t, merged[0].Profile, "samples")
		})
	}
}

// walk adds up the samples of each Profile of a request, in the simplest way.
func walk(t *testing.T, request []byte) (list []map[string]total) {
	t.Helper()
	m := &colprofiles.ExportProfilesServiceRequest{}
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	for _, rp := range m.ResourceProfiles {
		for _, sp := range rp.ScopeProfiles {
			for _, p := range sp.Profiles {
				of := map[string]total{}
				for _, s := range p.Samples {
					v := int64(len(s.TimestampsUnixNano))
					if len(s.Values) > 0 {
						v = 0
						for _, x := range s.Values {
							v += x
						}
					}
					countStack(of, m.Dictionary, s.StackIndex, v)
				}
				list = append(list, of)
			}
		}
	}
	return list
}

func countStack(of map[string]total, d *profiles.ProfilesDictionary, stack int32, v int64) {
	seen := map[string]bool{}
	for i, l := range d.StackTable[stack].LocationIndices {
		loc := d.LocationTable[l]
		var names []string
		for _, line := range loc.Lines {
			names = append(names, d.StringTable[d.FunctionTable[line.FunctionIndex].NameStrindex])
		}
		if len(names) == 0 {
			names = []string{fmt.Sprintf("%#x in %s", loc.Address, d.StringTable[d.MappingTable[loc.MappingIndex].FilenameStrindex])}
		}
		for j, name := range names {
			n := of[name]
			if i == 0 && j == 0 {
				n.flat += v
			}
			if !seen[name] {
				seen[name] = true
				n.cum += v
			}
			of[name] = n
		}
	}
}

// totals adds up the samples of a pprof profile.
func totals(p *profile.Profile, sampleType int) map[string]total {
	of := map[string]total{}
	for _, s := range p.Sample {
		seen := map[string]bool{}
		for i, l := range s.Location {
			var names []string
			for _, line := range l.Line {
				names = append(names, line.Function.Name)
			}
			if len(names) == 0 {
				file := ""
				if l.Mapping != nil {
					file = l.Mapping.File
				}
				names = []string{fmt.Sprintf("%#x in %s", l.Address, file)}
			}
			for j, name := range names {
				n := of[name]
				if i == 0 && j == 0 {
					n.flat += s.Value[sampleType]
				}
				if !seen[name] {
					seen[name] = true
					n.cum += s.Value[sampleType]
				}
				of[name] = n
			}
		}
	}
	return of
}

var topLine = regexp.MustCompile(`^\s*(-?\d+)\S*\s+\S+\s+\S+\s+(-?\d+)\S*\s+\S+\s+(.+)$`)

// compareTop compares with `go tool pprof` for the functions with names.
func compareTop(t *testing.T, p *profile.Profile, sampleType string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Log("go is not installed: go tool pprof is not asked")
		return
	}
	file := filepath.Join(t.TempDir(), "profile.pb.gz")
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "pprof", "-top", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0",
		"-symbolize=none", "-unit=minimum", "-sample_index="+sampleType, file)
	cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go tool pprof: %v\n%s", err, out)
	}
	_, table, ok := strings.Cut(string(out), "cum%\n")
	if !ok {
		t.Fatalf("go tool pprof says\n%s", out)
	}
	got := map[string]total{}
	for line := range strings.Lines(table) {
		m := topLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("a line that is not understood: %q", line)
		}
		name := strings.TrimSuffix(strings.TrimSuffix(m[3], " (inline)"), " (partial-inline)")
		flat, _ := strconv.ParseInt(m[1], 10, 64)
		cum, _ := strconv.ParseInt(m[2], 10, 64)
		got[name] = total{got[name].flat + flat, max(got[name].cum, cum)}
	}
	want := totals(p, 0)
	maps.DeleteFunc(want, func(name string, v total) bool { return strings.HasPrefix(name, "0x") || v == total{} })
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s: go tool pprof says %v, want %v", name, got[name], v)
		}
	}
	if len(want) == 0 {
		t.Error("nothing to compare")
	}
}
