// Package nopreceiver is the `nop` receiver: it receives nothing. It is for
// pipelines that need no input: a configuration with extensions only, and while a
// configuration is being tested.
package nopreceiver

import (
	"context"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Config has no keys, as in the Collector.
type Config struct{}

// DefaultConfig returns the configuration of an empty section.
func DefaultConfig() Config { return Config{} }

// Receiver receives nothing.
type Receiver struct{}

// New returns a receiver.
func New(Config, component.Settings) (*Receiver, error) { return &Receiver{}, nil }

// Register accepts every signal.
func (*Receiver) Register(otlp.Signal, pipeline.Consumer) error { return nil }

// Rewire accepts every signal.
func (*Receiver) Rewire(map[otlp.Signal]pipeline.Consumer) error { return nil }

// Start does nothing.
func (*Receiver) Start(context.Context) error { return nil }

// Shutdown does nothing.
func (*Receiver) Shutdown(context.Context) error { return nil }
