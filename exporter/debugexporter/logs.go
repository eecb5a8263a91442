package debugexporter

import (
	"cmp"

	"github.com/penstock-telemetry/penstock/otlp"
)

func normalLogRecord(p *printer, item []byte) {
	f := otlp.LogRecord(item).Decode()
	p.value(f.Body.Resolve(p.dict))
	p.inline(" ", f.Attributes)
	x := p.details()
	x.time(cmp.Or(f.TimeUnixNano, f.ObservedTimeUnixNano))
	if f.SeverityNumber != otlp.SeverityNumberUnspecified || len(f.SeverityText) > 0 {
		x.add("severity").severity(f)
	}
	if len(f.EventName) > 0 {
		x.add("event").str(f.EventName)
	}
	x.id("trace", f.TraceID)
	x.id("span", f.SpanID)
	x.end()
}

func detailedLogRecord(p *printer, item []byte) {
	f := otlp.LogRecord(item).Decode()
	p.s("ObservedTimestamp: ").time(f.ObservedTimeUnixNano).nl()
	p.s("Timestamp: ").time(f.TimeUnixNano).nl()
	p.s("SeverityText: ").str(f.SeverityText).nl()
	p.s("SeverityNumber: ").s(enumName(f.SeverityNumber.String(), "SEVERITY_NUMBER_")).s("(").int(int64(f.SeverityNumber)).s(")").nl()
	if len(f.EventName) > 0 {
		p.s("EventName: ").str(f.EventName).nl()
	}
	p.s("Body: ").typed(f.Body.Resolve(p.dict)).nl()
	p.attributes("", "Attributes", f.Attributes)
	if f.DroppedAttributesCount > 0 {
		p.s("DroppedAttributesCount: ").uint(uint64(f.DroppedAttributesCount)).nl()
	}
	p.s("Trace ID: ").hex(f.TraceID).nl()
	p.s("Span ID: ").hex(f.SpanID).nl()
	p.s("Flags: ").uint(uint64(f.Flags)).nl()
}
