package detect

import (
	"errors"
	"regexp"
	"strings"
)

// platform is a distribution of an operating system, with the names and versions that
// the Collector reports.
type platform struct{ name, version string }

var (
	redHatVersion = regexp.MustCompile(`release (\w[\d.]*)`)
	errNoPlatform = errors.New("the files that name the operating system are missing")
)

// platform reads the files in /etc that name a Linux distribution.
func (h *Host) platform() (platform, error) {
	lsb, release := h.assignments("/etc/lsb-release"), h.assignments("/etc/os-release")
	if version := h.line("/etc/debian_version"); version != "" {
		for _, derived := range []string{"Ubuntu", "LinuxMint"} {
			if lsb["DISTRIB_ID"] == derived {
				return platform{strings.ToLower(derived), lsb["DISTRIB_RELEASE"]}, nil
			}
		}
		return platform{"debian", version}, nil
	}
	for _, path := range []string{"/etc/redhat-release", "/etc/system-release"} {
		if text := strings.ToLower(h.line(path)); text != "" {
			return redHat(text), nil
		}
	}
	if version := h.line("/etc/alpine-release"); version != "" {
		return platform{"alpine", version}, nil
	}
	if id := release["ID"]; id != "" {
		return platform{id, release["VERSION_ID"]}, nil
	}
	return platform{}, errNoPlatform
}

// redHat reads a line such as "rocky linux release 9.4 (blue onyx)".
func redHat(text string) platform {
	p := platform{name: strings.Fields(text)[0]}
	if strings.Contains(text, "red hat") {
		p.name = "redhat"
	}
	if m := redHatVersion.FindStringSubmatch(text); m != nil {
		p.version = m[1]
	}
	return p
}

// buildID returns BUILD_ID of the distribution, else the version of the kernel.
func (h *Host) buildID() (string, error) {
	if id := h.assignments("/etc/os-release")["BUILD_ID"]; id != "" {
		return id, nil
	}
	return kernelVersion()
}

// line returns the first line of a file; empty if there is none.
func (h *Host) line(path string) string {
	text, err := h.ReadFile(path)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first)
}

// assignments reads a file of lines KEY=value; nil if there is none.
func (h *Host) assignments(path string) map[string]string {
	text, err := h.ReadFile(path)
	if err != nil {
		return nil
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[key] = strings.Trim(value, `"'`)
		}
	}
	return all
}
