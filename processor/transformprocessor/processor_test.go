package transformprocessor

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// transformed returns what the processor makes of a request in OTLP/JSON, and what it logs.
func transformed(t *testing.T, s otlp.Signal, config, request string) (out []byte, logged string, err error) {
	t.Helper()
	cfg, err := decode(t, config)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p, err := New(cfg, component.Settings{Signal: s, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b, err := pipeline.NewBatch(s, testkit.RequestOf(t, s, request), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	next, err := p.Process(t.Context(), b)
	if err != nil {
		return nil, log.String(), err
	}
	if next != b {
		defer next.Release()
	}
	return bytes.Clone(next.Bytes()), log.String(), nil
}

const twoLogs = `{"resourceLogs":[{"resource":{"attributes":@(r=1)},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"body":{"stringValue":"a"}},{"body":{"stringValue":"b"}}]}]}]}`

func TestGroups(t *testing.T) {
	logs := func(resource, first, second string) string {
		return `{"resourceLogs":[{"resource":{"attributes":` + resource + `},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[` + first + `,` + second + `]}]}]}`
	}
	a, b := `{"body":{"stringValue":"a"}}`, `{"body":{"stringValue":"b"}}`
	for _, c := range []struct{ name, config, want string }{
		{"an empty section", ``, twoLogs},
		{"statements of another signal", `trace_statements: ['set(span.name, "x")', 'set(resource.attributes["r"], "2")']`, twoLogs},
		{"a group after the other, each over the whole request", `
log_statements:
- context: log
  statements: ['set(resource.attributes["last"], body)']
- context: resource
  statements: ['set(attributes["r"], attributes["last"])']
- context: log
  statements: ['set(attributes["r"], resource.attributes["r"])']
`, logs(`@(r=b,last=b)`, `{"body":{"stringValue":"a"},"attributes":@(r=b)}`, `{"body":{"stringValue":"b"},"attributes":@(r=b)}`)},
		{"statements alone are one group, which is the last", `
log_statements:
- set(log.attributes["seen"], resource.attributes["r"])
- context: resource
  statements: ['set(attributes["r"], "2")']
- set(log.attributes["also"], scope.name)
`, logs(`@(r=2)`, `{"body":{"stringValue":"a"},"attributes":@(seen=2,also=s)}`, `{"body":{"stringValue":"b"},"attributes":@(seen=2,also=s)}`)},
		{"the context is that of the paths", `log_statements: ['set(resource.attributes["r"], scope.name)']`, logs(`@(r=s)`, a, b)},
		{"one of the conditions must hold", `
log_statements:
- conditions: ['log.body == "c"', 'log.body == "b"']
  statements: ['set(log.attributes["x"], "y")']
`, logs(`@(r=1)`, a, `{"body":{"stringValue":"b"},"attributes":@(x=y)}`)},
		{"the cache is that of an item, for the statements of a group", `
log_statements:
- context: log
  statements: ['set(cache["k"], body) where body == "a"', 'set(attributes["x"], cache["k"]) where cache["k"] != nil']
- context: log
  statements: ['set(attributes["y"], "z") where cache["k"] != nil']
`, logs(`@(r=1)`, `{"body":{"stringValue":"a"},"attributes":@(x=a)}`, b)},
		{"both ways to write a path", `
log_statements:
- context: log
  statements: ['set(attributes["x"], log.body)', 'set(log.attributes["y"], instrumentation_scope.name)']
`, logs(`@(r=1)`, `{"body":{"stringValue":"a"},"attributes":@(x=a,y=s)}`, `{"body":{"stringValue":"b"},"attributes":@(x=b,y=s)}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, logged, err := transformed(t, otlp.Logs, c.config, twoLogs)
			if err != nil || logged != "" {
				t.Fatalf("%v, logged %s", err, logged)
			}
			testkit.SameRequest(t, otlp.Logs, out, c.want)
		})
	}
}

func TestErrorModes(t *testing.T) {
	const failing = `['set(attributes["x"], 1 / (Len0 - Len0))']`
	statements := strings.ReplaceAll(failing, "Len0", "severity_number")
	for _, c := range []struct {
		config     string
		logs, ends bool
	}{
		{`log_statements: [{context: log, statements: ` + statements + `}]`, true, false},
		{`{error_mode: silent, log_statements: [{context: log, statements: ` + statements + `}]}`, false, false},
		{`{error_mode: propagate, log_statements: [{context: log, statements: ` + statements + `}]}`, false, true},
		{`{error_mode: propagate, log_statements: [{context: log, error_mode: silent, statements: ` + statements + `}]}`, false, false},
		{`{error_mode: silent, log_statements: [{context: log, error_mode: propagate, conditions: ['1 / severity_number == 1'], statements: ['set(body, 1)']}]}`, false, true},
		{`log_statements: [{context: log, conditions: ['1 / severity_number == 1'], statements: ['set(body, 1)']}]`, true, false},
	} {
		out, logged, err := transformed(t, otlp.Logs, c.config, twoLogs)
		if (logged != "") != c.logs || (err != nil) != c.ends {
			t.Errorf("%s: %v, logged %.400s", c.config, err, logged)
		}
		if c.logs && (strings.Count(logged, "\n") != 1 || !strings.Contains(logged, "severity_number")) {
			t.Errorf("%s: logged %.400s, expected one line with the statement", c.config, logged)
		}
		if err == nil {
			testkit.SameRequest(t, otlp.Logs, out, twoLogs)
		}
	}
}

// TestMetrics: metrics that a group adds are edited by it and by those behind it, and
// counted.
func TestMetrics(t *testing.T) {
	const request = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[{"attributes":@(a=x),"count":"3","sum":7},{"attributes":@(a=y),"count":"4","sum":8}]}}]}]}]}`
	out, logged, err := transformed(t, otlp.Metrics, `
metric_statements:
- context: metric
  statements:
  - extract_count_metric(true) where type == METRIC_DATA_TYPE_HISTOGRAM
  - extract_sum_metric(true, ".total") where HasAttrOnDatapoint("a", "x") and type == METRIC_DATA_TYPE_HISTOGRAM
- conditions: ['metric.type == METRIC_DATA_TYPE_SUM']
  statements: ['set(datapoint.attributes["new"], metric.name)']
- context: metric
  statements: ['aggregate_on_attributes("sum", ["new"]) where name == "h_count"']
`, request)
	if err != nil || logged != "" {
		t.Fatalf("%v, logged %s", err, logged)
	}
	testkit.SameRequest(t, otlp.Metrics, out, strings.TrimSuffix(request, `]}]}]}`)+`,
		{"name":"h_count","unit":"1","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{"attributes":@(new=h_count),"asInt":"7"}]}},
		{"name":"h.total","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{"attributes":@(a=x,new=h.total),"asDouble":7},{"attributes":@(a=y,new=h.total),"asDouble":8}]}}]}]}]}`)
}

// TestGrowth: what makes a request too large is refused in all modes, and named.
func TestGrowth(t *testing.T) {
	_, _, err := transformed(t, otlp.Metrics, `metric_statements: [{context: metric, statements: ['copy_metric()']}]`,
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h"}]}]}]}`)
	var growth *otlpedit.GrowthError
	if !errors.As(err, &growth) || !strings.Contains(err.Error(), "copy_metric(): ") {
		t.Errorf("got %v", err)
	}
}
