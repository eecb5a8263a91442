package debugexporter

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const (
	// maxTextBytes is the maximum length of the text of a batch.
	maxTextBytes = 1 << 20
	fileMode     = 0o600
)

// Exporter shows batches.
type Exporter struct {
	id        string
	verbosity Verbosity
	format    Format
	limit     int // bytes of text for one batch
	sampler   *sampler
	obs       *obsreport.Exporter
	log       *slog.Logger

	// paths are the outputs that Start opens; nil with the internal logger.
	paths          []string
	stdout, stderr io.Writer

	// turn bounds the memory of texts: it has one element while one is made and
	// shown. Other batches wait.
	turn   chan struct{}
	memory memory // guarded by turn

	life  *lifecycle.Cycle
	mu    sync.RWMutex // held while a batch is shown
	plain *plainOutput // nil if it is not running, or with the internal logger
}

// New returns an exporter that opens no file before Start.
func New(cfg Config, set component.Settings) (*Exporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	set = set.OrDefaults()
	obs, err := obsreport.NewExporter(set.ID, set.Meter, set.MetricsLevel >= component.LevelDetailed, nil)
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		id: set.ID, verbosity: cfg.Verbosity.lower(), format: cfg.Format, limit: maxTextBytes, obs: obs, log: set.Logger,
		sampler: newSampler(cfg.SamplingInitial, cfg.SamplingThereafter, time.Now),
		stdout:  os.Stdout, stderr: os.Stderr, turn: make(chan struct{}, 1), life: lifecycle.New(fmt.Sprintf("exporter %q", set.ID)),
	}
	if !cfg.UseInternalLogger {
		e.paths = cfg.OutputPaths
		if e.paths == nil {
			e.paths = []string{"stdout"}
		}
	}
	return e, nil
}

// Name returns the exporter's id in the configuration.
func (e *Exporter) Name() string { return e.id }

// Capabilities returns that it does not change batches.
func (e *Exporter) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Start opens the outputs.
func (e *Exporter) Start(context.Context) error {
	return e.life.Start(func(undo *lifecycle.Undo) error {
		if e.paths == nil {
			return nil
		}
		out := &plainOutput{log: e.log}
		undo.Add(out.close)
		for _, path := range e.paths {
			if err := out.open(path, e.stdout, e.stderr); err != nil {
				return fmt.Errorf("open an output: %w", err)
			}
		}
		e.use(out)
		return nil
	})
}

// Shutdown closes the outputs, after the batches that are being shown.
func (e *Exporter) Shutdown(context.Context) error {
	return e.life.Shutdown(func() error {
		out := e.use(nil)
		if out == nil {
			return nil
		}
		if err := out.close(); err != nil {
			return fmt.Errorf("close an output: %w", err)
		}
		return nil
	})
}

// use replaces the output and returns the previous one.
func (e *Exporter) use(out *plainOutput) (before *plainOutput) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before, e.plain = e.plain, out
	return before
}

// Consume shows the batch, unless sampling skips it. The only error is that there is
// no memory for the batch as JSON.
func (e *Exporter) Consume(ctx context.Context, b *pipeline.Batch) error {
	e.obs.Begin(ctx, b.Signal())
	defer e.obs.End(ctx, b.Signal())
	err := e.show(ctx, b)
	refusal := pipeline.Classify(err)
	e.obs.Sent(ctx, b.Signal(), b.Items(), refusal)
	if refusal == nil {
		return nil
	}
	return refusal
}

func (e *Exporter) show(ctx context.Context, b *pipeline.Batch) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	switch {
	case e.paths == nil && !e.log.Enabled(ctx, slog.LevelInfo):
		return nil
	case e.paths != nil && e.plain == nil:
		return nil // not running: there is no output
	case !e.sampler.take(b.Signal()):
		return nil
	}
	if e.format == JSON {
		return e.showJSON(ctx, b)
	}
	if e.verbosity != Basic { // a text takes memory
		select {
		case e.turn <- struct{}{}:
			defer func() { <-e.turn }()
		case <-ctx.Done():
			return nil // an output is stuck
		}
	}
	r := &rows[b.Signal()]
	counts := r.counts(ctx, b)
	text := r.render(ctx, e.verbosity, b, e.limit, &e.memory)
	if ctx.Err() != nil { // the text may end early
		return fmt.Errorf("show a %s request: %w", b.Signal(), context.Cause(ctx))
	}
	if e.plain != nil {
		e.plain.show(r.title, counts, text)
	} else {
		showInLog(ctx, e.log, r.title, counts, text)
	}
	return nil
}

// showJSON shows a batch as OTLP/JSON. It is not truncated, since it would not be
// valid JSON then.
func (e *Exporter) showJSON(ctx context.Context, b *pipeline.Batch) error {
	line, err := b.JSON(ctx)
	if err != nil {
		return err
	}
	defer line.Release()
	if err := line.Grow(ctx, 1); err != nil {
		return err
	}
	line.Bytes = append(line.Bytes, '\n')
	e.plain.print(line.Bytes)
	return nil
}
