package pprofreceiver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var (
	_ component.Retirer   = (*Receiver)(nil)
	_ component.Rewirer   = (*Receiver)(nil)
	_ component.Settler   = (*Receiver)(nil)
	_ component.Exclusive = (*Config)(nil)
)

// Retire waits for the fetch that is being made, and what it brings is handed on.
func TestRetire(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	var answered atomic.Int64
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-answer:
			answered.Add(1)
			_, _ = io.Copy(w, bytes.NewReader(plainProfile(t)))
		case <-r.Context().Done():
		}
	}))
	var sink testkit.Sink
	cfg := one(addr, "mutex")
	cfg.CountFrom = FromProcessStart
	r := newReceiver(t, cfg, &sink)
	if err := r.Retire(t.Context()); err != nil {
		t.Errorf("before Start: %v", err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-asked
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Retire(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("while a fetch is being made: %v", err)
	}
	close(answer)
	if err := r.Retire(t.Context()); err != nil {
		t.Error(err)
	}
	if answered.Load() != 1 {
		t.Errorf("%d fetches were answered when Retire returned, expected 1", answered.Load())
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(sink.Requests(otlp.Profiles)); n != 1 || len(asked) != 0 {
		t.Errorf("%d requests came of %d fetches", n, 1+len(asked))
	}
}

// A new consumer gets what is fetched from then on.
func TestRewire(t *testing.T) {
	t.Parallel()
	var first, second testkit.Sink
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, bytes.NewReader(plainProfile(t))) }))
	cfg := one(addr, "mutex")
	cfg.CountFrom = FromProcessStart
	r := newReceiver(t, cfg, &first)
	to := map[otlp.Signal]pipeline.Consumer{otlp.Profiles: &second}
	if err := errors.Join(r.Rewire(to), r.Settle(t.Context()), r.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a profile came", func() bool { return second.Calls() > 0 })
	for what, wrong := range map[string]map[otlp.Signal]pipeline.Consumer{"none": nil, "logs": {otlp.Logs: &first}} {
		if err := r.Rewire(wrong); err == nil {
			t.Errorf("%s: expected an error", what)
		}
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if first.Calls() != 0 {
		t.Errorf("%d calls of the consumer that was replaced", first.Calls())
	}
}
