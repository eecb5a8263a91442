package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/version"
)

// buildPenstock builds the binary with these flags and returns its path.
func buildPenstock(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "penstock.exe")
	args := append([]string{"build", "-o", binary}, flags...)
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return binary
}

func output(t *testing.T, binary string, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).Output()
	if err != nil {
		t.Fatalf("penstock %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// A release sets the version with a linker flag.
func TestVersionOfRelease(t *testing.T) {
	t.Parallel()
	binary := buildPenstock(t, "-buildvcs=false", "-ldflags", "-X github.com/penstock-telemetry/penstock/internal/version.release=v1.2.3")
	want := "penstock v1.2.3 (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")\n"
	if got := output(t, binary, "version"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := output(t, binary, "components"); !strings.Contains(got, "version: v1.2.3\n") {
		t.Errorf("components: %s", got)
	}
}

// Without the flag, the version and the commit are those in the build info.
func TestVersionFromBuildInfo(t *testing.T) {
	t.Parallel()
	binary := buildPenstock(t)
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	want := version.Build{Version: info.Main.Version, Go: info.GoVersion, Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if want.Version == "" || want.Version == "(devel)" { // built outside a checkout
		want.Version = version.Devel
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			want.Commit = s.Value
		case "vcs.time":
			want.Time = s.Value
		case "vcs.modified":
			want.Modified = s.Value == "true"
		}
	}
	var got version.Build
	if err := json.Unmarshal([]byte(output(t, binary, "version", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if text := output(t, binary, "version"); text != "penstock "+want.String()+"\n" {
		t.Errorf("as text: %q", text)
	}
}
