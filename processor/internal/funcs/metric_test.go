package funcs_test

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/ottl"
)

const (
	details = `"name":"m","description":"d","unit":"ms","metadata":@(meta=x)`
	number  = `{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"7","flags":1,"exemplars":[{"asDouble":3}]}`

	gauge     = `{` + details + `,"gauge":{"dataPoints":[` + number + `]}}`
	sum       = `{` + details + `,"sum":{"dataPoints":[` + number + `],"aggregationTemporality":2,"isMonotonic":true}}`
	histogram = `{` + details + `,"histogram":{"aggregationTemporality":1,"dataPoints":[
		{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","count":"10","sum":25,"bucketCounts":["1","2","3","4"],"explicitBounds":[1,2,4],"min":0.5,"max":8,"exemplars":[{"asInt":"5"}]},
		{"timeUnixNano":"3","count":"2"}]}}`
	exponential = `{` + details + `,"exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[
		{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","count":"10","sum":25,"scale":0,"zeroCount":"1","positive":{"offset":0,"bucketCounts":["2","4"]},"negative":{"offset":1,"bucketCounts":["3"]},"min":-3,"max":4,"flags":1,"exemplars":[{"asInt":"5"}]}]}}`
	summary = `{` + details + `,"summary":{"dataPoints":[
		{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","count":"10","sum":25,"quantileValues":[{"quantile":0.5,"value":3},{"quantile":0.9,"value":4}]},
		{"attributes":@(a=y),"timeUnixNano":"2"}]}}`
	noData = `{"name":"m"}`
)

func TestMetricFunctions(t *testing.T) {
	for _, c := range []struct {
		name, metric, statement string
		want                    []string // "" is the metric as it was
	}{
		{"sum to gauge", sum, `convert_sum_to_gauge()`, []string{gauge}},
		{"gauge to gauge", gauge, `convert_sum_to_gauge()`, []string{gauge}},
		{"no data to gauge", noData, `convert_sum_to_gauge()`, []string{noData}},
		{"gauge to sum", gauge, `convert_gauge_to_sum("cumulative", true)`, []string{sum}},
		{"gauge to delta", gauge, `convert_gauge_to_sum("delta", false)`, []string{`{` + details + `,"sum":{"dataPoints":[` + number + `],"aggregationTemporality":1}}`}},
		{"sum to sum", sum, `convert_gauge_to_sum("delta", false)`, []string{sum}},

		{"copy", sum, `copy_metric(name="n", unit="s") where name == "m"`, []string{sum, strings.NewReplacer(`"name":"m"`, `"name":"n"`, `"unit":"ms"`, `"unit":"s"`).Replace(sum)}},
		{"copy with description", noData, `copy_metric(name="n", description="e") where name == "m"`, []string{noData, `{"name":"n","description":"e"}`}},

		{"scale gauge", gauge, `scale_metric(0.5, "s")`, []string{`{"name":"m","description":"d","unit":"s","metadata":@(meta=x),"gauge":{"dataPoints":[` + strings.Replace(number, `"7"`, `"3"`, 1) + `]}}`}},
		{"scale histogram", histogram, `scale_metric(10.0)`, []string{`{` + details + `,"histogram":{"aggregationTemporality":1,"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","count":"10","sum":250,"bucketCounts":["1","2","3","4"],"explicitBounds":[10,20,40],"min":5,"max":80,"exemplars":[{"asInt":"50"}]},
			{"timeUnixNano":"3","count":"2"}]}}`}},
		{"scale summary", summary, `scale_metric(2.0, "")`, []string{`{"name":"m","description":"d","metadata":@(meta=x),"summary":{"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","count":"10","sum":50,"quantileValues":[{"quantile":0.5,"value":6},{"quantile":0.9,"value":8}]},
			{"attributes":@(a=y),"timeUnixNano":"2"}]}}`}},

		{"count of histogram", histogram, `extract_count_metric(true) where name == "m"`, []string{histogram, `{"name":"m_count","description":"d","unit":"1","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"10"},{"timeUnixNano":"3","asInt":"2"}]}}`}},
		{"count of exponential", exponential, `extract_count_metric(false, ".n") where name == "m"`, []string{exponential, `{"name":"m.n","description":"d","unit":"1","sum":{"aggregationTemporality":2,"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"10"}]}}`}},
		{"sum of histogram", histogram, `extract_sum_metric(false) where name == "m"`, []string{histogram, `{"name":"m_sum","description":"d","unit":"ms","sum":{"aggregationTemporality":1,"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":25}]}}`}},
		{"sum of summary", summary, `extract_sum_metric(true) where name == "m"`, []string{summary, `{"name":"m_sum","description":"d","unit":"ms","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":25},{"attributes":@(a=y),"timeUnixNano":"2","asDouble":0}]}}`}},

		{"quantiles", summary, `convert_summary_quantile_val_to_gauge() where name == "m"`, []string{summary, `{"name":"m.quantiles","description":"d","unit":"ms","gauge":{"dataPoints":[
			{"attributes":[{"key":"a","value":{"stringValue":"x"}},{"key":"quantile","value":{"doubleValue":0.5}}],"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":3},
			{"attributes":[{"key":"a","value":{"stringValue":"x"}},{"key":"quantile","value":{"doubleValue":0.9}}],"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":4}]}}`}},
		{"quantiles at a key that exists", summary, `convert_summary_quantile_val_to_gauge("a", "q") where name == "m"`, []string{summary, `{"name":"mq","description":"d","unit":"ms","gauge":{"dataPoints":[
			{"attributes":[{"key":"a","value":{"doubleValue":0.5}}],"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":3},
			{"attributes":[{"key":"a","value":{"doubleValue":0.9}}],"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":4}]}}`}},
		{"quantiles of a sum", sum, `convert_summary_quantile_val_to_gauge()`, []string{sum}},

		// 50 % of 10 values is the fifth: the second of three between 2 and 4.
		{"percentile", histogram, `extract_percentile_metric(50.0)`, []string{"", `{"name":"m_p50","description":"d (p50)","unit":"ms","gauge":{"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":3.333333333333333}]}}`}},
		{"percentile in the last bucket", histogram, `extract_percentile_metric(99.5, ".top")`, []string{"", `{"name":"m.top","description":"d (p99.5)","unit":"ms","gauge":{"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":8}]}}`}},
		{"percentile of exponential", exponential, `extract_percentile_metric(60.0)`, []string{exponential, `{"name":"m_p60","description":"d (p60)","unit":"ms","gauge":{"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":2}]}}`}},
		{"percentile of negative", exponential, `extract_percentile_metric(30.0)`, []string{exponential, `{"name":"m_p30","description":"d (p30)","unit":"ms","gauge":{"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":-2}]}}`}},
		{"percentile of sum", sum, `extract_percentile_metric(50.0)`, []string{sum}},

		{"exponential to histogram", exponential, `convert_exponential_histogram_to_histogram("upper", [0.0, 2.0, 3.0])`, []string{`{` + details + `,"histogram":{"aggregationTemporality":2,"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","count":"10","sum":25,"min":-3,"max":4,"flags":1,"exemplars":[{"asInt":"5"}],"bucketCounts":["3","0","4","0"],"explicitBounds":[0,2,3]}]}}`}},
		{"exponential to one bucket", exponential, `convert_exponential_histogram_to_histogram("random", [1.0])`, []string{`{` + details + `,"histogram":{"aggregationTemporality":2,"dataPoints":[
			{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","count":"10","sum":25,"min":-3,"max":4,"flags":1,"exemplars":[{"asInt":"5"}],"bucketCounts":["6","0"],"explicitBounds":[1]}]}}`}},
		{"histogram to histogram", histogram, `convert_exponential_histogram_to_histogram("uniform", [1.0])`, []string{histogram}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := transformed(t, "metric", c.metric, c.statement)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.want {
				if c.want[i] == "" {
					c.want[i] = c.metric
				}
			}
			same(t, got, c.want...)
		})
	}
}

func TestAggregate(t *testing.T) {
	points := func(list ...string) string {
		return `{` + details + `,"sum":{"aggregationTemporality":2,"dataPoints":[` + strings.Join(list, ",") + `]}}`
	}
	metric := points(`{"attributes":@(host=a,op=r),"asInt":"1","timeUnixNano":"5"}`, `{"attributes":@(host=b,op=r),"asInt":"2","timeUnixNano":"5"}`,
		`{"attributes":@(host=a,op=w),"asInt":"4","timeUnixNano":"5"}`, `{"attributes":@(host=a,op=r),"asInt":"8","timeUnixNano":"5"}`)
	for _, c := range []struct{ statement, want string }{
		{`aggregate_on_attributes("sum", ["host"])`, points(`{"attributes":@(host=a),"asInt":"13","timeUnixNano":"5"}`, `{"attributes":@(host=b),"asInt":"2","timeUnixNano":"5"}`)},
		{`aggregate_on_attributes("max")`, points(`{"attributes":@(host=a,op=r),"asInt":"8","timeUnixNano":"5"}`, `{"attributes":@(host=b,op=r),"asInt":"2","timeUnixNano":"5"}`, `{"attributes":@(host=a,op=w),"asInt":"4","timeUnixNano":"5"}`)},
		{`aggregate_on_attributes("count", [])`, points(`{"asInt":"4","timeUnixNano":"5"}`)},
		{`aggregate_on_attribute_value("mean", "op", ["r", "w"], "all")`, points(`{"attributes":@(host=a,op=all),"asInt":"4","timeUnixNano":"5"}`, `{"attributes":@(host=b,op=all),"asInt":"2","timeUnixNano":"5"}`)},
		{`aggregate_on_attribute_value("sum", "none", ["r", "w"], "all") where name != "m"`, metric},
	} {
		got, err := transformed(t, "metric", metric, c.statement)
		if err != nil {
			t.Errorf("%s: %v", c.statement, err)
			continue
		}
		same(t, got, c.want)
	}
}

func TestMetricErrors(t *testing.T) {
	noTemporality := strings.Replace(histogram, `"aggregationTemporality":1`, `"aggregationTemporality":0`, 1)
	short := strings.Replace(histogram, `"explicitBounds":[1,2,4]`, `"explicitBounds":[1,2]`, 1)
	few := strings.Replace(histogram, `"bucketCounts":["1","2","3","4"]`, `"bucketCounts":["1","0","0","0"]`, 1)
	for _, c := range []struct{ metric, statement, want string }{
		{sum, `extract_count_metric(true)`, `expected a histogram, exponential histogram or summary, found a sum`},
		{noData, `extract_sum_metric(true)`, `found a metric without data`},
		{noTemporality, `extract_sum_metric(true)`, `the histogram has no aggregation temporality`},
		{exponential, `scale_metric(2.0)`, `exponential histograms are not supported`},
		{noData, `scale_metric(2.0)`, `the metric has no data`},
		{sum, `scale_metric(2.0, metadata["none"])`, `expected string, found nil`},
		{summary, `aggregate_on_attributes("sum")`, `summaries are not supported`},
		{summary, `aggregate_on_attribute_value("sum", "a", ["x"], "y")`, `summaries are not supported`},
		{short, `extract_percentile_metric(50.0)`, `the percentile of data point 0: expected one bucket more than bounds, found 4 and 2`},
		{few, `extract_percentile_metric(50.0)`, `the percentile of data point 0: the buckets have 1 values, expected at least 5`},
		{sum, `copy_metric(name=metadata["none"])`, `expected string, found nil`},
	} {
		got, err := transformed(t, "metric", c.metric, c.statement)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.statement) {
			t.Errorf("%s: got %v, want %s", c.statement, err, c.want)
		}
		same(t, got, c.metric)
	}
}

// TestCopyWithoutEnd: a copy is copied as well.
func TestCopyWithoutEnd(t *testing.T) {
	_, err := transformed(t, "metric", sum, `copy_metric()`)
	if err == nil || !strings.HasPrefix(err.Error(), `copy_metric(): add a metric, which the statement is done to as well: the edits make a request of`) {
		t.Errorf("got %v", err)
	}
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct{ context, statement, want string }{
		{"metric", `convert_gauge_to_sum("x", true)`, `string_agg_temp of convert_gauge_to_sum: expected delta or cumulative, found "x"`},
		{"metric", `convert_gauge_to_sum("delta", "x")`, `monotonic of convert_gauge_to_sum: expected a literal bool`},
		{"metric", `extract_percentile_metric(100.0)`, `expected a number above 0 and below 100, found 100`},
		{"metric", `extract_percentile_metric(50)`, `expected a literal double`},
		{"metric", `aggregate_on_attributes("avg")`, `unknown aggregation function "avg", expected one of sum, mean, min, max, median, count`},
		{"metric", `aggregate_on_attributes("sum", [name])`, `expected a list of literal strings`},
		{"metric", `convert_exponential_histogram_to_histogram("lower", [1.0])`, `expected upper, midpoint, random or uniform, found "lower"`},
		{"metric", `convert_exponential_histogram_to_histogram("upper", [])`, `expected at least one bound`},
		{"metric", `convert_exponential_histogram_to_histogram("upper", [1])`, `expected a list of literal doubles, such as 1.0`},
		{"datapoint", `merge_histogram_buckets(0.5, "x")`, `expected remove_explicit_bound or limit_buckets, found "x"`},
		{"datapoint", `merge_histogram_buckets(0, "limit_buckets")`, `expected a number of buckets, found 0`},
		{"datapoint", `merge_histogram_buckets(nil)`, `expected a number, found nil`},
		{"datapoint", `convert_sum_to_gauge()`, `context datapoint does not have the function convert_sum_to_gauge, which is of metric`},
		{"span", `set_semconv_span_name("1.36.0")`, `expected a version from 1.37.0 to 1.43.0, found "1.36.0"`},
		{"span", `set_semconv_span_name("1.44.0")`, `found "1.44.0"`},
		{"span", `set_semconv_span_name("x")`, `found "x"`},
		{"span", `set_semconv_span_name("1.37.0", "")`, `expected the key of an attribute, found an empty string`},
		{"log", `set(body, ParseCLF(body, "x"))`, `expected clf or combined, found "x"`},
	} {
		_, err := parser(ottl.ContextOf(c.context)).Statement(c.statement)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.statement, err, c.want)
		}
	}
}
