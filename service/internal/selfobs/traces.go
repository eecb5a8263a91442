package selfobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service/internal/push"
)

// SamplerConfig decides which traces are recorded. It has one key.
type SamplerConfig struct {
	AlwaysOn          *struct{}          `yaml:"always_on,omitempty"`
	AlwaysOff         *struct{}          `yaml:"always_off,omitempty"`
	TraceIDRatioBased *RatioConfig       `yaml:"trace_id_ratio_based,omitempty"`
	ParentBased       *ParentBasedConfig `yaml:"parent_based,omitempty"`
}

// RatioConfig records a share of the traces.
type RatioConfig struct {
	Ratio float64 `yaml:"ratio"`
}

// ParentBasedConfig decides as the parent of a span did, and with Root where there is
// no parent.
type ParentBasedConfig struct {
	Root                   *SamplerConfig `yaml:"root,omitempty"`
	RemoteParentSampled    *SamplerConfig `yaml:"remote_parent_sampled,omitempty"`
	RemoteParentNotSampled *SamplerConfig `yaml:"remote_parent_not_sampled,omitempty"`
	LocalParentSampled     *SamplerConfig `yaml:"local_parent_sampled,omitempty"`
	LocalParentNotSampled  *SamplerConfig `yaml:"local_parent_not_sampled,omitempty"`
}

// SetDefaults implements config.Defaulter.
func (c *RatioConfig) SetDefaults() { c.Ratio = 1 }

// Validate checks the section "trace_id_ratio_based".
func (c *RatioConfig) Validate() error {
	if c.Ratio < 0 || c.Ratio > 1 {
		return config.Atf("ratio", "expected 0 to 1, found %v", c.Ratio)
	}
	return nil
}

// Validate checks the section "sampler".
func (c *SamplerConfig) Validate() error {
	n := 0
	for _, set := range []bool{c.AlwaysOn != nil, c.AlwaysOff != nil, c.TraceIDRatioBased != nil, c.ParentBased != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return errors.New("expected one of always_on, always_off, trace_id_ratio_based and parent_based")
	}
	return nil
}

// sampler returns the sampler; every trace is recorded by default.
func (c *SamplerConfig) sampler() sdktrace.Sampler {
	switch {
	case c == nil || c.AlwaysOn != nil:
		return sdktrace.AlwaysSample()
	case c.AlwaysOff != nil:
		return sdktrace.NeverSample()
	case c.TraceIDRatioBased != nil:
		return sdktrace.TraceIDRatioBased(c.TraceIDRatioBased.Ratio)
	}
	p := c.ParentBased
	var opts []sdktrace.ParentBasedSamplerOption
	for _, o := range []struct {
		cfg    *SamplerConfig
		option func(sdktrace.Sampler) sdktrace.ParentBasedSamplerOption
	}{
		{p.RemoteParentSampled, sdktrace.WithRemoteParentSampled}, {p.RemoteParentNotSampled, sdktrace.WithRemoteParentNotSampled},
		{p.LocalParentSampled, sdktrace.WithLocalParentSampled}, {p.LocalParentNotSampled, sdktrace.WithLocalParentNotSampled},
	} {
		if o.cfg != nil {
			opts = append(opts, o.option(o.cfg.sampler()))
		}
	}
	return sdktrace.ParentBased(p.Root.sampler(), opts...)
}

// Traces records the spans of requests and pushes them.
type Traces struct {
	// Provider is nil if no spans are recorded.
	Provider trace.TracerProvider
	sdk      *sdktrace.TracerProvider
	cfg      TracesConfig
	res      *sdkresource.Resource
}

// NewTraces creates a provider, which records nothing before Start. given replaces it.
func NewTraces(cfg TracesConfig, res *sdkresource.Resource, given trace.TracerProvider) *Traces {
	if given != nil || cfg.Level == "none" || len(cfg.Processors) == 0 {
		return &Traces{Provider: given}
	}
	sampler := sdktrace.ParentBased(sdktrace.AlwaysSample())
	if cfg.Sampler != nil {
		sampler = cfg.Sampler.sampler()
	}
	t := &Traces{cfg: cfg, res: res, sdk: sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithSampler(sampler))}
	t.Provider = t.sdk
	return t
}

// Start starts the processors.
func (t *Traces) Start(log *slog.Logger, stdout io.Writer) error {
	if t.sdk == nil {
		return nil
	}
	for i := range t.cfg.Processors {
		c := &t.cfg.Processors[i]
		to, err := c.exporter().Open(otlp.Traces, fmt.Sprintf("service.telemetry.traces.processors[%d]", i), log, stdout)
		if err != nil {
			return err
		}
		t.sdk.RegisterSpanProcessor(c.spanProcessor(&push.Spans{To: to, Resource: t.res}))
	}
	return nil
}

func (c *ProcessorConfig) spanProcessor(to sdktrace.SpanExporter) sdktrace.SpanProcessor {
	b := c.Batch
	if b == nil {
		return sdktrace.NewSimpleSpanProcessor(to)
	}
	var opts []sdktrace.BatchSpanProcessorOption
	if b.ScheduleDelayMillis > 0 {
		opts = append(opts, sdktrace.WithBatchTimeout(millis(b.ScheduleDelayMillis)))
	}
	if b.ExportTimeoutMillis > 0 {
		opts = append(opts, sdktrace.WithExportTimeout(millis(b.ExportTimeoutMillis)))
	}
	if b.MaxQueueSize > 0 {
		opts = append(opts, sdktrace.WithMaxQueueSize(b.MaxQueueSize))
	}
	if b.MaxExportBatchSize > 0 {
		opts = append(opts, sdktrace.WithMaxExportBatchSize(b.MaxExportBatchSize))
	}
	return sdktrace.NewBatchSpanProcessor(to, opts...)
}

// Shutdown sends what is left.
func (t *Traces) Shutdown(ctx context.Context) error {
	if t.sdk == nil {
		return nil
	}
	return t.sdk.Shutdown(ctx)
}
