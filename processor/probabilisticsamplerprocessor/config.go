package probabilisticsamplerprocessor

import (
	"fmt"
	"math"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// SamplingPercentage is the share of items to pass on; from 100 on all.
	SamplingPercentage float32 `yaml:"sampling_percentage"`
	// HashSeed is part of what is hashed. Two samplers in a row need different ones.
	HashSeed uint32 `yaml:"hash_seed"`
	// Mode is hash_seed, equalizing or proportional; empty: hash_seed.
	Mode Mode `yaml:"mode"`
	// FailClosed drops items that have no randomness, or whose sampling information is
	// invalid; else these are passed on.
	FailClosed bool `yaml:"fail_closed"`
	// SamplingPrecision is how many hex digits a threshold has, 1 to 14; more if the
	// percentage is near to 0 or 100.
	SamplingPrecision int `yaml:"sampling_precision"`
	// AttributeSource is traceID, or record: the trace id of log records is not used.
	AttributeSource string `yaml:"attribute_source"`
	// FromAttribute is the attribute of log records that is hashed where the trace id is
	// not used, or missing.
	FromAttribute string `yaml:"from_attribute"`
	// SamplingPriority is the attribute of log records that has a percentage in place of
	// SamplingPercentage.
	SamplingPriority string `yaml:"sampling_priority"`
}

// Mode is how items are sampled.
type Mode string

// The modes.
const (
	HashSeed     Mode = "hash_seed"
	Equalizing   Mode = "equalizing"
	Proportional Mode = "proportional"
)

// UnmarshalText refuses unknown modes.
func (m *Mode) UnmarshalText(text []byte) error {
	switch mode := Mode(text); mode {
	case HashSeed, Equalizing, Proportional, "":
		*m = mode
		return nil
	}
	return fmt.Errorf("expected hash_seed, equalizing or proportional, found %q", text)
}

// DefaultConfig returns the Collector's defaults.
func DefaultConfig() Config {
	return Config{AttributeSource: "traceID", FailClosed: true, SamplingPrecision: 4}
}

// Validate refuses what the Collector refuses.
func (c *Config) Validate() error {
	var errs config.Errors
	fail := func(key, format string, args ...any) { errs.Add(config.Atf(key, format, args...)) }
	switch ratio := float64(c.SamplingPercentage) / 100; {
	case math.IsNaN(ratio) || math.IsInf(ratio, 0):
		fail("sampling_percentage", "expected a number, found %v", c.SamplingPercentage)
	case ratio < 0:
		fail("sampling_percentage", "expected 0 or more, found %v", c.SamplingPercentage)
	case ratio > 0 && ratio < minRatio:
		fail("sampling_percentage", "expected 0, or at least %v, found %v", 100*minRatio, c.SamplingPercentage)
	}
	if c.SamplingPrecision < 1 || c.SamplingPrecision > hexDigits {
		fail("sampling_precision", "expected 1 to %d, found %d", hexDigits, c.SamplingPrecision)
	}
	if c.AttributeSource != "" && c.AttributeSource != "traceID" && c.AttributeSource != "record" {
		fail("attribute_source", "expected traceID or record, found %q", c.AttributeSource)
	}
	if err := new(Mode).UnmarshalText([]byte(c.Mode)); err != nil {
		errs.Add(config.At("mode", err))
	}
	return errs.Err()
}
