package loadgen

import (
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

func writeLogs(a *author) {
	request := otlp.AppendExportLogsServiceRequest(&a.e)
	for i, scopes := range a.layout() {
		h := a.scene().hosts[i]
		rl := request.AddResourceLogs()
		r := rl.SetResource()
		a.attributes(r, h.resource)
		r.Close()
		for j, records := range scopes {
			sl := rl.AddScopeLogs()
			scope := sl.SetScope()
			scope.SetName(h.logger(j))
			scope.Close()
			for range records {
				a.logRecord(sl, h)
			}
			sl.SetSchemaURL(schemaURL)
			sl.Close()
		}
		rl.SetSchemaURL(schemaURL)
		rl.Close()
	}
	request.Close()
}

// logger is the name of the i-th scope of a host.
func (h *host) logger(i int) string {
	if i == 0 {
		return h.library
	}
	return "shop." + h.name
}

// severityText returns the name that loggers use.
var severityText = map[otlp.SeverityNumber]string{
	otlp.SeverityNumberDebug: "DEBUG", otlp.SeverityNumberInfo: "INFO",
	otlp.SeverityNumberWarn: "WARN", otlp.SeverityNumberError: "ERROR",
}

// message is what a log record says.
type message struct {
	severity otlp.SeverityNumber
	body     any // a text, or []attr
	attrs    []attr
}

// logRecord writes a record about a span of h, or sometimes of the process itself.
func (a *author) logRecord(to otlp.ScopeLogsBuilder, h *host) {
	begin := len(a.e.Buf)
	b := to.AddLogRecords()
	at, m := a.now-a.between(0, 5*time.Second), message{severity: otlp.SeverityNumberInfo}
	if len(h.spans) == 0 || a.oneIn(4) {
		m = a.processMessage()
	} else {
		s := pick(a, h.spans)
		at, m = s.end, a.spanMessage(s)
		b.SetTraceID(s.trace)
		b.SetSpanID(s.id)
		b.SetFlags(1)
	}
	b.SetTimeUnixNano(at)
	b.SetObservedTimeUnixNano(at + a.between(0, 10*time.Millisecond))
	b.SetSeverityNumber(m.severity)
	b.SetSeverityText(severityText[m.severity])
	a.value(b.SetBody(), m.body)
	a.fit(begin, b, append([]attr{
		{"code.function.name", "shop." + pick(a, functions)},
		{"code.file.path", "/src/" + pick(a, files)},
		{"code.line.number", 1 + a.IntN(900)},
		{"thread.id", 1 + a.IntN(64)},
		{"log.iostream", "stdout"},
	}, m.attrs...))
	b.Close()
}

// processMessage is not about a request.
func (a *author) processMessage() message {
	if a.oneIn(2) {
		return message{otlp.SeverityNumberDebug, fmt.Sprintf("cache %s: %d entries, %d evicted", pick(a, tables), a.IntN(90000), a.IntN(900)), nil}
	}
	return message{otlp.SeverityNumberInfo, a.prose(40 + a.IntN(120)), nil}
}

// spanMessage is about the end of a span, and agrees with it.
func (a *author) spanMessage(s *span) message {
	c, millis := s.call, (s.end-s.start)/uint64(time.Millisecond)
	switch {
	case c.table != "":
		return message{
			otlp.SeverityNumberDebug, fmt.Sprintf("cache miss for %s:%s, loaded from %s in %d ms", c.table, a.hex(8), c.database, millis),
			[]attr{{"db.system.name", c.database}, {"db.collection.name", c.table}},
		}
	case c.failed():
		e := a.exception()
		return message{
			otlp.SeverityNumberError, fmt.Sprintf("%s %s answered %d after %d ms: %s", c.method, c.path, c.status, millis, e[1].value), append(e, httpCall(c)...),
		}
	case c.refused():
		return message{otlp.SeverityNumberWarn, fmt.Sprintf("%s %s answered %d after %d ms", c.method, c.path, c.status, millis), httpCall(c)}
	case a.oneIn(4) && a.roomy(120):
		return message{otlp.SeverityNumberInfo, a.orderPlaced(int(millis)), httpCall(c)}
	case a.oneIn(3):
		return message{
			otlp.SeverityNumberInfo, fmt.Sprintf("order %d placed by user %s in %d ms", 100000+a.IntN(900000), a.hex(8), millis), httpCall(c),
		}
	}
	return message{otlp.SeverityNumberInfo, fmt.Sprintf("%s %s %d %dms", c.method, c.path, c.status, millis), httpCall(c)}
}

// orderPlaced is a body of several fields.
func (a *author) orderPlaced(millis int) []attr {
	return []attr{
		{"message", "order placed"}, {"order", 100000 + a.IntN(900000)}, {"took_ms", millis},
		{"user", []attr{{"id", a.hex(8)}, {"tier", pick(a, []string{"free", "gold"})}}},
		{"items", []string{a.hex(6), a.hex(6)}},
	}
}
