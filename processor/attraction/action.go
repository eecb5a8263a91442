package attraction

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// Action is one change to a list of attributes. Exactly one of
// Value, FromAttribute and DefaultValue alone is needed where there is a value
// to write; DefaultValue may stand in for FromAttribute's.
type Action struct {
	Key string `yaml:"key"`
	// Action is insert (where the key is missing), update (where it is there),
	// upsert (both), delete, hash, extract or convert; upper case is as good.
	Action string `yaml:"action"`
	// Value is a string, a bool, a number, or a list or map of such.
	Value any `yaml:"value"`
	// FromAttribute names another attribute of the same list to copy the value
	// of. Where there is none, nothing is done.
	FromAttribute string `yaml:"from_attribute"`
	// DefaultValue is where there is no FromAttribute.
	DefaultValue any `yaml:"default_value"`
	// FromContext is what to take from the client of the request: client.address,
	// metadata.NAME (a header that the receiver keeps, include_metadata) or auth.NAME (an
	// attribute of the authenticated sender). Where there is none, nothing is done.
	FromContext string `yaml:"from_context"`
	// Pattern is a regular expression (RE2): delete and hash take all keys it matches;
	// extract sets an attribute for each of its groups, which have names, from the
	// string that it matches.
	Pattern string `yaml:"pattern"`
	// ConvertedType is string, int or double, for convert.
	ConvertedType string `yaml:"converted_type"`
}

type operation uint8

const (
	insert operation = 1 + iota
	update
	upsert
	remove
	hash
	extract
	convert
)

var operations = map[string]operation{
	"insert": insert, "update": update, "upsert": upsert, "delete": remove, "hash": hash, "extract": extract, "convert": convert,
}

// convertible are the types of converted_type.
var convertible = map[string]otlp.Kind{"string": otlp.KindString, "int": otlp.KindInt, "double": otlp.KindDouble}

// Validate checks one action.
func (a *Action) Validate() error {
	op, err := a.operation()
	if err != nil {
		return err
	}
	switch op {
	case remove, hash:
		return errors.Join(a.validateKeys(), a.validateNoValue())
	case extract:
		return errors.Join(a.needsKey(), a.validateNoValue(), a.validateGroups())
	case convert:
		return errors.Join(a.needsKey(), a.validateNoValue(), a.takesNoPattern(), a.validateType())
	}
	return errors.Join(a.needsKey(), a.validateSource(), a.takesNoPattern())
}

func (a *Action) needsKey() error {
	if a.Key == "" {
		return config.Atf("key", "%s needs a key", a.Action)
	}
	return nil
}

func (a *Action) takesNoPattern() error {
	if a.Pattern != "" {
		return config.Atf("pattern", "%s takes no pattern, only delete, hash and extract do", a.Action)
	}
	return nil
}

// validateSource checks where the value of insert, update and upsert comes from.
func (a *Action) validateSource() error {
	var errs []error
	if a.Value == nil && a.FromAttribute == "" && a.FromContext == "" && a.DefaultValue == nil {
		errs = append(errs, config.Atf("action", "%s of %q needs one of value, from_attribute, from_context and default_value", a.Action, a.Key))
	}
	if a.Value != nil && a.FromAttribute != "" {
		errs = append(errs, config.Atf("from_attribute", "%s of %q has both a value and a from_attribute, expected one", a.Action, a.Key))
	}
	if a.FromContext != "" && (a.Value != nil || a.FromAttribute != "") {
		errs = append(errs, config.Atf("from_context", "%s of %q has a value or a from_attribute beside from_context, expected one", a.Action, a.Key))
	}
	if a.ConvertedType != "" {
		errs = append(errs, config.Atf("converted_type", "%s takes no converted_type", a.Action))
	}
	if _, err := attrs.EncodeValue(a.Value); err != nil {
		errs = append(errs, config.At("value", err))
	}
	if _, err := attrs.EncodeValue(a.DefaultValue); err != nil {
		errs = append(errs, config.At("default_value", err))
	}
	return errors.Join(errs...)
}

func (a *Action) operation() (operation, error) {
	const known = "insert, update, upsert, delete, hash, extract or convert"
	name := strings.ToLower(a.Action)
	op, ok := operations[name]
	switch {
	case ok:
		return op, nil
	case name == "":
		return 0, config.Atf("action", "the action is missing, expected "+known)
	}
	return 0, config.Atf("action", "unknown action %q, expected "+known, a.Action)
}

// validateKeys checks what names the attributes of delete and hash.
func (a *Action) validateKeys() error {
	if a.Key == "" && a.Pattern == "" {
		return config.Atf("key", "%s needs a key, a pattern, or both", strings.ToLower(a.Action))
	}
	_, err := regexp.Compile(a.Pattern)
	return config.At("pattern", err)
}

// validateNoValue checks that there is no source of a value.
func (a *Action) validateNoValue() error {
	name := strings.ToLower(a.Action)
	if a.Value != nil || a.DefaultValue != nil || a.FromAttribute != "" || a.FromContext != "" {
		return config.Atf("action", "%s of %q takes no value, default_value, from_attribute or from_context", name, a.Key)
	}
	if a.ConvertedType != "" && name != "convert" {
		return config.Atf("converted_type", "%s takes no converted_type", name)
	}
	return nil
}

// validateGroups checks that extract has something to extract.
func (a *Action) validateGroups() error {
	re, err := regexp.Compile(a.Pattern)
	if err != nil {
		return config.At("pattern", err)
	}
	names := re.SubexpNames()[1:]
	if len(names) == 0 || slices.Contains(names, "") {
		return config.Atf("pattern", "extract needs a pattern in which all groups have names, such as (?P<name>.*), found %q", a.Pattern)
	}
	return nil
}

func (a *Action) validateType() error {
	if _, ok := convertible[a.ConvertedType]; !ok {
		return config.Atf("converted_type", "expected string, int or double, found %q", a.ConvertedType)
	}
	return nil
}
