package main

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

type printConfig struct {
	Prefix string `yaml:"prefix"`
}

func defaultPrint() printConfig { return printConfig{Prefix: "received"} }

// printer is an exporter that prints every item.
type printer struct{ prefix string }

func newPrint(cfg printConfig, _ component.Settings) (printer, error) {
	return printer{cfg.Prefix}, nil
}

func (printer) Start(context.Context) error         { return nil }
func (printer) Shutdown(context.Context) error      { return nil }
func (printer) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (p printer) Consume(_ context.Context, b *pipeline.Batch) error {
	for item := range otlp.Items(b.Bytes()) {
		switch b.Signal() {
		case otlp.Traces:
			fmt.Printf("%s span %s\n", p.prefix, otlp.Span(item).Name())
		case otlp.Logs:
			fmt.Printf("%s log %s\n", p.prefix, otlp.LogRecord(item).Body().Resolve(nil).Text())
		}
	}
	return nil
}
