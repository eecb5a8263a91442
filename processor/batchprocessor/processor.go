package batchprocessor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxBytes bounds a merged request: destinations accept 4 MiB by default.
const maxBytes = 2 << 20

// Processor is a pipeline.Consumer that merges.
type Processor struct {
	cfg  Config
	keys []string // of metadata, in lower case
	next pipeline.Consumer
	obs  *obsreport.Batching
	life lifecycle.Cycle

	mu     sync.Mutex
	groups map[string]*group // those with requests in flight
}

// group are the requests in flight that may be merged with each other.
type group struct {
	key     string
	calls   int // of Consume
	waiting []*call
	items   int // of waiting
}

// idle reports whether nothing of the group is being sent.
func (g *group) idle() bool { return g.calls == len(g.waiting) }

// call is a Consume that waits.
type call struct {
	ctx   context.Context
	batch *pipeline.Batch // retained
	lead  chan struct{}   // gets one when the call is to send what waits
	done  chan error      // gets the result
}

// New returns a processor in front of next.
func New(cfg Config, set component.Settings, next pipeline.Consumer) (_ *Processor, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Processor{cfg: cfg, next: next, groups: map[string]*group{}}
	for _, key := range cfg.MetadataKeys {
		p.keys = append(p.keys, strings.ToLower(key))
	}
	set = set.OrDefaults()
	p.obs, err = obsreport.NewBatching(set.ID, set.Meter, set.MetricsLevel >= component.LevelDetailed, p.count)
	return p, err
}

// count is how many groups have requests in flight.
func (p *Processor) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.groups)
}

// Start starts nothing: the processor has no goroutines.
func (p *Processor) Start(context.Context) error {
	return p.life.Start(func(*lifecycle.Undo) error { return nil })
}

// Shutdown ends the metrics. What waits is sent by its callers.
func (p *Processor) Shutdown(context.Context) error { return p.life.Shutdown(p.obs.Close) }

// Capabilities implements pipeline.Consumer: a batch is passed on unchanged, or is
// merged into a new one.
func (p *Processor) Capabilities() pipeline.Capabilities { return p.next.Capabilities() }

// Consume returns what became of the batch, alone or merged with others.
func (p *Processor) Consume(ctx context.Context, b *pipeline.Batch) error {
	if b.Items() >= p.cfg.maxItems() || len(b.Bytes()) >= maxBytes {
		return p.pass(ctx, b, obsreport.Full)
	}
	key, mergeable := p.keyOf(b)
	if !mergeable {
		return p.pass(ctx, b, obsreport.Idle)
	}
	g, alone := p.enter(key)
	if alone {
		defer p.leave(g)
		return p.pass(ctx, b, obsreport.Idle)
	}
	return p.wait(ctx, g, b)
}

// pass sends a batch.
func (p *Processor) pass(ctx context.Context, b *pipeline.Batch, t obsreport.Trigger) error {
	p.obs.Sent(ctx, t, b.Items(), len(b.Bytes()))
	return p.next.Consume(ctx, b)
}

// enter returns the group of a key, and whether a request may be sent at once, alone.
func (p *Processor) enter(key string) (g *group, alone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g = p.groups[key]
	if g == nil {
		g = &group{key: key}
		p.groups[key] = g
	}
	g.calls++
	return g, g.calls == 1
}

// leave ends one request of a group. If none is being sent any more, the first that
// waits sends all.
func (p *Processor) leave(g *group) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g.calls--
	if g.calls == 0 {
		delete(p.groups, g.key)
	}
	p.wake(g)
}

// wake makes the first call that waits send, if nothing else is being sent.
func (p *Processor) wake(g *group) {
	if g.idle() && len(g.waiting) > 0 {
		select {
		case g.waiting[0].lead <- struct{}{}:
		default:
		}
	}
}

// wait adds b to what waits, and returns its result.
func (p *Processor) wait(ctx context.Context, g *group, b *pipeline.Batch) error {
	defer p.leave(g)
	c := &call{ctx: ctx, batch: b.Retain(), lead: make(chan struct{}, 1), done: make(chan error, 1)}
	p.mu.Lock()
	g.waiting = append(g.waiting, c)
	g.items += b.Items()
	full := p.cfg.SendBatchSize > 0 && g.items >= p.cfg.SendBatchSize
	if !full {
		p.wake(g)
	}
	p.mu.Unlock()
	if full {
		p.send(ctx, g, obsreport.Full)
	}
	timer := time.NewTimer(p.cfg.Timeout)
	defer timer.Stop()
	for {
		select {
		case err := <-c.done:
			return err
		case <-c.lead:
			p.send(ctx, g, obsreport.Idle)
		case <-timer.C:
			p.send(ctx, g, obsreport.Timeout)
		case <-ctx.Done():
			if p.withdraw(g, c) {
				return fmt.Errorf("wait for other requests: %w", context.Cause(ctx))
			}
			return <-c.done
		}
	}
}

// withdraw reports whether c was still waiting.
func (p *Processor) withdraw(g *group, c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range g.waiting {
		if other == c {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			g.items -= c.batch.Items()
			c.batch.Release()
			return true
		}
	}
	return false
}

// take returns the calls that are merged next.
func (p *Processor) take(g *group) (calls []*call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	items, size := 0, 0
	for len(calls) < len(g.waiting) {
		b := g.waiting[len(calls)].batch
		items, size = items+b.Items(), size+len(b.Bytes())
		if len(calls) > 0 && (items > p.cfg.maxItems() || size > maxBytes) {
			break
		}
		calls = append(calls, g.waiting[len(calls)])
		g.items -= b.Items()
	}
	g.waiting = append([]*call(nil), g.waiting[len(calls):]...)
	return calls
}

// send sends what waits as one request, and answers. It ends when the contexts of all
// callers have, since it is not one caller's alone.
func (p *Processor) send(ctx context.Context, g *group, t obsreport.Trigger) {
	calls := p.take(g)
	if len(calls) == 0 {
		return
	}
	answered := 0
	defer func() { // also after a panic, so that no caller waits forever
		for i, c := range calls {
			if i >= answered {
				c.done <- pipeline.Permanently(errPanicked)
			}
			c.batch.Release()
		}
	}()
	ctx, cancel := together(ctx, calls)
	defer cancel()
	for _, err := range p.results(ctx, calls, t) {
		calls[answered].done <- err
		answered++
	}
}

// together returns a context with the values of ctx that ends when those of all calls have.
func together(ctx context.Context, calls []*call) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	end := context.CancelFunc(func() {})
	if last, ok := lastDeadline(calls); ok {
		ctx, end = context.WithDeadline(ctx, last)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var left atomic.Int64
	left.Store(int64(len(calls)))
	stops := make([]func() bool, len(calls))
	for i, c := range calls {
		stops[i] = context.AfterFunc(c.ctx, func() {
			if left.Add(-1) == 0 {
				cancel(context.Cause(c.ctx))
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
		end()
	}
}

// lastDeadline is the last of the deadlines of calls, if all have one.
func lastDeadline(calls []*call) (last time.Time, ok bool) {
	for _, c := range calls {
		end, ok := c.ctx.Deadline()
		if !ok {
			return last, false
		}
		if end.After(last) {
			last = end
		}
	}
	return last, true
}

// results sends the batches of calls, merged if that is possible, and returns what became
// of each.
func (p *Processor) results(ctx context.Context, calls []*call, t obsreport.Trigger) []error {
	if len(calls) == 1 {
		return []error{p.pass(ctx, calls[0].batch, t)}
	}
	merged, err := p.merge(ctx, calls)
	if err != nil { // no memory for it, or profiles that have to stay apart
		return p.each(ctx, calls)
	}
	defer merged.Release()
	err = p.pass(ctx, merged, t)
	switch e := pipeline.Classify(err); {
	case e == nil:
		return make([]error, len(calls))
	case e.Kind == pipeline.Permanent:
		if several := (*pipeline.FanoutError)(nil); errors.As(err, &several) {
			several.SentAgain(ctx, merged)
		}
		return p.each(ctx, calls)
	case e.Kind == pipeline.Partial:
		return shares(calls, e)
	}
	all := make([]error, len(calls))
	for i := range all {
		all[i] = err
	}
	return all
}

// each sends the batches one by one.
func (p *Processor) each(ctx context.Context, calls []*call) []error {
	errs := make([]error, len(calls))
	for i, c := range calls {
		errs[i] = p.next.Consume(ctx, c.batch)
	}
	return errs
}

// shares divides the rejected items of a merged request among its senders, the first
// ones first: the destination does not say which they are.
func shares(calls []*call, e *pipeline.Error) []error {
	errs := make([]error, len(calls))
	left := e.Rejected
	for i, c := range calls {
		if share := min(left, int64(c.batch.Items())); share > 0 || i == 0 {
			own := *e
			own.Rejected = share
			errs[i] = &own
			left -= share
		}
	}
	return errs
}

// merge returns one batch of the batches of calls, charged to the first.
func (p *Processor) merge(ctx context.Context, calls []*call) (*pipeline.Batch, error) {
	first := calls[0].batch
	total, items := 0, 0
	requests := make([][]byte, len(calls))
	for i, c := range calls {
		requests[i] = c.batch.Bytes()
		total += len(requests[i])
		items += c.batch.Items()
	}
	reserved, err := first.Reserve(ctx, otlp.MergeBytes(first.Signal(), requests...))
	if err != nil {
		return nil, err
	}
	defer reserved.Release()
	buf, err := first.NewBuffer(ctx, total)
	if err != nil {
		return nil, err
	}
	defer buf.Release()
	if buf.Bytes, err = otlp.Merge(first.Signal(), buf.Bytes, requests...); err != nil {
		return nil, err
	}
	return pipeline.NewUncheckedPooledBatch(first.Signal(), buf, items, p.clientOf(first.Client())), nil
}
