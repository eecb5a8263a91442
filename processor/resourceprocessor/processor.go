package resourceprocessor

import (
	"context"
	"fmt"
	"sync"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Processor edits resources and passes the result on.
type Processor struct {
	id        string
	next      pipeline.Consumer
	rewriters sync.Pool // of *rewriter
}

// New returns a processor that hands its results to next.
func New(cfg Config, set component.Settings, next pipeline.Consumer) (*Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	plan, err := compile(cfg.Attributes)
	if err != nil {
		return nil, err
	}
	p := &Processor{id: set.ID, next: next}
	p.rewriters.New = func() any { return newRewriter(plan) }
	return p, nil
}

// Name returns the processor's id in the configuration.
func (p *Processor) Name() string { return p.id }

// Capabilities: it never edits in place. A batch that changes is written anew,
// and one that does not is passed on with the mark it came with, so that what
// follows knows whether it may edit.
func (p *Processor) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Start does nothing: there is nothing to bind.
func (p *Processor) Start(context.Context) error { return nil }

// Shutdown does nothing: what is in flight belongs to the callers of Consume.
func (p *Processor) Shutdown(context.Context) error { return nil }

// Consume passes b on with its resources edited; b itself if nothing changes.
// Its own refusal, of a batch that would grow out of bounds, is Permanent.
func (p *Processor) Consume(ctx context.Context, b *pipeline.Batch) error {
	w := p.rewriters.Get().(*rewriter)
	edited, err := w.rewrite(b.Signal(), b.Bytes())
	p.rewriters.Put(w)
	if err != nil {
		return pipeline.Permanently(fmt.Errorf("%s: editing the resources of a %s request: %w", p.id, b.Signal(), err))
	}
	if edited == nil {
		return p.next.Consume(ctx, b)
	}
	buf := pipeline.BufferOf(edited)
	defer buf.Release()
	derived := b.Derive(buf, b.Items())
	defer derived.Release()
	return p.next.Consume(ctx, derived)
}
