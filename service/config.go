package service

import (
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// ConfigErrors is what a LoadError wraps: every problem of a configuration, each with
// its file, line and column, sorted by place. Its text has one line for each.
type ConfigErrors = config.Errors

// A LoadError reports why Load returned no Config.
type LoadError struct {
	Problems ConfigErrors
	// Warnings are those that Config.Warnings would have returned. An unset
	// variable is often the cause of a problem.
	Warnings []string

	read load.Read
}

func (e *LoadError) Error() string { return e.Problems.Error() }

// Unwrap returns the problems as a ConfigErrors.
func (e *LoadError) Unwrap() error { return e.Problems }

// Sources say where a configuration comes from.
type Sources struct {
	// URIs are merged in their order: "path", "file:path", "env:NAME",
	// "yaml:text". If there are none, the built-in default is used.
	URIs []string
	// Set holds assignments "exporters.otlp.timeout=2s", merged last.
	Set []string
}

// Config is a checked configuration. Load returns it; it does not change
// afterwards.
type Config struct{ loaded *load.Config }

// Load reads a configuration from files and other sources (see Sources.URIs), for
// a service with Options.Components, and checks all of it. If the configuration is
// wrong, its error is a *LoadError, which wraps a ConfigErrors.
func Load(o Options, uris ...string) (*Config, error) { return LoadFrom(o, Sources{URIs: uris}) }

// LoadFrom is Load with every option for the sources.
func LoadFrom(o Options, s Sources) (*Config, error) {
	loaded, err := load.Load(load.Sources(s), o.Components)
	if refused, ok := err.(*load.Error); ok {
		return nil, &LoadError{Problems: refused.Problems, Warnings: refused.Warnings, read: refused.Read}
	}
	if err != nil {
		return nil, err
	}
	return &Config{loaded}, nil
}

// Warnings returns the settings that are valid but suspicious, in source order.
func (c *Config) Warnings() []string { return c.loaded.Warnings() }

// YAML returns the configuration in effect, with defaults included and secrets
// hidden, in the order of the sections in which it was written. Load can read
// the result.
func (c *Config) YAML() ([]byte, error) { return c.loaded.YAML() }

// A FeatureGate is one of the Collector's feature gates. It cannot be changed here.
type FeatureGate struct {
	ID string
	// Enabled says that what it is about exists here.
	Enabled     bool
	Description string
}

// FeatureGates returns the Collector's feature gates that are accepted.
func FeatureGates() []FeatureGate {
	var all []FeatureGate
	for _, g := range load.Features() {
		all = append(all, FeatureGate(g))
	}
	return all
}

// CheckFeatureGates reads a list of feature gates as the Collector does,
// "+service.profilesSupport,-other", and returns a warning for each that is not
// known. No feature gate changes anything yet.
func CheckFeatureGates(list string) (warnings []string) { return load.CheckFeatureGates(list) }
