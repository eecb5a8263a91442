package payload

import (
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

// wideBytes is the size of a record of WideLogs.
const wideBytes = 424

// WideLogs returns a request of n records of 424 bytes each with eight attributes; the
// attribute level of one in twenty is error, that of the others debug.
func WideLogs(n int) []byte {
	var e otlp.Encoder
	req := otlp.AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	res := rl.SetResource()
	text(res.AddAttributes(), "service.name", "checkout")
	text(res.AddAttributes(), "k8s.pod.name", "checkout-5d9f7c-abcde")
	res.Close()
	sl := rl.AddScopeLogs()
	for i := range n {
		body := fmt.Sprintf("GET /api/v1/users/%06d took 12ms password=hunter2 ", i)
		r := sl.AddLogRecords()
		before := len(e.Buf)
		wideFields(r, i)
		body += strings.Repeat("x", max(wideBytes-(len(e.Buf)-before)-len(body)-6, 0))
		b := r.SetBody()
		b.SetStringValue(body)
		b.Close()
		r.Close()
	}
	sl.Close()
	rl.Close()
	req.Close()
	return e.Buf
}

func wideFields(r otlp.LogRecordBuilder, i int) {
	r.SetTimeUnixNano(start + uint64(i))
	r.SetObservedTimeUnixNano(start + uint64(i) + 1)
	r.SetSeverityNumber(otlp.SeverityNumberInfo)
	r.SetSeverityText("INFO")
	level := "debug"
	if i%20 == 0 {
		level = "error"
	}
	text(r.AddAttributes(), "level", level)
	text(r.AddAttributes(), "http.method", "GET")
	text(r.AddAttributes(), "http.route", "/api/v1/users/{id}")
	number(r.AddAttributes(), "http.status_code", int64(200+i%5))
	text(r.AddAttributes(), "user.id", fmt.Sprintf("user-%06d", i))
	text(r.AddAttributes(), "session.id", fmt.Sprintf("session-%08d", i))
	text(r.AddAttributes(), "net.peer.ip", "10.12.13.14")
	text(r.AddAttributes(), "thread.name", "worker-7")
}
