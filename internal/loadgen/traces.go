package loadgen

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
)

func writeTraces(a *author) {
	request := otlp.AppendExportTraceServiceRequest(&a.e)
	for _, h := range a.scene().hosts {
		if len(h.spans) == 0 {
			continue
		}
		rs := request.AddResourceSpans()
		r := rs.SetResource()
		a.attributes(r, h.resource)
		r.Close()
		for _, kind := range []otlp.SpanKind{otlp.SpanKindServer, otlp.SpanKindClient} {
			a.scopeSpans(rs, h, kind)
		}
		rs.SetSchemaURL(schemaURL)
		rs.Close()
	}
	request.Close()
}

// scopeSpans writes the spans of a kind, which have one scope.
func (a *author) scopeSpans(to otlp.ResourceSpansBuilder, h *host, kind otlp.SpanKind) {
	some := false
	var ss otlp.ScopeSpansBuilder
	for _, s := range h.spans {
		if s.kind != kind {
			continue
		}
		if !some {
			some, ss = true, to.AddScopeSpans()
			scope := ss.SetScope()
			scope.SetName(h.scope(kind))
			scope.SetVersion("0.62.0")
			scope.Close()
		}
		a.span(ss, s)
	}
	if some {
		ss.SetSchemaURL(schemaURL)
		ss.Close()
	}
}

// scope is the name of the library that makes spans of a kind.
func (h *host) scope(kind otlp.SpanKind) string {
	if kind == otlp.SpanKindClient {
		return h.library + "/client"
	}
	return h.library
}

// The flags of spans (trace.proto, SpanFlags): sampled, and whether the parent is known to
// be remote.
const (
	flagsLocal  = 0x101
	flagsRemote = 0x301
)

func (a *author) span(to otlp.ScopeSpansBuilder, s *span) {
	begin := len(a.e.Buf)
	b := to.AddSpans()
	b.SetTraceID(s.trace)
	b.SetSpanID(s.id)
	b.SetParentSpanID(s.parent)
	flags := uint32(flagsLocal)
	if s.kind == otlp.SpanKindServer && len(s.parent) > 0 {
		flags = flagsRemote
	}
	b.SetFlags(flags)
	b.SetName(s.name())
	b.SetKind(s.kind)
	b.SetStartTimeUnixNano(s.start)
	b.SetEndTimeUnixNano(s.end)
	switch {
	case s.call.table != "":
		a.fit(begin, b, a.databaseCall(s.call.database, s.call.table))
	case s.kind == otlp.SpanKindClient:
		a.outcome(b, s, s.call.refused())
		a.fit(begin, b, a.clientCall(s.call))
	default:
		a.outcome(b, s, s.call.failed())
		a.cause(b, s)
		a.fit(begin, b, a.serverCall(s.call))
	}
	b.Close()
}

func (s *span) name() string {
	switch {
	case s.call.table != "":
		return "query " + s.call.table
	case s.kind == otlp.SpanKindClient:
		return s.call.method
	}
	return s.call.method + " " + s.call.route
}

// outcome writes the status of a span that failed; the server has an exception, too.
func (a *author) outcome(b otlp.SpanBuilder, s *span, failed bool) {
	if !failed {
		return
	}
	status := b.SetStatus()
	status.SetCode(otlp.StatusCodeError)
	status.SetMessage(fmt.Sprintf("the server answered %d", s.call.status))
	status.Close()
	if s.kind == otlp.SpanKindServer && a.roomy(400) {
		event := b.AddEvents()
		event.SetTimeUnixNano(s.end)
		event.SetName("exception")
		a.attributes(event, a.exception())
		event.Close()
	}
}

// cause links some spans to one of another trace that caused them.
func (a *author) cause(b otlp.SpanBuilder, s *span) {
	if !a.roomy(100) || !a.oneIn(8) {
		return
	}
	cause := pick(a, a.scene().spans)
	if cause.start >= s.start || string(cause.trace) == string(s.trace) {
		return
	}
	link := b.AddLinks()
	link.SetTraceID(cause.trace)
	link.SetSpanID(cause.id)
	a.attributes(link, []attr{{"messaging.operation.type", "receive"}})
	link.Close()
}
