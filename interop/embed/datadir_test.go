package embed

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/service"
)

// startService runs a service in this program, and returns the address of its receiver.
func startService(t *testing.T, dataDir, yaml string) (s *service.Service, address string) {
	t.Helper()
	o := service.Options{Components: components.Default(), DataDir: dataDir, Logger: slog.New(slog.DiscardHandler)}
	cfg, err := service.Load(o, "yaml:"+yaml)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = service.New(cfg, o); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Addresses() {
		if a.Protocol == "OTLP/gRPC" {
			address = a.Address
		}
	}
	return s, address
}

const programYAML = `
receivers: {otlp: {protocols: {grpc: {endpoint: %q}}}}
exporters: {%s}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {logs: {receivers: [otlp], exporters: [%s]}}
`

// A program that names a data directory has a queue on disk without a key in the
// configuration: what it has acknowledged while the destination was down is delivered by
// the next run.
func TestDataDirectoryOfAProgram(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "arrived.jsonl")
	backend, address := startService(t, "", fmt.Sprintf(programYAML, "localhost:0", "file: {path: "+file+"}", "file"))
	stop := func(s *service.Service) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	stop(backend) // its address is that of a destination that is down
	relay := fmt.Sprintf(programYAML, "localhost:0",
		"otlp: {endpoint: \""+address+"\", tls: {insecure: true}, compression: none, retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}}", "otlp")
	s, to := startService(t, filepath.Join(dir, "data"), relay)
	client := config.DefaultGRPCClient()
	client.Endpoint = "http://" + to
	sender, err := otlpclient.NewGRPC(client, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	request, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{SeverityText: "KEPT"}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := sender.Send(t.Context(), otlpclient.Request{Signal: otlp.Logs, Bytes: request}); err != nil {
			t.Errorf("the destination is down, and the request was not acknowledged: %v", err)
		}
	}
	if err := sender.Close(); err != nil {
		t.Error(err)
	}
	stop(s)

	backend, _ = startService(t, "", fmt.Sprintf(programYAML, address, "file: {path: "+file+"}", "file"))
	s, _ = startService(t, filepath.Join(dir, "data"), relay)
	arrived := func() int {
		b, _ := os.ReadFile(file) // it may not be there yet
		return strings.Count(string(b), "KEPT")
	}
	for end := time.Now().Add(time.Minute); arrived() < 3 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	stop(s)
	stop(backend)
	if got := arrived(); got != 3 {
		t.Errorf("%d records arrived, want 3", got)
	}
}
