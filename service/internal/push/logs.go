package push

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Logs is an exporter for the SDK of logs. All records have the same scope.
type Logs struct {
	To       *Destination
	Resource *sdkresource.Resource
}

// Export implements sdklog.Exporter. It never fails; see Destination.
func (l *Logs) Export(ctx context.Context, records []sdklog.Record) error {
	l.To.send(ctx, otlp.Logs, l.request(records))
	return nil
}

// Shutdown implements sdklog.Exporter.
func (l *Logs) Shutdown(context.Context) error { return l.To.Close() }

// ForceFlush implements sdklog.Exporter.
func (*Logs) ForceFlush(context.Context) error { return nil }

func (l *Logs) request(records []sdklog.Record) []byte {
	if len(records) == 0 {
		return nil
	}
	var e otlp.Encoder
	request := otlp.AppendExportLogsServiceRequest(&e)
	rl := request.AddResourceLogs()
	writeResource(rl.SetResource(), l.Resource)
	sl := rl.AddScopeLogs()
	writeScope(sl.SetScope(), records[0].InstrumentationScope())
	for i := range records {
		writeRecord(sl.AddLogRecords(), &records[i])
	}
	sl.Close()
	rl.Close()
	request.Close()
	return e.Buf
}

func writeRecord(b otlp.LogRecordBuilder, r *sdklog.Record) {
	b.SetTimeUnixNano(nanos(r.Timestamp()))
	b.SetObservedTimeUnixNano(nanos(r.ObservedTimestamp()))
	b.SetSeverityNumber(otlp.SeverityNumber(r.Severity()))
	b.SetSeverityText(r.SeverityText())
	writeAny(b.SetBody(), r.Body())
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		writeAttribute(b, kv)
		return true
	})
	if id := r.TraceID(); id.IsValid() {
		b.SetTraceID(id[:])
	}
	if id := r.SpanID(); id.IsValid() {
		b.SetSpanID(id[:])
	}
	b.SetFlags(uint32(r.TraceFlags()))
	b.Close()
}
