package config

import "fmt"

// Ignored is a key of the Collector that is accepted and has no effect here.
type Ignored struct{ value Value }

// DecodeConfig implements Decoder.
func (i *Ignored) DecodeConfig(v Value) error {
	if v.Kind() != Null {
		i.value = v
	}
	return nil
}

// Written reports whether the configuration contains the key.
func (i Ignored) Written() bool { return i.value != nil }

// IsZero makes the omitempty of yaml leave out a key that was not written.
func (i Ignored) IsZero() bool { return i.value == nil }

// MarshalYAML implements yaml.Marshaler. It returns the value as written.
func (i Ignored) MarshalYAML() (any, error) { return i.value, nil }

// Refused is a key of the Collector that must not be ignored, since it is about
// security. null and {enabled: false} are accepted.
type Refused struct{}

// DecodeConfig implements Decoder.
func (Refused) DecodeConfig(v Value) error {
	if v.Kind() == Null || IsDisabled(v) {
		return nil
	}
	return fmt.Errorf("%s is not supported here", v.Key())
}

// IsDisabled reports whether v is a map with enabled: false.
func IsDisabled(v Value) bool {
	if v.Kind() != Map {
		return false
	}
	flag := v.Lookup("enabled")
	if flag == nil || flag.Kind() != Bool {
		return false
	}
	enabled := true
	return flag.Decode(&enabled) == nil && !enabled
}
