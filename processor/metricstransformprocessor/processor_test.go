package metricstransformprocessor

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func decode(t testing.TB, text string) (Config, error) {
	t.Helper()
	c := DefaultConfig()
	err := testkit.Decode(t, text, &c)
	return c, err
}

func requestOf(t testing.TB, text string) []byte {
	t.Helper()
	wire, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), otlp.Metrics, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// processors returns the processor of a configuration, and the one that works on lists,
// which is for all configurations.
func processors(t testing.TB, c Config) (own, general pipeline.Processor) {
	t.Helper()
	own, err := New(c, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	transforms, err := compile(&c)
	if err != nil {
		t.Fatal(err)
	}
	return own, &lists{transforms: transforms, log: &problems{log: component.Settings{}.OrDefaults().Logger}}
}

// process returns what a processor makes of a request; nil if nothing is left.
func process(t testing.TB, p pipeline.Processor, request []byte) []byte {
	t.Helper()
	b := testkit.PooledBatch(t, otlp.Metrics, request, nil)
	defer b.Release()
	out, err := p.Process(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if out == nil {
		return nil
	}
	if out != b {
		defer out.Release()
	}
	if n, err := otlp.Check(otlp.Metrics, out.Bytes()); err != nil || n != out.Items() {
		t.Fatalf("the result has %d items, the batch says %d, %v", n, out.Items(), err)
	}
	return slices.Clone(out.Bytes())
}

// metricsOf returns the metrics of a request as JSON, sorted.
func metricsOf(request []byte) []string {
	var all []string
	for r := (wire.Cursor{Buf: request}); r.Next(); {
		for s := (wire.Cursor{Buf: valueOf(&r, 1)}); s.Next(); {
			for m := (wire.Cursor{Buf: valueOf(&s, 2)}); m.Next(); {
				if m.Num == 2 && m.Type == wire.TypeBytes {
					one := wire.AppendBytes(nil, 1, wire.AppendBytes(nil, 2, wire.AppendBytes(nil, 2, m.Bytes)))
					text := string(otlp.AppendJSON(nil, otlp.Metrics, one))
					var value any
					if err := json.Unmarshal([]byte(text), &value); err != nil {
						panic(err)
					}
					sorted, _ := json.Marshal(value)
					all = append(all, string(sorted))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

func valueOf(c *wire.Cursor, num uint32) []byte {
	if c.Num == num && c.Type == wire.TypeBytes {
		return c.Bytes
	}
	return nil
}

func metrics(list ...string) string {
	return `{"resourceMetrics":[{"resource":{"attributes":[{"key":"r","value":{"stringValue":"1"}}]},"scopeMetrics":[{"scope":{"name":"s"},"metrics":[` + strings.Join(list, ",") + `]}]}]}`
}

// point is a number with attributes, keys and values in turns.
func point(value string, attributes ...string) string {
	var all []string
	for kv := range slices.Chunk(attributes, 2) {
		all = append(all, fmt.Sprintf(`{"key":%q,"value":{"stringValue":%q}}`, kv[0], kv[1]))
	}
	text := "{"
	if len(all) > 0 {
		text += `"attributes":[` + strings.Join(all, ",") + "],"
	}
	return text + `"timeUnixNano":"9",` + value + "}"
}

func asInt(n int) string { return fmt.Sprintf(`"asInt":"%d"`, n) }

func gauge(name string, points ...string) string {
	return fmt.Sprintf(`{"name":%q,"gauge":{"dataPoints":[%s]}}`, name, strings.Join(points, ","))
}

func TestTransforms(t *testing.T) {
	ab := gauge("m", point(asInt(3), "a", "x", "b", "y"), point(asInt(5), "a", "z", "b", "y"))
	for _, tt := range []struct {
		name, transforms, in, want string // want: metrics, separated by a space
	}{
		{"update the name", `{include: m, action: update, new_name: n}`, gauge("m", point(asInt(1))) + "," + gauge("o"), gauge("n", point(asInt(1))) + " " + gauge("o")},
		{"another name", `{include: x, action: update, new_name: n}`, ab, ab},
		{"groups in the name", `{include: '^(.*)\.(.*)$', match_type: regexp, action: update, new_name: '$2/$${1}'}`, gauge("a.b"), gauge("b/a")},
		{"insert", `{include: m, action: insert, new_name: n}`, gauge("m", point(asInt(1))), gauge("m", point(asInt(1))) + " " + gauge("n", point(asInt(1)))},
		{"what is inserted is transformed by the next", `{include: m, action: insert, new_name: n}, {include: n, action: update, operations: [{action: add_label, new_label: l, new_value: v}]}`,
			gauge("m", point(asInt(1))), gauge("m", point(asInt(1))) + " " + gauge("n", point(asInt(1), "l", "v"))},
		{"what is inserted is not inserted again", `{include: ., match_type: regexp, action: insert, new_name: n}`, gauge("m", point(asInt(1))), gauge("m", point(asInt(1))) + " " + gauge("n", point(asInt(1)))},
		{"insert with labels", `{include: m, action: insert, new_name: n, experimental_match_labels: {a: x}}`, ab, ab + " " + gauge("n", point(asInt(3), "a", "x", "b", "y"))},
		{"insert with other labels", `{include: m, action: insert, new_name: n, experimental_match_labels: {a: q}}`, ab, ab},
		{"a label that is missing", `{include: m, action: insert, new_name: n, experimental_match_labels: {q: ''}}`, gauge("m", point(asInt(1))), gauge("m", point(asInt(1))) + " " + gauge("n", point(asInt(1)))},
		{"labels by pattern", `{include: m, match_type: regexp, action: insert, new_name: n, experimental_match_labels: {a: '^[xyz]$'}}`, ab, ab + " " + strings.Replace(ab, `"m"`, `"n"`, 1)},
		{"update of some points", `{include: m, action: update, new_name: n, experimental_match_labels: {a: x}, operations: [{action: update_label, label: b, new_label: c}, {action: add_label, new_label: l, new_value: v}]}`,
			ab, gauge("m", point(asInt(3), "a", "x", "c", "y"), point(asInt(5), "a", "z", "b", "y"))},
		{"update_label", `{include: m, action: update, operations: [{action: update_label, label: a, new_label: c, value_actions: [{value: x, new_value: X}]}]}`,
			ab, gauge("m", point(asInt(3), "b", "y", "c", "X"), point(asInt(5), "b", "y", "c", "z"))},
		{"update_label of a value", `{include: m, action: update, operations: [{action: update_label, label: a, value_actions: [{value: x, new_value: X}]}]}`,
			ab, gauge("m", point(asInt(3), "a", "X", "b", "y"), point(asInt(5), "a", "z", "b", "y"))},
		{"update_label to an existing one", `{include: m, action: update, operations: [{action: update_label, label: a, new_label: b}]}`,
			gauge("m", point(asInt(3), "a", "x", "b", "y")), gauge("m", point(asInt(3), "b", "x"))},
		{"add_label of an existing one", `{include: m, action: update, operations: [{action: add_label, new_label: a, new_value: v}]}`, ab, ab},
		{"delete_label_value", `{include: m, action: update, operations: [{action: delete_label_value, label: a, label_value: x}]}`, ab, gauge("m", point(asInt(5), "a", "z", "b", "y"))},
		{"delete_label_value of all", `{include: m, action: update, operations: [{action: delete_label_value, label: b, label_value: y}]}`, ab + "," + gauge("o", point(asInt(1))), gauge("o", point(asInt(1)))},
		{"toggle", `{include: m, action: update, operations: [{action: toggle_scalar_data_type}]}`, gauge("m", point(asInt(3)), point(`"asDouble":2.5`)), gauge("m", point(`"asDouble":3`), point(asInt(2)))},
		{"scale", `{include: m, action: update, operations: [{action: experimental_scale_value, experimental_scale: 0.5}]}`, gauge("m", point(asInt(3)), point(`"asDouble":2.5`)), gauge("m", point(asInt(1)), point(`"asDouble":1.25`))},
		{"scale a histogram", `{include: m, action: update, operations: [{action: experimental_scale_value, experimental_scale: 10}]}`,
			`{"name":"m","histogram":{"dataPoints":[{"count":"2","sum":3,"bucketCounts":["1","1"],"explicitBounds":[1.5],"exemplars":[{"asDouble":2}],"min":1,"max":2}]}}`,
			`{"name":"m","histogram":{"dataPoints":[{"count":"2","sum":30,"bucketCounts":["1","1"],"explicitBounds":[15],"exemplars":[{"asDouble":20}],"min":10,"max":20}]}}`},
		{"scale an exponential histogram", `{include: m, action: update, operations: [{action: experimental_scale_value, experimental_scale: 4}]}`,
			`{"name":"m","exponentialHistogram":{"dataPoints":[{"count":"2","sum":3,"scale":0,"positive":{"bucketCounts":["1","1"],"offset":1},"negative":{"offset":5}}]}}`,
			`{"name":"m","exponentialHistogram":{"dataPoints":[{"count":"2","sum":12,"positive":{"bucketCounts":["1","1"],"offset":3},"negative":{"offset":5}}]}}`},
		{"aggregate_labels", `{include: m, action: update, operations: [{action: aggregate_labels, label_set: [b], aggregation_type: sum}]}`, ab, gauge("m", point(asInt(8), "b", "y"))},
		{"aggregate_labels to none", `{include: m, action: update, operations: [{action: aggregate_labels, label_set: [], aggregation_type: max}]}`, ab, gauge("m", point(asInt(5)))},
		{"aggregate_label_values", `{include: m, action: update, operations: [{action: aggregate_label_values, label: a, aggregated_values: [x, z], new_value: all, aggregation_type: mean}]}`, ab, gauge("m", point(asInt(4), "a", "all", "b", "y"))},
		{"aggregate a summary", `{include: m, action: update, new_name: n, operations: [{action: aggregate_labels, label_set: []}]}`, `{"name":"m","summary":{"dataPoints":[{"count":"1"}]}}`, `{"name":"n","summary":{"dataPoints":[{"count":"1"}]}}`},
		{"combine", `{include: '^m\.(?P<kind>.*)$', match_type: regexp, action: combine, new_name: m, aggregation_type: sum, submatch_case: upper, operations: [{action: aggregate_labels, label_set: [kind], aggregation_type: sum}]}`,
			gauge("m.x", point(asInt(1), "a", "1"), point(asInt(2), "a", "2")) + "," + gauge("m.y", point(asInt(5), "a", "1")), gauge("m", point(asInt(3), "kind", "X"), point(asInt(5), "kind", "Y"))},
		{"combine by number", `{include: '^m\.(.*)$', match_type: regexp, action: combine, new_name: m, aggregation_type: sum}`,
			gauge("m.x", point(asInt(1))) + "," + gauge("m.y", point(asInt(5))), gauge("m", point(asInt(1), "$1", "x"), point(asInt(5), "$1", "y"))},
		{"combine without groups", `{include: '^m', match_type: regexp, action: combine, new_name: m, aggregation_type: max}`, gauge("m.x", point(asInt(1))) + "," + gauge("m.y", point(asInt(5))), gauge("m", point(asInt(5)))},
		{"combine of different types", `{include: '^m', match_type: regexp, action: combine, new_name: m, aggregation_type: max}`, gauge("m.x") + `,{"name":"m.y","sum":{}}`, gauge("m.x") + ` {"name":"m.y","sum":{}}`},
		{"combine of different attributes", `{include: '^m', match_type: regexp, action: combine, new_name: m, aggregation_type: max}`, gauge("m.x", point(asInt(1), "a", "b")) + "," + gauge("m.y", point(asInt(1))), gauge("m.x", point(asInt(1), "a", "b")) + " " + gauge("m.y", point(asInt(1)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := decode(t, "{transforms: ["+tt.transforms+"]}")
			if err != nil {
				t.Fatal(err)
			}
			want := metricsOf(requestOf(t, metrics(strings.ReplaceAll(tt.want, `}} {"`, `}},{"`))))
			own, general := processors(t, c)
			for name, p := range map[string]pipeline.Processor{"own": own, "general": general} {
				got := metricsOf(process(t, p, requestOf(t, metrics(tt.in))))
				if !slices.Equal(got, want) {
					t.Errorf("%s:\ngot  %s\nwant %s", name, strings.Join(got, " "), strings.Join(want, " "))
				}
			}
		})
	}
}

// Metrics that are grouped get a resource of their own, with the labels; scopes and
// resources without metrics go.
func TestGroup(t *testing.T) {
	c, err := decode(t, `{transforms: [{include: ^k, match_type: regexp, action: group, group_resource_labels: {r: group, x: y}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := processors(t, c)
	for in, want := range map[string]string{
		metrics(gauge("k.1"), gauge("o")): `{"resourceMetrics":[{"resource":{"attributes":[{"key":"r","value":{"stringValue":"1"}}]},"scopeMetrics":[{"scope":{"name":"s"},"metrics":[` + gauge("o") + `]}]},` +
			`{"resource":{"attributes":[{"key":"r","value":{"stringValue":"group"}},{"key":"x","value":{"stringValue":"y"}}]},"scopeMetrics":[{"scope":{"name":"s"},"metrics":[` + gauge("k.1") + `]}]}]}`,
		metrics(gauge("k.1")): `{"resourceMetrics":[{"resource":{"attributes":[{"key":"r","value":{"stringValue":"group"}},{"key":"x","value":{"stringValue":"y"}}]},"scopeMetrics":[{"scope":{"name":"s"},"metrics":[` + gauge("k.1") + `]}]}]}`,
		metrics(gauge("o")):   metrics(gauge("o")),
	} {
		if got := string(otlp.AppendJSON(nil, otlp.Metrics, process(t, p, requestOf(t, in)))); got != string(otlp.AppendJSON(nil, otlp.Metrics, requestOf(t, want))) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// What nothing matches is passed on as it is, and nothing is left of what all points are
// dropped from.
func TestNothingAndAll(t *testing.T) {
	c, err := decode(t, `{transforms: [{include: m, action: update, operations: [{action: delete_label_value, label: a, label_value: x}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	own, general := processors(t, c)
	for _, p := range []pipeline.Processor{own, general} {
		b := testkit.PooledBatch(t, otlp.Metrics, requestOf(t, metrics(gauge("n", point(asInt(1))))), nil)
		if out, err := p.Process(t.Context(), b); out != b || err != nil {
			t.Errorf("%T: another batch, %v", p, err)
		}
		b.Release()
		if got := process(t, p, requestOf(t, metrics(gauge("m", point(asInt(1), "a", "x"))))); got != nil {
			t.Errorf("%T: got %s", p, metricsOf(got))
		}
	}
}

// randomTransforms returns a configuration of transforms that may match generated metrics.
func randomTransforms(rng *rand.Rand, actions ...string) Config {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	keys := []string{"k1", "k2", "service.name", "a", ""}
	var c Config
	for range 1 + rng.IntN(3) {
		t := Transform{Include: pick("", "^a", "[a-z]", ".*", "(.)(.*)"), MatchType: "regexp", Action: pick(actions...), NewName: pick("n", "$1n", "m"),
			AggregationType: pick(functions()...), GroupResourceLabels: map[string]string{"g": "1"}, SubmatchCase: pick("", "upper")}
		if t.Include == "" {
			t.Include = ".*"
		}
		if rng.IntN(3) == 0 {
			t.MatchLabels = map[string]string{pick(keys...): pick("", "a", ".")}
		}
		for range rng.IntN(3) {
			t.Operations = append(t.Operations, Operation{Action: pick(operations...), Label: pick(keys[:4]...), NewLabel: pick("k2", "new"), NewValue: "v", LabelSet: []string{pick(keys...)},
				AggregationType: pick(functions()...), AggregatedValues: []string{pick("", "a")}, Scale: pick2(rng), LabelValue: pick("", "a"), ValueActions: []ValueAction{{"", "w"}}})
		}
		c.Transforms = append(c.Transforms, t)
	}
	return c
}

func pick2(rng *rand.Rand) float64 { return []float64{0.5, -1, 1000}[rng.IntN(3)] }

// Any transforms of any request that passed Check give one that passes Check. The plan of
// edits and the general processor do the same.
func TestRandomTransforms(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	changed := 0
	for range 1500 {
		request := testkit.Request(rng, otlp.Metrics, rng.IntN(12))
		own, general := processors(t, randomTransforms(rng, actionInsert, actionUpdate))
		a, b := process(t, own, request), process(t, general, request)
		if !slices.Equal(metricsOf(a), metricsOf(b)) {
			t.Fatalf("%d and %d metrics, or others", len(metricsOf(a)), len(metricsOf(b)))
		}
		if !slices.Equal(a, request) {
			changed++
		}
		_, general = processors(t, randomTransforms(rng, actions...))
		process(t, general, request)
	}
	if changed < 300 {
		t.Errorf("%d requests were changed: the test tests little", changed)
	}
}

func FuzzTransforms(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range uint64(6) {
		f.Add(i, testkit.Request(rng, otlp.Metrics, 6))
	}
	f.Fuzz(func(t *testing.T, seed uint64, request []byte) {
		if _, err := otlp.Check(otlp.Metrics, request); err != nil {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		own, _ := processors(t, randomTransforms(rng, actions...))
		b, err := pipeline.NewBatch(otlp.Metrics, request, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Release()
		out, err := own.Process(t.Context(), b)
		if out == nil || err != nil {
			return // dropped, or grown too much
		}
		if n, err := otlp.Check(otlp.Metrics, out.Bytes()); err != nil || n != out.Items() {
			t.Fatalf("the result has %d items, the batch says %d, %v", n, out.Items(), err)
		}
		if out != b {
			out.Release()
		}
	})
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{action: update}`:                                                                                "include: expected the name of a metric",
		`{include: m}`:                                                                                    "action: expected one of insert, update, combine, group, found none",
		`{include: m, action: updat}`:                                                                     `action: unknown action "updat", did you mean "update"?`,
		`{include: m, action: update, match_type: glob}`:                                                  `match_type: unknown match type "glob"`,
		`{include: '(', match_type: regexp, action: update}`:                                              "include: error parsing regexp",
		`{include: m, action: insert}`:                                                                    "new_name: insert needs a new_name",
		`{include: m, action: combine, new_name: n}`:                                                      "aggregation_type: combine needs a aggregation_type",
		`{include: m, action: group}`:                                                                     "group_resource_labels: group needs a group_resource_labels",
		`{include: m, action: update, submatch_case: up}`:                                                 `submatch_case: unknown submatch case "up"`,
		`{include: m, action: update, operations: [{}]}`:                                                  "operations[0].action: expected one of",
		`{include: m, action: update, operations: [{action: update_label}]}`:                              "operations[0].label: update_label needs a label",
		`{include: m, action: update, operations: [{action: add_label, new_label: l}]}`:                   "new_value: add_label needs a new_value",
		`{include: m, action: update, operations: [{action: experimental_scale_value}]}`:                  "experimental_scale: experimental_scale_value needs a experimental_scale",
		`{include: m, action: update, operations: [{action: aggregate_labels, aggregation_type: total}]}`: `aggregation_type: unknown aggregation type "total"`,
		`{includes: m, action: update}`:                                                                   `unknown key, did you mean "include"?`,
	} {
		if _, err := decode(t, "{transforms: ["+text+"]}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	for _, c := range []Config{{[]Transform{{Include: "m"}}}, {[]Transform{{Include: "m", Action: "update", Operations: []Operation{{}}}}}} {
		if _, err := New(c, component.Settings{}); err == nil || !strings.Contains(err.Error(), "transforms[0]: ") {
			t.Errorf("New: %v", err)
		}
	}
}
