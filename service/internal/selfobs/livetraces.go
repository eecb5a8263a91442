package selfobs

import (
	"context"
	"errors"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// liveProcessors is a span processor that passes spans to several, which can be
// replaced.
type liveProcessors struct {
	live[[]sdktrace.SpanProcessor]
}

// OnStart implements sdktrace.SpanProcessor.
func (p *liveProcessors) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	g := p.begin()
	defer g.done()
	for _, to := range g.value {
		to.OnStart(parent, s)
	}
}

// OnEnd implements sdktrace.SpanProcessor.
func (p *liveProcessors) OnEnd(s sdktrace.ReadOnlySpan) {
	g := p.begin()
	defer g.done()
	for _, to := range g.value {
		to.OnEnd(s)
	}
}

// ForceFlush implements sdktrace.SpanProcessor.
func (p *liveProcessors) ForceFlush(ctx context.Context) error {
	var errs []error
	for _, to := range p.current.Load().value {
		errs = append(errs, to.ForceFlush(ctx))
	}
	return errors.Join(errs...)
}

// Shutdown implements sdktrace.SpanProcessor.
func (p *liveProcessors) Shutdown(ctx context.Context) error {
	return shutdownAll(ctx, p.current.Load().value)
}

func shutdownAll(ctx context.Context, all []sdktrace.SpanProcessor) error {
	var errs []error
	for _, p := range all {
		errs = append(errs, p.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// liveSampler decides as the current sampler does.
type liveSampler struct {
	live[sdktrace.Sampler]
}

// ShouldSample implements sdktrace.Sampler.
func (s *liveSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return s.current.Load().value.ShouldSample(p)
}

// Description implements sdktrace.Sampler.
func (s *liveSampler) Description() string { return s.current.Load().value.Description() }
