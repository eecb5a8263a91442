package attributesprocessor

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func decode(t testing.TB, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

// stepOf is a step of a chain with a processor for signal s.
func stepOf(t testing.TB, s otlp.Signal, text string) pipeline.Step {
	t.Helper()
	cfg, err := decode(t, text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(cfg, component.Settings{Signal: s})
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Step{Name: "attributes", Processor: p}
}

// processed returns what steps make of a request.
func processed(t testing.TB, s otlp.Signal, request []byte, steps ...pipeline.Step) []byte {
	t.Helper()
	next := &testkit.Sink{}
	b, err := pipeline.NewBatch(s, bytes.Clone(request), &pipeline.Client{Addr: "10.0.0.1:4", Metadata: map[string][]string{"x-tenant": {"a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if err := pipeline.Chain(next, steps...).Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return next.Requests(s)[0]
}

// printed is the attributes of each log record.
func printed(request []byte) string {
	var lines []string
	for item := range otlp.Items(request) {
		var line []string
		for k, v := range otlp.Attributes(otlp.LogRecord(item).Attributes(), nil) {
			line = append(line, fmt.Sprintf("%s=%s", k, v.AppendText(nil)))
		}
		lines = append(lines, strings.Join(line, " "))
	}
	return strings.Join(lines, "\n")
}

// records is a request with log records of the given severities and attributes.
func records(severities ...string) []byte {
	var e otlp.Encoder
	for i, service := range []string{"cart", "shop"} {
		rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
		res := rl.SetResource()
		text(res.AddAttributes(), "service.name", service)
		res.Close()
		sl := rl.AddScopeLogs()
		sc := sl.SetScope()
		sc.SetName("lib" + fmt.Sprint(i))
		sc.Close()
		for _, s := range severities {
			r := sl.AddLogRecords()
			r.SetSeverityText(s)
			text(r.AddAttributes(), "a", "1")
			text(r.AddAttributes(), "b", "2")
			r.Close()
		}
		sl.Close()
		rl.Close()
	}
	return e.Buf
}

func TestIncludeAndExclude(t *testing.T) {
	t.Parallel()
	const actions = "actions: [{key: b, action: delete}]\n"
	for text, want := range map[string]string{
		"": "a=1|a=1|a=1|a=1",
		"include: {match_type: strict, log_severity_texts: [INFO]}\n":                   "a=1|a=1 b=2|a=1|a=1 b=2",
		"exclude: {match_type: strict, log_severity_texts: [INFO]}\n":                   "a=1 b=2|a=1|a=1 b=2|a=1",
		"include: {match_type: regexp, resources: [{key: service.name, value: ^ca}]}\n": "a=1|a=1|a=1 b=2|a=1 b=2",
		"include: {match_type: strict, libraries: [{name: lib1}]}\n":                    "a=1 b=2|a=1 b=2|a=1|a=1",
		"include: {match_type: strict, libraries: [{name: lib1}]}\nexclude: {match_type: strict, log_severity_texts: [WARN], resources: [{key: service.name, value: shop}]}\n": "a=1 b=2|a=1 b=2|a=1|a=1 b=2",
	} {
		got := strings.ReplaceAll(printed(processed(t, otlp.Logs, records("INFO", "WARN"), stepOf(t, otlp.Logs, text+actions))), "\n", "|")
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestFromContext(t *testing.T) {
	t.Parallel()
	step := stepOf(t, otlp.Logs, "actions: [{key: tenant, from_context: metadata.x-tenant, action: insert}, {key: ip, from_context: client.address, action: insert}]")
	if got, want := printed(processed(t, otlp.Logs, records("INFO"), step)), "a=1 b=2 tenant=a ip=10.0.0.1\na=1 b=2 tenant=a ip=10.0.0.1"; got != want {
		t.Errorf("got %s", got)
	}
}

// In one pass with others, each processor tests the resource that the one before left,
// and not what one after it makes.
func TestInOnePassWithOthers(t *testing.T) {
	t.Parallel()
	steps := []pipeline.Step{
		stepOf(t, otlp.Logs, "include: {match_type: strict, resources: [{key: service.name, value: cart}]}\nactions: [{key: a, value: first, action: update}]"),
		stepOf(t, otlp.Logs, "include: {match_type: strict, attributes: [{key: a, value: first}]}\nactions: [{key: c, from_attribute: a, action: insert}]"),
		stepOf(t, otlp.Logs, "exclude: {match_type: strict, libraries: [{name: lib0}]}\nactions: [{key: b, action: delete}]"),
	}
	var plans []otlpedit.Plan
	for _, s := range steps {
		plans = append(plans, s.Processor.(pipeline.Planner).Plan())
	}
	if !otlpedit.Fusable(plans...) {
		t.Error("the plans are not fusable")
	}
	if got, want := printed(processed(t, otlp.Logs, records("INFO"), steps...)), "a=first b=2 c=first\na=1"; got != want {
		t.Errorf("got %s", got)
	}
}

// What a processor does in one branch of a fan-out is not seen in another.
func TestOtherBranchesSeeTheRequestAsItCame(t *testing.T) {
	t.Parallel()
	request := logs(3)
	changed, unchanged := &testkit.Sink{}, &testkit.Sink{}
	fan := pipeline.Fanout(pipeline.Chain(changed, stepOf(t, otlp.Logs, "actions: [{key: http.method, value: PUT!, action: update}]")), unchanged)
	b, err := pipeline.NewBatch(otlp.Logs, bytes.Clone(request), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if err := fan.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unchanged.Requests(otlp.Logs)[0], request) || bytes.Equal(changed.Requests(otlp.Logs)[0], request) {
		t.Error("the branches do not have what they should")
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal     otlp.Signal
		text, want string
	}{
		{otlp.Logs, "{}", "actions: expected a list of actions, found none"},
		{otlp.Logs, "actions: [{key: a, action: drop}]", `actions[0].action: unknown action "drop"`},
		{otlp.Logs, "{include: {match_type: strict, span_names: [a]}, actions: [{key: a, action: delete}]}", "include: span_names: log records have no such property"},
		{otlp.Metrics, "{exclude: {match_type: strict, services: [a]}, actions: [{key: a, action: delete}]}", "exclude: services: metrics have no such property"},
		{0, "{include: {match_type: strict}, actions: [{key: a, action: delete}]}", "found none"},
	} {
		cfg, err := decode(t, c.text)
		if err == nil {
			_, err = New(cfg, component.Settings{Signal: c.signal})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected %q", c.text, err, c.want)
		}
	}
}

// A processor that was created for any signal refuses what it has no rule for.
func TestSignalWithoutARule(t *testing.T) {
	t.Parallel()
	step := stepOf(t, 0, "{include: {match_type: strict, span_names: [a]}, actions: [{key: a, action: delete}]}")
	b, err := pipeline.NewBatch(otlp.Logs, records("INFO"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	err = pipeline.Chain(&testkit.Sink{}, step).Consume(t.Context(), b)
	if err == nil || pipeline.Classify(err).Kind != pipeline.Permanent || !strings.Contains(err.Error(), "properties that no logs have") {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsAllocatedForEachItem(t *testing.T) {
	if strict {
		t.Skip("builds with the tag poison, or with the race detector, allocate on their own")
	}
	for _, text := range []string{
		"actions: [{key: x, from_attribute: http.method, action: upsert}, {key: http.method, action: delete}, {pattern: ^net, action: delete}, {key: env, value: prod, action: insert}]",
		"{include: {match_type: regexp, attributes: [{key: currency, value: ^C}], log_bodies: [O.*r]}, actions: [{key: http.method, value: [1, 2], action: update}]}",
		"{exclude: {match_type: strict, libraries: [{name: x}], resources: [{key: service.name, value: x}]}, actions: [{key: http.method, action: delete}]}",
	} {
		chain := pipeline.Chain(pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return nil }), stepOf(t, otlp.Logs, text))
		var counts []float64
		for _, n := range []int{1, 1000} {
			b, err := pipeline.NewBatch(otlp.Logs, logs(n), nil)
			if err != nil {
				t.Fatal(err)
			}
			counts = append(counts, testing.AllocsPerRun(50, func() {
				if err := chain.Consume(context.Background(), b); err != nil {
					t.Error(err)
				}
			}))
			b.Release()
		}
		if slices.Max(counts) > 2 { // the new batch; now and then a buffer that was collected
			t.Errorf("%s: %v allocations with 1 and 1000 records", text, counts)
		}
	}
}
