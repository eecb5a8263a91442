package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Chain returns a consumer that hands each batch from step to step and what the
// last returns to next, in the caller's goroutine. Without steps it is next
// itself.
//
//	borrowed ──► step 1 ──► derived ──► step 2 ──► derived ──► … ──► next
//	                           └── released as soon as the next one is there
//
// What a step makes new is charged to the admission ticket of the batch that
// came in; if there is no room, the batch is refused. At most two derived
// batches are alive at a time, beside the one that was borrowed. A panic of a
// processor is returned as a *PanicError. Neighbours that offer edit plans are run
// in one pass (Planner).
func Chain(next Consumer, steps ...Step) Consumer {
	if len(steps) == 0 {
		return next
	}
	c := &chain{next: next, mutates: next.Capabilities().MutatesData}
	for _, s := range steps {
		if p, ok := s.Processor.(interface{ Capabilities() Capabilities }); ok {
			c.mutates = c.mutates || p.Capabilities().MutatesData
		}
		c.links = append(c.links, link{Step: s, timed: s.Observer != nil && s.Observer.Timed()})
	}
	c.links = fuse(c.links)
	return c
}

type chain struct {
	links   []link
	next    Consumer
	mutates bool
}

// Capabilities: a batch that no step changes comes through to next, so what next
// does counts too.
func (c *chain) Capabilities() Capabilities {
	all := c.next.Capabilities()
	all.MutatesData = c.mutates
	return all
}

func (c *chain) Consume(ctx context.Context, borrowed *Batch) error {
	b, err := runAll(ctx, c.links, borrowed)
	switch b {
	case nil:
		return err
	case borrowed:
	default:
		defer b.Release()
	}
	return c.next.Consume(ctx, b)
}

// runAll runs links one after the other and returns what the last one did: the
// borrowed batch, one that is the caller's to release, or nil.
func runAll(ctx context.Context, links []link, borrowed *Batch) (*Batch, error) {
	b := borrowed
	for i := range links {
		out, err := links[i].process(ctx, b)
		if out != b && b != borrowed {
			b.Release()
		}
		if b = out; b == nil {
			return nil, err
		}
	}
	return b, nil
}

// link is a step as the chain runs it.
type link struct {
	Step
	timed bool
	fused *fusion // several steps in one pass, instead; nil: none
}

// process runs the step and reports what it did. A new batch is charged. If there
// is an error, there is no batch.
func (l *link) process(ctx context.Context, b *Batch) (out *Batch, err error) {
	if l.fused != nil {
		return l.fused.process(ctx, b)
	}
	signal, in, passed := b.Signal(), b.Items(), 0
	var began time.Time
	var took time.Duration
	if l.timed {
		began = time.Now()
	}
	if out, err = l.run(ctx, b); err != nil {
		out, err = nil, l.failed(err)
	}
	if l.Observer == nil {
		return out, err
	}
	if l.timed {
		took = time.Since(began)
	}
	if out != nil {
		passed = out.Items()
	}
	l.Observer.Processed(ctx, signal, in, passed, took)
	return out, err
}

// run calls the processor and makes an error of a panic. If there is an error,
// out is nothing to use.
func (l *link) run(ctx context.Context, b *Batch) (out *Batch, err error) {
	defer l.rescue(&err)
	out, err = l.Processor.Process(ctx, b)
	if out == nil || out == b {
		return out, err
	}
	if err == nil {
		err = out.settle(ctx, b)
	}
	if err != nil {
		out.Release()
	}
	return out, err
}

func (l *link) rescue(err *error) {
	if p := recover(); p != nil {
		*err = &Error{Kind: Permanent, Err: &PanicError{Processor: l.Name, Value: p, Stack: debug.Stack()}}
	}
}

// failed puts the processor's name to an error, and keeps its kind.
func (l *link) failed(err error) error {
	var p *PanicError
	if errors.As(err, &p) {
		return err
	}
	e := *Classify(err)
	e.Err = fmt.Errorf("processor %q: %w", l.Name, err)
	return &e
}
