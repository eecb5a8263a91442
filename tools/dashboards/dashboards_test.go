package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const dashboard = `{"title": "d", "panels": [
	{"title": "row", "panels": [{"title": "Spans", "targets": [
		{"expr": "sum(${metric:value}(otelcol_receiver_accepted_spans${suffix_total}{receiver=~\"$receiver\",job=\"$job\"}[$__rate_interval])) by (receiver $grouping)"}]}]},
	{"title": "Items", "targets": [
		{"expr": "sum by (job) (rate({__name__=~\"otelcol_processor_incoming_items(_total)?\", \"otel${divider:raw}signal\"=\"traces\", job=~\"$job\"}[$__rate_interval]))"},
		{"expr": "a b"},
		{"expr": "max(otelcol_exporter_queue_size) by (exporter)"}]}]}`

const page = `# TYPE otelcol_receiver_accepted_spans_total counter
otelcol_receiver_accepted_spans_total{receiver="otlp"} %
# TYPE otelcol_processor_incoming_items_total counter
{"otelcol_processor_incoming_items_total","otel.signal"="traces"} %
# TYPE d histogram
d_bucket{le="1"} %
d_bucket{le="+Inf"} %
d_sum %
d_count %
`

func TestQueries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.json")
	if err := os.WriteFile(file, []byte(dashboard), 0o600); err != nil {
		t.Fatal(err)
	}
	queries, err := readDashboard(file)
	if err != nil || len(queries) != 4 {
		t.Fatalf("%d queries, %v", len(queries), err)
	}
	for i, want := range []string{"otelcol_receiver_accepted_spans", "otelcol_processor_incoming_items", "(not a valid query)", "otelcol_exporter_queue_size"} {
		if got := queries[i].metrics(); !slices.Equal(got, []string{want}) {
			t.Errorf("%s reads %v, want %s", queries[i].text, got, want)
		}
	}
	s := newScraped()
	for second := range int64(5) {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(strings.ReplaceAll(page, "%", string(rune('1'+second)))))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			s.storage.addFamily(f, second*1000, "Collector", "h:1")
		}
	}
	if n := len(s.storage.series); n != 6 {
		t.Errorf("%d series, want 6", n)
	}
	var r results
	c := configuration{level: "normal", suffixes: true}
	if err := r.evaluate(t.Context(), queries, c, map[string]map[names]*scraped{"Collector": {utf8Names: s}, "penstock": {utf8Names: s}}, time.Second); err != nil {
		t.Fatal(err)
	}
	at := condition{c, utf8Names}
	for i, want := range []bool{true, true, false, false} {
		if got := r.data["Collector"][queries[i]][at]; got != want {
			t.Errorf("%s has data: %t, want %t", queries[i].expand(at, "Collector"), got, want)
		}
	}
	var out strings.Builder
	r.print(&out)
	if want := "| `otelcol_exporter_queue_size` | 1 | – | – | ? |\n"; !strings.Contains(out.String(), want) {
		t.Errorf("the table has no %q:\n%s", want, out.String())
	}
}

func TestConditions(t *testing.T) {
	all := map[condition]bool{}
	for _, level := range levels {
		for _, suffixes := range []bool{false, true} {
			for _, n := range []names{utf8Names, legacyNames} {
				all[condition{configuration{level, suffixes}, n}] = false
			}
		}
	}
	for want, has := range map[string]func(condition) bool{
		"–":                func(condition) bool { return false },
		"data":             func(condition) bool { return true },
		"data at detailed": func(c condition) bool { return c.level == "detailed" },
		"data at normal, detailed, names with suffixes": func(c condition) bool { return c.level != "basic" && c.suffixes },
		"data, Prometheus 2":                            func(c condition) bool { return c.names == legacyNames },
		"data in 11 of 12 cases":                        func(c condition) bool { return c != condition{configuration{"basic", true}, utf8Names} },
	} {
		for c := range all {
			all[c] = has(c)
		}
		if got := conditions(all); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
