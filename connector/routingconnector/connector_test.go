package routingconnector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// rig is a connector with a sink for each pipeline that its configuration names.
type rig struct {
	*testing.T
	signal otlp.Signal
	router pipeline.Consumer
	sinks  map[string]*testkit.Sink
}

func newRig(t *testing.T, s otlp.Signal, cfg Config) *rig {
	t.Helper()
	r := &rig{T: t, signal: s, sinks: map[string]*testkit.Sink{}}
	var out component.Outputs
	for _, name := range cfg.NamesPipelines() {
		if r.sinks[name.ID] == nil {
			r.sinks[name.ID] = &testkit.Sink{}
			out = append(out, component.Output{ID: name.ID, Signal: s, Consumer: r.sinks[name.ID]})
		}
	}
	var err error
	if r.router, err = New(cfg, component.Settings{Signal: s}, out); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) send(request []byte, client *pipeline.Client) error {
	r.Helper()
	b := testkit.PooledBatch(r.T, r.signal, request, client)
	defer b.Release()
	return r.router.Consume(r.Context(), b)
}

// logs makes a request of "A: a1 b9; B: c1": resources with log records, whose severity
// is their digit.
func logs(text string) []byte {
	var e otlp.Encoder
	for resource := range strings.SplitSeq(text, ";") {
		name, records, _ := strings.Cut(strings.TrimSpace(resource), ":")
		rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
		res := rl.SetResource()
		kv := res.AddAttributes()
		kv.SetKey("name")
		v := kv.SetValue()
		v.SetStringValue(name)
		v.Close()
		kv.Close()
		res.Close()
		sl := rl.AddScopeLogs()
		for record := range strings.FieldsSeq(records) {
			l := sl.AddLogRecords()
			l.SetSeverityNumber(otlp.SeverityNumber(record[1] - '0'))
			l.SetEventName(record)
			l.Close()
		}
		sl.Close()
		rl.Close()
	}
	return e.Buf
}

// textOf is the inverse of logs.
func textOf(request []byte) string {
	var resources []string
	for g := range otlp.Groups(request) {
		name := ""
		for _, v := range otlp.Attributes(g.Resource.Attributes(), nil) {
			name = string(v.Text())
		}
		if g.First {
			resources = append(resources, name+":")
		}
		for item := range g.Items.All() {
			resources[len(resources)-1] += " " + string(otlp.LogRecord(item).EventName())
		}
	}
	return strings.Join(resources, "; ")
}

// got returns what came to the pipelines, one text for each batch.
func (r *rig) got() map[string]string {
	all := map[string]string{}
	for id, sink := range r.sinks {
		var texts []string
		for _, b := range sink.All() {
			texts = append(texts, textOf(b.Bytes))
		}
		if len(texts) > 0 {
			all[id] = strings.Join(texts, " | ")
		}
	}
	return all
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	const request = "A: a1 b9; B: c1 d5 e9"
	isA, high, all := `attributes["name"] == "A"`, `severity_number > 4`, `severity_number > 0`
	x, y, z := []string{"logs/x"}, []string{"logs/y"}, []string{"logs/z"}
	acme := &pipeline.Client{Metadata: map[string][]string{"x-tenant": {"other", "acme"}}}
	for name, c := range map[string]struct {
		cfg    Config
		client *pipeline.Client
		want   map[string]string
	}{
		"a resource": {Config{Table: []Route{{Condition: isA, Pipelines: x}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: a1 b9", "logs/z": "B: c1 d5 e9"}},
		"no default pipelines": {Config{Table: []Route{{Condition: isA, Pipelines: x}}}, nil, map[string]string{"logs/x": "A: a1 b9"}},
		"statement": {Config{Table: []Route{{Statement: "route() where " + isA, Pipelines: x}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: a1 b9", "logs/z": "B: c1 d5 e9"}},
		"statement without a condition": {Config{Table: []Route{{Statement: "route()", Pipelines: x}}, DefaultPipelines: z}, nil, map[string]string{"logs/x": request}},
		"records": {Config{Table: []Route{{Context: "log", Condition: high, Pipelines: x}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: b9; B: d5 e9", "logs/z": "A: a1; B: c1"}},
		"the paths name the context": {Config{Table: []Route{{Condition: "log." + high, Pipelines: x}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: b9; B: d5 e9", "logs/z": "A: a1; B: c1"}},
		"the first route takes it": {Config{Table: []Route{{Context: "log", Condition: high, Pipelines: x}, {Condition: isA, Pipelines: y}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: b9; B: d5 e9", "logs/y": "A: a1", "logs/z": "B: c1"}},
		"a resource, then records": {Config{Table: []Route{{Condition: isA, Pipelines: x}, {Context: "log", Condition: high, Pipelines: y}}}, nil,
			map[string]string{"logs/x": "A: a1 b9", "logs/y": "B: d5 e9"}},
		"a copy goes on": {Config{Table: []Route{{Context: "log", Condition: high, Pipelines: x, Action: Copy}, {Condition: isA, Pipelines: y}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: b9; B: d5 e9", "logs/y": "A: a1 b9", "logs/z": "B: c1 d5 e9"}},
		"everything is copied": {Config{Table: []Route{{Context: "log", Condition: all, Pipelines: x, Action: Copy}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": request, "logs/z": request}},
		"copied and moved to one pipeline": {Config{Table: []Route{{Context: "log", Condition: all, Pipelines: x, Action: Copy}}, DefaultPipelines: x}, nil,
			map[string]string{"logs/x": request + " | " + request}},
		"two routes to one pipeline": {Config{Table: []Route{{Condition: isA, Pipelines: x}, {Context: "log", Condition: high, Pipelines: x}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: a1 b9; B: d5 e9", "logs/z": "B: c1"}},
		"several pipelines": {Config{Table: []Route{{Condition: isA, Pipelines: []string{"logs/x", "logs/y"}}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: a1 b9", "logs/y": "A: a1 b9", "logs/z": "B: c1 d5 e9"}},
		"the request": {Config{Table: []Route{{Context: "request", Condition: `request["X-Tenant"] == "acme"`, Pipelines: x}}, DefaultPipelines: z}, acme,
			map[string]string{"logs/x": request}},
		"another request": {Config{Table: []Route{{Context: "request", Condition: `request["X-Tenant"] == "ecorp"`, Pipelines: x}}, DefaultPipelines: z}, acme,
			map[string]string{"logs/z": request}},
		"the sender": {Config{Table: []Route{{Context: "otelcol", Condition: `otelcol.client.metadata["x-tenant"][1] == "acme"`, Pipelines: x}}, DefaultPipelines: z}, acme,
			map[string]string{"logs/x": request}},
		"the sender, whose context the path names": {Config{Table: []Route{{Condition: `otelcol.client.metadata["x-tenant"][0] == "acme"`, Pipelines: x}}, DefaultPipelines: z}, acme,
			map[string]string{"logs/z": request}},
		"a request without the header": {Config{Table: []Route{{Context: "request", Condition: `request["X-Tenant"] != "acme"`, Pipelines: x}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/z": request}},
		"records, then the request": {Config{Table: []Route{{Context: "log", Condition: high, Pipelines: y}, {Context: "request", Condition: `request["x-tenant"] == "acme"`, Pipelines: x}}, DefaultPipelines: z}, acme,
			map[string]string{"logs/y": "A: b9; B: d5 e9", "logs/x": "A: a1; B: c1"}},
		"the same condition again": {Config{Table: []Route{{Condition: isA, Pipelines: x, Action: Copy}, {Condition: isA, Pipelines: y}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": "A: a1 b9", "logs/z": request}},
		"routes of other signals": {Config{Table: []Route{{Condition: isA, Pipelines: []string{"traces/x"}}, {Context: "span", Condition: `name == ""`, Pipelines: y}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/z": request}},
		"a key is deleted in what was matched": {Config{Table: []Route{{Statement: `delete_key(attributes, "name") where ` + isA, Pipelines: x}}, DefaultPipelines: z}, nil,
			map[string]string{"logs/x": ": a1 b9", "logs/z": "B: c1 d5 e9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, otlp.Logs, c.cfg)
			for range 2 { // the second time with what is kept of the first
				for _, sink := range r.sinks {
					sink.Reset()
				}
				if err := r.send(logs(request), c.client); err != nil {
					t.Fatal(err)
				}
				if got := r.got(); !maps.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

// A request that goes one way is passed on as it is.
func TestNoCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, otlp.Logs, Config{Table: []Route{{Context: "log", Condition: "severity_number > 0", Pipelines: []string{"logs/x"}}}})
	b := testkit.PooledBatch(t, otlp.Logs, logs("A: a1"), nil)
	defer b.Release()
	if err := r.router.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := r.sinks["logs/x"].All(); len(got) != 1 || got[0].Batch != b {
		t.Errorf("%d batches; want the one that came in", len(got))
	}
}

func TestErrorModes(t *testing.T) {
	t.Parallel()
	const fails = `attributes["name"][0] == "x"`
	for mode, refused := range map[ottl.ErrorMode]bool{ottl.Propagate: true, ottl.Ignore: false, ottl.Silent: false} {
		cfg := Config{ErrorMode: mode, Table: []Route{{Condition: fails, Pipelines: []string{"logs/x"}}}, DefaultPipelines: []string{"logs/z"}}
		r := newRig(t, otlp.Logs, cfg)
		err := r.send(logs("A: a1"), nil)
		if refused != (err != nil) || refused && pipeline.Classify(err).Kind != pipeline.Permanent {
			t.Errorf("%s: %v", mode, err)
		}
		if got, want := r.got()["logs/z"] == "A: a1", !refused; got != want {
			t.Errorf("%s: the default pipeline got %q", mode, r.got())
		}
	}
}

// What pipelines answer decides what the sender is asked to do.
func TestAnswers(t *testing.T) {
	t.Parallel()
	cfg := Config{Table: []Route{{Context: "log", Condition: "severity_number > 4", Pipelines: []string{"logs/x"}}}, DefaultPipelines: []string{"logs/z"}}
	permanent, down := pipeline.Permanently(errors.New("no")), errors.New("down")
	for name, c := range map[string]struct {
		x, z     error
		want     pipeline.Kind
		rejected int64
	}{
		"both take it":          {},
		"one is down":           {x: down, want: pipeline.Retryable},
		"one refuses its piece": {x: permanent, want: pipeline.Partial, rejected: 3},
		"both refuse":           {x: permanent, z: permanent, want: pipeline.Permanent},
		"refused and down":      {x: permanent, z: down, want: pipeline.Retryable},
		"one keeps a part":      {z: &pipeline.Error{Kind: pipeline.Partial, Rejected: 1}, want: pipeline.Partial, rejected: 1},
	} {
		r := newRig(t, otlp.Logs, cfg)
		r.sinks["logs/x"].Fail(c.x)
		r.sinks["logs/z"].Fail(c.z)
		var kind pipeline.Kind
		var rejected int64
		if e := pipeline.Classify(r.send(logs("A: a1 b9; B: c1 d5 e9"), nil)); e != nil {
			kind, rejected = e.Kind, e.Rejected
		}
		if kind != c.want || rejected != c.rejected {
			t.Errorf("%s: %v, %d items rejected; want %v, %d", name, kind, rejected, c.want, c.rejected)
		}
	}
}

// tables are routing tables for random requests.
func tables(s otlp.Signal) []Config {
	name := s.String()
	p := func(x string) []string { return []string{name + "/" + x} }
	item := map[string][2]string{
		"traces":   {"kind > 2", `name < "m"`},
		"metrics":  {`name < "k"`, `is_monotonic == true`},
		"logs":     {"severity_number > 8", "flags > 100"},
		"profiles": {"period > 10", "dropped_attributes_count > 100"},
	}[name]
	inner := map[string]string{"traces": "span", "metrics": "metric", "logs": "log", "profiles": "profile"}[name]
	resource := "dropped_attributes_count > 1000"
	all := []Config{
		{Table: []Route{{Condition: resource, Pipelines: p("a")}}, DefaultPipelines: p("d")},
		{Table: []Route{{Context: inner, Condition: item[0], Pipelines: p("a")}, {Context: inner, Condition: item[1], Pipelines: p("b")}}, DefaultPipelines: p("d")},
		{Table: []Route{{Context: inner, Condition: item[0], Pipelines: p("a")}, {Condition: resource, Pipelines: p("b")}}, DefaultPipelines: p("d")},
	}
	if name == "metrics" {
		all = append(all, Config{Table: []Route{{Context: "datapoint", Condition: "flags > 100", Pipelines: p("a")}, {Context: "metric", Condition: item[0], Pipelines: p("b")}}, DefaultPipelines: p("d")},
			Config{Table: []Route{{Context: "datapoint", Condition: "time_unix_nano > 4000000000000000000", Pipelines: p("a")}}, DefaultPipelines: p("d")})
	}
	return all
}

// Of random requests each item is passed to one pipeline, in its resource and scope, and a
// copy has all.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			for i, cfg := range tables(s) {
				cfg.ErrorMode = ottl.Silent
				copied := []string{s.String() + "/copy"}
				cfg.Table = append([]Route{{Statement: "route()", Pipelines: copied, Action: Copy}}, cfg.Table...)
				r := newRig(t, s, cfg)
				divided := 0
				for seed := range uint64(300) {
					request := testkit.Request(rand.New(rand.NewPCG(seed, uint64(i))), s, int(seed%40))
					if err := r.send(request, nil); err != nil {
						t.Fatalf("table %d, seed %d: %v", i, seed, err)
					}
					divided += r.check(fmt.Sprintf("table %d, seed %d", i, seed), request, copied[0])
				}
				if divided == 0 {
					t.Errorf("table %d: no request was divided", i)
				}
			}
		})
	}
}

// check compares what has arrived with a request, and returns 1 if it was divided.
func (r *rig) check(where string, request []byte, copied string) (divided int) {
	items, err := otlp.Check(r.signal, request)
	if err != nil {
		r.Fatal(err)
	}
	total, batches := 0, 0
	var arrived []string
	dictionary := otlp.DictionaryBytes(r.signal, request)
	for id, sink := range r.sinks {
		for _, b := range sink.All() {
			n, err := otlp.Check(r.signal, b.Bytes)
			if err != nil || n != b.Items {
				r.Fatalf("%s: %s got an invalid request of %d items, said to be %d: %v", where, id, n, b.Items, err)
			}
			if id == copied {
				if !bytes.Equal(b.Bytes, request) {
					r.Errorf("%s: the copy differs", where)
				}
				continue
			}
			if otlp.DictionaryBytes(r.signal, b.Bytes) != dictionary {
				r.Errorf("%s: a piece has another dictionary", where)
			}
			total += n
			batches++
			arrived = append(arrived, itemsOf(r.signal, b.Bytes)...)
		}
		sink.Reset()
	}
	if total != items {
		r.Errorf("%s: %d items went to pipelines, want %d", where, total, items)
	}
	// A metric may be divided.
	if r.signal != otlp.Metrics && items > 0 {
		want := itemsOf(r.signal, request)
		slices.Sort(want)
		slices.Sort(arrived)
		if !slices.Equal(want, arrived) {
			r.Errorf("%s: %d items have arrived, %d are right", where, len(arrived), len(want))
		}
	}
	if batches > 1 {
		return 1
	}
	return 0
}

// itemsOf returns the items of a request with their resources and scopes. Profiles without
// samples are not counted, and a piece of them alone is not passed on.
func itemsOf(s otlp.Signal, request []byte) (all []string) {
	for g := range otlp.Groups(request) {
		for item := range g.Items.All() {
			if otlp.CountItems(s, otlp.PartItem, item) > 0 {
				all = append(all, fmt.Sprintf("%x %x %x", g.Resource, g.Scope, item))
			}
		}
	}
	return all
}

// What a mutating pipeline does to its piece is not seen by another.
func TestMutation(t *testing.T) {
	t.Parallel()
	cfg := Config{Table: []Route{{Context: "log", Condition: "severity_number > 0", Pipelines: []string{"logs/x"}, Action: Copy}}, DefaultPipelines: []string{"logs/z"}}
	r := newRig(t, otlp.Logs, cfg)
	edited := false
	r.sinks["logs/x"].Respond(func(_ context.Context, b *pipeline.Batch) error {
		if data, err := b.Edit(); err == nil {
			clear(data)
			edited = true
		}
		return nil
	})
	if err := r.send(logs("A: a1"), nil); err != nil {
		t.Fatal(err)
	}
	if got := r.got()["logs/z"]; got != "A: a1" || edited {
		t.Errorf("the other pipeline got %q; the shared batch was edited: %v", got, edited)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	x := []string{"logs/x"}
	for want, cfg := range map[string]Config{
		"table: expected at least one route":                      {},
		"table[0].condition: ":                                    {Table: []Route{{Condition: "1 +", Pipelines: x}}},
		`table[0].condition: expected request["name"] == "value"`: {Table: []Route{{Context: "request", Condition: "x == 1", Pipelines: x}}},
		`table[1].statement: `:                                    {Table: []Route{{Condition: "true", Pipelines: x}, {Statement: `set(attributes["a"], 1) where true`, Pipelines: x}}},
	} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for want, r := range map[string]Route{
		`expected a condition`:                                 {Pipelines: x},
		`statement: statement and condition`:                   {Statement: "route()", Condition: "true", Pipelines: x},
		`expected at least one pipeline`:                       {Condition: "true"},
		`context: unknown context "logs", did you mean "log"?`: {Context: "logs", Condition: "true", Pipelines: x},
		`statement: the context request takes no statement`:    {Context: "request", Statement: "route()", Pipelines: x},
	} {
		if err := r.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
