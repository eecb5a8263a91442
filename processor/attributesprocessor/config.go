package attributesprocessor

import (
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// Include are the items to edit; nil: all.
	Include *match.Properties `yaml:"include"`
	// Exclude are those among them not to edit; nil: none.
	Exclude *match.Properties `yaml:"exclude"`
	// Actions are done one after the other, each on what the one before left.
	Actions []attraction.Action `yaml:"actions"`
}

// DefaultConfig returns the configuration of an empty section. It is not valid:
// a processor with nothing to do is a mistake.
func DefaultConfig() Config { return Config{} }

// Validate checks that there is something to do. Include, Exclude and each action have
// their own Validate.
func (c *Config) Validate() error {
	if len(c.Actions) == 0 {
		return config.Atf("actions", "expected a list of actions, found none")
	}
	return nil
}
