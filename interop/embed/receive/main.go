// Command receive prints the OTLP that it receives and sends it on: receive GRPC-ADDRESS HTTP-ADDRESS TO-ADDRESS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := otlpclient.NewGRPC(config.GRPCClient{Endpoint: os.Args[3], TLS: config.ClientTLS{Insecure: true}}, 5*time.Second)
	check(err)
	defer client.Close()
	next := otlpclient.NewConsumer(client)

	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
	cfg.Protocols.HTTP = otlpreceiver.DefaultHTTPConfig()
	cfg.Protocols.GRPC.Endpoint, cfg.Protocols.HTTP.Endpoint = os.Args[1], os.Args[2]
	receiver, err := otlpreceiver.New(cfg, component.Settings{})
	check(err)
	check(receiver.RegisterAll(pipeline.ConsumerFunc(func(ctx context.Context, b *pipeline.Batch) error {
		for item := range otlp.Items(b.Bytes()) {
			show[b.Signal()](item)
		}
		return next.Consume(ctx, b)
	})))
	check(pipeline.Run(ctx, 10*time.Second, receiver))
}

var show = [...]func(item []byte){
	otlp.Traces: func(item []byte) { fmt.Printf("span %s\n", otlp.Span(item).Name()) },
	otlp.Metrics: func(item []byte) {
		for _, value := range otlp.Metric(item).Numbers() {
			fmt.Printf("metric %s %v\n", otlp.Metric(item).Name(), value)
		}
	},
	otlp.Logs:     func(item []byte) { fmt.Printf("log %s\n", otlp.LogRecord(item).Body().Resolve(nil).Text()) },
	otlp.Profiles: func(item []byte) { fmt.Println("profile of", otlp.Profile(item).Samples().Len(), "samples") },
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
