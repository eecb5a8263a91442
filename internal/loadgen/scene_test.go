package loadgen

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
)

func unmarshal[M proto.Message](t *testing.T, request []byte, m M) M {
	t.Helper()
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// text returns the value of an attribute as text.
func text(attrs []*commonpb.KeyValue, key string) string {
	for _, a := range attrs {
		if a.Key == key {
			switch v := a.Value.Value.(type) {
			case *commonpb.AnyValue_StringValue:
				return v.StringValue
			case *commonpb.AnyValue_IntValue:
				return fmt.Sprint(v.IntValue)
			}
		}
	}
	return ""
}

// roundsOf returns a source of all signals.
func roundsOf(t *testing.T, items int) *Source {
	return few(t, Shape{Signals: all(), BatchItems: items, Seed: 7}, 3)
}

// tracesOf returns the spans of a round by id.
func tracesOf(t *testing.T, s *Source, round uint64, now time.Time) map[string]spanOf {
	t.Helper()
	byID := map[string]spanOf{}
	for _, sp := range spansOf(unmarshal(t, take(s, 4*round, now), &coltrace.ExportTraceServiceRequest{})) {
		byID[string(sp.SpanId)] = sp
	}
	return byID
}

// Spans are within their parents, a client agrees with the server that it called, and
// traces have several services.
func TestTracesAreConsistent(t *testing.T) {
	t.Parallel()
	s := roundsOf(t, 200)
	for round := range uint64(6) {
		spans := tracesOf(t, s, round, time.Now())
		services, calls, failures, links := map[string]map[string]bool{}, 0, 0, 0
		for _, sp := range spans {
			trace := string(sp.TraceId)
			if services[trace] == nil {
				services[trace] = map[string]bool{}
			}
			services[trace][text(sp.resource.Attributes, "service.name")] = true
			failed := sp.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR
			if code := text(sp.Attributes, "http.response.status_code"); code != "" {
				if want := code >= "500" || sp.Kind == tracepb.Span_SPAN_KIND_CLIENT && code >= "400"; want != failed {
					t.Errorf("%s: status %v with code %s", sp.Name, sp.Status, code)
				}
			}
			for _, e := range sp.Events {
				failures++
				if !failed || e.TimeUnixNano < sp.StartTimeUnixNano || e.TimeUnixNano > sp.EndTimeUnixNano {
					t.Errorf("%s: an event %s in a span with %v", sp.Name, e.Name, sp.Status)
				}
			}
			for _, l := range sp.Links {
				links++
				cause, ok := spans[string(l.SpanId)]
				if !ok || string(cause.TraceId) != string(l.TraceId) || cause.StartTimeUnixNano >= sp.StartTimeUnixNano {
					t.Errorf("%s: a link to what is not a span before it", sp.Name)
				}
			}
			if len(sp.ParentSpanId) == 0 {
				continue
			}
			parent, ok := spans[string(sp.ParentSpanId)]
			if !ok || sp.StartTimeUnixNano < parent.StartTimeUnixNano || sp.EndTimeUnixNano > parent.EndTimeUnixNano || sp.EndTimeUnixNano < sp.StartTimeUnixNano {
				t.Errorf("%s is not within its parent %s", sp.Name, parent.GetName())
			}
			instance := func(sp spanOf) string { return text(sp.resource.Attributes, "service.instance.id") }
			if sp.Kind == tracepb.Span_SPAN_KIND_CLIENT {
				if parent.Kind != tracepb.Span_SPAN_KIND_SERVER || instance(sp) != instance(parent) {
					t.Errorf("%s: a client's span has a parent of kind %s", sp.Name, parent.Kind)
				}
				continue
			}
			calls++
			if parent.Kind != tracepb.Span_SPAN_KIND_CLIENT || instance(sp) == instance(parent) || sp.Flags&0x200 == 0 {
				t.Errorf("%s: a server's span has a parent of kind %s, flags %#x", sp.Name, parent.Kind, sp.Flags)
			}
			for _, key := range []string{"http.request.method", "http.response.status_code", "server.address", "server.port"} {
				if a, b := text(sp.Attributes, key), text(parent.Attributes, key); a != b || a == "" {
					t.Errorf("%s: the server says %s %q, the client %q", sp.Name, key, a, b)
				}
			}
			if !strings.Contains(text(sp.Attributes, "server.address"), text(sp.resource.Attributes, "service.name")) {
				t.Errorf("%s: called at %q", sp.Name, text(sp.Attributes, "server.address"))
			}
		}
		several := 0
		for _, of := range services {
			if len(of) > 1 {
				several++
			}
		}
		if several < 5 || calls == 0 || failures == 0 || links == 0 {
			t.Errorf("%d of %d traces have several services; %d calls, %d exceptions, %d links", several, len(services), calls, failures, links)
		}
	}
}

// Records belong to spans of the same round, and agree with them and with themselves.
func TestLogsAreConsistent(t *testing.T) {
	t.Parallel()
	s, now := roundsOf(t, 200), time.Now()
	seen := map[string]int{}
	for round := range uint64(6) {
		spans := tracesOf(t, s, round, now.Add(time.Duration(round)*time.Minute))
		m := unmarshal(t, take(s, 4*round+2, now.Add(time.Hour)), &collogs.ExportLogsServiceRequest{})
		for _, rl := range m.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				for _, r := range sl.LogRecords {
					body := r.Body.GetStringValue()
					seen[r.SeverityText]++
					if want := severityText[otlp.SeverityNumber(r.SeverityNumber)]; r.SeverityText != want || want == "" {
						t.Errorf("severity %d is %q", r.SeverityNumber, r.SeverityText)
					}
					code := text(r.Attributes, "http.response.status_code")
					wrong := code >= "400" && code < "500" && r.SeverityText != "WARN" || code >= "500" && r.SeverityText != "ERROR" ||
						r.SeverityText == "ERROR" && (!strings.Contains(body, code) || !strings.Contains(body, text(r.Attributes, "exception.message"))) ||
						(r.SeverityText == "ERROR") != (text(r.Attributes, "exception.type") != "")
					if wrong {
						t.Errorf("%s with status %q says %q", r.SeverityText, code, body)
					}
					if len(r.SpanId) == 0 {
						seen["no span"]++
						continue
					}
					sp, ok := spans[string(r.SpanId)]
					if !ok || string(sp.TraceId) != string(r.TraceId) {
						t.Fatalf("round %d: a record of span %x, which is not in the round", round, r.SpanId)
					}
					if r.TimeUnixNano < sp.StartTimeUnixNano || r.TimeUnixNano > sp.EndTimeUnixNano || r.ObservedTimeUnixNano < r.TimeUnixNano {
						t.Errorf("a record is not within its span %s", sp.Name)
					}
					for _, key := range []string{"service.name", "service.instance.id"} {
						if a, b := text(rl.Resource.Attributes, key), text(sp.resource.Attributes, key); a != b {
							t.Errorf("%s of a record is %q, of its span %q", key, a, b)
						}
					}
					if of := text(sp.Attributes, "http.response.status_code"); code != of {
						t.Errorf("a record of %s says status %q, the span %q", sp.Name, code, of)
					}
				}
			}
		}
	}
	for _, what := range []string{"DEBUG", "INFO", "WARN", "ERROR", "no span"} {
		if seen[what] == 0 {
			t.Errorf("no record has %s: %v", what, seen)
		}
	}
}

// Links of profiles and exemplars are spans of the round.
func TestReferencesToSpans(t *testing.T) {
	t.Parallel()
	s := roundsOf(t, 300)
	for round := range uint64(4) {
		spans, found := tracesOf(t, s, round, time.Now()), 0
		known := func(what string, trace, span []byte) {
			found++
			if sp, ok := spans[string(span)]; !ok || string(sp.TraceId) != string(trace) {
				t.Errorf("round %d: a %s refers to %x, which is not a span", round, what, span)
			}
		}
		links := unmarshal(t, take(s, 4*round+3, time.Now()), &colprofiles.ExportProfilesServiceRequest{}).Dictionary.LinkTable
		for _, l := range links[1:] {
			known("link", l.TraceId, l.SpanId)
		}
		eachMetric(unmarshal(t, take(s, 4*round+1, time.Now()), &colmetrics.ExportMetricsServiceRequest{}), func(_ string, m *metricspb.Metric) {
			for _, p := range m.GetHistogram().GetDataPoints() {
				for _, e := range p.Exemplars {
					known("exemplar", e.TraceId, e.SpanId)
				}
			}
		})
		if found == 0 {
			t.Error("nothing refers to spans")
		}
	}
}

// eachMetric calls f with the metrics and the name of where they are.
func eachMetric(m *colmetrics.ExportMetricsServiceRequest, f func(where string, m *metricspb.Metric)) {
	for _, rm := range m.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			for _, metric := range sm.Metrics {
				f(text(rm.Resource.Attributes, "service.instance.id")+" "+sm.Scope.Name+" "+metric.Name, metric)
			}
		}
	}
}

// Counts agree with buckets and sums, there is one point for each series, and cumulative
// values grow when a template is sent again.
func TestMetricsAreConsistent(t *testing.T) {
	t.Parallel()
	s := few(t, Shape{Signals: []otlp.Signal{otlp.Metrics}, BatchItems: 400, Seed: 7}, 1)
	last := map[string]float64{}
	for n := range uint64(4) {
		series := map[string]bool{}
		grown := func(where string, attrs []*commonpb.KeyValue, values ...float64) {
			where += fmt.Sprint(attrs)
			if series[where] {
				t.Errorf("request %d: %s is a duplicate", n, where)
			}
			series[where] = true
			for i, v := range values {
				key := fmt.Sprint(where, i)
				if before, ok := last[key]; n > 0 && (!ok || v <= before) {
					t.Errorf("request %d: %s, value %d was %g and is %g", n, where, i, before, v)
				}
				last[key] = v
			}
		}
		eachMetric(unmarshal(t, take(s, n, time.Now()), &colmetrics.ExportMetricsServiceRequest{}), func(where string, m *metricspb.Metric) {
			for _, p := range m.GetSum().GetDataPoints() {
				if m.GetSum().IsMonotonic {
					grown(where, p.Attributes, p.GetAsDouble())
				}
			}
			for _, p := range m.GetSummary().GetDataPoints() {
				grown(where, p.Attributes, float64(p.Count), p.Sum)
				if mean := p.Sum / float64(p.Count); mean < p.QuantileValues[0].Value || mean > p.QuantileValues[4].Value {
					t.Errorf("the mean %g is outside of the quantiles", mean)
				}
			}
			for _, p := range m.GetHistogram().GetDataPoints() {
				grown(where, p.Attributes, float64(p.Count), p.GetSum())
				low, high, count := 0.0, 0.0, uint64(0)
				for i, c := range p.BucketCounts {
					count += c
					if i < len(p.ExplicitBounds) {
						high += float64(c) * p.ExplicitBounds[i]
					}
					if i > 0 {
						low += float64(c) * p.ExplicitBounds[i-1]
					}
				}
				if count != p.Count || p.GetSum() < low || p.GetSum() > high {
					t.Errorf("buckets of %d and %g to %g; count %d, sum %g", count, low, high, p.Count, p.GetSum())
				}
			}
			for _, p := range m.GetExponentialHistogram().GetDataPoints() {
				low, high, count := 0.0, 0.0, p.ZeroCount
				for i, c := range p.Positive.BucketCounts {
					count += c
					low += float64(c) * math.Exp2(float64(int(p.Positive.Offset)+i)/8)
					high += float64(c) * math.Exp2(float64(int(p.Positive.Offset)+i+1)/8)
				}
				if count != p.Count || p.GetSum() < low || p.GetSum() > high || p.TimeUnixNano-p.StartTimeUnixNano != uint64(deltaInterval) {
					t.Errorf("buckets of %d and %g to %g; count %d, sum %g", count, low, high, p.Count, p.GetSum())
				}
			}
		})
		if len(series) == 0 {
			t.Error("nothing grows")
		}
	}
}
