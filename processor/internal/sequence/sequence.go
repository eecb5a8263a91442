// Package sequence makes processors of edit plans that are applied one after the other.
package sequence

import (
	"context"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// New returns a processor of signal s, 0 for one of any, which applies what plans returns
// for a signal. Where that is one plan, it is a pipeline.Planner, which can be applied in
// one pass with its neighbours.
func New(s otlp.Signal, plans func(otlp.Signal) []otlpedit.Plan) pipeline.Processor {
	if s != 0 {
		return ofSignal(plans(s))
	}
	p := bySignal{}
	for _, s := range otlp.Signals() {
		p[s] = ofSignal(plans(s))
	}
	return p
}

func ofSignal(plans []otlpedit.Plan) pipeline.Processor {
	switch len(plans) {
	case 0:
		return pipeline.NewEdits(otlpedit.Plan{New: func() otlpedit.Editor { return otlpedit.EditorFunc(nil) }})
	case 1:
		return pipeline.NewEdits(plans[0])
	}
	var s steps
	for _, plan := range plans {
		s = append(s, pipeline.NewEdits(plan))
	}
	return s
}

// bySignal is a processor for each signal.
type bySignal map[otlp.Signal]pipeline.Processor

// Process implements pipeline.Processor.
func (p bySignal) Process(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	return p[b.Signal()].Process(ctx, b)
}

// steps are applied one after the other.
type steps []*pipeline.Edits

// Process implements pipeline.Processor.
func (s steps) Process(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	now := b
	for _, step := range s {
		next, err := step.Process(ctx, now)
		if next != now && now != b {
			now.Release()
		}
		if err != nil || next == nil {
			return nil, err
		}
		now = next
	}
	return now, nil
}
