package graph

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// trialWait is how long a trial waits for a processor that holds a request before it gives
// it the next one.
const trialWait = 100 * time.Millisecond

// A Trial has the processors of pipelines, and nothing of what is around them.
type Trial struct {
	graph     *Graph
	pipelines map[*load.Pipeline][]*trialStep
	started   []pipeline.Component
	problems  config.Errors
}

// trialStep is a processor in front of a consumer that keeps what it passes on.
type trialStep struct {
	of    *load.Component
	entry pipeline.Consumer
	part  pipeline.Component // nil: it has no life cycle
	holds bool               // it may keep requests until it is shut down
	out   *kept
}

// A TrialResult is what a processor did to requests.
type TrialResult struct {
	Processor         string
	ItemsIn, ItemsOut int
	Requests          [][]byte // that it passed on
	Err               error    // its refusals
}

// NewTrial creates the processors of pipelines. Its error lists all that could not be
// created, with their positions.
func NewTrial(cfg *load.Config, s component.Settings, pipelines []*load.Pipeline) (*Trial, error) {
	t := &Trial{graph: &Graph{cfg: cfg, settings: s, extensions: &startedExtensions{}}, pipelines: map[*load.Pipeline][]*trialStep{}}
	for _, p := range pipelines {
		t.pipelines[p] = nil
		for _, r := range p.Processors {
			step, err := t.step(p, r.Target)
			if err != nil {
				var placed config.Errors
				if !errors.As(err, &placed) {
					err = r.Target.Errorf("%w", err)
				}
				t.problems.Add(err)
				continue
			}
			t.pipelines[p] = append(t.pipelines[p], step)
		}
	}
	return t, t.problems.Err()
}

func (t *Trial) step(p *load.Pipeline, c *load.Component) (*trialStep, error) {
	set, _ := t.graph.settingsFor(c)
	set.Signal = p.Signal
	s := &trialStep{of: c, out: &kept{}}
	if c.Descriptor.Processor == nil {
		holder, err := c.Descriptor.ConsumerProcessor(c.Config, set, s.out)
		if err != nil {
			return nil, err
		}
		s.entry, s.part, s.holds = holder, holder, true
		return s, nil
	}
	processor, err := c.Descriptor.Processor(c.Config, set)
	if err != nil {
		return nil, err
	}
	s.part, _ = processor.(pipeline.Component)
	s.entry = pipeline.Chain(s.out, pipeline.Step{Name: c.ID, Processor: processor})
	return s, nil
}

// Start starts the processors.
func (t *Trial) Start(ctx context.Context) error {
	for _, steps := range t.pipelines {
		for _, s := range steps {
			if s.part == nil {
				continue
			}
			t.started = append(t.started, s.part)
			if err := s.part.Start(ctx); err != nil {
				return s.of.Errorf("%w", err)
			}
		}
	}
	return nil
}

// Shutdown ends all processors that were started. It may be called after an error of Start.
func (t *Trial) Shutdown(ctx context.Context) error {
	var errs []error
	for _, part := range slices.Backward(t.started) {
		errs = append(errs, part.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// Run passes requests through the processors of a pipeline, all through the first before
// the second gets any. Processors that hold requests are shut down, so that they pass them
// on: it is called once for a pipeline.
func (t *Trial) Run(ctx context.Context, p *load.Pipeline, requests [][]byte) (all []TrialResult, err error) {
	for _, s := range t.pipelines[p] {
		r, err := s.run(ctx, p, requests)
		if err != nil {
			return all, err
		}
		all = append(all, r)
		requests = r.Requests
	}
	return all, nil
}

func (s *trialStep) run(ctx context.Context, p *load.Pipeline, requests [][]byte) (TrialResult, error) {
	r := TrialResult{Processor: s.of.ID}
	errs := make([]error, len(requests)+1)
	var calls sync.WaitGroup
	for i, request := range requests {
		b, err := pipeline.NewBatch(p.Signal, bytes.Clone(request), nil)
		if err != nil {
			return r, err
		}
		r.ItemsIn += b.Items()
		done := make(chan struct{})
		calls.Go(func() {
			defer close(done)
			errs[i] = s.entry.Consume(ctx, b)
			b.Release()
		})
		s.wait(done)
	}
	if s.holds {
		errs[len(requests)] = s.part.Shutdown(ctx)
	}
	calls.Wait()
	r.Err = errors.Join(errs...)
	r.Requests, r.ItemsOut = s.out.taken()
	return r, nil
}

// wait waits until a request has passed, or is held.
func (s *trialStep) wait(done <-chan struct{}) {
	if !s.holds {
		<-done
		return
	}
	t := time.NewTimer(trialWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// kept is a consumer that keeps copies.
type kept struct {
	mu       sync.Mutex
	requests [][]byte
	items    int
}

func (k *kept) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (k *kept) Consume(_ context.Context, b *pipeline.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, bytes.Clone(b.Bytes()))
	k.items += b.Items()
	return nil
}

func (k *kept) taken() ([][]byte, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.requests, k.items
}
