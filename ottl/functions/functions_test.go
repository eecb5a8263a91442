package functions

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

var update = flag.Bool("update", false, "write the results of testdata/*.cases")

// record returns a request with one log record that has attributes of all kinds.
func record(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/record.json")
	if err != nil {
		t.Fatal(err)
	}
	request, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), otlp.Logs, text)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// do does a statement to the items of a request, and returns it as it is then.
func do(t testing.TB, request []byte, statement string) ([]byte, error) {
	t.Helper()
	context := ottl.ContextOf("log")
	s, err := ottl.NewParser(context, Standard()).Statement(statement)
	if err != nil {
		return nil, fmt.Errorf("at start: %w", err)
	}
	var failed error
	step := ottl.Step{Context: context, Statements: []*ottl.Statement{s}, Report: func(err error) { failed = err }}
	for _, plan := range ottl.Plans(otlp.Logs, step) {
		items, err := otlp.Check(otlp.Logs, request)
		if err != nil {
			t.Fatal(err)
		}
		verdict, out, err := otlpedit.NewPass(plan).Run(otlp.Logs, request, items, otlpedit.Heap{})
		if err != nil {
			t.Fatal(err)
		}
		if verdict == otlpedit.Replace {
			request = bytes.Clone(out)
		}
	}
	if _, err := otlp.Check(otlp.Logs, request); err != nil {
		t.Errorf("%s: the result is invalid: %v", statement, err)
	}
	return request, failed
}

func shown(v otlp.AnyValue) string {
	if s, ok := v.StringValue(); ok {
		return fmt.Sprintf("%q", s)
	}
	if i, ok := v.IntValue(); ok {
		return fmt.Sprint(i)
	}
	if f, ok := v.DoubleValue(); ok {
		return fmt.Sprint(f) + "d"
	}
	if b, ok := v.BoolValue(); ok {
		return fmt.Sprint(b)
	}
	if b, ok := v.BytesValue(); ok {
		return fmt.Sprintf("0x%x", b)
	}
	var all []string
	if l, ok := v.ArrayValue(); ok {
		for x := range l.Values().All() {
			all = append(all, shown(x))
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	if l, ok := v.KvlistValue(); ok {
		for kv := range l.Values().All() {
			all = append(all, string(kv.Key())+":"+shown(kv.Value()))
		}
		return "{" + strings.Join(all, " ") + "}"
	}
	return "nil"
}

// fields returns what a record has, in its order.
func fields(request []byte) (names []string, values map[string]string) {
	values = map[string]string{}
	for item := range otlp.Items(request) {
		r := otlp.LogRecord(item).Decode()
		add := func(name, text string) { names, values[name] = append(names, name), text }
		add("body", shown(r.Body))
		add("time", fmt.Sprint(r.TimeUnixNano))
		add("ids", fmt.Sprintf("%x %x", r.TraceID, r.SpanID))
		for kv := range r.Attributes.All() {
			add("."+string(kv.Key()), shown(kv.Value()))
		}
	}
	return names, values
}

// difference returns what a statement has changed.
func difference(before, after []byte) string {
	names, was := fields(before)
	now, is := fields(after)
	var all []string
	for _, n := range names {
		if _, ok := is[n]; !ok {
			all = append(all, "-"+n)
		}
	}
	for _, n := range now {
		if was[n] != is[n] {
			all = append(all, n+"="+is[n])
		}
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, " ")
}

// reason returns an error without the statement and the place.
func reason(err error, statement string) string {
	if placed := (*ottl.Error)(nil); errors.As(err, &placed) {
		return "error at start: " + placed.Err.Error()
	}
	if parse := (*syntax.Error)(nil); errors.As(err, &parse) {
		return "error at start: found " + parse.Found
	}
	return "error " + strings.ReplaceAll(strings.TrimPrefix(err.Error(), statement+": "), "\n", " ")
}

// TestNames checks that all functions are known, and that each has a case.
func TestNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/standard.cases")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range Standard() {
		if seen[f.Name] {
			t.Errorf("%s is a duplicate", f.Name)
		}
		seen[f.Name] = true
		if !strings.Contains(string(text), f.Name+"(") && !slices.Contains([]string{"Now", "UUID", "UUIDv7", "IsRootSpan"}, f.Name) {
			t.Errorf("%s has no case", f.Name)
		}
	}
	request := record(t)
	for _, statement := range []string{`set(attributes["r"], UUID())`, `set(attributes["r"], UUIDv7())`, `set(time, Now())`} {
		a, err := do(t, request, statement)
		b, _ := do(t, request, statement)
		if err != nil || difference(a, b) == "nothing" {
			t.Errorf("%s: %v, %s", statement, err, difference(request, a))
		}
	}
}

// TestDocumentation checks that docs/ottl.md has each function with its parameters, and that
// all functions of the Collector's package ottlfuncs are in it.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/ottl.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(Standard(), Conditions()...) {
		var params []string
		for _, p := range f.Params {
			if p.Optional {
				p.Name = "[" + p.Name + "]"
			}
			params = append(params, p.Name)
		}
		if signature := "`" + f.Name + "(" + strings.Join(params, ", ") + ")`"; !strings.Contains(string(text), signature) {
			t.Errorf("docs/ottl.md does not have %s", signature)
		}
	}
	names, err := os.ReadFile("testdata/collector.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(names)) {
		if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+"(") {
			t.Errorf("docs/ottl.md does not have the Collector's function %s", name)
		}
	}
}

// dropped reports whether the only item of a request meets a condition.
func dropped(t *testing.T, signal otlp.Signal, context, condition, text string) bool {
	t.Helper()
	request, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), signal, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ottl.NewParser(ottl.ContextOf(context), Standard(), Conditions()).Condition(condition)
	if err != nil {
		t.Fatal(err)
	}
	plans := ottl.Plans(signal, ottl.Step{Context: ottl.ContextOf(context), Conditions: []*ottl.Condition{c}, Drop: true, Mode: ottl.Propagate})
	verdict, _, err := otlpedit.NewPass(plans[0]).Run(signal, request, 1, otlpedit.Heap{})
	if err != nil {
		t.Errorf("%s: %v", condition, err)
	}
	return verdict != otlpedit.Keep
}

func TestConditions(t *testing.T) {
	t.Parallel()
	span := func(parent string) string {
		return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01020304050607080102030405060708","spanId":"0102030405060708"` + parent + `}]}]}]}`
	}
	metric := func(points string) string {
		return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","histogram":{"dataPoints":[` + points + `]}}]}]}]}`
	}
	with := func(text string) string {
		return `{"attributes":[{"key":"x","value":{"intValue":"1"}},{"key":"k","value":{"stringValue":"` + text + `"}}]}`
	}
	for _, c := range []struct {
		signal             otlp.Signal
		context, condition string
		text               string
		want               bool
	}{
		{otlp.Traces, "span", `IsRootSpan()`, span(""), true},
		{otlp.Traces, "span", `IsRootSpan()`, span(`,"parentSpanId":"0102030405060709"`), false},
		{otlp.Traces, "span", `not IsRootSpan()`, span(`,"parentSpanId":"0102030405060709"`), true},
		{otlp.Metrics, "metric", `HasAttrKeyOnDatapoint("k")`, metric("{}," + with("a")), true},
		{otlp.Metrics, "metric", `HasAttrKeyOnDatapoint("y")`, metric("{}," + with("a")), false},
		{otlp.Metrics, "metric", `HasAttrOnDatapoint("k", "a")`, metric("{}," + with("a") + "," + with("b")), true},
		{otlp.Metrics, "metric", `HasAttrOnDatapoint("k", "b")`, metric("{}," + with("a") + "," + with("b")), false}, // the first one decides
		{otlp.Metrics, "metric", `HasAttrOnDatapoint("x", "")`, metric(with("a")), true},
	} {
		if got := dropped(t, c.signal, c.context, c.condition, c.text); got != c.want {
			t.Errorf("%s: %v", c.condition, got)
		}
	}
	for _, name := range []string{"IsRootSpan()", `HasAttrKeyOnDatapoint("k")`} {
		if _, err := ottl.NewParser(ottl.ContextOf("log"), Standard(), Conditions()).Condition(name); err == nil {
			t.Errorf("logs have %s", name)
		}
	}
}

// TestAllocations checks that frequent statements allocate nothing for an item.
func TestAllocations(t *testing.T) {
	request := record(t)
	for _, statement := range []string{
		`set(attributes["s"], "x") where IsMatch(body, "^GET .*answered")`, `delete_key(attributes, "s")`, `keep_keys(attributes, ["s", "i"])`, `delete_matching_keys(attributes, "^l")`,
		`limit(attributes, 5, ["num"])`, `truncate_all(attributes, 3)`, `truncate_all(attributes, 5, true, "..")`, `replace_pattern(attributes["s"], "World", "x")`, `replace_pattern(attributes["num"], "x\\d", "x")`,
		`replace_all_matches(attributes, "hello*", "x")`, `merge_maps(attributes, attributes["m"], "upsert")`, `set(attributes["r"], ToUpperCase(attributes["s"]))`, `set(attributes["r"], Concat([attributes["s"], attributes["num"]], "-"))`,
		`set(body, ParseJSON(attributes["json"]))`, `set(attributes["r"], SHA256(attributes["s"]))`, `set(attributes["r"], Len(attributes["m"])) where IsString(attributes["s"]) and not IsMap(body)`, `set(attributes["r"], Substring(attributes["s"], 1, 3))`,
		`set(attributes["r"], 1) where HasPrefix(attributes["s"], "he") and IsInCIDR(attributes["ip"], ["10.0.0.0/8"])`, `set(attributes["r"], FormatTime(time, "%Y-%m-%d"))`,
	} {
		context := ottl.ContextOf("log")
		s, err := ottl.NewParser(context, Standard()).Statement(statement)
		if err != nil {
			t.Fatal(err)
		}
		items, _ := otlp.Check(otlp.Logs, request)
		many := bytes.Repeat(request, 50)
		count := func(request []byte, items int) float64 {
			pass := otlpedit.NewPass(ottl.Plans(otlp.Logs, ottl.Step{Context: context, Statements: []*ottl.Statement{s}, Report: func(err error) { t.Error(err) }})[0])
			return testing.AllocsPerRun(20, func() {
				if _, _, err := pass.Run(otlp.Logs, request, items, otlpedit.Heap{}); err != nil {
					t.Fatal(err)
				}
			})
		}
		if one, fifty := count(request, items), count(many, 50*items); fifty > one+10 {
			t.Errorf("%s: %v allocations for 1 record, %v for 50", statement, one, fifty)
		}
	}
}

// TestCases does the statements of testdata/*.cases. The results of all, except those with
// an error, were the same with the Collector's functions; -update writes the results of new
// ones.
func TestCases(t *testing.T) {
	t.Parallel()
	before := record(t)
	text, err := os.ReadFile("testdata/standard.cases")
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(string(text)))
	var out strings.Builder
	n := 0
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out.WriteString(line)
		statement := strings.TrimSpace(line)
		if statement == "" || strings.HasPrefix(line, "#") {
			continue
		}
		n++
		after, err := do(t, before, statement)
		got := difference(before, after)
		if err != nil {
			got = reason(err, statement)
		}
		out.WriteString("\t" + got + "\n")
		want := ""
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t") {
			i++
			want = strings.TrimSuffix(lines[i][1:], "\n")
		}
		if got != want && !*update {
			t.Errorf("%s\n\t%s\nwant\n\t%s", statement, got, want)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/standard.cases", []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n < 400 {
		t.Errorf("%d statements", n)
	}
}
