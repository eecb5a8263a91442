package service_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/service"
)

// A program that embeds a receiver.
func Example() {
	opts := service.Options{Components: components.Default(), Logger: slog.New(slog.DiscardHandler)}
	cfg, err := service.Load(opts, `yaml:
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}
exporters:
  nop:
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
    profiles: {receivers: [otlp], exporters: [nop]}
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	svc, err := service.New(cfg, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := svc.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range svc.Addresses() {
		fmt.Println(a.ID, "takes", a.Signals, "over", a.Protocol)
	}
	fmt.Println("shut down:", svc.Shutdown(ctx))
	// Output:
	// otlp takes traces, profiles over OTLP/gRPC
	// shut down: <nil>
}

// An error of Load has a line for each problem, with its position.
func ExampleLoad() {
	_, err := service.Load(service.Options{Components: components.Default()}, `yaml:
receivers:
  otlp: {protocols: {grcp: }}
exporters:
  nop:
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [nob]}
`)
	fmt.Println(err)
	// Output:
	// yaml::3:22: receivers.otlp.protocols.grcp: unknown key, did you mean "grpc"? (known: grpc, http)
	// yaml::8:45: service.pipelines.traces.exporters[0]: undefined exporter "nob", did you mean "nop"? (known: nop)
}
