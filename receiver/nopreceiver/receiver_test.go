package nopreceiver_test

import (
	"testing"

	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/service"
)

// A service with the receiver alone starts, in a pipeline of every signal.
func TestRunsInEveryPipeline(t *testing.T) {
	opts := service.Options{Components: components.Default()}
	cfg, err := service.Load(opts, `yaml:
receivers: {nop: }
exporters: {nop: }
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [nop], exporters: [nop]}
    metrics: {receivers: [nop], exporters: [nop]}
    logs: {receivers: [nop], exporters: [nop]}
    profiles: {receivers: [nop], exporters: [nop]}
`)
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
