package resourceprocessor

import (
	"errors"
	"regexp"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// Attributes are done one after the other, each on what the one before left.
	Attributes []Action `yaml:"attributes"`
}

// Action is one change to the attributes of every resource. Exactly one of
// Value, FromAttribute and DefaultValue alone is needed where there is a value
// to write; DefaultValue may stand in for FromAttribute's.
type Action struct {
	Key string `yaml:"key"`
	// Action is insert (where the key is missing), update (where it is there),
	// upsert (both) or delete; upper case is as good.
	Action string `yaml:"action"`
	// Value is a string, a bool, a number, or a list or map of such.
	Value any `yaml:"value"`
	// FromAttribute names the attribute of the same resource to copy the value
	// of. Where there is none, nothing is done.
	FromAttribute string `yaml:"from_attribute"`
	// DefaultValue is for resources that have no FromAttribute.
	DefaultValue any `yaml:"default_value"`
	// Pattern is a regular expression (RE2): delete takes all keys it matches.
	Pattern string `yaml:"pattern"`

	// FromContext and ConvertedType are the Collector's, and refused.
	FromContext   string `yaml:"from_context"`
	ConvertedType string `yaml:"converted_type"`
}

// DefaultConfig returns the configuration of an empty section. It is not valid:
// a processor with nothing to do is a mistake.
func DefaultConfig() Config { return Config{} }

// Validate checks that there is something to do. Each Action has its own
// Validate; New calls them all.
func (c *Config) Validate() error {
	if len(c.Attributes) == 0 {
		return config.Atf("attributes", "expected a list of actions, found none")
	}
	return nil
}

type operation uint8

const (
	insert operation = 1 + iota
	update
	upsert
	remove
)

var (
	operations = map[string]operation{"insert": insert, "update": update, "upsert": upsert, "delete": remove}
	notYet     = map[string]bool{"hash": true, "extract": true, "convert": true}
)

// Validate checks one action.
func (a *Action) Validate() error {
	op, err := a.operation()
	if err != nil {
		return err
	}
	if op == remove {
		return a.validateDelete()
	}
	var errs []error
	if a.Key == "" {
		errs = append(errs, config.Atf("key", "%s needs a key", a.Action))
	}
	if a.Value == nil && a.FromAttribute == "" && a.FromContext == "" && a.DefaultValue == nil {
		errs = append(errs, config.Atf("action", "%s of %q needs one of value, from_attribute and default_value", a.Action, a.Key))
	}
	if a.Value != nil && a.FromAttribute != "" {
		errs = append(errs, config.Atf("from_attribute", "%s of %q has both a value and a from_attribute, expected one", a.Action, a.Key))
	}
	if a.FromContext != "" {
		errs = append(errs, config.Atf("from_context", "from_context is not supported yet, expected value or from_attribute"))
	}
	if a.Pattern != "" {
		errs = append(errs, config.Atf("pattern", "%s takes no pattern, only delete does", a.Action))
	}
	if a.ConvertedType != "" {
		errs = append(errs, config.Atf("converted_type", "%s takes no converted_type", a.Action))
	}
	if _, err := encodeValue(a.Value); err != nil {
		errs = append(errs, config.At("value", err))
	}
	if _, err := encodeValue(a.DefaultValue); err != nil {
		errs = append(errs, config.At("default_value", err))
	}
	return errors.Join(errs...)
}

func (a *Action) operation() (operation, error) {
	name := strings.ToLower(a.Action)
	op, ok := operations[name]
	switch {
	case ok:
		return op, nil
	case notYet[name]:
		return 0, config.Atf("action", "action %q is not supported yet, expected insert, update, upsert or delete", a.Action)
	case name == "":
		return 0, config.Atf("action", "the action is missing, expected insert, update, upsert or delete")
	}
	return 0, config.Atf("action", "unknown action %q, expected insert, update, upsert or delete", a.Action)
}

func (a *Action) validateDelete() error {
	var errs []error
	if a.Key == "" && a.Pattern == "" {
		errs = append(errs, config.Atf("key", "delete needs a key, a pattern, or both"))
	}
	if a.Value != nil || a.DefaultValue != nil || a.FromAttribute != "" || a.FromContext != "" || a.ConvertedType != "" {
		errs = append(errs, config.Atf("action", "delete of %q takes no value, default_value, from_attribute, from_context or converted_type", a.Key))
	}
	if _, err := regexp.Compile(a.Pattern); err != nil {
		errs = append(errs, config.At("pattern", err))
	}
	return errors.Join(errs...)
}
