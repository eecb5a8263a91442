package memorylimiterprocessor

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// scope names the meter of the instruments made here.
const scope = "github.com/penstock-telemetry/penstock/processor/memorylimiterprocessor"

// Processor counts what passes and changes nothing.
type Processor struct {
	add  []metric.AddOption // processor, shared by all counters
	rows [otlp.Profiles + 1]row
}

// row is one signal's counters. Row 0 stays empty.
type row struct{ accepted, refused metric.Int64Counter }

// New returns a processor. The service applies the limits: it makes the budget
// from Config.
func New(cfg Config, set component.Settings) (*Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Processor{add: []metric.AddOption{
		metric.WithAttributeSet(attribute.NewSet(attribute.String("processor", set.ID))),
	}}
	meter := set.OrDefaults().Meter.Meter(scope)
	for _, s := range otlp.Signals() {
		for verb, into := range map[string]*metric.Int64Counter{"accepted": &p.rows[s].accepted, "refused": &p.rows[s].refused} {
			item := s.Spec().Item
			name := "otelcol_processor_memory_limiter_" + verb + "_" + item
			var err error
			*into, err = meter.Int64Counter(name, metric.WithUnit(s.Spec().Unit),
				metric.WithDescription(fmt.Sprintf("Number of %s %s.", strings.ReplaceAll(item, "_", " "), verb)))
			if err != nil {
				return nil, fmt.Errorf("create metric %s of processor %q: %w", name, set.ID, err)
			}
		}
	}
	return p, nil
}

// Process returns b as it is. As in the Collector, what comes this far is
// accepted, whatever becomes of it further on.
func (p *Processor) Process(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	row := &p.rows[b.Signal()]
	row.accepted.Add(ctx, int64(b.Items()), p.add...)
	row.refused.Add(ctx, 0, p.add...) // so that the series exists
	return b, nil
}
