// Package sending is what the OTLP exporters have in common: a pipeline's batch
// goes to an otlpclient.Sender, and its answer becomes a pipeline's error.
//
//	Consume(batch) ─► Sender.Send(bytes) ─► Answer  ─► nil, or Partial
//	                                     └► *Error  ─► Retryable, Overloaded, Permanent
//
// The one trap: the sender may read a batch's bytes after Send has returned. It
// holds a reference of its own for that.
//
// What fails is told to the sender, who alone can do something with the data. The
// operator is told too, now and then: this is the one place that both logs an
// error and returns it, since a relay whose backend is down would else be silent.
package sending

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/refusal"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// How often an exporter repeats itself at most.
const (
	remarkEvery  = time.Minute
	failureEvery = 10 * time.Second
)

var (
	errNotStarted = errors.New("the exporter is not started")
	errShutDown   = errors.New("the exporter is shut down")
)

// Exporter is a pipeline.Consumer and Component over a Sender.
type Exporter struct {
	id     string
	open   func() (otlpclient.Sender, error)
	obs    *obsreport.Exporter
	logger *slog.Logger

	remarks, failures notice

	mu       sync.RWMutex
	sender   otlpclient.Sender // nil until started
	startErr error
	started  bool
	stopped  bool
	inFlight sync.WaitGroup
	shutdown sync.Once
}

// New returns an exporter. open is called by the first Start.
func New(set component.Settings, open func() (otlpclient.Sender, error)) (*Exporter, error) {
	set = set.OrDefaults()
	obs, err := obsreport.NewExporter(set.ID, set.Meter)
	if err != nil {
		return nil, err
	}
	e := &Exporter{id: set.ID, open: open, obs: obs, logger: set.Logger}
	e.remarks.every, e.failures.every = remarkEvery, failureEvery
	return e, nil
}

// Name returns the exporter's id in the configuration.
func (e *Exporter) Name() string { return e.id }

// Capabilities: bytes are sent as they are.
func (e *Exporter) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Start reads the files that the settings name. It connects to nothing: an
// exporter starts also while its destination is down.
func (e *Exporter) Start(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.stopped:
		return fmt.Errorf("start exporter %q: %w", e.id, errShutDown)
	case !e.started:
		e.started = true
		if e.sender, e.startErr = e.open(); e.startErr != nil {
			e.sender, e.startErr = nil, fmt.Errorf("start exporter %q: %w", e.id, e.startErr)
		}
	}
	return e.startErr
}

// Shutdown takes no more batches, waits for those under way until ctx ends, and
// then lets them fail.
func (e *Exporter) Shutdown(ctx context.Context) (err error) {
	e.shutdown.Do(func() { err = e.drain(ctx) })
	return err
}

func (e *Exporter) drain(ctx context.Context) error {
	e.mu.Lock()
	e.stopped = true
	sender := e.sender
	e.mu.Unlock()
	if sender == nil {
		return nil
	}
	idle := make(chan struct{})
	go func() { e.inFlight.Wait(); close(idle) }()
	var late error
	select {
	case <-idle:
	case <-ctx.Done():
		late = fmt.Errorf("shut down exporter %q: gave up on requests under way: %w", e.id, ctx.Err())
	}
	err := sender.Close()
	<-idle
	return errors.Join(late, err)
}

// begin returns the sender for one request; end it with e.inFlight.Done.
func (e *Exporter) begin() (otlpclient.Sender, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	switch {
	case e.stopped:
		return nil, errShutDown
	case e.sender == nil:
		return nil, errNotStarted
	}
	e.inFlight.Add(1)
	return e.sender, nil
}

// Consume sends the batch's bytes and waits for the answer.
func (e *Exporter) Consume(ctx context.Context, b *pipeline.Batch) error {
	sender, err := e.begin()
	if err != nil {
		e.obs.Sent(ctx, b.Signal(), 0, b.Items())
		return &pipeline.Error{Kind: pipeline.Retryable, Err: fmt.Errorf("exporter %q: %w", e.id, err)}
	}
	defer e.inFlight.Done()
	answer, err := sender.Send(ctx, otlpclient.Request{
		Signal: b.Signal(), Bytes: b.Bytes(), Done: b.Retain().Release,
	})
	if err != nil {
		e.obs.Sent(ctx, b.Signal(), 0, b.Items())
		out := refusal.Of(err)
		e.warnOfFailure(ctx, b, out)
		return out
	}
	rejected := int(min(answer.Rejected, int64(b.Items())))
	e.obs.Sent(ctx, b.Signal(), b.Items()-rejected, rejected)
	if rejected > 0 {
		return &pipeline.Error{Kind: pipeline.Partial, Rejected: int64(rejected),
			Err: fmt.Errorf("by the destination of exporter %q, which says %q", e.id, answer.Message)}
	}
	e.warnOfRemark(ctx, b, answer)
	return nil
}

// warnOfFailure tells the operator what the sender is told. The error names the
// endpoint.
func (e *Exporter) warnOfFailure(ctx context.Context, b *pipeline.Batch, err *pipeline.Error) {
	failures, tell := e.failures.due()
	if !tell {
		return
	}
	answer := "retry"
	if err.Kind == pipeline.Permanent {
		answer = "refused for good"
	}
	e.logger.LogAttrs(ctx, slog.LevelWarn, "the destination does not take the data (told at most once in "+failureEvery.String()+")",
		slog.String("exporter", e.id), slog.String("signal", b.Signal().String()), slog.Any("error", err.Err),
		slog.String("answer_to_sender", answer), slog.Int64("failures", failures))
}

// warnOfRemark logs what a destination remarks on data that it took whole.
func (e *Exporter) warnOfRemark(ctx context.Context, b *pipeline.Batch, a otlpclient.Answer) {
	if a.Message == "" && a.Warning == nil {
		return
	}
	if _, tell := e.remarks.due(); !tell {
		return
	}
	e.logger.LogAttrs(ctx, slog.LevelWarn, "the destination took the data with a remark (told at most once a minute)",
		slog.String("exporter", e.id), slog.String("signal", b.Signal().String()),
		slog.String("remark", a.Message), slog.Any("problem", a.Warning))
}
