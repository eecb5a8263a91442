package funcs_test

import (
	"strings"
	"testing"
)

func TestMergeHistogramBuckets(t *testing.T) {
	of := func(counts, bounds string) string {
		return `{"name":"m","histogram":{"dataPoints":[{"attributes":@(a=0.5),"count":"9","sum":1,"bucketCounts":[` + counts + `],"explicitBounds":[` + bounds + `]}]}}`
	}
	for _, c := range []struct{ counts, bounds, statement, wantCounts, wantBounds string }{
		{"5,8,3,1", "0.1,0.5,1", `merge_histogram_buckets(0.5)`, "5,11,1", "0.1,1"},
		{"5,8,3,1", "0.1,0.5,1", `merge_histogram_buckets(1, "remove_explicit_bound")`, "5,8,4", "0.1,0.5"},
		{"5,8,3,1", "0.1,0.5000000000001,1", `merge_histogram_buckets(attributes["a"])`, "5,11,1", "0.1,1"},
		{"10,5", "0.5", `merge_histogram_buckets(0.5)`, "15", ""},
		{"5,8,3,1", "0.1,0.5,1", `merge_histogram_buckets(2.0)`, "5,8,3,1", "0.1,0.5,1"},
		{"5,8,3,1,2", "0.1,0.5,1", `merge_histogram_buckets(0.5)`, "5,8,3,1,2", "0.1,0.5,1"},
		{"1", "", `merge_histogram_buckets(0.5)`, "1", ""},
		{"80,4,6,120,3,2,40,10,1", "0.1,0.2,0.5,1,2.5,5,10,30", `merge_histogram_buckets(5, "limit_buckets")`, "84,126,5,50,1", "0.2,1,5,30"},
		{"1,2,3,4,5,6,7,8,9,10", "1,2,3,4,5,6,7,8,9", `merge_histogram_buckets(4, "limit_buckets")`, "6,15,24,10", "3,6,9"},
		{"1,2,3", "1,2", `merge_histogram_buckets(1.0, "limit_buckets")`, "6", ""},
		{"1,2,3", "1,2", `merge_histogram_buckets(3, "limit_buckets")`, "1,2,3", "1,2"},
		{"5,8,3,1", "0.5,0.1,1", `merge_histogram_buckets(2, "limit_buckets")`, "5,8,3,1", "0.5,0.1,1"},
	} {
		got, err := transformed(t, "datapoint", of(c.counts, c.bounds), c.statement)
		if err != nil {
			t.Errorf("%s: %v", c.statement, err)
			continue
		}
		same(t, got, of(c.wantCounts, c.wantBounds))
	}
	if _, err := transformed(t, "datapoint", of("1,2", "1"), `merge_histogram_buckets(attributes["a"], "limit_buckets")`); err == nil || !strings.Contains(err.Error(), "expected a number of buckets, found 0.5") {
		t.Errorf("got %v", err)
	}
	if got, err := transformed(t, "datapoint", sum, `merge_histogram_buckets(1.0)`); err != nil {
		t.Error(err)
	} else {
		same(t, got, sum)
	}
}

// TestSummaryToSum: for each point that the statement is done to a metric is added, which
// has all points as they are then.
func TestSummaryToSum(t *testing.T) {
	count := func(second string) string {
		return `{"name":"m_count","description":"d","unit":"ms","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
			{"attributes":@(a=z),"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"10"},{"attributes":@(a=` + second + `),"timeUnixNano":"2","asInt":"0"}]}}`
	}
	edited := strings.NewReplacer("@(a=x)", "@(a=z)", "@(a=y)", "@(a=z)").Replace(summary)
	got, err := transformed(t, "datapoint", summary, `set(attributes["a"], "z") where metric.type == METRIC_DATA_TYPE_SUMMARY`, `convert_summary_count_val_to_sum("delta", true)`)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, edited, count("y"), count("z"))

	got, err = transformed(t, "datapoint", summary, `convert_summary_sum_val_to_sum("cumulative", false, ".s") where attributes["a"] == "y"`)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, summary, `{"name":"m.s","description":"d","unit":"ms","sum":{"aggregationTemporality":2,"dataPoints":[
		{"attributes":@(a=x),"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":25},{"attributes":@(a=y),"timeUnixNano":"2","asDouble":0}]}}`)

	got, err = transformed(t, "datapoint", histogram, `convert_summary_sum_val_to_sum("cumulative", false)`)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, histogram)
}

func TestAttributesOfPoints(t *testing.T) {
	ints := strings.Replace(sum, `@(a=x)`, `[{"key":"a","value":{"intValue":"1"}}]`, 1)
	for _, c := range []struct {
		metric, condition string
		want              bool
	}{
		{sum, `HasAttrKeyOnDatapoint("a")`, true},
		{gauge, `HasAttrKeyOnDatapoint("b")`, false},
		{histogram, `HasAttrOnDatapoint("a", "x")`, true},
		{exponential, `HasAttrOnDatapoint("a", "y")`, false},
		{summary, `HasAttrOnDatapoint("a", "x")`, true},
		{summary, `HasAttrOnDatapoint("a", "y")`, false}, // the first point with the key counts
		{ints, `HasAttrOnDatapoint("a", "1")`, false},
		{ints, `HasAttrOnDatapoint("a", "")`, true}, // a number has an empty string
	} {
		got, err := transformed(t, "metric", c.metric, `set(name, "yes") where `+c.condition)
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
		} else if (got[0].Name == "yes") != c.want {
			t.Errorf("%s of %.80s: not %t", c.condition, c.metric, c.want)
		}
	}
	if _, err := transformed(t, "metric", noData, `set(name, "yes") where HasAttrKeyOnDatapoint("a")`); err == nil || !strings.Contains(err.Error(), "the metric has no data") {
		t.Errorf("got %v", err)
	}
}
