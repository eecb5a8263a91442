package loadgen

import (
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

func writeLogs(a *author) {
	request := otlp.AppendExportLogsServiceRequest(&a.e)
	for _, scopes := range a.layout() {
		s := pick(a, services)
		rl := request.AddResourceLogs()
		r := rl.SetResource()
		a.attributes(r, a.resource(s))
		r.Close()
		for _, records := range scopes {
			sl := rl.AddScopeLogs()
			scope := sl.SetScope()
			scope.SetName(s.library)
			scope.Close()
			for range records {
				a.logRecord(sl)
			}
			sl.SetSchemaURL(schemaURL)
			sl.Close()
		}
		rl.SetSchemaURL(schemaURL)
		rl.Close()
	}
	request.Close()
}

// severities is a list in which frequent severities occur more often.
var severities = []otlp.SeverityNumber{
	otlp.SeverityNumberDebug, otlp.SeverityNumberDebug, otlp.SeverityNumberInfo, otlp.SeverityNumberInfo,
	otlp.SeverityNumberInfo, otlp.SeverityNumberInfo, otlp.SeverityNumberInfo, otlp.SeverityNumberWarn, otlp.SeverityNumberError,
}

// severityText returns the name that loggers use.
var severityText = map[otlp.SeverityNumber]string{
	otlp.SeverityNumberDebug: "DEBUG", otlp.SeverityNumberInfo: "INFO",
	otlp.SeverityNumberWarn: "WARN", otlp.SeverityNumberError: "ERROR",
}

func (a *author) logRecord(to otlp.ScopeLogsBuilder) {
	begin := len(a.e.Buf)
	severity := pick(a, severities)
	at := a.now - a.between(0, 5*time.Second)
	b := to.AddLogRecords()
	b.SetTimeUnixNano(at)
	b.SetObservedTimeUnixNano(at + a.between(0, 10*time.Millisecond))
	b.SetSeverityNumber(severity)
	b.SetSeverityText(severityText[severity])
	a.value(b.SetBody(), a.logBody())
	if !a.oneIn(4) { // logged within a trace
		b.SetTraceID(a.id(16))
		b.SetSpanID(a.id(8))
		b.SetFlags(1)
	}
	attrs := []attr{
		{"code.function.name", "shop." + pick(a, functions)},
		{"code.file.path", "/src/" + pick(a, files)},
		{"code.line.number", 1 + a.IntN(900)},
		{"thread.id", 1 + a.IntN(64)},
		{"log.iostream", "stdout"},
	}
	if severity == otlp.SeverityNumberError {
		attrs = append(attrs, a.exception()...)
	} else {
		attrs = append(attrs, a.serverCall(pick(a, methods), pick(a, routes), pick(a, statuses))[:4]...)
	}
	a.fit(begin, b, attrs)
	b.Close()
}

// logBody writes a line of text, or the same content as a map.
func (a *author) logBody() any {
	order, millis, user := 100000+a.IntN(900000), a.IntN(2000), a.hex(8)
	if a.oneIn(6) && a.roomy(120) {
		return []attr{
			{"message", "order placed"}, {"order", order}, {"took_ms", millis},
			{"user", []attr{{"id", user}, {"tier", pick(a, []string{"free", "gold"})}}},
			{"items", []string{a.hex(6), a.hex(6)}},
		}
	}
	switch a.IntN(4) {
	case 0:
		return fmt.Sprintf("order %d placed by user %s in %d ms", order, user, millis)
	case 1:
		return fmt.Sprintf("%s %s %d %dms", pick(a, methods), pick(a, routes), pick(a, statuses), millis)
	case 2:
		return fmt.Sprintf("cache miss for key cart:%s, loaded from %s in %d ms", user, pick(a, databases), millis)
	}
	return a.prose(40 + a.IntN(120))
}
