package functions_test

import (
	"fmt"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/functions"
)

func requestOf(records int) []byte {
	var e otlp.Encoder
	r := otlp.AppendExportLogsServiceRequest(&e)
	rl := r.AddResourceLogs()
	res := rl.SetResource()
	attribute(res.AddAttributes(), "service.name", "checkout")
	res.Close()
	sl := rl.AddScopeLogs()
	for i := range records {
		lr := sl.AddLogRecords()
		lr.SetTimeUnixNano(uint64(1e18 + i))
		lr.SetSeverityNumber(9)
		lr.SetSeverityText("INFO")
		body := lr.SetBody()
		body.SetStringValue(fmt.Sprintf("GET /cart/%d answered 200", i))
		body.Close()
		attribute(lr.AddAttributes(), "http.request.method", "GET")
		attribute(lr.AddAttributes(), "url.path", fmt.Sprintf("/api/v1/carts/%d", i))
		attribute(lr.AddAttributes(), "client.address", "203.0.113.77")
		lr.Close()
	}
	sl.Close()
	rl.Close()
	r.Close()
	return e.Buf
}

func attribute(kv otlp.KeyValueBuilder, key, value string) {
	kv.SetKey(key)
	v := kv.SetValue()
	v.SetStringValue(value)
	v.Close()
	kv.Close()
}

func plansOf(t testing.TB, context string, drop bool, texts ...string) []otlpedit.Plan {
	t.Helper()
	c := ottl.ContextOf(context)
	p := ottl.NewParser(c, functions.Standard())
	step := ottl.Step{Context: c, Drop: drop, Report: func(err error) { t.Error(err) }}
	for _, text := range texts {
		if drop {
			cond, err := p.Condition(text)
			if err != nil {
				t.Fatal(err)
			}
			step.Conditions = append(step.Conditions, cond)
			continue
		}
		st, err := p.Statement(text)
		if err != nil {
			t.Fatal(err)
		}
		step.Statements = append(step.Statements, st)
	}
	return ottl.Plans(otlp.Logs, step)
}

// Nothing is allocated for an item by what makes no new text, nor by the usual functions
// that make one.
func TestNothingIsAllocatedForAnItem(t *testing.T) {
	request := requestOf(100)
	items, err := otlp.Check(otlp.Logs, request)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		context string
		drop    bool
		texts   []string
	}{
		{"log", false, []string{`set(attributes["method"], attributes["http.request.method"])`, `delete_key(attributes, "http.request.method")`}},
		{"log", false, []string{`set(attributes["a"], 1) where attributes["none"] == nil and severity_number >= SEVERITY_NUMBER_INFO`}},
		{"log", false, []string{`set(severity_text, "WARN") where IsMatch(body, "^GET /cart")`}},
		{"log", false, []string{`replace_pattern(attributes["url.path"], "/none[0-9]+", "/{id}")`}}, // a match costs two, in package regexp
		{"log", false, []string{`set(attributes["team"], resource.attributes["service.name"])`, `set(attributes["scope"], scope.name)`}},
		{"log", false, []string{`set(cache["x"], body)`, `set(attributes["copy"], cache["x"])`}},
		{"log", false, []string{`set(attributes["x"], Concat([severity_text, attributes["url.path"]], " "))`}},
		{"log", false, []string{`keep_keys(attributes, ["url.path"])`, `truncate_all(attributes, 4)`}},
		{"log", false, []string{`delete_matching_keys(attributes, "^http")`}},
		{"log", false, []string{`set(body, Substring(body, 0, 3))`, `set(attributes["n"], Len(body))`}},
		{"log", true, []string{`attributes["http.request.method"] == "GET"`}},
		{"log", true, []string{`IsMatch(body, "cart/[0-4]")`, `body == "x"`, `not HasPrefix(body, "GET")`}},
		{"resource", false, []string{`set(attributes["service.name"], "x")`}},
	} {
		plans := plansOf(t, c.context, c.drop, c.texts...)
		pass, mem := otlpedit.NewPass(plans[0]), &testkit.ReusedMemory{}
		run := func() {
			if _, _, err := pass.Run(otlp.Logs, request, items, mem); err != nil {
				t.Error(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(20, run); n > 0 {
			t.Errorf("%q: %v allocations for 100 items", c.texts, n)
		}
	}
}
