package obsreport

import (
	"context"
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Sampling counts what a sampler decides. It is safe for concurrent use.
type Sampling struct {
	signals map[otlp.Signal][]group // by policy: of items that are dropped, and passed on
}

// sampledOf are the signals that samplers are for.
var sampledOf = map[otlp.Signal]int{otlp.Traces: sampledTraces, otlp.Logs: sampledLogs}

// NewSampling creates the instruments of the processor with this id. A decision is counted
// for one of the policies, by its index.
func NewSampling(id string, mp metric.MeterProvider, policies ...string) (*Sampling, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("processor %q", id)}
	s := &Sampling{signals: map[otlp.Signal][]group{}}
	for signal, row := range sampledOf {
		counter, all := m.counter(row, signal), make([]group, len(policies))
		for i, policy := range policies {
			for _, sampled := range []bool{false, true} {
				all[i].series = append(all[i].series, newSeries(counter, attrPolicy.key.String(policy), attrSampled.key.String(strconv.FormatBool(sampled))))
			}
		}
		s.signals[signal] = all
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Decided counts items of a signal that a policy has dropped, and passed on.
func (s *Sampling) Decided(ctx context.Context, signal otlp.Signal, policy, dropped, passed int) {
	if all := s.signals[signal]; policy < len(all) {
		all[policy].series[0].add(ctx, int64(dropped))
		all[policy].series[1].add(ctx, int64(passed))
	}
}
