package main

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
)

// logSize is the size of a log on the wire.
const logSize = 424

// request returns logs of 424 bytes with eight attributes; one in twenty has the
// level error.
func request(n int) []byte {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	rl.Resource().Attributes().PutStr("k8s.pod.name", "checkout-5d9f7c-abcde")
	logs := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		fill(logs.AppendEmpty(), i)
	}
	b, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	if err != nil {
		panic(err) // pdata wrote it
	}
	return b
}

func fill(lr plog.LogRecord, i int) {
	lr.SetTimestamp(1_700_000_000_000_000_000)
	lr.SetObservedTimestamp(1_700_000_000_000_000_001)
	lr.SetSeverityNumber(plog.SeverityNumberInfo)
	lr.SetSeverityText("INFO")
	a := lr.Attributes()
	level := "debug"
	if i%20 == 0 {
		level = "error"
	}
	a.PutStr("level", level)
	a.PutStr("http.method", "GET")
	a.PutStr("http.route", "/api/v1/users/{id}")
	a.PutInt("http.status_code", int64(200+i%5))
	a.PutStr("user.id", fmt.Sprintf("user-%06d", i))
	a.PutStr("session.id", fmt.Sprintf("session-%08d", i))
	a.PutStr("net.peer.ip", "10.12.13.14")
	a.PutStr("thread.name", "worker-7")
	text := fmt.Sprintf("GET /api/v1/users/%06d took 12ms password=hunter2 ", i)
	lr.Body().SetStr(text)
	for size(lr) < logSize {
		text += "x"
		lr.Body().SetStr(text)
	}
}

// size returns the size of a log, without the tag and the length around it.
func size(lr plog.LogRecord) int {
	ld := plog.NewLogs()
	list := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	lr.CopyTo(list.AppendEmpty())
	m := &plog.ProtoMarshaler{}
	with := m.LogsSize(ld)
	list.RemoveIf(func(plog.LogRecord) bool { return true })
	return with - m.LogsSize(ld) - 5 // tags and lengths of three messages
}

// A scenario is a processor with settings that users write.
type scenario struct{ name, processor, settings string }

var scenarios = []scenario{
	{"nothing: transform without statements", "transform", "error_mode: ignore"},
	{"attributes: rename four", "attributes", renameFour},
	{"filter: drop 95% by an attribute", "filter", `
logs:
  log_record: ['attributes["level"] != "error"']
`},
	{"filter: drop 95% by an attribute, IsMatch", "filter", `
logs:
  log_record: ['IsMatch(attributes["level"], "^(debug|trace)$$")']
`},
	{"filter: keep all, three conditions", "filter", `
logs:
  log_record:
    - attributes["http.status_code"] == 404
    - IsMatch(body, "healthcheck")
    - resource.attributes["service.name"] == "test"
`},
	{"transform: one set", "transform", statements(`set(attributes["env"], "prod")`)},
	{"transform: ten statements", "transform", statements(tenStatements...)},
	{"transform: ten statements, no condition holds", "transform", statements(noneHolds...)},
}

const renameFour = `
actions:
  - {key: http.request.method, from_attribute: http.method, action: upsert}
  - {key: http.method, action: delete}
  - {key: http.response.status_code, from_attribute: http.status_code, action: upsert}
  - {key: http.status_code, action: delete}
  - {key: enduser.id, from_attribute: user.id, action: upsert}
  - {key: user.id, action: delete}
  - {key: network.peer.address, from_attribute: net.peer.ip, action: upsert}
  - {key: net.peer.ip, action: delete}
`

var tenStatements = []string{
	`set(severity_number, SEVERITY_NUMBER_ERROR) where attributes["level"] == "error"`,
	`set(severity_text, "ERROR") where IsMatch(attributes["level"], "(?i)^error$")`,
	`set(attributes["env"], "prod") where IsMatch(resource.attributes["k8s.pod.name"], "^checkout-")`,
	`set(attributes["service"], resource.attributes["service.name"])`,
	`delete_key(attributes, "thread.name")`,
	`delete_key(attributes, "session.id")`,
	`replace_pattern(body, "password=\\S+", "password=***")`,
	`replace_pattern(attributes["http.route"], "/v1/", "/")`,
	`set(attributes["slow"], true) where IsMatch(body, "took [0-9]{4,}ms")`,
	`set(attributes["http.class"], "2xx") where attributes["http.status_code"] >= 200 and attributes["http.status_code"] < 300`,
}

var noneHolds = []string{
	`set(severity_number, SEVERITY_NUMBER_FATAL) where attributes["level"] == "fatal"`,
	`set(severity_text, "FATAL") where IsMatch(attributes["level"], "^fatal$")`,
	`set(attributes["env"], "prod") where IsMatch(resource.attributes["k8s.pod.name"], "^cart-")`,
	`set(attributes["a"], 1) where attributes["never"] != nil`,
	`delete_key(attributes, "never")`,
	`delete_key(attributes, "thread.name") where attributes["http.method"] == "POST"`,
	`replace_pattern(body, "token=\\S+", "token=***")`,
	`replace_pattern(attributes["http.route"], "/v2/", "/")`,
	`set(attributes["slow"], true) where IsMatch(body, "took [0-9]{4,}ms")`,
	`set(attributes["http.class"], "5xx") where attributes["http.status_code"] >= 500`,
}

func statements(list ...string) string {
	var b strings.Builder
	b.WriteString("log_statements:\n  - context: log\n    statements:\n")
	for _, s := range list {
		fmt.Fprintf(&b, "      - '%s'\n", strings.NewReplacer("'", "''", "$", "$$").Replace(s))
	}
	return b.String()
}
