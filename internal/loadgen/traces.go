package loadgen

import (
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

// maxTraceSpans is the largest trace within one scope.
const maxTraceSpans = 8

func writeTraces(a *author) {
	request := otlp.AppendExportTraceServiceRequest(&a.e)
	for _, scopes := range a.layout() {
		s := pick(a, services)
		rs := request.AddResourceSpans()
		r := rs.SetResource()
		a.attributes(r, a.resource(s))
		r.Close()
		for _, spans := range scopes {
			ss := rs.AddScopeSpans()
			scope := ss.SetScope()
			scope.SetName(s.library)
			scope.SetVersion("0.62.0")
			scope.Close()
			for spans > 0 {
				n := min(spans, 1+a.IntN(maxTraceSpans))
				a.trace(ss, n)
				spans -= n
			}
			ss.SetSchemaURL(schemaURL)
			ss.Close()
		}
		rs.SetSchemaURL(schemaURL)
		rs.Close()
	}
	request.Close()
}

// trace writes the span of a server and n-1 descendants, parents first.
func (a *author) trace(to otlp.ScopeSpansBuilder, n int) {
	traceID := a.id(16)
	length := a.between(5*time.Millisecond, 2*time.Second)
	start := a.now - length - a.between(0, 3*time.Second)
	var ids [][]byte
	for i := range n {
		s := span{trace: traceID, id: a.id(8), start: start, end: start + length}
		if i > 0 {
			s.parent = pick(a, ids)
			s.start += a.Uint64N(length / 2)
			s.end = s.start + 1 + a.Uint64N(length/2)
		}
		ids = append(ids, s.id)
		if i > 0 && !a.oneIn(3) {
			a.databaseSpan(to, s)
		} else {
			a.serverSpan(to, s)
		}
	}
}

// span is the position of a span in its trace.
type span struct {
	trace, id, parent []byte
	start, end        uint64
}

func (a *author) serverSpan(to otlp.ScopeSpansBuilder, s span) {
	method, route, code := pick(a, methods), pick(a, routes), pick(a, statuses)
	begin := len(a.e.Buf)
	b := a.beginSpan(to, s, method+" "+route, otlp.SpanKindServer)
	if code >= 500 {
		status := b.SetStatus()
		status.SetCode(otlp.StatusCodeError)
		status.SetMessage(fmt.Sprintf("the server answered %d", code))
		status.Close()
		if a.roomy(400) {
			event := b.AddEvents()
			event.SetTimeUnixNano(s.end)
			event.SetName("exception")
			a.attributes(event, a.exception())
			event.Close()
		}
	}
	if a.roomy(100) && a.oneIn(8) {
		link := b.AddLinks()
		link.SetTraceID(a.id(16))
		link.SetSpanID(a.id(8))
		a.attributes(link, []attr{{"messaging.operation.type", "receive"}})
		link.Close()
	}
	a.fit(begin, b, a.serverCall(method, route, code))
	b.Close()
}

func (a *author) databaseSpan(to otlp.ScopeSpansBuilder, s span) {
	system, table := pick(a, databases), pick(a, tables)
	begin := len(a.e.Buf)
	b := a.beginSpan(to, s, "query "+table, otlp.SpanKindClient)
	a.fit(begin, b, a.databaseCall(system, table))
	b.Close()
}

func (a *author) beginSpan(to otlp.ScopeSpansBuilder, s span, name string, kind otlp.SpanKind) otlp.SpanBuilder {
	b := to.AddSpans()
	b.SetTraceID(s.trace)
	b.SetSpanID(s.id)
	b.SetParentSpanID(s.parent)
	b.SetFlags(0x101) // sampled; the parent is known not to be remote
	b.SetName(name)
	b.SetKind(kind)
	b.SetStartTimeUnixNano(s.start)
	b.SetEndTimeUnixNano(s.end)
	return b
}
