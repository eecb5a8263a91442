package selfobs

import (
	"errors"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/service/internal/push"
)

// PeriodicConfig pushes metrics at intervals. Its keys, like those of ProcessorConfig
// and SamplerConfig, are those of the OpenTelemetry declarative configuration.
type PeriodicConfig struct {
	// IntervalMillis is the time between two requests, TimeoutMillis that for one.
	IntervalMillis int         `yaml:"interval"`
	TimeoutMillis  int         `yaml:"timeout"`
	Exporter       push.Config `yaml:"exporter"`
}

// SetDefaults implements config.Defaulter.
func (c *PeriodicConfig) SetDefaults() {
	*c = PeriodicConfig{IntervalMillis: 60_000, TimeoutMillis: 30_000}
}

// Validate checks the section "periodic".
func (c *PeriodicConfig) Validate() error {
	return errors.Join(positive("interval", c.IntervalMillis), positive("timeout", c.TimeoutMillis))
}

// ProcessorConfig is one of the processors of logs or traces.
type ProcessorConfig struct {
	Batch  *BatchConfig  `yaml:"batch,omitempty"`
	Simple *SimpleConfig `yaml:"simple,omitempty"`
}

// BatchConfig sends in batches. 0 means the default of the specification.
type BatchConfig struct {
	ScheduleDelayMillis int         `yaml:"schedule_delay,omitempty"`
	ExportTimeoutMillis int         `yaml:"export_timeout,omitempty"`
	MaxQueueSize        int         `yaml:"max_queue_size,omitempty"`
	MaxExportBatchSize  int         `yaml:"max_export_batch_size,omitempty"`
	Exporter            push.Config `yaml:"exporter"`
}

// SimpleConfig sends each item at once.
type SimpleConfig struct {
	Exporter push.Config `yaml:"exporter"`
}

// Validate checks one of "processors".
func (c *ProcessorConfig) Validate() error {
	if (c.Batch == nil) == (c.Simple == nil) {
		return errors.New("expected one of batch and simple")
	}
	return nil
}

// Validate checks the section "batch".
func (c *BatchConfig) Validate() error {
	var errs []error
	for _, n := range []struct {
		key   string
		value int
	}{
		{"schedule_delay", c.ScheduleDelayMillis}, {"export_timeout", c.ExportTimeoutMillis},
		{"max_queue_size", c.MaxQueueSize}, {"max_export_batch_size", c.MaxExportBatchSize},
	} {
		if n.value < 0 {
			errs = append(errs, config.Atf(n.key, "expected 0 or more, found %d", n.value))
		}
	}
	return errors.Join(errs...)
}

func (c *ProcessorConfig) exporter() *push.Config {
	if c.Batch != nil {
		return &c.Batch.Exporter
	}
	return &c.Simple.Exporter
}

func positive(key string, millis int) error {
	if millis > 0 {
		return nil
	}
	return config.Atf(key, "expected milliseconds, more than 0, found %d", millis)
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }
