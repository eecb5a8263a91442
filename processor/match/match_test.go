package match

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// both is a configuration with the keys of this package.
type both struct {
	Include *Properties `yaml:"include"`
	Exclude *Properties `yaml:"exclude"`
}

func decode(t *testing.T, text string) (c both, err error) {
	t.Helper()
	err = testkit.Decode(t, text, &c)
	return c, err
}

// set writes an attribute.
func set(kv otlp.KeyValueBuilder, key string, value any) {
	kv.SetKey(key)
	v := kv.SetValue()
	switch value := value.(type) {
	case string:
		v.SetStringValue(value)
	case int:
		v.SetIntValue(int64(value))
	case float64:
		v.SetDoubleValue(value)
	case bool:
		v.SetBoolValue(value)
	case []string:
		list := v.SetArrayValue()
		for _, s := range value {
			e := list.AddValues()
			e.SetStringValue(s)
			e.Close()
		}
		list.Close()
	case map[string]int:
		m := v.SetKvlistValue()
		for _, k := range []string{"b", "a"} { // not sorted
			if n, ok := value[k]; ok {
				set(m.AddValues(), k, n)
			}
		}
		m.Close()
	}
	v.Close()
	kv.Close()
}

func resource() []byte {
	var e otlp.Encoder
	r := otlp.AppendResource(&e)
	set(r.AddAttributes(), "service.name", "cart")
	set(r.AddAttributes(), "host.cpus", 8)
	return e.Buf
}

func scope() []byte {
	var e otlp.Encoder
	s := otlp.AppendInstrumentationScope(&e)
	s.SetName("lib")
	s.SetVersion("1.2")
	return e.Buf
}

var items = map[otlp.Signal]func(e *otlp.Encoder){
	otlp.Traces: func(e *otlp.Encoder) {
		s := otlp.AppendSpan(e)
		s.SetName("GET /cart")
		s.SetKind(otlp.SpanKindServer)
		attributes(s.AddAttributes)
	},
	otlp.Logs: func(e *otlp.Encoder) {
		r := otlp.AppendLogRecord(e)
		r.SetSeverityNumber(otlp.SeverityNumberWarn)
		r.SetSeverityText("WARN")
		b := r.SetBody()
		b.SetStringValue("low disk")
		b.Close()
		attributes(r.AddAttributes)
	},
	otlp.Metrics: func(e *otlp.Encoder) { otlp.AppendMetric(e).SetName("http.requests") },
}

func attributes(add func() otlp.KeyValueBuilder) {
	set(add(), "text", "abc")
	set(add(), "int", 7)
	set(add(), "double", 1e6)
	set(add(), "bool", true)
	set(add(), "list", []string{"x", "y"})
	set(add(), "map", map[string]int{"a": 1, "b": 2})
	set(add(), "text", "second")
}

func TestProperties(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal  otlp.Signal
		include string
		want    bool
	}{
		{otlp.Traces, `{match_type: strict, services: [shop, cart]}`, true},
		{otlp.Traces, `{match_type: strict, services: [car]}`, false},
		{otlp.Traces, `{match_type: regexp, services: [^ca]}`, true},
		{otlp.Traces, `{match_type: strict, span_names: ["GET /cart"]}`, true},
		{otlp.Traces, `{match_type: strict, span_names: ["GET"]}`, false},
		{otlp.Traces, `{match_type: regexp, span_names: ["x", "GET"]}`, true},
		{otlp.Traces, `{match_type: regexp, span_names: ["^cart"], regexp: {cacheenabled: true, cachemaxnumentries: 3}}`, false},
		{otlp.Traces, `{match_type: strict, span_kinds: [SPAN_KIND_CLIENT, SPAN_KIND_SERVER]}`, true},
		{otlp.Traces, `{match_type: regexp, span_kinds: [CLIENT]}`, false},
		{otlp.Traces, `{match_type: strict, services: [cart], span_names: [other]}`, false},
		{otlp.Logs, `{match_type: strict, log_bodies: [low disk]}`, true},
		{otlp.Logs, `{match_type: regexp, log_bodies: [disk$]}`, true},
		{otlp.Logs, `{match_type: strict, log_bodies: [disk]}`, false},
		{otlp.Logs, `{match_type: strict, log_severity_texts: [INFO, WARN]}`, true},
		{otlp.Logs, `{match_type: regexp, log_severity_texts: [^I]}`, false},
		{otlp.Logs, `{match_type: strict, log_severity_number: {min: 13}}`, true},
		{otlp.Logs, `{match_type: strict, log_severity_number: {min: WARN}}`, true},
		{otlp.Logs, `{match_type: strict, log_severity_number: {min: WARN2}}`, false},
		{otlp.Metrics, `{match_type: strict, metric_names: [http.requests]}`, true},
		{otlp.Metrics, `{match_type: regexp, metric_names: [^rpc]}`, false},
		{otlp.Metrics, `{match_type: strict, resources: [{key: never}]}`, true}, // ignored, as in the Collector

		{otlp.Logs, `{attributes: [{key: text}]}`, true}, // no match_type is needed
		{otlp.Logs, `{attributes: [{key: text}, {key: none}]}`, false},
		{otlp.Logs, `{match_type: strict, attributes: [{key: text, value: abc}]}`, true},
		{otlp.Logs, `{match_type: strict, attributes: [{key: text, value: second}]}`, false},
		{otlp.Logs, `{match_type: strict, attributes: [{key: int, value: 7}, {key: bool, value: true}]}`, true},
		{otlp.Logs, `{match_type: strict, attributes: [{key: int, value: "7"}]}`, false},
		{otlp.Logs, `{match_type: strict, attributes: [{key: int, value: 7.0}]}`, false},
		{otlp.Logs, `{match_type: strict, attributes: [{key: double, value: 1000000.0}]}`, true},
		{otlp.Logs, `{match_type: strict, attributes: [{key: list, value: [x, y]}]}`, true},
		{otlp.Logs, `{match_type: strict, attributes: [{key: list, value: [y, x]}]}`, false},
		{otlp.Logs, `{match_type: strict, attributes: [{key: list, value: [x]}]}`, false},
		{otlp.Logs, `{match_type: strict, attributes: [{key: map, value: {a: 1, b: 2}}]}`, true},
		{otlp.Logs, `{match_type: strict, attributes: [{key: map, value: {a: 1, c: 2}}]}`, false},
		{otlp.Logs, `{match_type: regexp, attributes: [{key: text, value: "^a"}]}`, true},
		{otlp.Logs, `{match_type: regexp, attributes: [{key: int, value: "^7$"}, {key: bool, value: "rue"}, {key: double, value: "^1000000$"}]}`, true},
		{otlp.Logs, `{match_type: regexp, attributes: [{key: list, value: ".*"}]}`, false},

		{otlp.Logs, `{match_type: strict, resources: [{key: host.cpus, value: 8}]}`, true},
		{otlp.Logs, `{match_type: regexp, resources: [{key: service.name, value: "^shop"}]}`, false},
		{otlp.Profiles, `{match_type: strict, resources: [{key: service.name, value: cart}]}`, true},
		{otlp.Traces, `{match_type: strict, libraries: [{name: lib}]}`, true},
		{otlp.Traces, `{match_type: strict, libraries: [{name: lib, version: "1.2"}]}`, true},
		{otlp.Traces, `{match_type: strict, libraries: [{name: lib, version: ""}]}`, false},
		{otlp.Traces, `{match_type: regexp, libraries: [{name: "l.b", version: "^1"}]}`, true},
		{otlp.Traces, `{match_type: strict, libraries: [{name: lib}, {name: other}]}`, false},
	} {
		cfg, err := decode(t, "include: "+c.include)
		if err != nil {
			t.Errorf("%s: %v", c.include, err)
			continue
		}
		var item otlp.Encoder
		if write := items[c.signal]; write != nil {
			write(&item)
		}
		for _, side := range []struct {
			include, exclude *Properties
			want             bool
		}{{cfg.Include, nil, c.want}, {nil, cfg.Include, !c.want}, {cfg.Include, cfg.Include, false}} {
			rule, err := Compile(c.signal, side.include, side.exclude)
			if err != nil {
				t.Errorf("%s: %v", c.include, err)
				continue
			}
			if rule == nil {
				if !c.want {
					t.Errorf("%s: there is no rule", c.include)
				}
				continue
			}
			p, tester := otlpedit.NewPass(), rule.NewTester()
			if rule.Levels()&otlpedit.Resources != 0 {
				if err := tester.Resource(p, resource()); err != nil {
					t.Error(err)
				}
			}
			if rule.Levels()&otlpedit.Scopes != 0 {
				tester.Scope(scope())
			}
			if got, err := tester.Selects(p, item.Buf); err != nil || got != side.want {
				t.Errorf("%s, include %t, exclude %t: selected: %t", c.include, side.include != nil, side.exclude != nil, got)
			}
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	for include, want := range map[string]bool{
		`{match_type: strict, services: [<nil-service-name>]}`:       true,
		`{match_type: strict, libraries: [{name: "", version: ""}]}`: true,
		`{match_type: strict, span_names: [""]}`:                     true,
		`{match_type: strict, resources: [{key: a}]}`:                false,
		`{match_type: regexp, span_kinds: [UNSPECIFIED]}`:            true,
	} {
		cfg, err := decode(t, "include: "+include)
		if err != nil {
			t.Fatal(err)
		}
		rule, err := Compile(otlp.Traces, cfg.Include, nil)
		if err != nil {
			t.Fatal(err)
		}
		tester := rule.NewTester()
		if err := tester.Resource(otlpedit.NewPass(), nil); err != nil {
			t.Error(err)
		}
		tester.Scope(nil)
		if got, err := tester.Selects(otlpedit.NewPass(), nil); err != nil || got != want {
			t.Errorf("%s: selected: %t", include, got)
		}
	}
	for severities, want := range map[Severities]bool{{Min: 9}: false, {Min: 9, MatchUndefined: true}: true, {}: false} {
		rule, err := Compile(otlp.Logs, &Properties{LogSeverityNumber: &severities}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rule.NewTester().Selects(otlpedit.NewPass(), nil); err != nil || got != want {
			t.Errorf("%+v: a record without a number is selected: %t", severities, got)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal        otlp.Signal
		include, want string
	}{
		{otlp.Traces, `{match_type: glob, services: [a]}`, `include.match_type: expected strict or regexp, found "glob"`},
		{otlp.Traces, `{services: [a]}`, `expected strict or regexp, found ""`},
		{otlp.Traces, `{match_type: regexp, span_names: ["("]}`, "include.span_names: error parsing regexp"},
		{otlp.Traces, `{match_type: strict}`, "expected one or more of services, span_names, span_kinds, attributes, resources, libraries, found none"},
		{otlp.Traces, `{match_type: strict, span_kinds: [SERVER]}`, `found "SERVER"`},
		{otlp.Traces, `{match_type: strict, log_bodies: [a]}`, "log_bodies: spans have no such property"},
		{otlp.Logs, `{match_type: strict, span_names: [a]}`, "span_names: log records have no such property"},
		{otlp.Metrics, `{match_type: strict, attributes: [{key: a}]}`, "attributes: metrics have no such property"},
		{otlp.Profiles, `{match_type: strict, span_names: [a]}`, "span_names: profiles have no such property"},
		{otlp.Logs, `{match_type: strict, attributes: [{value: a}]}`, "expected the key of an attribute, found none"},
		{otlp.Logs, `{match_type: regexp, attributes: [{key: a, value: 1}]}`, `expected a pattern for the value of "a"`},
		{otlp.Logs, `{match_type: regexp, attributes: [{key: a, value: "("}]}`, "attributes: error parsing regexp"},
		{otlp.Logs, `{match_type: strict, log_severity_number: {min: LOUD}}`, "expected a severity number, or a name such as INFO or WARN2"},
		{otlp.Logs, `{match_type: strict, log_severity_number: {min: WARN1}}`, "expected a severity number"},
		{otlp.Logs, `{match_type: regexp, log_bodies: [a], regexp: {cacheenabled: true, cachemaxnumentries: -1}}`, "expected 0 or more, found -1"},
	} {
		cfg, err := decode(t, "include: "+c.include)
		if err == nil {
			_, err = Compile(c.signal, cfg.Include, nil)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected %q", c.include, err, c.want)
		}
	}
}

// Without a signal there are rules for all that have the properties.
func TestRulesOfAllSignals(t *testing.T) {
	t.Parallel()
	rules, err := CompileSignals(0, &Properties{MatchType: "strict", SpanNames: []string{"a"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range otlp.Signals() {
		if _, ok := rules.Rule(s); ok != (s == otlp.Traces) {
			t.Errorf("%s has a rule: %t", s, ok)
		}
	}
	if _, err := CompileSignals(0, &Properties{}, nil); err == nil {
		t.Error("properties that are empty were accepted")
	}
	if rules, err = CompileSignals(otlp.Logs, nil, nil); err != nil || rules.Levels() != 0 {
		t.Errorf("levels %d, %v", rules.Levels(), err)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var item otlp.Encoder
	items[otlp.Logs](&item)
	rule, err := Compile(otlp.Logs, &Properties{MatchType: "regexp", LogBodies: []string{"^low"}, LogSeverityTexts: []string{"W"},
		Attributes: []Attribute{{Key: "int", Value: "7"}, {Key: "text", Value: "abc"}}, Libraries: []Library{{Name: "lib"}},
		Resources: []Attribute{{Key: "host.cpus", Value: "8"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, tester, res, sc := otlpedit.NewPass(), rule.NewTester(), resource(), scope()
	n := testing.AllocsPerRun(100, func() {
		if err := tester.Resource(p, res); err != nil {
			t.Error(err)
		}
		tester.Scope(sc)
		if ok, err := tester.Selects(p, item.Buf); !ok || err != nil {
			t.Error("not selected")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
