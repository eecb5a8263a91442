package otlpreceiver_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

// A receiver of all signals over both protocols, with a consumer of our own. The
// client gets a success when the consumer has returned nil.
func Example() {
	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
	cfg.Protocols.HTTP = otlpreceiver.DefaultHTTPConfig()
	cfg.Protocols.GRPC.Endpoint, cfg.Protocols.HTTP.Endpoint = "localhost:0", "localhost:0" // free ports

	r, err := otlpreceiver.New(cfg, component.Settings{ID: "otlp"})
	if err != nil {
		fmt.Println(err)
		return
	}
	consumer := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
		fmt.Println(b.Items(), b.Signal(), "over", b.Client().Transport) // b.Bytes() is good until we return
		return nil
	})
	for _, s := range otlp.Signals() {
		if err := r.Register(s, consumer); err != nil {
			fmt.Println(err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, at := range r.Endpoints() {
		if at.Protocol == "OTLP/HTTP" {
			post("http://"+at.Addr.String()+"/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello"}}]}]}]}`)
		}
	}
	if err := r.Shutdown(ctx); err != nil { // requests in progress finish until ctx ends
		fmt.Println(err)
	}
	// Output:
	// 1 logs over http
	// 200 OK
}

// post sends a request in JSON.
func post(url, body string) {
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Post(url, "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Status)
}
