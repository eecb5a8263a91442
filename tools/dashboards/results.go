package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// condition is a case.
type condition struct {
	configuration
	names
}

// results has, for each query, the conditions under which each program has data.
type results struct {
	queries []query
	data    map[string]map[query]map[condition]bool // by program
	rows    map[condition]map[string]int            // lines of metrics, by program
}

// evaluate runs the queries over what was scraped with one configuration.
func (r *results) evaluate(ctx context.Context, queries []query, c configuration, from map[string]map[names]*scraped, took time.Duration) error {
	if r.data == nil {
		r.data, r.rows = map[string]map[query]map[condition]bool{}, map[condition]map[string]int{}
	}
	r.queries = queries
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true})
	for program, by := range from {
		for n, s := range by {
			at := condition{c, n}
			if r.rows[at] == nil {
				r.rows[at] = map[string]int{}
			}
			r.rows[at][program] = len(s.storage.series)
			for _, q := range queries {
				has, err := s.hasData(ctx, engine, q.expand(at, program))
				if err != nil && program == "Collector" && n == utf8Names && !c.suffixes && c.level == "normal" {
					fmt.Printf("query of %q: %v\n", q.panel, err)
				}
				if r.data[program] == nil {
					r.data[program] = map[query]map[condition]bool{}
				}
				if r.data[program][q] == nil {
					r.data[program][q] = map[condition]bool{}
				}
				r.data[program][q][at] = has
			}
		}
	}
	return nil
}

// hasData reports whether a query has a result at the time of the last sample.
func (s *scraped) hasData(ctx context.Context, engine *promql.Engine, text string) (bool, error) {
	last := int64(0)
	for _, of := range s.storage.series {
		last = max(last, of.samples[len(of.samples)-1].T())
	}
	q, err := engine.NewInstantQuery(ctx, s.storage, nil, text, time.UnixMilli(last))
	if err != nil {
		return false, err
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return false, result.Err
	}
	v, err := result.Vector()
	return len(v) > 0, err
}

// print writes the table, and the counts under each condition.
func (r *results) print(w io.Writer) {
	fmt.Fprint(w, "| level | names | scraper | series: Collector | penstock | queries with data: Collector | penstock |\n|---|---|---|---|---|---|---|\n")
	for _, c := range slices.SortedFunc(maps.Keys(r.rows), func(a, b condition) int { return strings.Compare(a.key(), b.key()) }) {
		fmt.Fprintf(w, "| %s | %s | %s | %d | %d | %d | %d |\n", c.level, c.suffixText(), c.scraper(), r.rows[c]["Collector"], r.rows[c]["penstock"],
			r.count("Collector", c), r.count("penstock", c))
	}
	fmt.Fprint(w, "\nIn a name, * is each of spans, metric_points and log_records.\n\n| metric | queries | Collector | penstock | reason |\n|---|---|---|---|---|\n")
	rows := r.byMetric()
	slices.SortStableFunc(rows, func(a, b metricRow) int { return strings.Compare(a.metric, b.metric) })
	for _, row := range rows {
		collector, penstock := r.describe("Collector", row.of), r.describe("penstock", row.of)
		fmt.Fprintf(w, "| `%s` | %d | %s | %s | %s |\n", row.metric, len(row.of), collector, penstock, reason(row.metric, collector, penstock))
	}
}

func (c condition) key() string {
	return fmt.Sprint(slices.Index(levels, c.level), c.suffixes, c.names)
}

func (c condition) suffixText() string {
	return map[bool]string{false: "plain", true: "with suffixes"}[c.suffixes]
}

func (c condition) scraper() string {
	return map[names]string{utf8Names: "Prometheus 3", legacyNames: "Prometheus 2"}[c.names]
}

func (r *results) count(program string, c condition) (n int) {
	for _, q := range r.queries {
		if r.data[program][q][c] {
			n++
		}
	}
	return n
}

type metricRow struct {
	metric string
	of     []query
}

// items are the names of what is counted, which are one row.
var items = strings.NewReplacer("spans", "*", "metric_points", "*", "log_records", "*")

// byMetric groups the queries by the metrics that they read.
func (r *results) byMetric() (rows []metricRow) {
	for _, q := range r.queries {
		key := items.Replace(strings.Join(q.metrics(), "`, `"))
		i := slices.IndexFunc(rows, func(row metricRow) bool { return row.metric == key })
		if i < 0 {
			i, rows = len(rows), append(rows, metricRow{metric: key})
		}
		rows[i].of = append(rows[i].of, q)
	}
	return rows
}

var levels = []string{"basic", "normal", "detailed"}

// describe says under which conditions a program has data for queries.
func (r *results) describe(program string, queries []query) string {
	count := map[string]int{}
	for _, q := range queries {
		count[conditions(r.data[program][q])]++
	}
	var texts []string
	for _, text := range slices.Sorted(maps.Keys(count)) {
		if len(count) > 1 {
			texts = append(texts, fmt.Sprintf("%d: %s", count[text], text))
		} else {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

// conditions describes a set of conditions by the values in each dimension.
func conditions(of map[condition]bool) string {
	var at, suffixes, scrapers []string
	n := 0
	note := func(list *[]string, value string) {
		if !slices.Contains(*list, value) {
			*list = append(*list, value)
		}
	}
	for c, has := range of {
		if has {
			n++
			note(&at, c.level)
			note(&suffixes, c.suffixText())
			note(&scrapers, c.scraper())
		}
	}
	switch {
	case n == 0:
		return "–"
	case n == len(of):
		return "data"
	case n != len(at)*len(suffixes)*len(scrapers):
		return fmt.Sprintf("data in %d of %d cases", n, len(of))
	}
	text := "data"
	if len(at) < 3 {
		slices.SortFunc(at, func(a, b string) int { return slices.Index(levels, a) - slices.Index(levels, b) })
		text += " at " + strings.Join(at, ", ")
	}
	if len(suffixes) < 2 {
		text += ", names " + suffixes[0]
	}
	if len(scrapers) < 2 {
		text += ", " + scrapers[0]
	}
	return text
}

// reasons why there is no data, by a part of the metrics' names.
var reasons = []struct{ part, text string }{
	{"not a valid query", "two queries in one, in the dashboard"},
	{"exporter_enqueue", "only after a queue was full"},
	{"processor_batch", "no processor `batch` yet; not in this configuration"},
	{"processor_filter", "[filter.md](filter.md#differences); not in this configuration"},
	{"otelsvc_k8s", "no processor `k8s_attributes`; not in this configuration"},
	{"responses_per_rpc", olderName},
	{"rpc_client_request_size", "no longer recorded"},
	{"rpc_server_request_size", "no longer recorded by the Collector"},
	{"rpc_server_duration", olderName},
	{"rpc_client_duration", olderName},
	{"http_server_duration", olderName},
	{"http_client_duration", olderName},
	{"otelcol_processor_dropped", olderName},
	{"otelcol_processor_accepted", "one of the queries has an older name; the other any processor's"},
	{"otelcol_processor_refused", "one of the queries has an older name; the other any processor's, which the Collector has only after a refusal"},
	{"send_failed", "in the Collector, and here at level detailed, only after a failure"},
}

const olderName = "an older name: both have others"

func reason(metric, collector, penstock string) string {
	if collector == penstock && !strings.Contains(collector, "–") {
		return ""
	}
	for _, r := range reasons {
		if strings.Contains(metric, r.part) {
			return r.text
		}
	}
	return "?"
}
