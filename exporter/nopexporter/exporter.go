// Package nopexporter is the `nop` exporter: it accepts every batch and discards
// it. It is for pipelines whose data is not needed: in benchmarks, and while a
// configuration is being tested.
//
// The one trap: it returns nil although it does not keep the data, unlike every
// other pipeline.Consumer.
package nopexporter

import (
	"context"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Config has no keys, as in the Collector.
type Config struct{}

// DefaultConfig returns the configuration of an empty section.
func DefaultConfig() Config { return Config{} }

// Validate returns nil.
func (*Config) Validate() error { return nil }

// Exporter discards all batches.
type Exporter struct{ id string }

// New returns an exporter.
func New(_ Config, set component.Settings) (*Exporter, error) {
	return &Exporter{id: set.ID}, nil
}

// Name returns the exporter's id in the configuration.
func (e *Exporter) Name() string { return e.id }

// Capabilities returns that it does not change batches.
func (*Exporter) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Start does nothing.
func (*Exporter) Start(context.Context) error { return nil }

// Shutdown does nothing.
func (*Exporter) Shutdown(context.Context) error { return nil }

// Consume returns nil.
func (*Exporter) Consume(context.Context, *pipeline.Batch) error { return nil }
