package otlpclient_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

// A request of one log record is sent. The answer reports whether to send it
// again.
func Example() {
	backend, stop := startBackend(pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
		fmt.Println("the backend has", b.Items(), "item of", b.Signal())
		return nil
	}))
	defer stop()

	settings := config.DefaultGRPCClient() // gzip, TLS
	settings.Endpoint = backend
	settings.TLS.Insecure = true
	client, err := otlpclient.NewGRPC(settings, 10*time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	answer, err := client.Send(context.Background(), otlpclient.Request{Signal: otlp.Logs, Bytes: logRecord("hello")})
	var refused *otlpclient.Error
	switch {
	case errors.As(err, &refused) && refused.Retryable:
		fmt.Println("try again in", refused.RetryAfter)
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("taken, but for", answer.Rejected)
	}
	// Output:
	// the backend has 1 item of logs
	// taken, but for 0
}

// A consumer that sends on what it is given. Here it stands behind a receiver, so that
// two lines make a relay: what the backend answers, the client of the relay gets.
func ExampleNewConsumer() {
	backend, stop := startBackend(pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
		return pipeline.Permanently(errors.New("no logs today"))
	}))
	defer stop()
	settings := config.DefaultGRPCClient()
	settings.Endpoint, settings.TLS.Insecure = backend, true
	client, err := otlpclient.NewGRPC(settings, 10*time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	relay := otlpclient.NewConsumer(client)
	b, err := pipeline.NewBatch(otlp.Logs, logRecord("hello"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Release()
	err = relay.Consume(context.Background(), b)
	fmt.Println(pipeline.Classify(err).Kind)
	// Output:
	// permanent
}

// logRecord is a request of one log record.
func logRecord(body string) []byte {
	var e otlp.Encoder
	resource := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
	scope := resource.AddScopeLogs()
	record := scope.AddLogRecords()
	value := record.SetBody()
	value.SetStringValue(body)
	value.Close()
	record.Close()
	scope.Close()
	resource.Close()
	return e.Buf
}

// startBackend starts a receiver and returns its address.
func startBackend(next pipeline.Consumer) (endpoint string, stop func()) {
	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
	cfg.Protocols.GRPC.Endpoint = "127.0.0.1:0"
	r, err := otlpreceiver.New(cfg, component.Settings{})
	if err == nil {
		err = r.Register(otlp.Logs, next)
	}
	if err == nil {
		err = r.Start(context.Background())
	}
	if err != nil {
		panic(err)
	}
	return r.GRPCAddr().String(), func() { r.Shutdown(context.Background()) }
}
