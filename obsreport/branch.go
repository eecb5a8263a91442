package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Branch measures what becomes of the requests of one branch of a fan-out that not all
// branches have kept.
type Branch struct {
	repeated, dead [otlp.Profiles + 1]series // by signal
}

// NewBranch creates the instruments of the branch with this name ("pipeline traces/2").
func NewBranch(name string, mp metric.MeterProvider) (*Branch, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("branch %q", name)}
	b := &Branch{}
	repeated, dead := m.counter(branchRepeats, 0), m.counter(branchDead, 0)
	for _, s := range otlp.Signals() {
		tags := []attribute.KeyValue{attrBranch.key.String(name), attrOtel.key.String(signalName(s))}
		b.repeated[s], b.dead[s] = newSeries(repeated, tags...), newSeries(dead, tags...)
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return b, nil
}

// Repeated counts items of signal s that the branch has kept and gets again.
func (b *Branch) Repeated(ctx context.Context, s otlp.Signal, items int) {
	b.repeated[s].add(ctx, int64(items))
}

// DeadLettered counts items of signal s that the branch has refused and kept.
func (b *Branch) DeadLettered(ctx context.Context, s otlp.Signal, items int) {
	b.dead[s].add(ctx, int64(items))
}
