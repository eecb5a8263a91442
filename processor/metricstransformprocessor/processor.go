package metricstransformprocessor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// logEvery is the interval of log lines about metrics that cannot be transformed.
const logEvery = time.Minute

// New returns a processor: one with a plan of edits, unless a transform combines or groups.
func New(cfg Config, set component.Settings) (pipeline.Processor, error) {
	transforms, err := compile(&cfg)
	if err != nil {
		return nil, err
	}
	log := &problems{log: set.OrDefaults().Logger}
	if !slices.ContainsFunc(transforms, func(t *transform) bool { return t.action == actionCombine || t.action == actionGroup }) {
		return pipeline.NewEdits(plan(transforms, log)), nil
	}
	return &lists{transforms: transforms, log: log}, nil
}

// problems logs metrics that cannot be transformed, not each of them.
type problems struct {
	log   *slog.Logger
	limit lograte.Limiter
}

// ignore logs an *unsupportedError and returns nil; other errors are returned.
func (p *problems) ignore(err error) error {
	if err == nil {
		return nil
	}
	var unsupported *unsupportedError
	if !errors.As(err, &unsupported) {
		return err
	}
	if times, ok := p.limit.Allow(logEvery); ok {
		p.log.Warn("metrics were not transformed", "error", err, "times", times)
	}
	return nil
}

// reserving is memory that is charged to a batch.
type reserving struct {
	ctx context.Context
	*pipeline.Reservation
}

func (r reserving) Reserve(n int) error { return r.Grow(r.ctx, n) }
