package push

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Spans is an exporter for the SDK of traces.
type Spans struct {
	To       *Destination
	Resource *sdkresource.Resource
}

// ExportSpans implements sdktrace.SpanExporter. It never fails; see Destination.
func (s *Spans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.To.send(ctx, otlp.Traces, s.request(spans))
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (s *Spans) Shutdown(context.Context) error { return s.To.Close() }

// request puts spans with the same scope that follow each other together.
func (s *Spans) request(spans []sdktrace.ReadOnlySpan) []byte {
	if len(spans) == 0 {
		return nil
	}
	var e otlp.Encoder
	request := otlp.AppendExportTraceServiceRequest(&e)
	rs := request.AddResourceSpans()
	writeResource(rs.SetResource(), s.Resource)
	for i := 0; i < len(spans); {
		scope := spans[i].InstrumentationScope()
		ss := rs.AddScopeSpans()
		writeScope(ss.SetScope(), scope)
		for ; i < len(spans) && spans[i].InstrumentationScope() == scope; i++ {
			writeSpan(ss.AddSpans(), spans[i])
		}
		ss.Close()
	}
	rs.Close()
	request.Close()
	return e.Buf
}

func writeSpan(b otlp.SpanBuilder, s sdktrace.ReadOnlySpan) {
	c := s.SpanContext()
	traceID, spanID := c.TraceID(), c.SpanID()
	b.SetTraceID(traceID[:])
	b.SetSpanID(spanID[:])
	b.SetTraceState(c.TraceState().String())
	if p := s.Parent(); p.SpanID().IsValid() {
		id := p.SpanID()
		b.SetParentSpanID(id[:])
	}
	b.SetFlags(uint32(c.TraceFlags()))
	b.SetName(s.Name())
	b.SetKind(kindOf(s.SpanKind()))
	b.SetStartTimeUnixNano(nanos(s.StartTime()))
	b.SetEndTimeUnixNano(nanos(s.EndTime()))
	writeAll(b, s.Attributes())
	b.SetDroppedAttributesCount(uint32(s.DroppedAttributes()))
	for _, event := range s.Events() {
		v := b.AddEvents()
		v.SetTimeUnixNano(nanos(event.Time))
		v.SetName(event.Name)
		writeAll(v, event.Attributes)
		v.Close()
	}
	for _, link := range s.Links() {
		id, span := link.SpanContext.TraceID(), link.SpanContext.SpanID()
		l := b.AddLinks()
		l.SetTraceID(id[:])
		l.SetSpanID(span[:])
		writeAll(l, link.Attributes)
		l.Close()
	}
	status := b.SetStatus()
	status.SetMessage(s.Status().Description)
	status.SetCode(codeOf(s.Status().Code))
	status.Close()
	b.Close()
}

func writeAll(to hasAttributes, all []attribute.KeyValue) {
	for _, kv := range all {
		writeAttribute(to, kv)
	}
}

func kindOf(k trace.SpanKind) otlp.SpanKind {
	switch k {
	case trace.SpanKindServer:
		return otlp.SpanKindServer
	case trace.SpanKindClient:
		return otlp.SpanKindClient
	case trace.SpanKindProducer:
		return otlp.SpanKindProducer
	case trace.SpanKindConsumer:
		return otlp.SpanKindConsumer
	}
	return otlp.SpanKindInternal
}

func codeOf(c codes.Code) otlp.StatusCode {
	switch c {
	case codes.Ok:
		return otlp.StatusCodeOk
	case codes.Error:
		return otlp.StatusCodeError
	}
	return otlp.StatusCodeUnset
}
