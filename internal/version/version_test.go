package version

import (
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	t.Parallel()
	penstock := func(version string) debug.Module { return debug.Module{Path: module, Version: version} }
	host := debug.Module{Path: "example.com/host", Version: "v9.9.9"}
	for _, c := range []struct {
		name    string
		info    *debug.BuildInfo
		release string
		want    string
	}{
		{"no build info", nil, "", Devel},
		{"release, no build info", nil, "v1.2.3", "v1.2.3"},
		{"release", &debug.BuildInfo{Main: penstock("v1.0.0")}, "v1.2.3", "v1.2.3"},
		{"go install", &debug.BuildInfo{Main: penstock("v1.0.0")}, "", "v1.0.0"},
		{"go build", &debug.BuildInfo{Main: penstock("(devel)")}, "", Devel},
		{"go build without version", &debug.BuildInfo{Main: penstock("")}, "", Devel},
		{"embedded", &debug.BuildInfo{Main: host, Deps: []*debug.Module{{Path: module + "-other", Version: "v3.0.0"}, new(penstock("v1.1.0"))}}, "", "v1.1.0"},
		{"embedded, replaced by a directory", &debug.BuildInfo{Main: host, Deps: []*debug.Module{
			{Path: module, Version: "v1.1.0", Replace: &debug.Module{Path: "../penstock"}}}}, "", Devel},
		{"embedded, replaced by a fork", &debug.BuildInfo{Main: host, Deps: []*debug.Module{
			{Path: module, Version: "v1.1.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.1.1"}}}}, "", "v1.1.1"},
		{"not in the program", &debug.BuildInfo{Main: host}, "", Devel},
	} {
		if got := of(c.info, c.release); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	b := Build{Version: "v1.2.3", Go: "go1.26.0", Platform: "linux/amd64"}
	if got, want := b.String(), "v1.2.3 (go1.26.0, linux/amd64)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.readVCS(&debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
		{Key: "vcs.time", Value: "2026-11-21T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}})
	if got, want := b.String(), "v1.2.3 (commit 0123456789ab modified, go1.26.0, linux/amd64)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if b.Time != "2026-11-21T12:00:00Z" {
		t.Errorf("time %q", b.Time)
	}
}
