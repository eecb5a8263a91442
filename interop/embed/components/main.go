// Command components is a service with all components of penstock and four of its
// own: a receiver, a processor, an exporter, and a consumer that the configuration
// names as an exporter.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service"
)

const settings = `yaml:
receivers:
  otlp: {protocols: {grpc: {endpoint: "${env:GRPC_ENDPOINT:-localhost:4317}"}}}
  heartbeat: {interval: 100ms}
processors:
  dropspans: {names: [GET /healthz]}
exporters:
  print: {prefix: got}
  program:
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [dropspans], exporters: [print, program]}
    logs: {receivers: [heartbeat], exporters: [print, program]}
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	var spans atomic.Int64
	program := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
		if b.Signal() == otlp.Traces {
			spans.Add(int64(b.Items()))
		}
		return nil
	})
	opts := service.Options{Components: append(components.Default(),
		component.OfReceiver("heartbeat", component.Stability{otlp.Logs: "Development"}, defaultHeartbeat, newHeartbeat),
		component.OfProcessor("dropspans", component.Stability{otlp.Traces: "Development"}, defaultDropSpans, newDropSpans),
		component.OfExporter("print", component.AllSignals("Development"), defaultPrint, newPrint),
		component.OfConsumer("program", program),
	)}
	cfg, err := service.Load(opts, settings)
	if err != nil {
		return err
	}
	svc, err := service.New(cfg, opts)
	if err != nil {
		return err
	}
	err = svc.Run(ctx)
	fmt.Println("the program took", spans.Load(), "spans")
	return err
}
