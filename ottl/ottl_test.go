package ottl

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// set is enough of an editor to test the engine with.
var testFunctions = []Function{
	{Name: "set", Params: P("target", "value"), Edit: func(a *Args) (func(*Env) error, error) { return a.Assign(0, 1) }},
	{Name: "delete_key", Params: P("target", "key"), Edit: func(a *Args) (func(*Env) error, error) {
		target, err := a.Target(0)
		if err != nil {
			return nil, err
		}
		key, err := a.LiteralString(1, "")
		if err != nil {
			return nil, err
		}
		return func(e *Env) error {
			m, err := target.Map(e)
			if err != nil {
				return err
			}
			if i := m.Find(key); i >= 0 {
				m.DeleteAt(i)
			}
			return target.Put(e, m)
		}, nil
	}},
}

func logs(records int, attrs ...string) []byte {
	var e wire.Encoder
	r := otlp.AppendExportLogsServiceRequest((*otlp.Encoder)(&e))
	rl := r.AddResourceLogs()
	res := rl.SetResource()
	kv := res.AddAttributes()
	kv.SetKey("service.name")
	v := kv.SetValue()
	v.SetStringValue("cart")
	v.Close()
	kv.Close()
	res.Close()
	sl := rl.AddScopeLogs()
	for i := range records {
		lr := sl.AddLogRecords()
		lr.SetTimeUnixNano(uint64(1e18 + i))
		lr.SetSeverityText("INFO")
		b := lr.SetBody()
		b.SetStringValue(fmt.Sprintf("GET /cart/%d answered 200", i))
		b.Close()
		for i := 0; i+1 < len(attrs); i += 2 {
			kv := lr.AddAttributes()
			kv.SetKey(attrs[i])
			v := kv.SetValue()
			v.SetStringValue(attrs[i+1])
			v.Close()
			kv.Close()
		}
		lr.Close()
	}
	sl.Close()
	rl.Close()
	r.Close()
	return e.Buf
}

func run(t testing.TB, request []byte, context string, statements ...string) []byte {
	t.Helper()
	out := request
	for _, plan := range plansFor(t, context, statements...) {
		items, _ := otlp.Check(otlp.Logs, out)
		v, b, err := otlpedit.NewPass(plan).Run(otlp.Logs, out, items, otlpedit.Heap{})
		if err != nil {
			t.Fatal(err)
		}
		if v == otlpedit.Replace {
			out = bytes.Clone(b)
		}
	}
	if _, err := otlp.Check(otlp.Logs, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func plansFor(t testing.TB, context string, statements ...string) []otlpedit.Plan {
	t.Helper()
	p := NewParser(ContextOf(context), testFunctions)
	step := Step{Context: ContextOf(context), Report: func(err error) { t.Errorf("ignored: %v", err) }}
	for _, s := range statements {
		st, err := p.Statement(s)
		if err != nil {
			t.Fatal(err)
		}
		step.Statements = append(step.Statements, st)
	}
	return Plans(otlp.Logs, step)
}

func TestStatements(t *testing.T) {
	for _, c := range []struct {
		context string
		do      []string
		want    string
	}{
		{"log", []string{`set(attributes["b"], attributes["a"])`, `delete_key(attributes, "a")`}, "b=1"},
		{"log", []string{`set(attributes["a"], 1 + 2) where severity_text == "INFO"`}, "a=3 x=y"},
		{"log", []string{`set(attributes["a"]["b"][1], "x") where attributes["a"] != nil`}, ""},
	} {
		if c.want == "" {
			continue
		}
		out := run(t, logs(2, "a", "1", "x", "y"), c.context, c.do...)
		t.Logf("%q", out)
	}
}

func TestOuter(t *testing.T) {
	out := run(t, logs(2, "a", "1"), "log", `set(resource.attributes["first"], time_unix_nano) where resource.attributes["first"] == nil`, `set(resource.attributes["last"], time_unix_nano)`)
	t.Logf("%q", out)
}
