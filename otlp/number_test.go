package otlp_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

func fromJSON(t *testing.T, s otlp.Signal, text string) []byte {
	t.Helper()
	request, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), s, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// Items yields the items of all resources and scopes in order, until it is stopped.
func TestItems(t *testing.T) {
	request := fromJSON(t, otlp.Traces, `{"resourceSpans":[
		{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]},{},{"spans":[{"name":"c"}]}]},
		{},
		{"scopeSpans":[{"spans":[{"name":"d"}]}]}]}`)
	var names []string
	for item := range otlp.Items(request) {
		names = append(names, string(otlp.Span(item).Name()))
	}
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(names, want) {
		t.Errorf("the spans are %q, want %q", names, want)
	}
	for n := range 4 {
		seen := 0
		for range otlp.Items(request) {
			if seen++; seen > n {
				break
			}
		}
		if seen != n+1 {
			t.Errorf("stopped after %d items, saw %d", n+1, seen)
		}
	}
	for range otlp.Items(nil) {
		t.Error("an empty request has an item")
	}
}

// Numbers yields the points of gauges and sums that have a value, and no others.
func TestNumbers(t *testing.T) {
	request := fromJSON(t, otlp.Metrics, `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
		{"name":"gauge","gauge":{"dataPoints":[{"timeUnixNano":"1","asDouble":0.5},{"timeUnixNano":"2"},{"timeUnixNano":"3","asInt":"-7"}]}},
		{"name":"sum","sum":{"dataPoints":[{"timeUnixNano":"4","asInt":"9007199254740992"},{"timeUnixNano":"5","asDouble":0}]}},
		{"name":"histogram","histogram":{"dataPoints":[{"timeUnixNano":"6","count":"1","sum":2}]}},
		{"name":"nothing"}]}]}]}`)
	var got []string
	for item := range otlp.Items(request) {
		m := otlp.Metric(item)
		for p, v := range m.Numbers() {
			got = append(got, fmt.Sprintf("%s %d %v", m.Name(), p.TimeUnixNano(), v))
		}
		for range m.Numbers() {
			break
		}
	}
	if want := []string{"gauge 1 0.5", "gauge 3 -7", "sum 4 9.007199254740992e+15", "sum 5 0"}; !slices.Equal(got, want) {
		t.Errorf("the numbers are %q, want %q", got, want)
	}
}
