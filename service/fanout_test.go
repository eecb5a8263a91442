package service

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// severalPipelines: one with a queue that takes no large requests, one with a queue, and
// one without.
const severalPipelines = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}
exporters:
  otlp/small: {endpoint: "%[1]s", tls: {insecure: true}, sending_queue: {storage: file_storage/small}}
  otlp: {endpoint: "%[1]s", tls: {insecure: true}, sending_queue: {storage: file_storage}}
  otlphttp: {endpoint: "%[2]s", sending_queue: {enabled: false}, retry_on_failure: {enabled: false, initial_interval: 5ms, max_interval: 20ms}}
extensions:
  file_storage/small: {directory: "%[3]s/small", create_directory: true, max_size: 100000}
  file_storage: {directory: "%[3]s/large", create_directory: true}
service:
  extensions: [file_storage, file_storage/small]
  pipelines:
    logs/small: {receivers: [otlp], exporters: [otlp/small]}
    logs/large: {receivers: [otlp], exporters: [otlp]}
    logs/direct: {receivers: [otlp], exporters: [otlphttp]}
`

// A pipeline that refuses a request for good has its copy in its dead letters, once, when
// all others have the request. Until then the client is asked to send it again.
func TestOnePipelineRefuses(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(c testkit.Call) testkit.Answer {
		if c.Transport == "http" {
			return testkit.Answer{Code: codes.Unavailable}
		}
		return testkit.Answer{}
	})
	q := startQueued(t, dir, b, fmt.Sprintf(severalPipelines, b.GRPCEndpoint(), b.HTTPEndpoint(), dir))
	body := &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: strings.Repeat("x", 70_000)}}
	request, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{Body: body}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	client := q.clients(t)["grpc"]
	send := func() error {
		_, err := client.Send(t.Context(), otlpclient.Request{Signal: otlp.Logs, Bytes: request})
		return err
	}
	for range 3 {
		if e, ok := send().(*otlpclient.Error); !ok || !e.Retryable {
			t.Errorf("one pipeline refuses the request and one is down: %v, want one that asks to retry", e)
		}
	}
	b.Respond(nil)
	if err := send(); err != nil {
		t.Errorf("all but the pipeline that refuses the request have it: %v", err)
	}
	_, page := fetch(t, q.metrics+"/metrics")
	for series, want := range map[string]int{
		`otelcol_fanout_repeated_items{branch="pipeline logs/large",otel_signal="logs"`:      3,
		`otelcol_fanout_dead_lettered_items{branch="pipeline logs/small",otel_signal="logs"`: 1,
	} {
		if !hasSeries(page, series, want) {
			t.Errorf("want %s…} %d; found %q", series, want, linesWith(page, "otelcol_fanout"))
		}
	}
	b.Wait(t, otlp.Logs, 5) // four times from the queue, once over HTTP
	q.stop(t)
	files, err := filepath.Glob(filepath.Join(dir, "small", "penstock", "dead-letters", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("folders of dead letters: %q, %v", files, err)
	}
	d, err := delivery.OpenDeadLetters(files[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	letters := 0
	err = d.List(context.Background(), func(l delivery.StoredLetter) bool {
		letters++
		r, err := record.Decode(l.Record)
		if err != nil || string(r.Body) != string(request) || l.Destination != "pipeline logs/small" || !strings.Contains(l.Reason, "too large") {
			t.Errorf("a letter of %d bytes to %q because of %q, %v", len(r.Body), l.Destination, l.Reason, err)
		}
		return true
	})
	if err != nil || letters != 1 {
		t.Errorf("%d dead letters, %v", letters, err)
	}
}
