package component

import (
	"slices"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Outputs are the pipelines that read a connector, in the order of the configuration.
type Outputs []Output

// An Output is a pipeline that reads a connector. pipeline.Deliver passes batches to
// several.
type Output struct {
	ID     string // "logs/archive"
	Signal otlp.Signal
	pipeline.Consumer
	// Waits says that a batch may wait in the pipeline for a destination.
	Waits bool
}

// Of returns those of a signal.
func (o Outputs) Of(s otlp.Signal) Outputs {
	return slices.DeleteFunc(slices.Clone(o), func(out Output) bool { return out.Signal != s })
}

// Only returns those with the given ids.
func (o Outputs) Only(ids ...string) Outputs {
	return slices.DeleteFunc(slices.Clone(o), func(out Output) bool { return !slices.Contains(ids, out.ID) })
}

// Capabilities are those of a connector that passes batches on unchanged to some of the
// outputs.
func (o Outputs) Capabilities() (all pipeline.Capabilities) {
	for _, out := range o {
		c := out.Consumer.Capabilities()
		all.MutatesData = all.MutatesData || c.MutatesData
		all = all.With(c)
	}
	return all
}

// To returns pieces that carry b to all outputs.
func (o Outputs) To(b *pipeline.Batch) (pieces []pipeline.Piece) {
	for _, out := range o {
		pieces = append(pieces, pipeline.Piece{To: out.Consumer, Batch: b, Waits: out.Waits})
	}
	return pieces
}
