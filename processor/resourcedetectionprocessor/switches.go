package resourcedetectionprocessor

import (
	"fmt"
	"maps"
	"slices"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor/internal/detect"
)

// Switches say which attributes a detector sets. The zero value has the detector's
// defaults. In a file it is a map of attributes to {enabled: true} or {enabled: false}.
type Switches struct {
	detector string
	set      map[string]bool
}

// Set enables or disables an attribute.
func (s *Switches) Set(key string, enabled bool) {
	set := maps.Clone(s.set) // which copies of a configuration share
	if set == nil {
		set = map[string]bool{}
	}
	set[key] = enabled
	s.set = set
}

// DecodeConfig implements config.Decoder.
func (s *Switches) DecodeConfig(v config.Value) error {
	if v.Kind() == config.Null {
		return nil
	}
	if v.Kind() != config.Map {
		return v.Errorf("expected a map of attributes such as host.name: {enabled: false}, found a %s", v.Kind())
	}
	known := s.known()
	for entry := range v.Values() {
		if !slices.Contains(known, entry.Key()) {
			return entry.KeyErrorf("unknown attribute%s", suggest.Known(entry.Key(), known))
		}
		var a struct {
			Enabled *bool `yaml:"enabled"`
		}
		if err := entry.Decode(&a); err != nil {
			return err
		}
		if a.Enabled != nil {
			s.Set(entry.Key(), *a.Enabled)
		}
	}
	return nil
}

func (s *Switches) known() (keys []string) {
	d, _ := detect.Find(s.detector)
	for _, a := range d.Attributes {
		keys = append(keys, a.Key)
	}
	return keys
}

// IsZero makes the omitempty of yaml leave out switches that are not set.
func (s Switches) IsZero() bool { return len(s.set) == 0 }

// MarshalYAML implements yaml.Marshaler.
func (s Switches) MarshalYAML() (any, error) {
	all := map[string]map[string]bool{}
	for key, on := range s.set {
		all[key] = map[string]bool{"enabled": on}
	}
	return all, nil
}

// wanted returns a function that reports whether an attribute of a detector is enabled.
func wanted(d detect.Detector, set map[string]bool) func(key string) bool {
	on := map[string]bool{}
	for _, a := range d.Attributes {
		on[a.Key] = a.On
	}
	maps.Copy(on, set)
	return func(key string) bool { return on[key] }
}

// validate checks that a detector has the attributes, for switches that were not decoded.
func (s *Switches) validate() error {
	for key := range s.set {
		if known := s.known(); !slices.Contains(known, key) {
			return fmt.Errorf("unknown attribute %q%s", key, suggest.Known(key, known))
		}
	}
	return nil
}
