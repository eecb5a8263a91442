package countconnector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func newConnector(t *testing.T, s otlp.Signal, cfg Config, to pipeline.Consumer) *connector {
	t.Helper()
	c, err := New(cfg, component.Settings{Signal: s}, component.Outputs{{ID: "metrics", Signal: otlp.Metrics, Consumer: to}})
	if err != nil {
		t.Fatal(err)
	}
	made := c.(*connector)
	made.now = func() time.Time { return time.Unix(0, 99) }
	return made
}

// send passes a request of JSON to a connector.
func send(t *testing.T, c pipeline.Consumer, s otlp.Signal, text string) error {
	t.Helper()
	request, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), s, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b := testkit.PooledBatch(t, s, request, nil)
	defer b.Release()
	return c.Consume(t.Context(), b)
}

// requests are of each signal, with times, attributes and resources.
var requests = map[string]string{
	"traces": `{"resourceSpans": [{"resource": {"attributes": [{"key": "r", "value": {"stringValue": "1"}}]}, "scopeSpans": [{"scope": {"name": "in", "attributes": [{"key": "s", "value": {"intValue": "7"}}]}, "spans": [
		{"name": "a", "startTimeUnixNano": "20", "endTimeUnixNano": "30", "attributes": [{"key": "k", "value": {"stringValue": "x"}}], "events": [{"name": "e", "timeUnixNano": "25"}, {"name": "f", "timeUnixNano": "26"}]},
		{"name": "b", "startTimeUnixNano": "10", "endTimeUnixNano": "15"}, {"name": "c", "attributes": [{"key": "k", "value": {"stringValue": "x"}}]}]}]}]}`,
	"metrics": `{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
		{"name": "g", "gauge": {"dataPoints": [{"timeUnixNano": "5", "asInt": "1", "attributes": [{"key": "k", "value": {"intValue": "3"}}]}, {"timeUnixNano": "6"}]}},
		{"name": "h", "histogram": {"dataPoints": [{"timeUnixNano": "4", "attributes": [{"key": "k", "value": {"intValue": "3"}}]}]}}]}]}]}`,
	"logs": `{"resourceLogs": [{"resource": {"attributes": [{"key": "r", "value": {"stringValue": "1"}}]}, "scopeLogs": [{"logRecords": [{"severityNumber": 9}, {"severityNumber": 17}]}, {"logRecords": [{"severityNumber": 18}]}]},
		{"resource": {"attributes": [{"key": "r", "value": {"stringValue": "2"}}]}, "scopeLogs": [{"logRecords": [{"severityNumber": 1}]}]}]}`,
}

func TestCounts(t *testing.T) {
	t.Parallel()
	k := []Attribute{{Key: "k"}}
	for name, c := range map[string]struct {
		signal otlp.Signal
		cfg    Config
		want   string // one line for each data point: resource | metric | attributes = count [times]
	}{
		"spans and events": {otlp.Traces, Config{}, "r=1 | trace.span.count (The number of spans observed.) | = 3 [10 30]\n" +
			"r=1 | trace.span.event.count (The number of span events observed.) | = 2 [25 26]\n"},
		"metrics and data points": {otlp.Metrics, Config{}, " | metric.count (The number of metrics observed.) | = 2 [99 99]\n" +
			" | metric.datapoint.count (The number of data points observed.) | = 3 [4 6]\n"},
		"logs of two resources": {otlp.Logs, Config{}, "r=1 | log.record.count (The number of log records observed.) | = 3 [99 99]\n" +
			"r=2 | log.record.count (The number of log records observed.) | = 1 [99 99]\n"},
		"conditions": {otlp.Logs, Config{Logs: map[string]Metric{
			"some": {Description: "d", Conditions: []string{"severity_number == 9", "severity_number == SEVERITY_NUMBER_ERROR"}}, "none": {Conditions: []string{"false"}}}},
			"r=1 | some (d) | = 2 [99 99]\n"},
		"an attribute": {otlp.Traces, Config{Spans: map[string]Metric{"n": {Attributes: k}}, SpanEvents: map[string]Metric{"e": {Conditions: []string{"false"}}}},
			"r=1 | n () | k=x = 2 [10 30]\n"},
		"an attribute with a default": {otlp.Traces, Config{Spans: map[string]Metric{"n": {Attributes: []Attribute{{Key: "k", DefaultValue: 5}}}}, SpanEvents: map[string]Metric{"e": {Conditions: []string{"false"}}}},
			"r=1 | n () | k=x = 2 [10 30]\nr=1 | n () | k=5 = 1 [10 30]\n"},
		"attributes of scope and resource": {otlp.Traces, Config{Spans: map[string]Metric{"n": {Attributes: []Attribute{{Key: "s"}, {Key: "r"}}}}, SpanEvents: map[string]Metric{"e": {Conditions: []string{"false"}}}},
			"r=1 | n () | s=7 r=1 = 3 [10 30]\n"},
		"data points of several types": {otlp.Metrics, Config{Metrics: map[string]Metric{"m": {Conditions: []string{`name == "h"`}}}, DataPoints: map[string]Metric{"p": {Attributes: k}}},
			" | m () | = 1 [99 99]\n | p () | k=3 = 2 [4 6]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sink testkit.Sink
			counts := newConnector(t, c.signal, c.cfg, &sink)
			for range 2 { // the second time with what is kept of the first
				sink.Reset()
				if err := send(t, counts, c.signal, requests[c.signal.String()]); err != nil {
					t.Fatal(err)
				}
				all := sink.All()
				if len(all) != 1 || all[0].Signal != otlp.Metrics {
					t.Fatalf("%d batches, want one of metrics", len(all))
				}
				if items, err := otlp.Check(otlp.Metrics, all[0].Bytes); err != nil || items != all[0].Items {
					t.Errorf("%d data points, said to be %d, %v", items, all[0].Items, err)
				}
				if diff := cmp.Diff(c.want, textOf(t, all[0].Bytes)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// textOf returns a line for each data point of a request.
func textOf(t *testing.T, request []byte) string {
	t.Helper()
	var out strings.Builder
	for g := range otlp.Groups(request) {
		if string(g.Scope.Name()) != scopeName {
			t.Errorf("scope %q", g.Scope.Name())
		}
		for item := range g.Items.All() {
			m := otlp.Metric(item)
			sum, _ := m.Sum()
			if !sum.IsMonotonic() || sum.AggregationTemporality() != otlp.AggregationTemporalityDelta {
				t.Errorf("%s is not a monotonic sum of deltas", m.Name())
			}
			for p := range sum.DataPoints().All() {
				fmt.Fprintf(&out, "%s | %s (%s) | %s = %d [%d %d]\n", attributes(g.Resource.Attributes()), m.Name(), m.Description(),
					attributes(p.Attributes()), p.Decode().Value.Scalar, p.StartTimeUnixNano(), p.TimeUnixNano())
			}
		}
	}
	return strings.ReplaceAll(out.String(), "|  =", "| =")
}

func attributes(l otlp.List[otlp.KeyValue]) string {
	var all []string
	for key, v := range otlp.Attributes(l, nil) {
		all = append(all, fmt.Sprintf("%s=%s", key, v.AppendText(nil)))
	}
	return strings.Join(all, " ")
}

// Nothing that was counted makes no request, and an error is that of the metrics.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var sink testkit.Sink
	none := newConnector(t, otlp.Logs, Config{Logs: map[string]Metric{"n": {Conditions: []string{"false"}}}}, &sink)
	if err := send(t, none, otlp.Logs, requests["logs"]); err != nil || sink.Calls() != 0 {
		t.Errorf("%d requests, %v", sink.Calls(), err)
	}
	c := newConnector(t, otlp.Logs, Config{}, &sink)
	for _, answer := range []struct {
		err  error
		want pipeline.Kind
	}{
		{errors.New("down"), pipeline.Retryable},
		{pipeline.Permanently(errors.New("no")), pipeline.Permanent},
		{&pipeline.Error{Kind: pipeline.Partial, Rejected: 1}, 0},
	} {
		sink.Fail(answer.err)
		var kind pipeline.Kind
		if e := pipeline.Classify(send(t, c, otlp.Logs, requests["logs"])); e != nil {
			kind = e.Kind
		}
		if kind != answer.want {
			t.Errorf("%v becomes %v, want %v", answer.err, kind, answer.want)
		}
	}
	sink.Fail(nil)
	fails := newConnector(t, otlp.Logs, Config{Logs: map[string]Metric{"n": {Conditions: []string{`attributes["a"] == 1 / 0`}}}}, &sink)
	if e := pipeline.Classify(send(t, fails, otlp.Logs, requests["logs"])); e == nil || e.Kind != pipeline.Permanent {
		t.Errorf("a condition that fails: %v", e)
	}
}

// Of random requests as many items are counted as there are.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	metric := map[string]string{"traces": "trace.span.count", "metrics": "metric.datapoint.count", "logs": "log.record.count", "profiles": "profile.count"}
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			var sink testkit.Sink
			// By the key that random requests have most often.
			by := map[string]Metric{metric[s.String()]: {Attributes: []Attribute{{Key: "k0", DefaultValue: map[string]any{"a": []any{1, 2.5, true}}}}}}
			c := newConnector(t, s, Config{Spans: by, DataPoints: by, Logs: by, Profiles: by}, &sink)
			for seed := range uint64(300) {
				request := testkit.Request(rand.New(rand.NewPCG(seed, 1)), s, int(seed%40))
				b := testkit.PooledBatch(t, s, request, nil)
				if err := c.Consume(t.Context(), b); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				b.Release()
				want, got := b.Items(), 0
				if s.Spec().HasDictionary { // items are samples
					want = 0
					for range otlp.Items(request) {
						want++
					}
				}
				for _, out := range sink.Reset() {
					if _, err := otlp.Check(otlp.Metrics, out.Bytes); err != nil {
						t.Fatalf("seed %d: an invalid request: %v", seed, err)
					}
					got += countsOf(out.Bytes, metric[s.String()])
				}
				if got != want {
					t.Errorf("seed %d: %d items were counted, want %d", seed, got, want)
				}
			}
		})
	}
}

func countsOf(request []byte, metric string) (n int) {
	for item := range otlp.Items(request) {
		if m := otlp.Metric(item); string(m.Name()) == metric {
			sum, _ := m.Sum()
			for p := range sum.DataPoints().All() {
				n += int(p.Decode().Value.Scalar)
			}
		}
	}
	return n
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"spans.a.b.conditions[0]: ":                        {Spans: map[string]Metric{"a.b": {Conditions: []string{"1 +"}}}},
		"logs.: expected the name":                         {Logs: map[string]Metric{"": {}}},
		"metrics.m.attributes: metrics have no attributes": {Metrics: map[string]Metric{"m": {Attributes: []Attribute{{Key: "k"}}}}},
	} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := (&Attribute{}).Validate(); err == nil {
		t.Error("an attribute without a key is accepted")
	}
}
