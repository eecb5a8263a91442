package testkit

import (
	"context"
	"maps"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/config"
)

func TestLog(t *testing.T) {
	t.Parallel()
	var l Log
	l.Logger().Info("first", "a", 1)
	l.Logger().Debug("not written")
	l.Logger().Warn("second", "a", 2)
	if got := l.Lines("second"); len(got) != 1 || len(l.Lines("")) != 2 || l.Lines("third") != nil {
		t.Errorf("%q in %q", got, l.String())
	}
	if all := l.Reset(); len(all) < 50 || l.String() != "" {
		t.Errorf("%q, and then %q", all, l.String())
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	m := NewMeter()
	ctx, meter := context.Background(), m.Meter("x")
	counter, _ := meter.Int64Counter("n")
	gauge, _ := meter.Int64Gauge("g")
	histogram, _ := meter.Int64Histogram("h")
	for value, host := range []string{"", "a", "b"} {
		counter.Add(ctx, int64(value), metric.WithAttributes(attribute.String("host", host), attribute.Bool("b", value > 0)))
	}
	gauge.Record(ctx, 7)
	histogram.Record(ctx, 7)
	want := map[string]int64{"g": 7, "n{b=false,host=}": 0, "n{b=true,host=a}": 1, "n{b=true,host=b}": 2}
	if got := m.Sums(t); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if m.Sum(t, "n") != 3 || m.Sum(t, "n", "b=true", "host=b") != 2 || m.Sum(t, "n", "host=c") != 0 || m.Sum(t, "other") != 0 {
		t.Errorf("sums %d, %d", m.Sum(t, "n"), m.Sum(t, "n", "host=b"))
	}
	rm := m.Collect(t)
	if !slices.Contains([]string{"n", "g", "h"}, rm.ScopeMetrics[0].Metrics[0].Name) {
		t.Errorf("%+v", rm)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	got := config.HTTPClient{Timeout: 5}
	if err := Decode(t, "{endpoint: 'http://x'}", &got); err != nil || got.Endpoint != "http://x" || got.Timeout != 5 {
		t.Errorf("%v, %+v", err, got)
	}
	if err := Decode(t, "{endpint: x}", &got); err == nil {
		t.Error("an unknown key is accepted")
	}
}
