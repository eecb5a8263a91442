package routingconnector

import (
	"context"
	"sync"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// New returns the connector for the signal of set.
func New(cfg Config, set component.Settings, out component.Outputs) (pipeline.Consumer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t, err := newTable(&cfg, set.Signal, out)
	if err != nil {
		return nil, err
	}
	t.report = statements.Reporter(set.OrDefaults().Logger)
	return &router{table: t, outputs: out}, nil
}

// router passes batches of a signal to pipelines.
type router struct {
	*table
	outputs component.Outputs
	idle    sync.Pool // of *work
}

// Capabilities: a batch may be passed on as it is.
func (r *router) Capabilities() pipeline.Capabilities { return r.outputs.Capabilities() }

// Consume passes b, or what is cut out of it, to pipelines.
func (r *router) Consume(ctx context.Context, b *pipeline.Batch) error {
	w, _ := r.idle.Get().(*work)
	if w == nil {
		w = newWork(r.table)
	}
	var pieces pieceList
	defer func() { pieces.release() }()
	err := w.divide(ctx, b, &pieces)
	w.reset() // it is not kept after a panic
	r.idle.Put(w)
	if err != nil {
		return err
	}
	return pipeline.Deliver(ctx, b, pieces.all()...)
}

// piece is what goes to one destination.
type piece struct {
	to    *destination
	batch *pipeline.Batch
	owned bool // the batch is not the one that came in
}

type pieceList []piece

func (l pieceList) release() {
	for _, p := range l {
		if p.owned && p.batch != nil {
			p.batch.Release()
		}
	}
}

// all returns a piece for each pipeline.
func (l pieceList) all() (all []pipeline.Piece) {
	for _, p := range l {
		if p.batch == nil { // no item is in it
			continue
		}
		all = append(all, p.to.outputs.To(p.batch)...)
	}
	return all
}
