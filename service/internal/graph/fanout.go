package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	next, err := fanoutOf(branches, b.queuesOf, b.settings)
	if err != nil {
		b.problems.Add(err)
	}
	return next
}

// fanoutOf is fanout; those that may wait for a destination come last, and if there are
// several all are called at the same time, so that one that is down keeps the batch from
// none. queuesOf has the queues behind a branch by its name.
func fanoutOf(branches []branch, queuesOf map[string][]queueSlot, set component.Settings) (pipeline.Consumer, error) {
	if len(branches) == 1 {
		return branches[0].Consumer, nil
	}
	slices.SortStableFunc(branches, waitingLast)
	all, errs := make([]pipeline.Consumer, len(branches)), make([]error, len(branches))
	for i, br := range branches {
		all[i], errs[i] = oneOfSeveral(br, queuesOf[br.name], set.OrDefaults())
	}
	if waits(branches[:len(branches)-1]) {
		return pipeline.Concurrent(all...), errors.Join(errs...)
	}
	return pipeline.Fanout(all...), errors.Join(errs...)
}

func waitingLast(a, b branch) int {
	switch {
	case a.waits == b.waits:
		return 0
	case a.waits:
		return 1
	}
	return -1
}

// waits reports whether a branch may wait for a destination.
func waits(branches []branch) bool {
	return slices.ContainsFunc(branches, func(b branch) bool { return b.waits })
}

// oneOf is a branch of a fan-out: its repeats are counted, and what a pipeline with queues
// refuses for good goes to their dead letters.
type oneOf struct {
	branch
	queues   []queueSlot
	observed *obsreport.Branch // nil: nothing is measured
	logger   *slog.Logger
	refusals lograte.Limiter
}

func oneOfSeveral(br branch, queues []queueSlot, set component.Settings) (one *oneOf, err error) {
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
	if err := recordInOne(ctx, o.queues, b, o.name, why); err != nil {
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
		return q.stopped()
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
