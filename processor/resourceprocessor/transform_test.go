package resourceprocessor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// What the Collector writes for each type, except for bytes, lists and maps, which it
// hashes to the empty string.
func TestTransforms(t *testing.T) {
	t.Parallel()
	hashOf := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	for name, c := range map[string]struct {
		value any // of the attribute k before
		then  Action
		want  string // the attributes after
	}{
		"hash a string":           {"ann", Action{Action: "hash", Key: "k"}, "k=" + hashOf("ann")},
		"hash an empty string":    {"", Action{Action: "hash", Key: "k"}, "k=" + hashOf("")},
		"hash true":               {true, Action{Action: "hash", Key: "k"}, "k=" + hashOf("\x01")},
		"hash false":              {false, Action{Action: "hash", Key: "k"}, "k=" + hashOf("\x00")},
		"hash an int":             {258, Action{Action: "hash", Key: "k"}, "k=" + hashOf("\x02\x01\x00\x00\x00\x00\x00\x00")},
		"hash a double":           {1.0, Action{Action: "hash", Key: "k"}, "k=" + hashOf("\x00\x00\x00\x00\x00\x00\xf0\x3f")},
		"hash a list":             {[]any{"x", 1}, Action{Action: "hash", Key: "k"}, "k=" + hashOf(`["x",1]`)},
		"hash by pattern":         {"ann", Action{Action: "hash", Pattern: "^k$"}, "k=" + hashOf("ann")},
		"hash by key and pattern": {"ann", Action{Action: "hash", Key: "k", Pattern: "^k$"}, "k=" + hashOf(hashOf("ann"))},
		"hash of nothing":         {"ann", Action{Action: "hash", Key: "z"}, "k=ann"},
		"extract":                 {"/shop/7", Action{Action: "extract", Key: "k", Pattern: `^/(?P<app>\w+)/(?P<id>\d+)$`}, "k=/shop/7 app=shop id=7"},
		"extract over the source": {"/shop/7", Action{Action: "extract", Key: "k", Pattern: `^/(?P<k>\w+)`}, "k=shop"},
		"extract an empty group":  {"/shop", Action{Action: "extract", Key: "k", Pattern: `^/(?P<app>\w+)(?P<id>/\d+)?$`}, "k=/shop app=shop id="},
		"extract without a match": {"shop", Action{Action: "extract", Key: "k", Pattern: `^/(?P<app>\w+)`}, "k=shop"},
		"extract from a number":   {7, Action{Action: "extract", Key: "k", Pattern: `(?P<n>.*)`}, "k=7"},
		"double to string":        {1e6, Action{Action: "convert", Key: "k", ConvertedType: "string"}, "k=1000000"},
		"no number to string":     {math.NaN(), Action{Action: "convert", Key: "k", ConvertedType: "string"}, "k=NaN"},
		"bool to string":          {true, Action{Action: "convert", Key: "k", ConvertedType: "string"}, "k=true"},
		"list to string":          {[]any{"x", 1}, Action{Action: "convert", Key: "k", ConvertedType: "string"}, `k=["x",1]`},
		"double to int":           {-2.9, Action{Action: "convert", Key: "k", ConvertedType: "int"}, "k=-2"},
		"large double to int":     {1e19, Action{Action: "convert", Key: "k", ConvertedType: "int"}, "k=1e+19"},
		"bool to int":             {true, Action{Action: "convert", Key: "k", ConvertedType: "int"}, "k=1"},
		"string to int":           {"-12", Action{Action: "convert", Key: "k", ConvertedType: "int"}, "k=-12"},
		"text to int":             {"1.5", Action{Action: "convert", Key: "k", ConvertedType: "int"}, "k=1.5"},
		"list to int":             {[]any{1}, Action{Action: "convert", Key: "k", ConvertedType: "int"}, "k=[1]"},
		"int to double":           {3, Action{Action: "convert", Key: "k", ConvertedType: "double"}, "k=3"},
		"string to double":        {"1.5", Action{Action: "convert", Key: "k", ConvertedType: "double"}, "k=1.5"},
	} {
		if got := processed(t, nil, Action{Key: "k", Action: "insert", Value: c.value}, c.then); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, c.want)
		}
	}
}

// processed returns the attributes of an empty resource after actions.
func processed(t *testing.T, client *pipeline.Client, actions ...Action) string {
	t.Helper()
	next := &testkit.Sink{}
	b, err := pipeline.NewBatch(otlp.Traces, traces(1), client)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if err := newProcessor(t, next, actions...).Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return attributesOf(otlp.Traces, next.Received(otlp.Traces)[0].Bytes)
}

func TestFromContext(t *testing.T) {
	t.Parallel()
	client := &pipeline.Client{
		Addr: "[2001:db8::1]:4711", Metadata: map[string][]string{"x-tenant": {"a", "b"}},
		Identity: &pipeline.Identity{Subject: "ann", Attributes: map[string]string{"team": "shop"}},
	}
	from := func(key string) Action { return Action{Key: "k", Action: "insert", FromContext: key} }
	for _, c := range []struct {
		client *pipeline.Client
		action Action
		want   string
	}{
		{client, from("client.address"), "k=2001:db8::1"},
		{client, from("metadata.X-Tenant"), "k=a;b"},
		{client, from("x-tenant"), "k=a;b"},
		{client, from("metadata.y"), ""},
		{client, from("auth.team"), "k=shop"},
		{client, from("auth.subject"), "k=ann"},
		{client, from("auth.age"), ""},
		{client, Action{Key: "k", Action: "insert", FromContext: "metadata.y", DefaultValue: 1}, "k=1"},
		{&pipeline.Client{Addr: "@"}, from("client.address"), ""},
		{&pipeline.Client{}, from("auth.subject"), ""},
		{nil, from("metadata.x-tenant"), ""},
	} {
		if got := processed(t, c.client, c.action); got != c.want {
			t.Errorf("%s: got %q, want %q", c.action.FromContext, got, c.want)
		}
	}
}

// Also in a pass that several processors share.
func TestFromContextInOnePass(t *testing.T) {
	t.Parallel()
	next := &testkit.Sink{}
	b := newBatch(t, otlp.Logs, testkitLogs(t))
	defer b.Release()
	chain := pipeline.Chain(next,
		chainStep(t, Action{Key: "a", Action: "insert", FromContext: "client.address"}),
		chainStep(t, Action{Key: "a", Action: "hash"}))
	if err := chain.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("10.0.0.1"))
	if got := attributesOf(otlp.Logs, next.Received(otlp.Logs)[0].Bytes); !strings.Contains(got, "a="+hex.EncodeToString(sum[:])) {
		t.Errorf("got %s", got)
	}
}

func testkitLogs(t *testing.T) []byte {
	t.Helper()
	var e otlp.Encoder
	r := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
	r.Close()
	return e.Buf
}

// Memory for large values is asked for.
func TestTransformsAskForMemory(t *testing.T) {
	t.Parallel()
	pass := rewriterFor(t, []Action{{Key: "k", Action: "convert", ConvertedType: "string"}})
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	res := rs.SetResource()
	kv := res.AddAttributes()
	kv.SetKey("k")
	v := kv.SetValue()
	v.SetBytesValue(make([]byte, 1<<20))
	v.Close()
	kv.Close()
	res.Close()
	rs.Close()
	if _, _, err := pass.Run(otlp.Traces, e.Buf, 0, noMemory{}); !errors.Is(err, errNoMemory) {
		t.Errorf("%v", err)
	}
}

var errNoMemory = errors.New("no memory")

// noMemory has nothing to reserve.
type noMemory struct{ otlpedit.Heap }

func (noMemory) Reserve(int) error { return errNoMemory }
