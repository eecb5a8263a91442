package nopexporter

import (
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var (
	_ pipeline.Consumer  = (*Exporter)(nil)
	_ pipeline.Component = (*Exporter)(nil)
	_ pipeline.Named     = (*Exporter)(nil)
)

func TestTakesEverySignalAndRetainsNothing(t *testing.T) {
	before := pipeline.Live()
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := New(cfg, component.Settings{ID: "nop/2"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Name() != "nop/2" || e.Capabilities().MutatesData {
		t.Errorf("name %q, capabilities %+v", e.Name(), e.Capabilities())
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range otlp.Signals() {
		b, err := pipeline.NewBatch(s, []byte{0x0a, 0x00}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Consume(t.Context(), b); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		b.Release()
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := pipeline.Live() - before; n != 0 {
		t.Errorf("%d batches are still retained", n)
	}
}

func TestConsumeIsFree(t *testing.T) {
	e, _ := New(DefaultConfig(), component.Settings{})
	b, err := pipeline.NewBatch(otlp.Traces, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if n := testing.AllocsPerRun(100, func() { _ = e.Consume(t.Context(), b) }); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
