package service

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// withBatch has the processor batch in front of a queue, with what is in the verbs: its
// settings, more of the queue's, and more exporters of the pipeline.
const withBatch = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0", include_metadata: true}, http: {endpoint: "localhost:0"}}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 256}
  batch: {%[4]s}
exporters:
  otlp:
    endpoint: "%[1]s"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 5ms, max_interval: 20ms}
    sending_queue: {storage: file_storage%[5]s}
  otlphttp: {endpoint: "%[2]s", sending_queue: {enabled: false}, retry_on_failure: {enabled: false, initial_interval: 5ms, max_interval: 20ms}}
  otlphttp/2: {endpoint: "%[2]s", sending_queue: {enabled: false}, retry_on_failure: {enabled: false, initial_interval: 5ms, max_interval: 20ms}}
extensions:
  file_storage: {directory: "%[3]s"}
service:
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp%[6]s]}
`

func startBatch(t *testing.T, b *testkit.Backend, batch, queue, exporters string) *queueRig {
	t.Helper()
	dir := t.TempDir()
	return startQueued(t, dir, b, fmt.Sprintf(withBatch, b.GRPCEndpoint(), b.HTTPEndpoint(), dir, batch, queue, exporters))
}

// sendOneByOne sends n requests of three log records, one after the other, and returns how
// many were acknowledged.
func (q *queueRig) sendOneByOne(t *testing.T, n int, tenants ...string) (acknowledged int) {
	t.Helper()
	settings := config.DefaultGRPCClient()
	settings.Endpoint = "http://" + q.grpc
	client, err := otlpclient.NewGRPC(settings, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		r := otlpclient.Request{Signal: otlp.Logs, Bytes: testkit.Request(rand.New(rand.NewPCG(uint64(i), 2)), otlp.Logs, 3)}
		if len(tenants) > 0 {
			r.Headers = map[string]string{"x-tenant": tenants[i%len(tenants)]}
		}
		if _, err := client.Send(t.Context(), r); err == nil {
			acknowledged++
		}
	}
	return acknowledged
}

// itemsOf are the log records of each request that a backend has over a transport.
func itemsOf(b *testkit.Backend, transport string) (items []int) {
	for _, c := range b.Calls() {
		if c.Transport == transport && c.Answer.Code == codes.OK {
			items = append(items, c.Items)
		}
	}
	return items
}

// In front of a queue the settings of batch are those of merging in the queue: requests
// are acknowledged at once, and sent together.
func TestBatchMergesInTheQueue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, batch, queue string
		tenants            []string
		want               []int // items of the requests, sorted; nil: fewer than came
	}{
		{name: "size", batch: "send_batch_size: 60, timeout: 1h", want: []int{60}},
		{name: "maximum", batch: "send_batch_size: 2, send_batch_max_size: 2, timeout: 1h", want: slices.Concat(slices.Repeat([]int{1}, 20), slices.Repeat([]int{2}, 20))},
		{name: "a request larger than the size", batch: "send_batch_size: 2, timeout: 1h", want: slices.Repeat([]int{3}, 20)},
		{name: "the exporter's own settings", batch: "send_batch_size: 10000, timeout: 1h", queue: ", batch: {min_size: 30, flush_timeout: 1h}", want: []int{30, 30}},
		{name: "tenants", batch: "send_batch_size: 30, timeout: 1h, metadata_keys: [X-Tenant]", tenants: []string{"red", "blue"}, want: []int{30, 30}},
		{name: "timeout", batch: "send_batch_size: 10000, timeout: 500ms", want: nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, testkit.BackendConfig{})
			q := startBatch(t, b, c.batch, c.queue, "")
			if n := q.sendOneByOne(t, 20, c.tenants...); n != 20 {
				t.Errorf("%d of 20 requests were acknowledged", n)
			}
			b.Wait(t, otlp.Logs, 60)
			got := itemsOf(b, "grpc")
			slices.Sort(got)
			if c.want != nil && !slices.Equal(got, c.want) {
				t.Errorf("requests of %v records, want %v", got, c.want)
			}
			if c.want == nil && len(got) >= 20 {
				t.Errorf("%d requests were sent of 20 that came within their timeout", len(got))
			}
			q.stop(t)
		})
	}
}

func sum(values []int) (total int) {
	for _, v := range values {
		total += v
	}
	return total
}

// Branches without a queue have the processor in front of them: the client gets their
// answer.
func TestBatchBesideAQueue(t *testing.T) {
	t.Parallel()
	for exporters, calls := range map[string]int{", otlphttp": 20, ", otlphttp, otlphttp/2": 40} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		q := startBatch(t, b, "send_batch_size: 60, timeout: 1h", "", exporters)
		if n := q.sendOneByOne(t, 20); n != 20 {
			t.Errorf("%s: %d of 20 requests were acknowledged", exporters, n)
		}
		if got := itemsOf(b, "http"); len(got) != calls || sum(got) != 3*calls {
			t.Errorf("%s: requests of %v records over HTTP before the acknowledgements, want %d", exporters, got, calls)
		}
		b.Wait(t, otlp.Logs, 60+3*calls)
		if got := itemsOf(b, "grpc"); fmt.Sprint(got) != "[60]" {
			t.Errorf("%s: requests of %v records from the queue, want one of 60", exporters, got)
		}
		b.Respond(func(c testkit.Call) testkit.Answer {
			if c.Transport == "http" {
				return testkit.Answer{Code: codes.Unavailable}
			}
			return testkit.Answer{}
		})
		if n := q.sendOneByOne(t, 2); n != 0 {
			t.Errorf("%s: %d of 2 requests were acknowledged that an exporter without a queue did not deliver", exporters, n)
		}
		q.stop(t)
	}
}

// The metrics of the processor are there when a queue does its work.
func TestBatchMetricsOfAQueue(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	q := startBatch(t, b, "send_batch_size: 60, timeout: 1h", "", "")
	q.sendOneByOne(t, 20)
	b.Wait(t, otlp.Logs, 60)
	for _, series := range []struct {
		prefix string
		value  int
	}{
		{`otelcol_processor_batch_batch_send_size_count{processor="batch"`, 1}, {`otelcol_processor_batch_batch_send_size_sum{processor="batch"`, 60},
		{`otelcol_processor_batch_batch_size_trigger_send{processor="batch"`, 1},
		{`otelcol_processor_batch_metadata_cardinality{processor="batch"`, 1},
		{`otelcol_processor_incoming_items{otel_signal="logs",processor="batch"`, 60}, {`otelcol_processor_outgoing_items{otel_signal="logs",processor="batch"`, 60},
	} {
		testkit.Eventually(t, series.prefix, func() bool {
			_, page := fetch(t, q.metrics+"/metrics")
			return hasSeries(page, series.prefix, series.value)
		})
	}
	q.stop(t)
}

// Where the queue is in memory and clients wait for the destination, they get the answer
// to the merged request.
func TestBatchBeforeAQueueInMemory(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	first, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.Respond(func(testkit.Call) testkit.Answer {
		once.Do(func() { close(first); <-release })
		return testkit.Answer{}
	})
	yaml := strings.ReplaceAll(fmt.Sprintf(withBatch, b.GRPCEndpoint(), b.HTTPEndpoint(), t.TempDir(), "timeout: 1h", "", ""), "storage: file_storage", "num_consumers: 10")
	q := startQueued(t, "", b, yaml)
	const clients = 12
	var sending sync.WaitGroup
	for i := range clients {
		sending.Go(func() {
			if n := q.sendOneByOne(t, 1); n != 1 {
				t.Errorf("client %d got no acknowledgement", i)
			}
		})
		if i == 0 {
			<-first
		}
	}
	testkit.Eventually(t, "all requests have arrived", func() bool {
		_, page := fetch(t, q.metrics+"/metrics")
		return hasSeries(page, `otelcol_processor_incoming_items{otel_signal="logs",processor="batch"`, 3*clients)
	})
	if n := len(b.Calls()); n != 0 {
		t.Errorf("%d requests were answered", n)
	}
	close(release)
	sending.Wait()
	if got := itemsOf(b, "grpc"); sum(got) != 3*clients || len(got) >= clients {
		t.Errorf("requests of %v records, want %d, merged", got, 3*clients)
	}
	q.stop(t)
}

// With --in-memory, what waits to be merged is sent when the service stops.
func TestBatchInMemoryIsSentAtTheEnd(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	yaml := strings.ReplaceAll(fmt.Sprintf(withBatch, b.GRPCEndpoint(), b.HTTPEndpoint(), t.TempDir(), "timeout: 1h", "", ""), "storage: file_storage", "num_consumers: 10")
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + yaml}, Set: []string{"service.telemetry.metrics.address=localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	q := &queueRig{rig: runRigWith(t, cfg, Options{InMemory: true})}
	if n := q.sendOneByOne(t, 20); n != 20 {
		t.Errorf("%d of 20 requests were acknowledged", n)
	}
	if n := len(b.Calls()); n != 0 {
		t.Errorf("%d requests were sent before their time", n)
	}
	q.stop(t)
	if got := itemsOf(b, "grpc"); fmt.Sprint(got) != "[60]" {
		t.Errorf("requests of %v records, want one of 60", got)
	}
}
