package obsreport

import (
	"context"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// series is a counter with one attribute set.
type series struct {
	counter metric.Int64Counter
	options []metric.AddOption
}

// newSeries leaves attributes as they are: NewSet sorts its argument, which other goroutines
// may be reading.
func newSeries(c metric.Int64Counter, attributes ...attribute.KeyValue) series {
	return series{c, []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(slices.Clone(attributes)...))}}
}

// add does nothing for 0, or with a meter that does nothing.
func (s *series) add(ctx context.Context, n int64) {
	if n > 0 && s.counter.Enabled(ctx) {
		s.counter.Add(ctx, n, s.options...)
	}
}

// begin creates the series with the value 0, unless the meter does nothing.
func (s *series) begin(ctx context.Context) (begun bool) {
	if begun = s.counter.Enabled(ctx); begun {
		s.counter.Add(ctx, 0, s.options...)
	}
	return begun
}

// group has series that begin at the same time.
type group struct {
	series []series
	begun  atomic.Bool
}

// begin creates the series with the value 0. Only the first call has a cost,
// unless the meter does nothing yet: a provider may get its reader later.
func (g *group) begin(ctx context.Context) {
	if g.begun.Load() {
		return
	}
	for i := range g.series {
		if g.series[i].begin(ctx) {
			g.begun.Store(true)
		}
	}
}

// with returns the attributes of base and more in a new slice.
func with(base []attribute.KeyValue, more ...attribute.KeyValue) []attribute.KeyValue {
	return slices.Concat(base, more)
}
