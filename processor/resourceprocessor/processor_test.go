package resourceprocessor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// chainStep is a step of a chain with a processor.
func chainStep(t testing.TB, actions ...Action) pipeline.Step {
	t.Helper()
	p, err := New(Config{Attributes: actions}, component.Settings{ID: "resource/2"})
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Step{Name: "resource/2", Processor: p}
}

// newProcessor is a processor that hands its results to next.
func newProcessor(t testing.TB, next pipeline.Consumer, actions ...Action) pipeline.Consumer {
	t.Helper()
	return pipeline.Chain(next, chainStep(t, actions...))
}

func newBatch(t testing.TB, s otlp.Signal, request []byte) *pipeline.Batch {
	t.Helper()
	b, err := pipeline.NewBatch(s, request, &pipeline.Client{Addr: "10.0.0.1:4"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// traces is a request with one resource of the given attributes, key and value
// in turn, and n spans.
func traces(n int, attributes ...string) []byte {
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	res := rs.SetResource()
	for kv := range slices.Chunk(attributes, 2) {
		a := res.AddAttributes()
		a.SetKey(kv[0])
		v := a.SetValue()
		v.SetStringValue(kv[1])
		v.Close()
		a.Close()
	}
	res.Close()
	ss := rs.AddScopeSpans()
	for range n {
		span := ss.AddSpans()
		span.SetName("GET /cart")
		span.SetTraceID([]byte("0123456789abcdef"))
		a := span.AddAttributes()
		a.SetKey("http.request.method")
		v := a.SetValue()
		v.SetStringValue(strings.Repeat("x", 350))
		v.Close()
		a.Close()
		span.Close()
	}
	ss.Close()
	rs.Close()
	return e.Buf
}

// attributesOf prints the resource attributes of a request's first resource.
func attributesOf(s otlp.Signal, request []byte) string {
	d := otlp.DictionaryOf(s, request)
	var out []string
	for g := range otlp.Groups(request) {
		for k, v := range otlp.Attributes(g.Resource.Attributes(), d) {
			out = append(out, fmt.Sprintf("%s=%s", k, v.AppendText(nil)))
		}
		break
	}
	return strings.Join(out, " ")
}

func TestActions(t *testing.T) {
	tests := []struct {
		name    string
		actions []Action
		in      []string
		want    string // "" for: passed on as it is
	}{
		{"insert", []Action{{Key: "n", Action: "insert", Value: "1"}}, []string{"a", "b"}, "a=b n=1"},
		{"insert over", []Action{{Key: "a", Action: "insert", Value: "1"}}, []string{"a", "b"}, ""},
		{"insert into nothing", []Action{{Key: "n", Action: "insert", Value: 1}}, nil, "n=1"},
		{"update", []Action{{Key: "a", Action: "update", Value: true}}, []string{"x", "y", "a", "b", "c", "d"}, "x=y a=true c=d"},
		{"update of nothing", []Action{{Key: "n", Action: "update", Value: "1"}}, []string{"a", "b"}, ""},
		{"update to the same", []Action{{Key: "a", Action: "update", Value: "b"}}, []string{"a", "b"}, ""},
		{"update the first", []Action{{Key: "a", Action: "update", Value: "1"}}, []string{"a", "b", "a", "c"}, "a=1 a=c"},
		{"upsert", []Action{{Key: "a", Action: "upsert", Value: 2.5}, {Key: "n", Action: "upsert", Value: []any{"x", map[string]any{"k": 1, "j": nil}}}}, []string{"a", "b"}, `a=2.5 n=["x",{"j":null,"k":1}]`},
		{"delete", []Action{{Key: "a", Action: "delete"}}, []string{"x", "y", "a", "b", "c", "d"}, "x=y c=d"},
		{"delete the first", []Action{{Key: "a", Action: "delete"}}, []string{"a", "1", "a", "2", "a", "3"}, "a=2 a=3"},
		{"delete twice, then update", []Action{{Key: "a", Action: "delete"}, {Key: "a", Action: "delete"}, {Key: "a", Action: "update", Value: "u"}}, []string{"a", "1", "a", "2", "a", "3", "a", "4"}, "a=u a=4"},
		{"delete by pattern", []Action{{Action: "delete", Pattern: "^host[.]"}}, []string{"host.ip", "1", "a", "b", "host.ip", "2", "hostile", "3"}, "a=b hostile=3"},
		{"delete all", []Action{{Action: "delete", Pattern: "."}}, []string{"a", "b"}, " "},
		{"from attribute", []Action{{Key: "n", Action: "insert", FromAttribute: "a"}, {Key: "a", Action: "delete"}}, []string{"a", "b"}, "n=b"},
		{"from no attribute", []Action{{Key: "n", Action: "insert", FromAttribute: "z"}}, []string{"a", "b"}, ""},
		{"from no attribute, default", []Action{{Key: "n", Action: "insert", FromAttribute: "z", DefaultValue: "d"}}, []string{"a", "b"}, "a=b n=d"},
		{"there and back", []Action{{Key: "n", Action: "insert", Value: "1"}, {Key: "n", Action: "delete"}, {Key: "a", Action: "update", Value: "x"}, {Key: "a", Action: "update", Value: "b"}}, []string{"a", "b"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			live := pipeline.Live()
			next := &testkit.Sink{}
			b := newBatch(t, otlp.Traces, traces(1, test.in...))
			if err := newProcessor(t, next, test.actions...).Consume(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			passed := next.Received(otlp.Traces)[0]
			if same := passed.Batch == b; same != (test.want == "") {
				t.Errorf("the batch itself was passed on: %t", same)
			}
			if got := attributesOf(otlp.Traces, passed.Bytes); test.want != "" && got != strings.TrimSpace(test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			b.Release()
			if n := pipeline.Live() - live; n != 0 {
				t.Errorf("%d batches are still held", n)
			}
		})
	}
}

func TestResultIsCanonicalWhereTheRequestWas(t *testing.T) {
	next := &testkit.Sink{}
	p := newProcessor(t, next, Action{Key: "service.name", Action: "upsert", Value: "cart"}, Action{Key: "host.ip", Action: "delete"})
	b := newBatch(t, otlp.Traces, traces(20, "service.name", "x", "host.ip", "10.0.0.7"))
	defer b.Release()
	if err := p.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if want := traces(20, "service.name", "cart"); !bytes.Equal(next.Requests(otlp.Traces)[0], want) {
		t.Errorf("got  %q\nwant %q", next.Requests(otlp.Traces)[0], want)
	}
}

// profiles is a request whose resource attributes refer to the dictionary, which
// stands in two parts around the resource.
func profiles() []byte {
	var e otlp.Encoder
	r := otlp.AppendExportProfilesServiceRequest(&e)
	d := r.SetDictionary()
	for _, s := range []string{"", "service.name", "cart"} {
		d.AddStringTable(s)
	}
	d.Close()
	rp := r.AddResourceProfiles()
	res := rp.SetResource()
	for _, indices := range [][2]int32{{1, 2}, {3, 4}} {
		a := res.AddAttributes()
		a.SetKeyStrindex(indices[0])
		v := a.SetValue()
		v.SetStringValueStrindex(indices[1])
		v.Close()
		a.Close()
	}
	res.Close()
	rp.Close()
	d = r.SetDictionary()
	d.AddStringTable("host.ip")
	d.AddStringTable("10.0.0.7")
	d.Close()
	return e.Buf
}

func TestProfilesAttributesThroughTheDictionary(t *testing.T) {
	next := &testkit.Sink{}
	p := newProcessor(t, next,
		Action{Key: "app", Action: "insert", FromAttribute: "service.name"},
		Action{Key: "service.name", Action: "update", Value: "shop"},
		Action{Key: "host.ip", Action: "delete"},
		Action{Key: "service.name", Action: "insert", Value: "not there"})
	b := newBatch(t, otlp.Profiles, profiles())
	defer b.Release()
	if err := p.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	passed := next.Requests(otlp.Profiles)[0]
	if got, want := attributesOf(otlp.Profiles, passed), "service.name=shop app=cart"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	dictionary := func(request []byte) []byte { return otlp.ExportProfilesServiceRequest(request).Dictionary() }
	if !bytes.Equal(dictionary(passed), dictionary(b.Bytes())) {
		t.Error("the dictionary has changed")
	}
}

// Outside profiles a reference means absent.
func TestReferencesOutsideProfilesMeanNothing(t *testing.T) {
	next := &testkit.Sink{}
	b := newBatch(t, otlp.Traces, append(traces(1), profiles()...))
	defer b.Release()
	if err := newProcessor(t, next, Action{Key: "service.name", Action: "delete"}).Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if next.Received(otlp.Traces)[0].Batch != b {
		t.Error("a reference into a dictionary that traces do not have was followed")
	}
}

// around is a request with one resource.
func around(resource []byte) []byte {
	var e wire.Encoder
	mark := e.Open(otlpfield.RequestResources)
	e.Bytes(otlpfield.ResourceXResource, resource)
	e.Close(mark)
	return e.Buf
}

// An attribute without a value and one with an empty value are two things.
func TestNoValueIsNotAnEmptyValue(t *testing.T) {
	attribute := func(e *otlp.Encoder, key string, value bool) {
		kv := otlp.AppendResource(e).AddAttributes()
		kv.SetKey(key)
		if value {
			kv.SetValue().Close()
		}
		kv.Close()
	}
	for _, empty := range []bool{false, true} {
		var in, want otlp.Encoder
		attribute(&in, "a", !empty)
		attribute(&in, "b", empty)
		attribute(&want, "a", empty)
		attribute(&want, "b", empty)
		w := rewriterFor(t, []Action{{Key: "a", Action: "update", FromAttribute: "b"}})
		v, got, err := w.Run(otlp.Traces, around(in.Buf), 0, otlpedit.Heap{})
		if err != nil || v != otlpedit.Replace {
			t.Errorf("empty %t: nothing changes, %v", empty, err)
		}
		if !bytes.Equal(got, around(want.Buf)) {
			t.Errorf("empty %t: got %q, want %q", empty, got, around(want.Buf))
		}
	}
}

func TestDerivedBatchKeepsSignalItemsAndClient(t *testing.T) {
	check := func(got, old *pipeline.Batch) {
		if got == old || got.Signal() != otlp.Traces || got.Items() != 7 || got.Client() != old.Client() {
			t.Errorf("%v with %d items from %v", got.Signal(), got.Items(), got.Client())
		}
	}
	b := newBatch(t, otlp.Traces, traces(7))
	defer b.Release()
	next := pipeline.ConsumerFunc(func(_ context.Context, got *pipeline.Batch) error { check(got, b); return nil })
	if err := newProcessor(t, next, Action{Key: "a", Action: "insert", Value: "b"}).Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsOfTheNextComeBackAsTheyAre(t *testing.T) {
	want := &pipeline.Error{Kind: pipeline.Overloaded, Err: errors.New("full")}
	next := &testkit.Sink{}
	next.Fail(want)
	p := newProcessor(t, next, Action{Key: "a", Action: "insert", Value: "b"})
	live := pipeline.Live()
	for _, request := range [][]byte{traces(1), traces(1, "a", "there")} {
		b := newBatch(t, otlp.Traces, request)
		if err := p.Consume(t.Context(), b); err != want {
			t.Errorf("got %v", err)
		}
		b.Release()
	}
	if n := pipeline.Live() - live; n != 0 {
		t.Errorf("%d batches are still held", n)
	}
}

// A resource takes two bytes in a request. What is inserted into millions of
// them must not exhaust the memory.
func TestGrowthIsBounded(t *testing.T) {
	next := &testkit.Sink{}
	p := newProcessor(t, next, Action{Key: "a", Action: "insert", Value: strings.Repeat("x", 10_000)})
	b := newBatch(t, otlp.Logs, bytes.Repeat([]byte{0x0a, 0x00}, 110))
	defer b.Release()
	live := pipeline.Live()
	err := p.Consume(t.Context(), b)
	if pipeline.Classify(err) == nil || pipeline.Classify(err).Kind != pipeline.Permanent {
		t.Fatalf("got %v, expected a permanent refusal", err)
	}
	if !strings.Contains(err.Error(), "resource/2") || next.Calls() != 0 || pipeline.Live() != live {
		t.Errorf("%v; passed on %d; live %d", err, next.Calls(), pipeline.Live()-live)
	}
	few := newBatch(t, otlp.Logs, bytes.Repeat([]byte{0x0a, 0x00}, 100))
	defer few.Release()
	if err := p.Consume(t.Context(), few); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentConsume(t *testing.T) {
	next := &testkit.Sink{}
	a := newProcessor(t, next, Action{Key: "a", Action: "upsert", FromAttribute: "service.name"}, Action{Key: "service.name", Action: "delete"})
	reader := &testkit.Sink{}
	fan := pipeline.Fanout(a, reader)
	in := traces(3, "service.name", "cart")
	want := traces(3, "a", "cart")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				b := newBatch(t, otlp.Traces, bytes.Clone(in))
				if err := fan.Consume(context.Background(), b); err != nil {
					t.Error(err)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
	changed, unchanged := next.Requests(otlp.Traces), reader.Requests(otlp.Traces)
	for i := range changed {
		if !bytes.Equal(changed[i], want) || !bytes.Equal(unchanged[i], in) {
			t.Fatalf("batch %d: %q beside %q", i, changed[i], unchanged[i])
		}
	}
}

func TestAllocationsDoNotFollowTheSpans(t *testing.T) {
	if strict {
		t.Skip("builds with the tag poison, or with the race detector, allocate on their own")
	}
	next := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return nil })
	p := newProcessor(t, next, Action{Key: "n", Action: "upsert", Value: "x"}, Action{Key: "service.name", Action: "update", Value: "y"}, Action{Key: "a", Action: "delete"})
	count := func(spans int) float64 {
		b := newBatch(t, otlp.Traces, traces(spans, "service.name", "cart", "a", "b"))
		defer b.Release()
		return testing.AllocsPerRun(50, func() {
			if err := p.Consume(context.Background(), b); err != nil {
				t.Error(err)
			}
		})
	}
	few, many := count(1), count(1000)
	if few > 2 || many > 2 { // the new Batch; now and then a buffer that was collected
		t.Errorf("%v allocations with 1 span, %v with 1000", few, many)
	}
}

func BenchmarkUpsert1000Spans(b *testing.B) {
	next := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return nil })
	p := newProcessor(b, next, Action{Key: "deployment.environment.name", Action: "upsert", Value: "staging"}, Action{Key: "host.ip", Action: "delete"})
	batch := newBatch(b, otlp.Traces, traces(1000, "service.name", "cart", "host.ip", "10.0.0.7"))
	defer batch.Release()
	b.SetBytes(int64(len(batch.Bytes())))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Consume(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
