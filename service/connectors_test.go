package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// counting is a connector that makes a batch of metrics of each batch.
type counting struct {
	*fake
	out component.Outputs
}

// Consume implements pipeline.Consumer.
func (c *counting) Consume(ctx context.Context, b *pipeline.Batch) error {
	if c.cfg.Refuse == "panic" {
		panic("as the test wants")
	}
	m, err := pipeline.NewBatch(otlp.Metrics, nil, b.Client())
	if err != nil {
		return err
	}
	defer m.Release()
	return pipeline.Deliver(ctx, m, c.out.To(m)...)
}

// withConnector are the fake components with a connector counting, of traces and logs.
func (f *fakes) withConnector() Options {
	d := component.OfConnector("counting", component.Stability{otlp.Traces: "x", otlp.Logs: "x"},
		map[otlp.Signal][]otlp.Signal{otlp.Traces: {otlp.Metrics}, otlp.Logs: {otlp.Metrics}},
		func() fakeConfig { return fakeConfig{} },
		func(cfg fakeConfig, s component.Settings, out component.Outputs) (*counting, error) {
			id := s.ID + " of " + s.Signal.String()
			s.ID = id
			made, err := f.make(s, &cfg, nil)
			return &counting{made, out}, err
		})
	o := f.options()
	o.Components = append(o.Components, d)
	return o
}

const countingPipelines = `
receivers: {in: }
processors: {step: , step/2: }
exporters: {out: , out/2: }
connectors: {counting: }
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [in], processors: [step], exporters: [out, counting]}
    traces/2: {receivers: [in], exporters: [counting]}
    logs: {receivers: [in], exporters: [counting]}
    metrics: {receivers: [counting], processors: [step/2], exporters: [out/2]}
`

func (f *fakes) counting(t *testing.T, yaml string) *Service {
	t.Helper()
	cfg, err := Load(f.withConnector(), "yaml:"+yaml)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, f.withConnector())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s
}

// A connector is created for each signal that it consumes, starts after what it feeds, and
// may change the signal.
func TestConnectorChangesTheSignal(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.counting(t, countingPipelines)
	if got, want := f.take(), "start out; start out/2; start step/2; start counting of traces; start step; start counting of logs; start in"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, signal := range []otlp.Signal{otlp.Traces, otlp.Logs} {
		if err := f.send(t, "in", signal); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]string{"out": {"traces"}, "out/2": {"metrics", "metrics", "metrics"}}
	if got := map[string][]string{"out": f.made["out"][0].batches, "out/2": f.made["out/2"][0].batches}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := f.take(), "stop in; stop counting of logs; stop step; stop counting of traces; stop step/2; stop out/2; stop out"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A connector that changed is exchanged, and so is one in front of a change; what is behind
// it is kept.
func TestReloadOfConnectors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, events string }{
		"nothing":              {},
		"the connector":        {"counting: }", "counting: {mutates: true}}", "start counting of traces; start step; start counting of logs; stop counting of logs; stop step; stop counting of traces"},
		"a pipeline behind it": {"processors: [step/2], ", "", "start counting of traces; start step; start counting of logs; stop counting of logs; stop step; stop counting of traces; stop step/2"},
		"a signal in front":    {"    logs: {receivers: [in], exporters: [counting]}\n", "", "start in; stop in; stop counting of logs"},
		"an exporter behind":   {"out/2: }", "out/2: {mutates: true}}", "start out/2; stop out/2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes()
			s := f.counting(t, countingPipelines)
			f.take()
			cfg, err := Load(f.withConnector(), "yaml:"+strings.Replace(countingPipelines, c.old, c.new, 1))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Reload(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			<-s.retirement.ended
			if got := f.take(); got != c.events {
				t.Errorf("got  %s\nwant %s", got, c.events)
			}
		})
	}
}

func TestConnectorFails(t *testing.T) {
	t.Parallel()
	f := newFakes()
	f.counting(t, strings.Replace(countingPipelines, "counting: }", "counting: {refuse: panic}}", 1))
	err := f.send(t, "in", otlp.Logs)
	var panicked *pipeline.PanicError
	if !errors.As(err, &panicked) || panicked.Connector != "counting" || pipeline.Classify(err).Kind != pipeline.Permanent {
		t.Errorf("a panic becomes %v", err)
	}
	cfg, err := Load(f.withConnector(), "yaml:"+strings.Replace(countingPipelines, "counting: }", "counting: {fail_new: no}}", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, f.withConnector()); err == nil || strings.Count(err.Error(), "connectors.counting: no") != 1 {
		t.Errorf("a constructor that fails: %v", err)
	}
}

const routed = `
receivers:
  otlp: {protocols: {http: {endpoint: "localhost:0", include_metadata: true}, grpc: {endpoint: "localhost:0"}}}
processors:
  resource: {attributes: [{key: way, value: acme, action: upsert}]}
  resource/errors: {attributes: [{key: way, value: errors, action: upsert}]}
exporters:
  otlp: {endpoint: "%s", tls: {insecure: true}, sending_queue: {enabled: false}}
connectors:
  routing:
    default_pipelines: [logs/other]
    table:
    - {context: log, condition: severity_number >= SEVERITY_NUMBER_ERROR, pipelines: [logs/errors], action: copy}
    - {context: request, condition: 'request["X-Tenant"] == "acme"', pipelines: [logs/acme]}
    - {context: resource, statement: 'route() where attributes["service"] == "cart"', pipelines: [logs/acme]}
  count:
    logs:
      errors: {conditions: [severity_number >= SEVERITY_NUMBER_ERROR], attributes: [{key: service, default_value: none}]}
service:
  pipelines:
    logs: {receivers: [otlp], exporters: [routing, count]}
    logs/errors: {receivers: [routing], processors: [resource/errors], exporters: [otlp]}
    logs/acme: {receivers: [routing], processors: [resource], exporters: [otlp]}
    logs/other: {receivers: [routing], exporters: [otlp]}
    metrics: {receivers: [count], exporters: [otlp]}
`

// From a client to a destination: the headers, resources and records of requests decide
// where these go, what one pipeline changes another does not see, and they are counted.
func TestRoutingAndCount(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	r := start(t, fmt.Sprintf(routed, b.GRPCEndpoint()))
	const body = `{"resourceLogs": [
		{"resource": {"attributes": [{"key": "service", "value": {"stringValue": "cart"}}]}, "scopeLogs": [{"logRecords": [{"eventName": "a", "severityNumber": 9}, {"eventName": "b", "severityNumber": 17}]}]},
		{"scopeLogs": [{"logRecords": [{"eventName": "c", "severityNumber": 9}, {"eventName": "d", "severityNumber": 18}]}]}]}`
	for tenant, want := range map[string][]string{
		"acme":  {"acme: a b c d", "errors: b d"},
		"other": {": c d", "acme: a b", "errors: b d"},
	} {
		before := len(b.Requests(otlp.Logs))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http+"/v1/logs", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Tenant", tenant)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d", tenant, resp.StatusCode)
		}
		var got []string
		for _, request := range b.Requests(otlp.Logs)[before:] {
			got = append(got, wayOf(request))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", tenant, got, want)
		}
	}
	if n := b.Items(otlp.Metrics); n != 4 { // of each request one for each resource
		t.Errorf("%d counts, want 4", n)
	}
	http.DefaultClient.CloseIdleConnections()
}

// wayOf returns the attribute way of a request, and the names of its log records.
func wayOf(request []byte) string {
	way, names := "", ""
	for g := range otlp.Groups(request) {
		for key, v := range otlp.Attributes(g.Resource.Attributes(), nil) {
			if string(key) == "way" {
				way = string(v.Text())
			}
		}
		for item := range g.Items.All() {
			names += " " + string(otlp.LogRecord(item).EventName())
		}
	}
	return way + ":" + names
}
