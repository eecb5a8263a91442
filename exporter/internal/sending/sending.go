// Package sending is what the OTLP exporters have in common: a pipeline's batch
// goes to an otlpclient.Sender, and its answer becomes a pipeline's error.
//
//	Consume(batch) ─► share ─► Sender.Send ─► Answer  ─► nil, or Partial
//	                    │                  └► *Error  ─► Retryable, Overloaded, Permanent
//	                    └► Overloaded: the destination has its share of the memory budget
//
// A failure is returned, since only the client can retry, and it is logged at
// intervals, since otherwise an operator would not notice that the backend is down.
// This and delivery.Direct, which a service puts in front of it, are the only places that
// both log and return an error.
package sending

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// How often an exporter logs the same thing at most.
const (
	remarkEvery  = time.Minute
	failureEvery = 10 * time.Second
)

// Errors of Consume outside of the exporter's life.
var (
	errNotStarted = errors.New("not started")
	errShutDown   = obsreport.ErrShutDown
	// errNotSent is the class of these errors: no attempt was made.
	errNotSent = errors.New("no attempt was made")
)

// Exporter is a pipeline.Consumer and Component over a Sender.
type Exporter struct {
	id     string
	open   func(...otlpclient.Option) (otlpclient.Sender, error)
	obs    *obsreport.Exporter
	calls  *obsreport.Client // nil: calls are not measured
	logger *slog.Logger
	life   *lifecycle.Cycle
	share  share
	auth   *auth            // nil: no extension adds credentials
	queue  *component.Queue // nil: there is none
	passes pipeline.Capabilities

	remarks, failures         lograte.Limiter
	remarkEvery, failureEvery time.Duration

	mu       sync.RWMutex
	sender   otlpclient.Sender // nil until started
	stopped  bool
	inFlight sync.WaitGroup
	requests atomic.Int64 // of inFlight
}

// New returns an exporter. destination returns the address or the URL that a signal is
// sent to. open is called by the first Start; it makes a client with the options.
func New(set component.Settings, destination func(otlp.Signal) string, open func(...otlpclient.Option) (otlpclient.Sender, error)) (*Exporter, error) {
	set = set.OrDefaults()
	detailed := set.MetricsLevel >= component.LevelDetailed
	obs, err := obsreport.NewExporter(set.ID, set.Meter, detailed, destination)
	if err != nil {
		return nil, err
	}
	var calls *obsreport.Client
	if detailed {
		if calls, err = obsreport.NewClient(set.ID, set.Meter, destination); err != nil {
			return nil, err
		}
	}
	return &Exporter{id: set.ID, open: open, obs: obs, calls: calls, logger: set.Logger,
		life: lifecycle.New(fmt.Sprintf("exporter %q", set.ID)), share: share{budget: set.Memory},
		remarkEvery: remarkEvery, failureEvery: failureEvery}, nil
}

// Name returns the exporter's id in the configuration.
func (e *Exporter) Name() string { return e.id }

// UsePassthrough sets what a client is capable of that sends compressed bytes as they came.
// It is called before Start.
func (e *Exporter) UsePassthrough(c pipeline.Capabilities) { e.passes = c }

// Capabilities implements pipeline.Consumer: bytes are sent as they are.
func (e *Exporter) Capabilities() pipeline.Capabilities { return e.passes }

// Start reads the files that the settings name. It connects to nothing: an exporter
// starts also while its destination is down.
func (e *Exporter) Start(context.Context) error {
	return e.life.Start(func(*lifecycle.Undo) error {
		if err := e.auth.find(); err != nil {
			return err
		}
		sender, err := e.open(e.options()...)
		if err != nil {
			return err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.sender = sender
		return nil
	})
}

// options makes a client report its calls.
func (e *Exporter) options() []otlpclient.Option {
	if e.calls == nil {
		return nil
	}
	return []otlpclient.Option{otlpclient.WithCalls(func(ctx context.Context, c otlpclient.Call) {
		e.calls.Called(ctx, obsreport.Call{
			Signal: c.Signal, Took: c.Took, Code: uint32(c.Code), URL: c.URL, Status: c.HTTPStatus, Protocol: c.Protocol,
			RequestBytes: c.RequestBytes, Err: c.Err,
		})
	})}
}

// Shutdown takes no more batches, waits for those in flight until ctx ends, and then
// lets them fail.
func (e *Exporter) Shutdown(ctx context.Context) error {
	return e.life.Shutdown(func() error { return e.drain(ctx) })
}

func (e *Exporter) drain(ctx context.Context) error {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	idle := make(chan struct{})
	go func() { e.inFlight.Wait(); close(idle) }()
	var late error
	select {
	case <-idle:
	case <-ctx.Done():
		if e.requests.Load() > 0 {
			late = fmt.Errorf("requests in flight were aborted: %w", ctx.Err())
		}
	}
	err := e.sender.Close()
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
	e.requests.Add(1)
	return e.sender, nil
}

// Consume sends the batch's bytes and waits for the answer.
func (e *Exporter) Consume(ctx context.Context, b *pipeline.Batch) error {
	err := e.attempt(ctx, b)
	refusal := pipeline.Classify(err)
	if errors.Is(err, errNotSent) {
		e.obs.Outcome(ctx, b.Signal(), b.Items(), b.Items(), refusal)
		return err
	}
	e.obs.Sent(ctx, b.Signal(), b.Items(), refusal)
	if refusal != nil && refusal.Kind != pipeline.Partial {
		e.logFailure(ctx, b, refusal)
	}
	return err
}

// attempts is the exporter for a queue, which counts and logs itself.
type attempts struct{ e *Exporter }

// Capabilities implements pipeline.Consumer.
func (a attempts) Capabilities() pipeline.Capabilities { return a.e.passes }

// Consume sends the batch once.
func (a attempts) Consume(ctx context.Context, b *pipeline.Batch) error { return a.e.attempt(ctx, b) }

// attempt is Consume without counting and without logging failures.
func (e *Exporter) attempt(ctx context.Context, b *pipeline.Batch) error {
	sender, err := e.begin()
	if err != nil {
		return &pipeline.Error{Kind: pipeline.Retryable, Err: fmt.Errorf("exporter %q: %w", e.id, notSent{err})}
	}
	defer e.inFlight.Done()
	defer e.requests.Add(-1)
	e.obs.Begin(ctx, b.Signal())
	defer e.obs.End(ctx, b.Signal())
	answer, err := e.send(ctx, sender, b)
	if err != nil {
		return pipeline.Classify(err)
	}
	if refusal := answer.Refusal(b.Items()); refusal != nil {
		refusal.Err = fmt.Errorf("exporter %q: %w", e.id, refusal.Err)
		return refusal
	}
	e.logRemark(ctx, b, answer)
	return nil
}

// notSent is an error outside of the exporter's life: it is errNotSent as well.
type notSent struct{ error }

func (n notSent) Unwrap() []error { return []error{n.error, errNotSent} }

// send sends the batch unless the destination has its share of the memory budget.
func (e *Exporter) send(ctx context.Context, sender otlpclient.Sender, b *pipeline.Batch) (otlpclient.Answer, error) {
	headers, err := e.auth.headersFor(ctx, b)
	if err != nil {
		kind := pipeline.Classify(err)
		return otlpclient.Answer{}, &pipeline.Error{Kind: kind.Kind, RetryAfter: kind.RetryAfter, Err: fmt.Errorf("exporter %q: %w", e.id, err)}
	}
	n := int64(cap(b.Bytes()))
	if err := e.share.take(n); err != nil {
		return otlpclient.Answer{}, &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: retryAfter(),
			Err: fmt.Errorf("exporter %q: %w", e.id, err)}
	}
	r := otlpclient.RequestOf(b)
	r.Headers = withIdempotencyKey(ctx, headers)
	release := r.Done
	r.Done = func() { e.share.giveBack(n); release() }
	return sender.Send(ctx, r)
}

// logFailure logs a failure that is also returned to the client. The error names
// the endpoint.
func (e *Exporter) logFailure(ctx context.Context, b *pipeline.Batch, refusal *pipeline.Error) {
	failures, ok := e.failures.Allow(e.failureEvery)
	if !ok {
		return
	}
	answer := "retry"
	if refusal.Kind == pipeline.Permanent {
		answer = "permanent failure"
	}
	e.logger.LogAttrs(ctx, slog.LevelWarn, "send failed (logged at most once in "+failureEvery.String()+")",
		slog.String("signal", b.Signal().String()), slog.Any("error", refusal.Err),
		slog.String("answer_to_client", answer), slog.Int64("failures", failures))
}

// logRemark logs the warning of a destination that took the data whole.
func (e *Exporter) logRemark(ctx context.Context, b *pipeline.Batch, a otlpclient.Answer) {
	if a.Message == "" && a.Warning == nil {
		return
	}
	if _, ok := e.remarks.Allow(e.remarkEvery); !ok {
		return
	}
	e.logger.LogAttrs(ctx, slog.LevelWarn, "the destination took the data with a warning (logged at most once in "+remarkEvery.String()+")",
		slog.String("signal", b.Signal().String()), slog.String("message", a.Message), slog.Any("problem", a.Warning))
}
