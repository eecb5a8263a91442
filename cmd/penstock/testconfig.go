package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service"
)

// testConfigWithin is how long processors have to end.
const testConfigWithin = 10 * time.Second

// errUnexpected is the error of a result that is not as expected. The differences are
// printed.
var errUnexpected = errors.New("the result is not as expected")

// testConfig is the command test-config.
type testConfig struct {
	*app
	input, expect, output string
	pipelines             []string
}

func (a *app) testConfigCommand() *cobra.Command {
	c := &testConfig{app: a}
	cmd := &cobra.Command{
		Use:   "test-config [file]",
		Short: "Show what the processors of a configuration do to sample telemetry",
		Long: `Pass sample telemetry through the processors of each pipeline of a configuration,
and show what each of them changes. Receivers, exporters and extensions are not
created, and nothing listens. Requests that a processor holds are sent on at the end.

The sample is OTLP/JSON: one document, or one on each line, as the file exporter
writes them. The first key says of which signal it is (resourceLogs). Without --input
there is a built-in sample of each signal.

With --expect it is a test: the exit code is 1 if the result of a pipeline is not what
the file says. The file has OTLP/JSON, for one pipeline of a signal, or what
--output json prints, of which "pipeline" and "output" are compared.

Exit codes: 0 success, 1 a processor refused a request, or the result is not as
expected, 2 invalid command line, 78 invalid configuration.`,
		Example: `  penstock test-config penstock.yaml
  penstock test-config penstock.yaml --input logs.json --pipeline logs/app
  penstock test-config penstock.yaml --input logs.json --expect expected.json`,
		Args: c.checkArgs,
		RunE: c.run,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&c.input, "input", "", "`file` with the sample; - is the standard input")
	flags.StringArrayVar(&c.pipelines, "pipeline", nil, "`id` of a pipeline, such as traces/front; may be repeated; all pipelines by default")
	flags.StringVar(&c.expect, "expect", "", "`file` with the expected result")
	flags.StringVar(&c.output, "output", "text", "`format`: text or json")
	a.sourceFlags(flags)
	return cmd
}

func (c *testConfig) checkArgs(_ *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return fmt.Errorf("expected one configuration file, found %d; others are given with --config", len(args))
	case len(args) == 0 && len(c.sources.URIs) == 0:
		return errors.New("expected a configuration file")
	case c.output != "text" && c.output != "json":
		return fmt.Errorf("--output %q: expected text or json", c.output)
	}
	return nil
}

func (c *testConfig) run(cmd *cobra.Command, args []string) error {
	c.sources.URIs = append(slices.Clone(args), c.sources.URIs...)
	cfg, err := c.load()
	if err != nil {
		return err
	}
	c.warn(cfg.Warnings())
	samples, err := c.samples(cmd.InOrStdin())
	if err != nil {
		return err
	}
	results, err := c.try(cmd.Context(), cfg, samples)
	if err != nil {
		return err
	}
	return c.report(results)
}

// trialResult is what a pipeline did to the sample of its signal.
type trialResult struct {
	service.TrialPipeline
	requests [][]byte // the sample
	steps    []service.TrialStep
}

// output returns what the last processor passed on.
func (r *trialResult) output() [][]byte {
	if len(r.steps) == 0 {
		return r.requests
	}
	return r.steps[len(r.steps)-1].Requests
}

// err returns the refusals of all processors.
func (r *trialResult) err() error {
	var errs []error
	for _, s := range r.steps {
		if s.Err != nil {
			errs = append(errs, fmt.Errorf("pipeline %s: %w", r.ID, s.Err))
		}
	}
	return errors.Join(errs...)
}

// try passes the samples through the pipelines of their signals.
func (c *testConfig) try(ctx context.Context, cfg *service.Config, samples map[otlp.Signal][][]byte) (results []trialResult, err error) {
	opts := c.options()
	opts.Logger = slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	trial, err := service.NewTrial(cfg, opts, c.pipelines...)
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), testConfigWithin)
		defer cancel()
		err = errors.Join(err, trial.Shutdown(ctx))
	}()
	if err := trial.Start(ctx); err != nil {
		return nil, err
	}
	for _, p := range trial.Pipelines() {
		r := trialResult{TrialPipeline: p, requests: samples[p.Signal]}
		if len(r.requests) > 0 {
			if r.steps, err = trial.Run(ctx, p.ID, r.requests); err != nil {
				return nil, fmt.Errorf("pipeline %s: %w", p.ID, err)
			}
		}
		results = append(results, r)
	}
	if !slices.ContainsFunc(results, func(r trialResult) bool { return len(r.requests) > 0 }) {
		return nil, fmt.Errorf("none of the pipelines (%s) is for the signals of the sample (%s)", pipelineNames(results), signalNames(samples))
	}
	return results, nil
}
