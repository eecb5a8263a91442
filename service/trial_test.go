package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// holder keeps batches until it is shut down.
type holder struct {
	next pipeline.Consumer
	mu   sync.Mutex
	held []*pipeline.Batch
}

func (h *holder) Capabilities() pipeline.Capabilities { return h.next.Capabilities() }
func (h *holder) Start(context.Context) error         { return nil }
func (h *holder) Consume(_ context.Context, b *pipeline.Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = append(h.held, b.Retain())
	return nil
}

func (h *holder) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range slices.Backward(h.held) {
		if err := h.next.Consume(ctx, b); err != nil {
			return err
		}
		b.Release()
	}
	h.held = nil
	return nil
}

// waiter answers only when it is shut down.
type waiter struct {
	next pipeline.Consumer
	stop chan struct{}
	once sync.Once
}

func (w *waiter) Capabilities() pipeline.Capabilities { return w.next.Capabilities() }
func (w *waiter) Start(context.Context) error         { return nil }
func (w *waiter) Shutdown(context.Context) error      { w.once.Do(func() { close(w.stop) }); return nil }
func (w *waiter) Consume(ctx context.Context, b *pipeline.Batch) error {
	<-w.stop
	return w.next.Consume(ctx, b)
}

// refuser refuses requests with more than one item.
type refuser struct{ started *[]string }

func (r refuser) Start(context.Context) error { *r.started = append(*r.started, "start"); return nil }
func (r refuser) Shutdown(context.Context) error {
	*r.started = append(*r.started, "shutdown")
	return nil
}
func (r refuser) Process(_ context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	if b.Items() > 1 {
		return nil, errors.New("too many")
	}
	return b, nil
}

func trialOptions(started *[]string) Options {
	consumer := func(typ string, create func(next pipeline.Consumer) component.Exporter) component.Descriptor {
		return component.Descriptor{Kind: component.KindProcessor, Type: typ, Stability: component.AllSignals("Alpha"), DefaultConfig: func() any { return &struct{}{} },
			ConsumerProcessor: func(_ any, _ component.Settings, next pipeline.Consumer) (component.Exporter, error) {
				return create(next), nil
			}}
	}
	return Options{Components: append(components.Default(),
		consumer("holder", func(next pipeline.Consumer) component.Exporter { return &holder{next: next} }),
		consumer("waiter", func(next pipeline.Consumer) component.Exporter { return &waiter{next: next, stop: make(chan struct{})} }),
		component.OfProcessor("refuser", component.AllSignals("Alpha"), func() struct{} { return struct{}{} },
			func(struct{}, component.Settings) (refuser, error) { return refuser{started}, nil }),
	)}
}

const trialConfig = `yaml:
receivers: {otlp: {protocols: {grpc: }}}
exporters: {otlp: {endpoint: "localhost:1"}}
processors: {holder: , waiter: , refuser: , resource: {attributes: [{key: a, value: b, action: upsert}]}}
service:
  pipelines:
    logs: {receivers: [otlp], processors: [refuser, holder, waiter, resource], exporters: [otlp]}
    logs/none: {receivers: [otlp], exporters: [otlp]}
`

func logsOf(t *testing.T, records ...string) []byte {
	t.Helper()
	text := []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.Join(records, ",") + `]}]}]}`)
	wire, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), otlp.Logs, text)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// All processors see what those before them passed on. One that holds requests, or does not
// answer, passes them on at the end; a refusal is shown and the other requests go on.
func TestTrial(t *testing.T) {
	t.Parallel()
	var started []string
	opts := trialOptions(&started)
	cfg, err := Load(opts, trialConfig)
	if err != nil {
		t.Fatal(err)
	}
	trial, err := NewTrial(cfg, opts, "logs")
	if err != nil {
		t.Fatal(err)
	}
	if got := trial.Pipelines(); len(got) != 1 || got[0] != (TrialPipeline{"logs", otlp.Logs}) {
		t.Errorf("pipelines %v", got)
	}
	if err := trial.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	steps, err := trial.Run(t.Context(), "logs", [][]byte{logsOf(t, `{"severityText":"1"}`), logsOf(t, `{}`, `{}`), logsOf(t, `{"severityText":"2"}`)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []TrialStep{
		{Processor: "refuser", ItemsIn: 4, ItemsOut: 2, Err: errors.New(`processor "refuser": too many`)},
		{Processor: "holder", ItemsIn: 2, ItemsOut: 2},
		{Processor: "waiter", ItemsIn: 2, ItemsOut: 2},
		{Processor: "resource", ItemsIn: 2, ItemsOut: 2},
	} {
		got := steps[i]
		if got.Processor != want.Processor || got.ItemsIn != want.ItemsIn || got.ItemsOut != want.ItemsOut || len(got.Requests) != 2 ||
			(got.Err == nil) != (want.Err == nil) || got.Err != nil && got.Err.Error() != want.Err.Error() {
			t.Errorf("step %d: got %s %d→%d, %d requests, %v", i, got.Processor, got.ItemsIn, got.ItemsOut, len(got.Requests), got.Err)
		}
	}
	last := string(otlp.AppendJSON(nil, otlp.Logs, steps[3].Requests[0])) + string(otlp.AppendJSON(nil, otlp.Logs, steps[3].Requests[1]))
	if strings.Count(last, `"key":"a"`) != 2 || !strings.Contains(last, `"severityText":"1"`) || !strings.Contains(last, `"severityText":"2"`) {
		t.Errorf("got %s", last)
	}
	if err := trial.Shutdown(t.Context()); err != nil || strings.Join(started, " ") != "start shutdown" {
		t.Errorf("%v, %v", started, err)
	}
	if _, err := trial.Run(t.Context(), "traces", nil); err == nil {
		t.Error("a pipeline that does not exist was run")
	}
}

// Errors of processors have the position of their section.
func TestTrialErrors(t *testing.T) {
	t.Parallel()
	opts := Options{Components: append(components.Default(), component.OfProcessor("broken", component.AllSignals("Alpha"), func() struct{} { return struct{}{} },
		func(struct{}, component.Settings) (refuser, error) { return refuser{}, errors.New("no") }))}
	cfg, err := Load(opts, `yaml:
receivers: {nop: }
exporters: {nop: }
processors:
  broken:
  broken/2:
service: {pipelines: {logs: {receivers: [nop], processors: [broken, broken/2], exporters: [nop]}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewTrial(cfg, opts)
	var problems ConfigErrors
	if !errors.As(err, &problems) || len(problems) != 2 || !strings.Contains(problems[1].Error(), "6:3: processors.broken/2: no") {
		t.Errorf("got %v", err)
	}
	if _, err := NewTrial(cfg, opts, "lgs"); err == nil || !strings.Contains(err.Error(), `unknown pipeline "lgs"`) {
		t.Errorf("got %v", err)
	}
}
