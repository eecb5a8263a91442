package transformprocessor

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/ottl"
)

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

func TestConfigIsRead(t *testing.T) {
	cfg, err := decode(t, `
error_mode: Propagate
flatten_data: false
trace_statements:
- context: SPAN
  error_mode: SILENT
  shared_cache: false
  conditions: ['name == "a"', 'IsRootSpan()']
  statements: ['set_semconv_span_name("1.37.0")']
metric_statements:
- convert_sum_to_gauge() where metric.name == "a"
- set(metric.unit, "s")
log_statements:
profile_statements:
- {context: profile, conditions: , statements: }
`)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.ErrorMode != ottl.Propagate {
		t.Errorf("error_mode %q", cfg.ErrorMode)
	}
	g := cfg.TraceStatements[0]
	if len(cfg.TraceStatements) != 1 || g.Context != "SPAN" || g.ErrorMode != ottl.Silent || len(g.Conditions) != 2 || len(g.Statements) != 1 {
		t.Errorf("trace_statements %+v", cfg.TraceStatements)
	}
	if len(cfg.MetricStatements) != 2 || cfg.MetricStatements[1].Statements[0] != `set(metric.unit, "s")` {
		t.Errorf("metric_statements %+v", cfg.MetricStatements)
	}
	if len(cfg.LogStatements) != 0 || len(cfg.ProfileStatements) != 1 {
		t.Errorf("log_statements %+v, profile_statements %+v", cfg.LogStatements, cfg.ProfileStatements)
	}
	if cfg, err := decode(t, ``); err != nil || cfg.ErrorMode != ottl.Ignore {
		t.Errorf("an empty section: %+v, %v", cfg, err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ config, want string }{ // the place, and what is wrong
		{`error_mode: x`, `1:13: error_mode: invalid value "x": unknown error mode "x", expected ignore, silent or propagate`},
		{`flatten_data: true`, `1:15: flatten_data: flatten_data is not supported`},
		{`trace_statement: []`, `1:1: trace_statement: unknown key, did you mean "trace_statements"?`},
		{`log_statements: x`, `1:17: log_statements: expected a list, found "x" (string)`},
		{`log_statements: [3]`, `1:18: log_statements[0]: expected a map, found 3 (integer)`},
		{`log_statements: [{context: log, statement: [x]}]`, `1:33: log_statements[0].statement: unknown key, did you mean "statements"?`},
		{`log_statements: [{context: span, statements: ['set(name, "x")']}]`, `1:28: log_statements[0].context: unknown context "span" of logs, expected one of log, scope, resource`},
		{`log_statements: [{context: log, shared_cache: true}]`, `1:47: log_statements[0].shared_cache: shared_cache is not supported: each item has its own cache`},
		{`log_statements: [{context: log, error_mode: y}]`, `1:45: log_statements[0].error_mode: invalid value "y"`},
		{`log_statements: [{context: log, statements: ['set(body, 1)', 'set(bod, 2)']}]`, `1:62: log_statements[0].statements[1]: compile "set(bod, 2)" at column 5: context log has no path "bod", did you mean "body"?`},
		{`log_statements: [{context: log, conditions: ['body']}]`, `1:46: log_statements[0].conditions[0]: parse the condition "body"`},
		{`log_statements: [{context: log, conditions: ['set(body, 1)']}]`, `log_statements[0].conditions[0]: `},
		{`log_statements: [{context: log, statements: ['IsRootSpan()']}]`, `log_statements[0].statements[0]: `},
		{`log_statements: [{context: log, statements: ['set(body, 1) where IsRootSpan()']}]`, `context log does not have the function IsRootSpan, which is of span`},
		{`metric_statements: [{context: datapoint, statements: ['convert_sum_to_gauge()']}]`, `context datapoint does not have the function convert_sum_to_gauge, which is of metric`},
		{`log_statements: ['set(body, 1)']`, `log_statements: compile "set(body, 1)" at column 5: the path "body" does not begin with a context: write log.body`},
		{`metric_statements: ['convert_sum_to_gauge()']`, `metric_statements: find the context of`},
		{`trace_statements: ['set(span.name, "x")', 'set(log.body, 1)']`, `trace_statements: `},
	} {
		_, err := decode(t, c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.config, err, c.want)
		}
	}
}
