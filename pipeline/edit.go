package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// Planner is a Processor that does no more than apply an edit plan. Chain fuses
// the plans of neighbours into one pass over the request, with one copy of it
// instead of one for each. It does not where
//
//   - the plans are not otlpedit.Fusable: a later one goes back up to a level that
//     an earlier one depends on, or
//   - an Observer is Timed, since in one pass the time of one plan is unknown
//     from that of another.
//
// A processor without a plan ends the group of those before it. If a fused pass
// fails for another reason than memory or time, the processors are run one by one, so
// that the error, the counts and a panic are those of the one that is to blame.
type Planner interface {
	Processor
	Plan() otlpedit.Plan
}

// Edits is a Planner: the processor that applies a plan and nothing else.
type Edits struct {
	plan   otlpedit.Plan
	passes passes
}

// NewEdits returns a processor that applies plan to every batch. Its refusal of a
// batch that would grow too much is Permanent.
func NewEdits(plan otlpedit.Plan) *Edits {
	return &Edits{plan: plan, passes: passes{plans: []otlpedit.Plan{plan}}}
}

// Plan returns the plan.
func (e *Edits) Plan() otlpedit.Plan { return e.plan }

// Process returns b with the plan applied; b itself if nothing changes.
func (e *Edits) Process(ctx context.Context, b *Batch) (*Batch, error) {
	p := e.passes.get()
	out, err := p.run(ctx, b)
	e.passes.put(p)
	return out, err
}

// A Pass applies edit plans to batches, one at a time, for a component that needs the
// editors that the plans make beside their results. The plans must be otlpedit.Fusable. It
// is used by one goroutine at a time, and not after a panic.
type Pass struct{ edit *editPass }

// NewPass returns a pass that applies plans in their order.
func NewPass(plans ...otlpedit.Plan) *Pass {
	return &Pass{&editPass{Pass: otlpedit.NewPass(plans...), plans: len(plans)}}
}

// Run returns what the plans make of b: b itself if nothing changes, nil if no item is
// left. What it makes new is charged to the admission ticket of b.
func (p *Pass) Run(ctx context.Context, b *Batch) (*Batch, error) {
	out, err := p.edit.run(ctx, b)
	if err != nil || out == nil || out == b {
		return out, err
	}
	if err := out.settle(ctx, b); err != nil {
		out.Release()
		return nil, err
	}
	return out, nil
}

// passes are otlpedit.Passes with the same plans, kept for reuse.
type passes struct {
	plans []otlpedit.Plan
	idle  sync.Pool // of *editPass
}

func (p *passes) get() *editPass {
	if e, _ := p.idle.Get().(*editPass); e != nil {
		return e
	}
	return &editPass{Pass: otlpedit.NewPass(p.plans...), plans: len(p.plans)}
}

// put is not called after a panic, which may leave the editors in any state.
func (p *passes) put(e *editPass) { p.idle.Put(e) }

// ClientOf returns where the batch came from that a pass edits, nil if it was made in
// this process, or if the pass is not part of a pipeline.
func ClientOf(p *otlpedit.Pass) *Client {
	if e, ok := p.Memory().(*editPass); ok {
		return e.batch.Client()
	}
	return nil
}

// editPass is a Pass that writes to a buffer of the batch that it edits.
type editPass struct {
	*otlpedit.Pass
	plans int
	ctx   context.Context
	batch *Batch
	buf   *Buffer     // nil until something changes
	work  Reservation // for the working memory of the pass
}

// Grow implements otlpedit.Memory.
func (e *editPass) Grow(b []byte, n int) (grown []byte, err error) {
	if e.buf == nil {
		if e.buf, err = e.batch.NewBuffer(e.ctx, n); err != nil {
			return nil, err
		}
	} else {
		e.buf.Bytes = b
		if err := e.buf.Grow(e.ctx, n); err != nil {
			return nil, err
		}
	}
	return e.buf.Bytes, nil
}

// Reserve implements otlpedit.Memory.
func (e *editPass) Reserve(n int) error { return e.work.Grow(e.ctx, n) }

// Err implements otlpedit.Memory.
func (e *editPass) Err() error {
	if e.ctx.Err() != nil {
		return context.Cause(e.ctx)
	}
	return nil
}

// run returns what the plans make of b.
func (e *editPass) run(ctx context.Context, b *Batch) (*Batch, error) {
	e.ctx, e.batch, e.work = ctx, b, Reservation{batch: b}
	defer e.forget()
	verdict, edited, err := e.Run(b.Signal(), b.Bytes(), b.Items(), e)
	switch {
	case err != nil:
		return nil, editError(b, err)
	case verdict == otlpedit.Keep:
		return b, nil
	case verdict == otlpedit.Drop:
		return nil, nil
	}
	e.buf.Bytes = edited
	return b.Derive(e.buf, e.Items(e.plans-1)), nil
}

func (e *editPass) forget() {
	if e.buf != nil {
		e.buf.Release()
	}
	e.work.Release()
	e.ctx, e.batch, e.buf = nil, nil, nil
}

func editError(b *Batch, err error) error {
	err = fmt.Errorf("edit a %s request: %w", b.Signal(), err)
	var growth *otlpedit.GrowthError
	if errors.As(err, &growth) {
		return Permanently(err)
	}
	return err
}

// fusion is several steps of a chain whose plans are applied in one pass.
type fusion struct {
	links  []link
	passes passes
}

// fuse replaces neighbours whose plans can be applied in one pass by one link.
func fuse(links []link) (out []link) {
	for len(links) > 0 {
		n, plans := fusable(links)
		if n < 2 {
			out, links = append(out, links[0]), links[1:]
			continue
		}
		out = append(out, link{fused: &fusion{links: links[:n:n], passes: passes{plans: plans}}})
		links = links[n:]
	}
	return out
}

// fusable returns how many of the first links one pass can do, and their plans.
func fusable(links []link) (n int, plans []otlpedit.Plan) {
	for _, l := range links {
		p, ok := l.Processor.(Planner)
		if !ok || l.timed {
			break
		}
		more := append(plans, p.Plan())
		if !otlpedit.Fusable(more...) {
			break
		}
		plans = more
	}
	return len(plans), plans
}

// process runs the steps in one pass, or one by one if that fails.
func (f *fusion) process(ctx context.Context, b *Batch) (*Batch, error) {
	p := f.passes.get()
	out, err := f.run(ctx, p, b)
	if err != nil {
		return f.apart(ctx, b, err)
	}
	in := b.Items()
	for i := range f.links {
		passed := p.Items(i)
		if o := f.links[i].Observer; o != nil {
			o.Processed(ctx, b.Signal(), in, passed, 0)
		}
		if in > 0 && passed == 0 {
			break // nothing came to the others
		}
		in = passed
	}
	f.passes.put(p)
	return out, nil
}

// apart runs the steps one by one after a pass that ended with err. It does not where
// they would ask again for memory that there is not, or for time that is over: that
// counts as the first step's refusal. A panic that does not happen again is returned.
func (f *fusion) apart(ctx context.Context, b *Batch, err error) (*Batch, error) {
	var full *admission.Overload
	if errors.As(err, &full) || ctx.Err() != nil {
		first := &f.links[0]
		if first.Observer != nil {
			first.Observer.Processed(ctx, b.Signal(), b.Items(), 0, 0)
		}
		return nil, first.failed(err)
	}
	out, again := runAll(ctx, f.links, b)
	var panicked *PanicError
	if again != nil || !errors.As(err, &panicked) {
		return out, again
	}
	if out != nil && out != b {
		out.Release()
	}
	return nil, err
}

// run makes an error of a panic, which names all steps.
func (f *fusion) run(ctx context.Context, p *editPass, b *Batch) (out *Batch, err error) {
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, Permanently(&PanicError{Processor: f.names(), Value: v, Stack: debug.Stack()})
		}
	}()
	out, err = p.run(ctx, b)
	if err == nil && out != nil && out != b {
		if err = out.settle(ctx, b); err != nil {
			out.Release()
		}
	}
	return out, err
}

func (f *fusion) names() string {
	var names []string
	for i := range f.links {
		names = append(names, f.links[i].Name)
	}
	return strings.Join(names, ", ")
}
