package memorylimiterprocessor

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

// Config has the Collector's keys. The processor and the extension share it.
type Config struct {
	// CheckInterval must be greater than 0, as in the Collector. It has no
	// other effect: the budget is checked for every request, not at intervals.
	CheckInterval time.Duration `yaml:"check_interval"`
	// LimitMiB is the memory that the process should not exceed, in MiB. It takes
	// precedence over LimitPercentage.
	LimitMiB uint32 `yaml:"limit_mib,omitempty"`
	// SpikeLimitMiB is how much of LimitMiB is kept free; 0 means a fifth.
	SpikeLimitMiB uint32 `yaml:"spike_limit_mib,omitempty"`
	// LimitPercentage is the limit in percent of the memory that is available to the
	// process.
	LimitPercentage uint32 `yaml:"limit_percentage,omitempty"`
	// SpikeLimitPercentage is how much of LimitPercentage is kept free, also in
	// percent of the available memory; 0: a fifth of the limit.
	SpikeLimitPercentage uint32 `yaml:"spike_limit_percentage,omitempty"`

	// These keys have no effect. The Collector forces garbage collections;
	// penstock sets a memory limit of the Go runtime (GOMEMLIMIT), which then
	// collects when it needs to.
	MinGCIntervalWhenSoftLimited time.Duration `yaml:"min_gc_interval_when_soft_limited,omitempty"`
	MinGCIntervalWhenHardLimited time.Duration `yaml:"min_gc_interval_when_hard_limited,omitempty"`
	MaxGCIntervalWhenSoftLimited time.Duration `yaml:"max_gc_interval_when_soft_limited,omitempty"`
	MaxGCIntervalWhenHardLimited time.Duration `yaml:"max_gc_interval_when_hard_limited,omitempty"`
	// GarbageCollector is the Collector's newer section for them.
	GarbageCollector config.Ignored `yaml:"garbage_collector,omitempty"`
}

// DefaultConfig returns the configuration of an empty section. It is not valid,
// since there is no default limit.
func DefaultConfig() Config { return Config{} }

// Validate makes the same checks as the Collector.
func (c *Config) Validate() error {
	var errs []error
	if c.CheckInterval <= 0 {
		errs = append(errs, config.Atf("check_interval", "expected a time greater than 0, such as 1s, found %s", c.CheckInterval))
	}
	if c.LimitMiB == 0 && c.LimitPercentage == 0 {
		errs = append(errs, config.Atf("limit_mib", "expected limit_mib or limit_percentage, found neither"))
	}
	if c.LimitMiB > 0 && c.SpikeLimitMiB >= c.LimitMiB {
		errs = append(errs, config.Atf("spike_limit_mib", "expected less than limit_mib, which is %d, found %d", c.LimitMiB, c.SpikeLimitMiB))
	}
	if c.LimitPercentage > 0 && c.SpikeLimitPercentage >= c.LimitPercentage {
		errs = append(errs, config.Atf("spike_limit_percentage", "expected less than limit_percentage, which is %d, found %d", c.LimitPercentage, c.SpikeLimitPercentage))
	}
	for _, p := range []struct {
		key   string
		value uint32
	}{{"limit_percentage", c.LimitPercentage}, {"spike_limit_percentage", c.SpikeLimitPercentage}} {
		if p.value > 100 {
			errs = append(errs, config.Atf(p.key, "expected 100 or less, found %d", p.value))
		}
	}
	return errors.Join(errs...)
}

// Warnings returns a warning for each key that is set and has no effect.
func (c *Config) Warnings() []string {
	var all []string
	for _, w := range []struct {
		set      bool
		key, why string
	}{
		{c.LimitMiB > 0 && c.LimitPercentage > 0, "limit_percentage", "limit_mib takes precedence"},
		{c.LimitMiB > 0 && c.SpikeLimitPercentage > 0, "spike_limit_percentage", "it belongs to limit_percentage, and limit_mib takes precedence"},
		{c.LimitMiB == 0 && c.SpikeLimitMiB > 0, "spike_limit_mib", "it belongs to limit_mib, which is not set"},
		{c.MinGCIntervalWhenSoftLimited != 0, "min_gc_interval_when_soft_limited", noGC},
		{c.MinGCIntervalWhenHardLimited != 0, "min_gc_interval_when_hard_limited", noGC},
		{c.MaxGCIntervalWhenSoftLimited != 0, "max_gc_interval_when_soft_limited", noGC},
		{c.MaxGCIntervalWhenHardLimited != 0, "max_gc_interval_when_hard_limited", noGC},
		{c.GarbageCollector.Written(), "garbage_collector", noGC},
	} {
		if w.set {
			all = append(all, fmt.Sprintf("%s has no effect: %s", w.key, w.why))
		}
	}
	return all
}

const noGC = "penstock does not force garbage collections; the Go runtime collects according to GOMEMLIMIT"

// Relative reports whether the limits are shares of what the process may use.
func (c *Config) Relative() bool { return c.LimitMiB == 0 }

// Limits returns the limit of the process and the soft limit below it, in bytes.
// available is the memory that the process may use; it is used only if Relative.
func (c *Config) Limits(available int64) (hard, soft int64) {
	var spike int64
	if c.Relative() {
		hard, spike = share(available, c.LimitPercentage), share(available, c.SpikeLimitPercentage)
	} else {
		hard, spike = int64(c.LimitMiB)<<20, int64(c.SpikeLimitMiB)<<20
	}
	if spike == 0 {
		spike = hard / 5
	}
	return hard, hard - spike
}

// share divides first, since of times 100 may overflow.
func share(of int64, percent uint32) int64 {
	return of/100*int64(percent) + of%100*int64(percent)/100
}
