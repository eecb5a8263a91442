// Command small is a service of three components: the OTLP receiver, the resource
// processor and the debug exporter. No other component is linked.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/exporter/debugexporter"
	"github.com/penstock-telemetry/penstock/processor/resourceprocessor"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
	"github.com/penstock-telemetry/penstock/service"
)

const settings = `yaml:
receivers:
  otlp: {protocols: {grpc: {endpoint: "${env:GRPC_ENDPOINT:-localhost:4317}"}, http: {endpoint: "${env:HTTP_ENDPOINT:-localhost:4318}"}}}
processors:
  resource: {attributes: [{key: deployment.environment.name, value: test, action: upsert}]}
exporters:
  debug: {verbosity: detailed}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [resource], exporters: [debug]}
    logs: {receivers: [otlp], processors: [resource], exporters: [debug]}
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	opts := service.Options{Components: []component.Descriptor{
		otlpreceiver.Component(), resourceprocessor.Component(), debugexporter.Component(),
	}}
	cfg, err := service.Load(opts, settings)
	if err != nil {
		return err
	}
	svc, err := service.New(cfg, opts)
	if err != nil {
		return err
	}
	return svc.Run(ctx)
}
