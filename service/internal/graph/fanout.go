package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// fanout passes batches to all of branches. A single branch is left as it is: its error
// needs no name.
func (b *builder) fanout(branches []branch) pipeline.Consumer {
	if len(branches) == 1 {
		return branches[0].Consumer
	}
	all, err := severalOf(branches, b.queuesOf, b.settings)
	if err != nil {
		b.problems.Add(err)
	}
	return pipeline.Fanout(all...)
}

// joined passes batches to branches, of which those that may wait for a destination are
// called at the same time.
func (b *builder) joined(direct, waiting []branch) pipeline.Consumer {
	if len(waiting) > 0 {
		direct = append(direct, branch{b.together(waiting), namesOf(waiting)})
	}
	return b.fanout(direct)
}

func (b *builder) together(branches []branch) pipeline.Consumer {
	next, err := togetherOf(branches, b.settings)
	if err != nil {
		b.problems.Add(err)
	}
	return next
}

// togetherOf calls branches at the same time, since each may wait for a destination.
func togetherOf(branches []branch, set component.Settings) (pipeline.Consumer, error) {
	if len(branches) == 1 {
		return branches[0].Consumer, nil
	}
	all, err := severalOf(branches, nil, set)
	return pipeline.Concurrent(all...), err
}

// severalOf returns branches as those of a fan-out. queuesOf has the queues behind a
// branch by its name.
func severalOf(branches []branch, queuesOf map[string][]*queue, set component.Settings) ([]pipeline.Consumer, error) {
	all, errs := make([]pipeline.Consumer, len(branches)), make([]error, len(branches))
	for i, br := range branches {
		all[i], errs[i] = oneOfSeveral(br, queuesOf[br.name], set.OrDefaults())
	}
	return all, errors.Join(errs...)
}

// oneOf is a branch of a fan-out: its repeats are counted, and what a pipeline with queues
// refuses for good goes to their dead letters.
type oneOf struct {
	branch
	queues   []*queue
	observed *obsreport.Branch // nil: nothing is measured
	logger   *slog.Logger
	refusals lograte.Limiter
}

func oneOfSeveral(br branch, queues []*queue, set component.Settings) (one *oneOf, err error) {
	one = &oneOf{branch: br, queues: queues, logger: set.Logger}
	if set.MetricsLevel != component.LevelNone {
		one.observed, err = obsreport.NewBranch(br.name, set.Meter)
	}
	return one, err
}

// Repeated implements pipeline.RepeatCounter.
func (o *oneOf) Repeated(ctx context.Context, b *pipeline.Batch) {
	if o.observed != nil {
		o.observed.Repeated(ctx, b.Signal(), b.Items())
	}
}

// refusalEvery is how often a refusal is logged at most.
const refusalEvery = time.Minute

var errNoDeadLetters = errors.New("the pipeline has no queue on disk, and so no dead letters")

// RecordRefused implements pipeline.RefusalRecorder.
func (o *oneOf) RecordRefused(ctx context.Context, b *pipeline.Batch, why error) error {
	err := errNoDeadLetters
	for _, q := range o.queues {
		if err = q.recordRefused(ctx, b, o.name, why); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	if o.observed != nil {
		o.observed.DeadLettered(ctx, b.Signal(), b.Items())
	}
	if n, ok := o.refusals.Allow(refusalEvery); ok {
		o.logger.Error("a request was refused for good by one of its pipelines, whose copy is a dead letter (logged at most once in "+refusalEvery.String()+")",
			slog.String("branch", o.name), slog.Int("items", b.Items()), slog.Any("error", why), slog.Int64("requests", n))
	}
	return nil
}

// recordRefused keeps what a branch has refused in the dead letters.
func (q *queue) recordRefused(ctx context.Context, b *pipeline.Batch, branch string, why error) error {
	if q.entry.Load() == nil {
		return errQueueStopped
	}
	if q.dead == nil { // it is in memory
		return errNoDeadLetters
	}
	memory, err := b.Reserve(ctx, len(b.Bytes())+record.MaxHeaderBytes)
	if err != nil {
		return fmt.Errorf("keep a refused request: %w", err)
	}
	defer memory.Release()
	r := record.Of(b)
	buf, err := record.Append(make([]byte, 0, len(b.Bytes())+1<<10), &r, q.kept())
	if err != nil {
		return fmt.Errorf("keep a refused request: %w", err)
	}
	return q.dead.Add(ctx, delivery.DeadLetter{Destination: branch, Record: buf, Items: uint64(b.Items()), Err: why})
}
