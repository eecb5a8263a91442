package selfobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"sync"

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
	Provider   trace.TracerProvider
	sdk        *sdktrace.TracerProvider
	cfg        TracesConfig
	res        *sdkresource.Resource
	given      bool // the program's provider is used
	processors liveProcessors
	sampler    liveSampler

	log    *slog.Logger // from Start
	stdout io.Writer
	ending sync.WaitGroup // of processors that were replaced
}

// NewTraces creates a provider, which records nothing before Start. given replaces it.
func NewTraces(cfg TracesConfig, res *sdkresource.Resource, given trace.TracerProvider) *Traces {
	t := &Traces{Provider: given, given: given != nil, cfg: cfg, res: res}
	if t.given || !cfg.records() {
		return t
	}
	t.processors.replace(nil)
	t.sampler.replace(cfg.sampler())
	t.sdk = sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithSampler(&t.sampler), sdktrace.WithSpanProcessor(&t.processors))
	t.Provider = t.sdk
	return t
}

// records reports whether spans are recorded.
func (c *TracesConfig) records() bool { return c.Level != "none" && len(c.Processors) > 0 }

func (c *TracesConfig) sampler() sdktrace.Sampler {
	switch {
	case !c.records():
		return sdktrace.NeverSample()
	case c.Sampler == nil:
		return sdktrace.ParentBased(sdktrace.AlwaysSample())
	}
	return c.Sampler.sampler()
}

// Start starts the processors.
func (t *Traces) Start(log *slog.Logger, stdout io.Writer) error {
	if t.sdk == nil {
		return nil
	}
	t.log, t.stdout = log, stdout
	to, err := t.open(&t.cfg)
	if err != nil {
		return err
	}
	t.processors.replace(t.running(&t.cfg, to))
	return nil
}

// open opens the destinations of the processors.
func (t *Traces) open(cfg *TracesConfig) (all []*push.Destination, err error) {
	if !cfg.records() {
		return nil, nil
	}
	for i := range cfg.Processors {
		to, err := cfg.Processors[i].exporter().Open(otlp.Traces, fmt.Sprintf("service.telemetry.traces.processors[%d]", i), t.log, t.stdout)
		if err != nil {
			return nil, errors.Join(err, closeAll(all))
		}
		all = append(all, to)
	}
	return all, nil
}

func closeAll(all []*push.Destination) error {
	var errs []error
	for _, to := range all {
		errs = append(errs, to.Close())
	}
	return errors.Join(errs...)
}

// running starts the processors, which send to the opened destinations.
func (t *Traces) running(cfg *TracesConfig, to []*push.Destination) (all []sdktrace.SpanProcessor) {
	for i, to := range to {
		all = append(all, cfg.Processors[i].spanProcessor(&push.Spans{To: to, Resource: t.res}))
	}
	return all
}

// Plan prepares other processors and another sampler. Spans that have begun end in the
// new processors.
func (t *Traces) Plan(cfg TracesConfig) (Change, error) {
	switch {
	case t.given || reflect.DeepEqual(cfg, t.cfg) || t.sdk == nil && !cfg.records():
		return Change{}, nil
	case t.sdk == nil:
		return Change{NeedsRestart: []string{"traces"}}, nil
	}
	to, err := t.open(&cfg)
	if err != nil {
		return Change{}, err
	}
	return Change{
		Apply: func() {
			t.cfg = cfg
			old := t.processors.replace(t.running(&cfg, to))
			t.sampler.replace(cfg.sampler())
			t.ending.Go(func() { t.endProcessors(old) })
		},
		Undo: func() { _ = closeAll(to) }, // they have sent nothing
	}, nil
}

// endProcessors sends the last spans of processors that were replaced.
func (t *Traces) endProcessors(old *generation[[]sdktrace.SpanProcessor]) {
	old.end()
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	if err := shutdownAll(ctx, old.value); err != nil {
		t.log.Warn("sending the last spans to the previous destination failed", slog.Any("error", err))
	}
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
	t.ending.Wait()
	if t.sdk == nil {
		return nil
	}
	return t.sdk.Shutdown(ctx)
}
