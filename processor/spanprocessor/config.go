package spanprocessor

import (
	"errors"
	"regexp"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// Include are the spans to edit; nil: all.
	Include *match.Properties `yaml:"include"`
	// Exclude are those among them not to edit; nil: none.
	Exclude *match.Properties `yaml:"exclude"`
	// Name is what is done with names.
	Name Name `yaml:"name"`
	// Status is set; nil: it stays.
	Status *Status `yaml:"status"`
}

// Name is what is done with the names of spans.
type Name struct {
	// FromAttributes are the attributes whose values are the name, with Separator between
	// them. A span without one of them keeps its name.
	FromAttributes []string `yaml:"from_attributes"`
	Separator      string   `yaml:"separator"`
	// ToAttributes extracts attributes from the name, which may be the one just made.
	ToAttributes *ToAttributes `yaml:"to_attributes"`
}

// ToAttributes are rules that extract attributes from names.
type ToAttributes struct {
	// Rules are regular expressions (RE2), whose groups have the names of attributes. Each
	// works on the name that the one before left.
	Rules []string `yaml:"rules"`
	// BreakAfterMatch ends with the first rule that matches.
	BreakAfterMatch bool `yaml:"break_after_match"`
	// KeepOriginalName leaves the name as it is; else the groups in it are replaced by
	// their names in braces.
	KeepOriginalName bool `yaml:"keep_original_name"`
}

// Status is the status of a span.
type Status struct {
	// Code is Unset, Ok or Error.
	Code string `yaml:"code"`
	// Description is for the code Error.
	Description string `yaml:"description"`
}

var codes = map[string]otlp.StatusCode{"Unset": otlp.StatusCodeUnset, "Ok": otlp.StatusCodeOk, "Error": otlp.StatusCodeError}

// DefaultConfig returns the configuration of an empty section. It is not valid:
// a processor with nothing to do is a mistake.
func DefaultConfig() Config { return Config{} }

// Validate checks that there is something to do.
func (c *Config) Validate() error {
	if len(c.Name.FromAttributes) == 0 && (c.Name.ToAttributes == nil || len(c.Name.ToAttributes.Rules) == 0) && c.Status == nil {
		return config.Atf("name", "expected from_attributes, or rules in to_attributes, or a status beside name, found none of them")
	}
	return nil
}

// Validate checks the rules.
func (a *ToAttributes) Validate() error {
	var errs []error
	for _, rule := range a.Rules {
		_, err := regexp.Compile(rule)
		errs = append(errs, config.At("rules", err))
	}
	return errors.Join(errs...)
}

// Validate checks that the description has a status that it is for.
func (s *Status) Validate() error {
	if _, ok := codes[s.Code]; !ok {
		return config.Atf("code", "expected Unset, Ok or Error, found %q", s.Code)
	}
	if s.Description != "" && s.Code != "Error" {
		return config.Atf("description", "expected none, since only the code Error has one, found %q", s.Description)
	}
	return nil
}
