// Package nopexporter is the `nop` exporter: it takes every batch, says that it
// is kept, and keeps nothing. It stands where a pipeline needs an end and nobody
// wants the data: in benchmarks, and beside a pipeline that is being tried.
//
// The one trap: its nil is the one that does not mean what pipeline.Consumer
// promises.
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

// Validate finds nothing wrong.
func (*Config) Validate() error { return nil }

// Exporter drops what it is given.
type Exporter struct{ id string }

// New returns an exporter.
func New(_ Config, set component.Settings) (*Exporter, error) {
	return &Exporter{id: set.ID}, nil
}

// Name returns the exporter's id in the configuration.
func (e *Exporter) Name() string { return e.id }

// Capabilities: it does not even read.
func (*Exporter) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Start does nothing.
func (*Exporter) Start(context.Context) error { return nil }

// Shutdown does nothing.
func (*Exporter) Shutdown(context.Context) error { return nil }

// Consume returns nil.
func (*Exporter) Consume(context.Context, *pipeline.Batch) error { return nil }
