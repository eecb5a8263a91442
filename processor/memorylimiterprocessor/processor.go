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

// Processor passes everything on and counts it.
type Processor struct {
	id   string
	next pipeline.Consumer
	add  []metric.AddOption // processor, shared by all counters
	rows [otlp.Profiles + 1]row
}

// row is one signal's counters. Row 0 stays empty.
type row struct{ accepted, refused metric.Int64Counter }

// New returns a processor that hands everything to next. The limits are the
// service's to set: it makes the budget from Config.
func New(cfg Config, set component.Settings, next pipeline.Consumer) (*Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Processor{id: set.ID, next: next, add: []metric.AddOption{
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

// Name returns the processor's id in the configuration.
func (p *Processor) Name() string { return p.id }

// Capabilities: it changes nothing.
func (p *Processor) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Start does nothing: there is nothing to bind.
func (p *Processor) Start(context.Context) error { return nil }

// Shutdown does nothing: what is in flight belongs to the callers of Consume.
func (p *Processor) Shutdown(context.Context) error { return nil }

// Consume passes b on as it is. As in the Collector, what comes this far is
// accepted, whatever becomes of it further on.
func (p *Processor) Consume(ctx context.Context, b *pipeline.Batch) error {
	row := &p.rows[b.Signal()]
	row.accepted.Add(ctx, int64(b.Items()), p.add...)
	row.refused.Add(ctx, 0, p.add...) // so that the series is there to be looked at
	return p.next.Consume(ctx, b)
}
