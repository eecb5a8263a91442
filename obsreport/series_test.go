package obsreport

import (
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// Goroutines that create the same series share the attributes.
func TestSeriesLeavesAttributes(t *testing.T) {
	t.Parallel()
	shared := []attribute.KeyValue{attribute.String("z", "1"), attribute.String("a", "2")}
	before := slices.Clone(shared)
	newSeries(metricnoop.Int64Counter{}, shared...)
	if !slices.Equal(shared, before) {
		t.Errorf("the attributes are %v, expected %v", shared, before)
	}
}
