// Package version determines the version of penstock in the running program.
//
//	penstock's binary, released   -ldflags "-X …/internal/version.release=v1.2.3"
//	penstock's binary             the main module in the build info
//	a program that embeds it      the dependency in the build info
package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

const module = "github.com/penstock-telemetry/penstock"

// release is set when a release is linked, and never changed by the program. It is
// not in package main, so that the flags with which another program sets its own
// version do not set it.
var release string

// Devel is the version of a build without version information.
const Devel = "devel"

// Get returns the version of the penstock module: "v1.2.3", a pseudo-version, or
// Devel.
func Get() string { return get() }

var get = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return of(info, release)
})

// Number returns Get without the leading "v", as user agents and scopes have it.
func Number() string { return strings.TrimPrefix(Get(), "v") }

// of returns the version in info, which is nil for a program without build info.
func of(info *debug.BuildInfo, release string) string {
	if release != "" {
		return release
	}
	if info == nil {
		return Devel
	}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path != module {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return Devel
}

// Build describes the program that is running, for a program whose main module is
// penstock.
type Build struct {
	Version string `json:"version"`
	// Commit is the revision in version control, Time the time of the commit in
	// RFC 3339; empty if unknown.
	Commit string `json:"commit,omitempty"`
	Time   string `json:"time,omitempty"`
	// Modified says that the source differs from the commit.
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Read returns what is known about the program.
func Read() Build {
	b := Build{Version: Get(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.readVCS(info)
	}
	return b
}

func (b *Build) readVCS(info *debug.BuildInfo) {
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
}

// String returns the build in one line, without the name of the program:
// "v1.2.3 (commit 0123456789ab, go1.26.0, linux/amd64)".
func (b Build) String() string {
	details := []string{b.Go, b.Platform}
	if b.Commit != "" {
		commit := "commit " + b.Commit[:min(len(b.Commit), shortCommit)]
		if b.Modified {
			commit += " modified"
		}
		details = append([]string{commit}, details...)
	}
	return b.Version + " (" + strings.Join(details, ", ") + ")"
}

// shortCommit is the number of digits of a commit that are shown.
const shortCommit = 12
