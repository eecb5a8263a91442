package otlpreceiver_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

// A receiver with a consumer of the program's own. What the consumer returns is what
// the client is told.
func Example() {
	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
	cfg.Protocols.GRPC.Endpoint = "127.0.0.1:0"
	cfg.Protocols.HTTP = otlpreceiver.DefaultHTTPConfig()
	cfg.Protocols.HTTP.Endpoint = "127.0.0.1:0"

	receiver, err := otlpreceiver.New(cfg, component.Settings{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = receiver.RegisterAll(pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
		fmt.Println(b.Items(), "item of", b.Signal(), "over", b.Client().Transport)
		for item := range otlp.Items(b.Bytes()) {
			fmt.Printf("%s\n", otlp.LogRecord(item).Body().Resolve(nil).Text())
		}
		return nil
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := receiver.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer receiver.Shutdown(ctx)

	// A client that speaks OTLP/HTTP.
	body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"paid"}}]}]}]}`
	resp, err := http.Post("http://"+receiver.HTTPAddr().String()+"/v1/logs", "application/json", bytes.NewBufferString(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	fmt.Println(resp.Status)
	// Output:
	// 1 item of logs over http
	// paid
	// 200 OK
}
