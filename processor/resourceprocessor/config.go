package resourceprocessor

import (
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/processor/attraction"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// Attributes are done one after the other, each on what the one before left.
	Attributes []Action `yaml:"attributes"`
}

// Action is one change to the attributes of every resource.
type Action = attraction.Action

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
