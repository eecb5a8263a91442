package headerssetterextension

import (
	"errors"
	"slices"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning.
type Config struct {
	// Headers are applied in their order.
	Headers []HeaderConfig `yaml:"headers"`
	// AdditionalAuth is the id of another extension that adds its credentials first.
	AdditionalAuth string `yaml:"additional_auth,omitempty"`
}

// HeaderConfig is one change to the headers of a request. It needs one of Value,
// FromContext and FromAttribute, unless it deletes.
type HeaderConfig struct {
	// Action is insert, update, upsert or delete; empty is upsert.
	Action string `yaml:"action,omitempty"`
	Key    string `yaml:"key"`
	// Value is fixed.
	Value *config.Secret `yaml:"value,omitempty"`
	// FromContext is a header of the incoming request, which the receiver keeps with
	// include_metadata.
	FromContext string `yaml:"from_context,omitempty"`
	// FromAttribute is an attribute that the receiver's authenticator found, or
	// "subject".
	FromAttribute string `yaml:"from_attribute,omitempty"`
	// DefaultValue is used if the incoming request has no such header or attribute.
	DefaultValue config.Secret `yaml:"default_value,omitempty"`
}

// The actions.
const (
	actionInsert = "insert"
	actionUpdate = "update"
	actionUpsert = "upsert"
	actionDelete = "delete"
)

// DefaultConfig returns a configuration without headers, which is not valid.
func DefaultConfig() Config { return Config{} }

// Validate checks the section. Errors that the Collector has too have its texts.
func (c *Config) Validate() error {
	if len(c.Headers) == 0 {
		return errors.New("missing headers configuration: expected headers, with a list of key and value")
	}
	return nil
}

// Validate checks one of "headers".
func (h *HeaderConfig) Validate() error {
	sources := 0
	for _, set := range []bool{h.Value != nil, h.FromContext != "", h.FromAttribute != ""} {
		if set {
			sources++
		}
	}
	switch {
	case h.Key == "":
		return errors.New("missing header name: expected key")
	case !httpguts.ValidHeaderFieldName(h.Key):
		return config.Atf("key", "expected the name of a header, found %q", h.Key)
	case !slices.Contains([]string{"", actionInsert, actionUpdate, actionUpsert, actionDelete}, h.Action):
		return config.Atf("action", "expected insert, update, upsert or delete, found %q", h.Action)
	case h.Action == actionDelete:
		return nil
	case sources == 0:
		return errors.New("missing header source, must be 'from_context', 'from_attribute' or 'value'")
	case sources > 1:
		return errors.New("invalid header source, must be only one of 'from_context', 'from_attribute' and 'value'")
	case h.Value != nil && !httpguts.ValidHeaderFieldValue(string(*h.Value)):
		return config.Atf("value", "expected text without control characters (a line break?)")
	case !httpguts.ValidHeaderFieldValue(string(h.DefaultValue)):
		return config.Atf("default_value", "expected text without control characters (a line break?)")
	}
	return nil
}

// Needs implements component.Needer.
func (c *Config) Needs() []component.Need {
	if c.AdditionalAuth == "" {
		return nil
	}
	return []component.Need{{Key: "additional_auth", ID: c.AdditionalAuth, Role: component.RoleClientAuthenticator}}
}
