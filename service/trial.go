package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service/internal/graph"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// A Trial passes requests through the processors of a configuration, and shows what each of
// them did. Receivers, exporters, connectors, extensions and queues are not created, and
// nothing listens. Its life cycle is NewTrial, Start, Run for each pipeline, Shutdown.
type Trial struct {
	trial     *graph.Trial
	pipelines []*load.Pipeline
}

// A TrialPipeline is a pipeline of a Trial.
type TrialPipeline struct {
	ID     string // "traces/front"
	Signal otlp.Signal
}

// A TrialStep is what a processor did to the requests that came to it.
type TrialStep struct {
	Processor         string // its id: "resource/2"
	ItemsIn, ItemsOut int
	// Requests are those that it passed on.
	Requests [][]byte
	// Err is why it refused requests; nil if it refused none.
	Err error
}

// NewTrial creates the processors of pipelines, of all pipelines if no id is given. Of
// the options it uses Components and Logger, without which nothing is logged. Its error is a
// ConfigErrors if a processor rejects its settings.
func NewTrial(cfg *Config, o Options, pipelines ...string) (*Trial, error) {
	t := &Trial{}
	var known []string
	for _, p := range cfg.loaded.Pipelines {
		known = append(known, p.ID)
		if len(pipelines) == 0 || slices.Contains(pipelines, p.ID) {
			t.pipelines = append(t.pipelines, p)
		}
	}
	for _, id := range pipelines {
		if !slices.Contains(known, id) {
			return nil, fmt.Errorf("unknown pipeline %q%s", id, suggest.Known(id, known))
		}
	}
	var err error
	t.trial, err = graph.NewTrial(cfg.loaded, component.Settings{Logger: o.Logger}, t.pipelines)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Pipelines returns the pipelines of the trial, in the order of the configuration.
func (t *Trial) Pipelines() (all []TrialPipeline) {
	for _, p := range t.pipelines {
		all = append(all, TrialPipeline{p.ID, p.Signal})
	}
	return all
}

// Start starts the processors. Shutdown has to be called also after an error.
func (t *Trial) Start(ctx context.Context) error { return t.trial.Start(ctx) }

// Run passes requests, which are OTLP of the pipeline's signal, through its processors, and
// returns what each did, in their order. It may be called once for each pipeline.
func (t *Trial) Run(ctx context.Context, pipeline string, requests [][]byte) (steps []TrialStep, err error) {
	for _, p := range t.pipelines {
		if p.ID != pipeline {
			continue
		}
		results, err := t.trial.Run(ctx, p, requests)
		for _, r := range results {
			steps = append(steps, TrialStep(r))
		}
		return steps, err
	}
	return nil, fmt.Errorf("unknown pipeline %q", pipeline)
}

// Shutdown ends the processors.
func (t *Trial) Shutdown(ctx context.Context) error { return t.trial.Shutdown(ctx) }
