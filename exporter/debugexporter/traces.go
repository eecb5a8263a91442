package debugexporter

import (
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

func normalSpan(p *printer, item []byte) {
	f := otlp.Span(item).Decode()
	p.str(f.Name).s(" ").hex(f.TraceID).s(" ").hex(f.SpanID)
	p.inline(" ", f.Attributes)
	x := p.details()
	x.time(f.StartTimeUnixNano)
	if f.StartTimeUnixNano != 0 && f.EndTimeUnixNano != 0 {
		x.add("duration").duration(f.EndTimeUnixNano - f.StartTimeUnixNano)
	}
	if f.Kind != otlp.SpanKindUnspecified {
		x.add("kind").s(enumName(f.Kind.String(), "SPAN_KIND_"))
	}
	if status := f.Status.Decode(); status.Code != otlp.StatusCodeUnset || len(status.Message) > 0 {
		x.add("status").status(status)
	}
	x.id("parent", f.ParentSpanID)
	x.count("events", f.Events.Len())
	x.count("links", f.Links.Len())
	x.end()
}

func detailedSpan(p *printer, item []byte) {
	f := otlp.Span(item).Decode()
	status := f.Status.Decode()
	p.field("Trace ID").hex(f.TraceID).nl()
	p.field("Parent ID").hex(f.ParentSpanID).nl()
	p.field("ID").hex(f.SpanID).nl()
	p.field("Name").str(f.Name).nl()
	p.field("Kind").s(enumName(f.Kind.String(), "SPAN_KIND_")).nl()
	if len(f.TraceState) > 0 {
		p.field("TraceState").str(f.TraceState).nl()
	}
	p.field("Start time").time(f.StartTimeUnixNano).nl()
	p.field("End time").time(f.EndTimeUnixNano).nl()
	p.field("Status code").s(enumName(status.Code.String(), "STATUS_CODE_")).nl()
	p.field("Status message").str(status.Message).nl()
	p.field("DroppedAttributesCount").uint(uint64(f.DroppedAttributesCount)).nl()
	p.field("DroppedEventsCount").uint(uint64(f.DroppedEventsCount)).nl()
	p.field("DroppedLinksCount").uint(uint64(f.DroppedLinksCount)).nl()
	p.attributes("", "Attributes", f.Attributes)
	p.events(f.Events)
	p.links(f.Links)
}

func (p *printer) events(l otlp.List[otlp.SpanEvent]) {
	i := int64(0)
	for e := range l.All() {
		if i == 0 {
			p.s("Events:").nl()
		}
		f := e.Decode()
		p.s("SpanEvent #").int(i).nl()
		p.arrow("").s("Name: ").str(f.Name).nl()
		p.arrow("").s("Timestamp: ").time(f.TimeUnixNano).nl()
		p.arrow("").s("DroppedAttributesCount: ").uint(uint64(f.DroppedAttributesCount)).nl()
		p.attributes("     ", "-> Attributes", f.Attributes)
		if p.full {
			return
		}
		i++
	}
}

func (p *printer) links(l otlp.List[otlp.SpanLink]) {
	i := int64(0)
	for link := range l.All() {
		if i == 0 {
			p.s("Links:").nl()
		}
		f := link.Decode()
		p.s("SpanLink #").int(i).nl()
		p.arrow("").s("Trace ID: ").hex(f.TraceID).nl()
		p.arrow("").s("ID: ").hex(f.SpanID).nl()
		p.arrow("").s("TraceState: ").str(f.TraceState).nl()
		p.arrow("").s("DroppedAttributesCount: ").uint(uint64(f.DroppedAttributesCount)).nl()
		p.attributes("     ", "-> Attributes", f.Attributes)
		if p.full {
			return
		}
		i++
	}
}

// enumName converts a name of the protocol, such as SPAN_KIND_SERVER, to the
// Collector's, such as Server. A value without a name is a number.
func enumName(name, prefix string) string {
	name, ok := strings.CutPrefix(name, prefix)
	if !ok || name == "" {
		return name
	}
	return name[:1] + strings.ToLower(name[1:])
}
