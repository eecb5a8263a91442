package resourcedetectionprocessor

import (
	"context"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor/internal/detect"
)

// Processor sets attributes of the machine on the resources of every batch. Before Start
// it changes nothing. Processors that were made of one configuration share a detection:
// the first Start runs it, the last Shutdown ends it.
type Processor struct {
	*pipeline.Edits
	detection *pipeline.Handle[struct{}, *detection]
}

// New returns a processor. It detects nothing before Start.
func New(cfg Config, set component.Settings) (*Processor, error) {
	return create(cfg, set, detect.NewHost())
}

func create(cfg Config, set component.Settings, host *detect.Host) (*Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.shared == nil {
		cfg.shared = &pipeline.Shared[struct{}, *detection]{}
	}
	handle, err := cfg.shared.Get(struct{}{}, func() (*detection, error) { return newDetection(cfg, host, set.OrDefaults().Logger) })
	if err != nil {
		return nil, err
	}
	d := handle.Component()
	return &Processor{pipeline.NewEdits(otlpedit.Plan{
		Edits: otlpedit.Resources,
		New:   func() otlpedit.Editor { return &editor{detection: d, override: cfg.Override} },
	}), handle}, nil
}

// Start detects the resource, unless another processor of the configuration has. It takes
// no longer than the timeout.
func (p *Processor) Start(ctx context.Context) error { return p.detection.Start(ctx) }

// Shutdown ends the detection if no other processor of the configuration needs it.
func (p *Processor) Shutdown(ctx context.Context) error { return p.detection.Shutdown(ctx) }
