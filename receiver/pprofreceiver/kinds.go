package pprofreceiver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/libpf"
)

// A kind is one of the profiles that net/http/pprof serves.
type kind struct {
	name string // as in the configuration
	path string // below the path prefix
	on   bool   // without being asked for
	// timed: the process measures while we wait, so that the fetch takes that long.
	timed bool
	// named profiles have the sample types of another kind, so that each sample is
	// given the attribute that says which.
	named bool
}

// attrProfile is the attribute of samples of named kinds. There is none in the
// semantic conventions.
const attrProfile = "penstock.pprof.profile"

// kinds is in the order of fetching.
var kinds = [...]kind{
	{name: "cpu", path: "profile", on: true, timed: true},
	{name: "heap", path: "heap", on: true},
	{name: "allocs", path: "allocs", on: true},
	{name: "goroutine", path: "goroutine", on: true},
	{name: "mutex", path: "mutex", on: true, named: true},
	{name: "block", path: "block", on: true, named: true},
	{name: "threadcreate", path: "threadcreate"},
}

// The rows of kinds that are special.
const (
	cpuKind = iota
	heapKind
	allocsKind
)

func (k *kind) attributes() libpf.Attributes {
	if !k.named {
		return ""
	}
	return libpf.NewAttributes(libpf.StringAttr(attrProfile, k.name))
}

// ambiguous returns the name of a kind whose sample types another kind has as well.
func (k *kind) ambiguous() string {
	if !k.named {
		return ""
	}
	return k.name
}

// kindNames returns the names, for messages.
func kindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// kindByPath returns the kind that is served at the last part of a path.
func kindByPath(path string) (int, bool) {
	last := path[strings.LastIndexByte(path, '/')+1:]
	i := slices.IndexFunc(kinds[:], func(k kind) bool { return k.path == last })
	return i, i >= 0
}

// accumulates reports whether a sample type counts since the process began. The
// others are current values, or values of a window.
func accumulates(sampleType string) bool {
	switch sampleType {
	case "alloc_objects", "alloc_space", "contentions", "delay":
		return true
	}
	return false
}

// periodTypeOf returns the period type of what is reported, by which backends name and
// distinguish profiles (OTLP has no field for a name): memory, mutex, block and
// goroutines instead of Go's space, contentions and goroutine. Those of others stay.
func periodTypeOf(kind string, p *profile.Profile) *profile.ValueType {
	t := p.PeriodType
	if t == nil {
		return nil
	}
	switch *t {
	case profile.ValueType{Type: "space", Unit: "bytes"}:
		return &profile.ValueType{Type: "memory", Unit: t.Unit}
	case profile.ValueType{Type: "goroutine", Unit: "count"}:
		return &profile.ValueType{Type: "goroutines", Unit: t.Unit}
	case profile.ValueType{Type: "contentions", Unit: "count"}:
		if kind != "" {
			return &profile.ValueType{Type: kind, Unit: t.Unit}
		}
	}
	return t
}

// momentary reports whether a sample type is what a process has at a moment.
func momentary(sampleType string) bool {
	switch sampleType {
	case "inuse_objects", "inuse_space", "goroutine", "threadcreate":
		return true
	}
	return false
}

// Profile is one kind of profile in a configuration.
type Profile struct {
	Enabled bool `yaml:"enabled"`
	// Path replaces net/http/pprof's own, below the path prefix.
	Path string `yaml:"path,omitempty"`
	// Seconds is how long the process measures, for cpu alone. 0 is the interval
	// but one, at most a minute.
	Seconds int `yaml:"seconds,omitempty"`
}

// Profiles says which kinds to fetch: cpu, heap, allocs, goroutine, mutex, block,
// threadcreate. In YAML it is a list, which enables those alone, or a map from
// kinds to their settings (or true and false), which leaves the others as they
// are.
type Profiles map[string]Profile

// DefaultProfiles enables all but threadcreate.
func DefaultProfiles() Profiles {
	all := Profiles{}
	for _, k := range kinds {
		all[k.name] = Profile{Enabled: k.on}
	}
	return all
}

// ProfilesOf enables those named.
func ProfilesOf(names ...string) Profiles {
	all := Profiles{}
	for _, name := range names {
		all[name] = Profile{Enabled: true}
	}
	return all
}

// SetDefaults implements config.Defaulter.
func (p *Profiles) SetDefaults() { *p = DefaultProfiles() }

// DecodeConfig implements config.Decoder.
func (p *Profiles) DecodeConfig(v config.Value) error {
	var problems config.Errors
	known := func(name string, problem func(string, ...any) error) bool {
		if slices.Contains(kindNames(), name) {
			return true
		}
		problems.Add(problem("unknown profile %q%s", name, suggest.Known(name, kindNames())))
		return false
	}
	switch v.Kind() {
	case config.Null:
		return nil
	case config.List:
		*p = Profiles{}
		for item := range v.Values() {
			if known(item.Text(), item.Errorf) {
				(*p)[item.Text()] = Profile{Enabled: true}
			}
		}
	case config.Map:
		all := DefaultProfiles()
		for entry := range v.Values() {
			if !known(entry.Key(), entry.KeyErrorf) {
				continue
			}
			one := Profile{Enabled: true}
			if entry.Kind() == config.Bool {
				problems.Add(entry.Decode(&one.Enabled))
			} else {
				problems.Add(entry.Decode(&one))
			}
			all[entry.Key()] = one
		}
		*p = all
	default:
		return v.Errorf("expected a list of profiles, or a map of them")
	}
	return problems.Err()
}

// validate checks what stands in p, wherever it came from.
func (p Profiles) validate() error {
	var problems []error
	enabled := false
	for name, one := range p {
		i := slices.IndexFunc(kinds[:], func(k kind) bool { return k.name == name })
		switch {
		case i < 0:
			problems = append(problems, fmt.Errorf("unknown profile %q%s", name, suggest.Known(name, kindNames())))
		case one.Seconds < 0:
			problems = append(problems, config.Atf(name+".seconds", "expected 0 or more, found %d", one.Seconds))
		case one.Seconds > 0 && !kinds[i].timed:
			problems = append(problems, config.Atf(name+".seconds", "expected seconds for cpu alone: %s is what the process has at that moment", name))
		case strings.ContainsAny(one.Path, "?#"):
			problems = append(problems, config.Atf(name+".path", "expected a path, found %q", one.Path))
		}
		enabled = enabled || one.Enabled
	}
	if !enabled {
		problems = append(problems, fmt.Errorf("expected at least one of %s", strings.Join(kindNames(), ", ")))
	}
	return errors.Join(problems...)
}

// MarshalYAML implements yaml.Marshaler: all kinds, since those that a map leaves
// out keep their defaults.
func (p Profiles) MarshalYAML() (any, error) {
	all := map[string]Profile{}
	for _, k := range kinds {
		all[k.name] = p[k.name]
	}
	return all, nil
}
