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

// scope is the name of the meter.
const scope = "github.com/penstock-telemetry/penstock/processor/memorylimiterprocessor"

// Processor counts the items of batches and does not change them.
type Processor struct {
	add  []metric.AddOption // processor, shared by all counters
	rows [otlp.Profiles + 1]row
}

// row has the counters of one signal. Row 0 is empty.
type row struct{ accepted, refused metric.Int64Counter }

// New returns a processor. The service applies the limits: it creates the
// budget from Config.
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

// Process returns b unchanged. As in the Collector, its items are counted as
// accepted, whatever the result of the following processors and exporters.
func (p *Processor) Process(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	row := &p.rows[b.Signal()]
	row.accepted.Add(ctx, int64(b.Items()), p.add...)
	row.refused.Add(ctx, 0, p.add...) // so that the series exists
	return b, nil
}
