package reporter

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// metricPoints returns all metrics of requests, with their points, by name. Each
// request is checked.
func metricPoints(t testing.TB, maxBytes int, requests [][]byte) map[string][]*metrics.NumberDataPoint {
	t.Helper()
	points := map[string][]*metrics.NumberDataPoint{}
	for _, request := range requests {
		if len(request) > maxBytes {
			t.Errorf("a request has %d bytes, more than %d", len(request), maxBytes)
		}
		items, err := otlp.Check(otlp.Metrics, request)
		if err != nil {
			t.Error(err)
		}
		m := &colmetrics.ExportMetricsServiceRequest{}
		if err := proto.Unmarshal(request, m); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, rm := range m.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, metric := range sm.Metrics {
					name := metric.Name + "[" + metric.Unit + "] " + metric.Description
					switch data := metric.Data.(type) {
					case *metrics.Metric_Gauge:
						name += " gauge"
						points[name] = append(points[name], data.Gauge.DataPoints...)
						n += len(data.Gauge.DataPoints)
					case *metrics.Metric_Sum:
						name += fmt.Sprint(" sum ", data.Sum.AggregationTemporality, " monotonic ", data.Sum.IsMonotonic)
						points[name] = append(points[name], data.Sum.DataPoints...)
						n += len(data.Sum.DataPoints)
					}
				}
			}
		}
		if n != items || n == 0 {
			t.Errorf("a request has %d points, Check counts %d", n, items)
		}
	}
	return points
}

var definitions = map[uint32]MetricDefinition{
	1: {Name: "load", Unit: "1", Description: "of the machine"},
	2: {Name: "faults", Unit: "{fault}", Kind: Counter},
}

func TestOTLPPoints(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	cfg := quickOTLP
	cfg.Consumer, cfg.MetricDefinitions = sink, definitions
	g := newOTLPRig(t, cfg)
	g.ReportHostMetadata(map[string]string{"host.name": "h"})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.watch()
	const rounds = 2000
	for i := range uint32(rounds) {
		g.ReportMetrics(100+i, []uint32{2, 1, 9}, []int64{int64(i), -int64(i), 7})
		if i%100 == 0 {
			time.Sleep(time.Millisecond) // several reports
		}
	}
	g.ReportMetrics(5, []uint32{1, 1}, []int64{1}) // of lists of unequal length what both have; the rest is invalid
	g.Stop()
	g.unwatch()
	g.ReportMetrics(5, []uint32{1, 2, 9}, []int64{1, 1, 1})
	s, _ := g.end()
	want := fmt.Sprint(Flow{Reported: 3*rounds + 2 + 3, Acknowledged: 2*rounds + 1, Dropped: map[DropReason]int64{DropUnknownMetric: rounds, DropStopped: 3, DropInvalid: 1}})
	if got := fmt.Sprint(s.Points); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	points := metricPoints(t, cfg.MaxRequestBytes, sink.Requests(otlp.Metrics))
	if len(points) != 2 {
		t.Errorf("%d metrics", len(points))
	}
	gauge := points["load[1] of the machine gauge"]
	if len(gauge) != rounds+1 {
		t.Fatalf("%d values of the gauge", len(gauge))
	}
	for i, p := range gauge[:rounds] {
		if p.GetAsInt() != -int64(i) || p.TimeUnixNano != uint64(100+i)*1e9 || p.StartTimeUnixNano != 0 {
			t.Fatalf("value %d of the gauge: %v", i, p)
		}
	}
	sum := points["faults[{fault}]  sum AGGREGATION_TEMPORALITY_DELTA monotonic true"]
	if len(sum) != rounds {
		t.Fatalf("%d values of the counter", len(sum))
	}
	began := uint64(100e9) // when the reporter began, which is later than these times
	for i, p := range sum {
		if p.GetAsInt() != int64(i) || p.TimeUnixNano != uint64(100+i)*1e9 || p.StartTimeUnixNano != began {
			t.Fatalf("value %d of the counter: %v, want it to begin at %d", i, p, began)
		}
		began = p.TimeUnixNano
	}
	for _, request := range sink.Requests(otlp.Metrics) {
		m := &colmetrics.ExportMetricsServiceRequest{}
		if err := proto.Unmarshal(request, m); err != nil {
			t.Fatal(err)
		}
		rm := m.ResourceMetrics[0]
		if a := rm.Resource.Attributes; len(a) != 1 || a[0].Key != "host.name" || rm.ScopeMetrics[0].Scope.Name != "penstock" {
			t.Errorf("resource %v, scope %v", a, rm.ScopeMetrics[0].Scope)
		}
	}
}

// Without definitions metrics are counted, and nothing is sent.
func TestOTLPPointsIgnored(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	cfg := quickOTLP
	cfg.Consumer = sink
	g := newOTLPRig(t, cfg)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.ReportMetrics(1, []uint32{1, 2}, []int64{1, 2})
	g.Stop()
	if s, _ := g.end(); s.Points.Reported != 2 || s.Points.Dropped[DropIgnored] != 2 || sink.Calls() != 0 {
		t.Errorf("%+v, %d calls", s.Points, sink.Calls())
	}
}

// What a destination says to metrics, what finds no room, and what fits into no
// request.
func TestOTLPPointsDropped(t *testing.T) {
	t.Parallel()
	const n = maxPoints + 9 // and one of id 2
	ids, values := make([]uint32, n), make([]int64, n)
	for i := range ids {
		ids[i] = 1
	}
	large := map[uint32]MetricDefinition{1: {Name: "a"}, 2: {Name: "b", Description: strings.Repeat("x", minBytes)}}
	for _, c := range []struct {
		name string
		err  error
		want map[DropReason]int64
	}{
		{"taken", nil, map[DropReason]int64{DropWindowFull: 10, DropTooLarge: 1}},
		{"again", errors.New("no"), map[DropReason]int64{DropWindowFull: 10, DropTooLarge: 1}},
		{"refused", pipeline.Permanently(errors.New("no")), map[DropReason]int64{DropWindowFull: 10, DropTooLarge: 1, DropRefused: 1}},
		{"rejected", &pipeline.Error{Kind: pipeline.Partial, Rejected: 3}, map[DropReason]int64{DropWindowFull: 10, DropTooLarge: 1, DropRejected: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink := &testkit.Sink{}
			sink.FailNext(c.err)
			cfg := quickOTLP
			cfg.Consumer, cfg.MetricDefinitions, cfg.ReportMetricsInterval = sink, large, time.Hour
			g := newOTLPRig(t, cfg)
			g.ReportMetrics(1, []uint32{2}, []int64{5})
			g.ReportMetrics(1, ids[1:], values[1:])
			g.ReportMetrics(1, ids[:1], values[:1])
			if err := g.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.Stop()
			s, _ := g.end()
			first := int64(0)
			if requests := sink.Received(otlp.Metrics); len(requests) > 0 {
				first = int64(requests[0].Items)
			}
			if c.want[DropRefused] > 0 {
				c.want[DropRefused] = maxPoints - 1 - s.Points.Acknowledged
				if refused := c.want[DropRefused]; refused < first { // requests are full but the last
					t.Errorf("%d refused, a request has %d", refused, first)
				}
			}
			if fmt.Sprint(s.Points.Dropped) != fmt.Sprint(c.want) || s.Points.Reported != n+1 {
				t.Errorf("%+v, want %v", s.Points, c.want)
			}
			if taken := int64(sink.Items(otlp.Metrics)); taken != s.Points.Acknowledged+s.Points.Dropped[DropRejected] {
				t.Errorf("%d taken, %+v", taken, s.Points)
			}
			metricPoints(t, cfg.MaxRequestBytes, sink.Requests(otlp.Metrics))
			if log := g.log.String(); !strings.Contains(log, "points_full=10 points_too_large=1") {
				t.Errorf("it was not told:\n%s", log)
			}
		})
	}
}

// A request of metrics stays within its bound with many small attributes too, and
// a resource that is larger than that leaves no room for points.
func TestOTLPPointsBeside(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		attributes int
		sent       bool
	}{{0, true}, {100, true}, {600, true}, {5000, false}} {
		sink := &testkit.Sink{}
		cfg := quickOTLP
		cfg.Consumer, cfg.MetricDefinitions = sink, map[uint32]MetricDefinition{}
		var resource []libpf.Attribute
		for i := range c.attributes {
			resource = append(resource, libpf.StringAttr(fmt.Sprintf("%x", i), ""))
		}
		cfg.Resource = libpf.NewAttributes(resource...)
		for id := range uint32(500) {
			cfg.MetricDefinitions[id] = MetricDefinition{Name: fmt.Sprint("m", id), Kind: MetricKind(id % 2)}
		}
		g := newOTLPRig(t, cfg)
		for id := range uint32(500) {
			g.ReportMetrics(1, []uint32{id}, []int64{1})
		}
		if err := g.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.Stop()
		s, _ := g.end()
		if sent := s.Points.Acknowledged == 500; sent != c.sent || !sent && s.Points.Dropped[DropTooLarge] != 500 {
			t.Errorf("%d attributes: %+v", c.attributes, s.Points)
		}
		metricPoints(t, cfg.MaxRequestBytes, sink.Requests(otlp.Metrics))
	}
}
