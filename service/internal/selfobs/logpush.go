package selfobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service/internal/push"
)

// flushWithin is how long the end of the log waits for its last lines to be sent.
const flushWithin = 5 * time.Second

// logPush sends the lines of the log between open and close, in addition to its outputs.
type logPush struct {
	cfg    []ProcessorConfig
	res    *sdkresource.Resource
	local  *slog.Logger // the outputs alone, for failures to send
	stdout io.Writer
	sdk    *sdklog.LoggerProvider
	logger atomic.Pointer[log.Logger] // nil before open and after close
}

func (p *logPush) open() error {
	if p == nil {
		return nil
	}
	var all []*push.Destination // before a processor starts its goroutine
	for i := range p.cfg {
		to, err := p.cfg[i].exporter().Open(otlp.Logs, fmt.Sprintf("service.telemetry.logs.processors[%d]", i), p.local, p.stdout)
		if err != nil {
			for _, opened := range all {
				err = errors.Join(err, opened.Close())
			}
			return err
		}
		all = append(all, to)
	}
	opts := []sdklog.LoggerProviderOption{sdklog.WithResource(p.res)}
	for i, to := range all {
		opts = append(opts, sdklog.WithProcessor(p.cfg[i].logProcessor(&push.Logs{To: to, Resource: p.res})))
	}
	p.sdk = sdklog.NewLoggerProvider(opts...)
	l := p.sdk.Logger("github.com/penstock-telemetry/penstock/service")
	p.logger.Store(&l)
	return nil
}

func (c *ProcessorConfig) logProcessor(to sdklog.Exporter) sdklog.Processor {
	b := c.Batch
	if b == nil {
		return sdklog.NewSimpleProcessor(to)
	}
	var opts []sdklog.BatchProcessorOption
	if b.ScheduleDelayMillis > 0 {
		opts = append(opts, sdklog.WithExportInterval(millis(b.ScheduleDelayMillis)))
	}
	if b.ExportTimeoutMillis > 0 {
		opts = append(opts, sdklog.WithExportTimeout(millis(b.ExportTimeoutMillis)))
	}
	if b.MaxQueueSize > 0 {
		opts = append(opts, sdklog.WithMaxQueueSize(b.MaxQueueSize))
	}
	if b.MaxExportBatchSize > 0 {
		opts = append(opts, sdklog.WithExportMaxBatchSize(b.MaxExportBatchSize))
	}
	return sdklog.NewBatchProcessor(to, opts...)
}

func (p *logPush) close() error {
	if p == nil || p.logger.Swap(nil) == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	return p.sdk.Shutdown(ctx)
}

// tee is a slog.Handler that passes records to the outputs and to push.
type tee struct {
	slog.Handler
	to     *logPush
	attrs  []attribute.KeyValue
	prefix string // of the groups: "tls."
}

// WithAttrs implements slog.Handler.
func (t *tee) WithAttrs(as []slog.Attr) slog.Handler {
	derived := &tee{t.Handler.WithAttrs(as), t.to, slices.Clone(t.attrs), t.prefix}
	for _, a := range as {
		derived.attrs = appendAttr(derived.attrs, t.prefix, a)
	}
	return derived
}

// WithGroup implements slog.Handler.
func (t *tee) WithGroup(name string) slog.Handler {
	return &tee{t.Handler.WithGroup(name), t.to, t.attrs, t.prefix + name + "."}
}

// Handle implements slog.Handler.
func (t *tee) Handle(ctx context.Context, r slog.Record) error {
	err := t.Handler.Handle(ctx, r)
	to := t.to.logger.Load()
	if to == nil {
		return err
	}
	var out log.Record
	out.SetTimestamp(r.Time)
	out.SetSeverity(severityOf(r.Level))
	out.SetSeverityText(r.Level.String())
	out.SetBody(attribute.StringValue(r.Message))
	attrs := slices.Clone(t.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = appendAttr(attrs, t.prefix, a)
		return true
	})
	out.AddAttributes(attrs...)
	(*to).Emit(ctx, out)
	return err
}

// severityOf: slog's levels are 4 apart, like those of OTLP.
func severityOf(l slog.Level) log.Severity {
	return log.Severity(min(max(int(l)+9, 1), 24))
}

// appendAttr appends an attribute; those of a group have its name before theirs.
func appendAttr(to []attribute.KeyValue, prefix string, a slog.Attr) []attribute.KeyValue {
	v := a.Value.Resolve()
	key := prefix + a.Key
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix = key + "."
		}
		for _, inner := range v.Group() {
			to = appendAttr(to, prefix, inner)
		}
		return to
	case slog.KindBool:
		return append(to, attribute.Bool(key, v.Bool()))
	case slog.KindInt64:
		return append(to, attribute.Int64(key, v.Int64()))
	case slog.KindFloat64:
		return append(to, attribute.Float64(key, v.Float64()))
	}
	return append(to, attribute.String(key, v.String()))
}
