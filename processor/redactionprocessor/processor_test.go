package redactionprocessor

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func passOf(t testing.TB, text string) *otlpedit.Pass {
	t.Helper()
	cfg := DefaultConfig()
	if err := testkit.Decode(t, text, &cfg); err != nil {
		t.Fatal(err)
	}
	plan, err := cfg.plan()
	if err != nil {
		t.Fatal(err)
	}
	return otlpedit.NewPass(plan)
}

func value(v any) *commonpb.AnyValue {
	switch v := v.(type) {
	case string:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
	case int:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
	case []any:
		list := &commonpb.ArrayValue{}
		for _, e := range v {
			list.Values = append(list.Values, value(e))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: list}}
	case pairs:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: v.list()}}}
	}
	return nil
}

// pairs are keys and values, in turn.
type pairs []any

func (p pairs) list() (list []*commonpb.KeyValue) {
	for i := 0; i < len(p); i += 2 {
		list = append(list, &commonpb.KeyValue{Key: p[i].(string), Value: value(p[i+1])})
	}
	return list
}

// redacted returns the attributes and the body of a log record after the processor, or
// "unchanged".
func redacted(t testing.TB, config string, attributes pairs, body any) string {
	t.Helper()
	record := &logspb.LogRecord{TimeUnixNano: 1, Attributes: attributes.list(), Body: value(body), EventName: "e"}
	in, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{record}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	v, out, err := passOf(t, config).Run(otlp.Logs, in, 1, otlpedit.Heap{})
	if err != nil {
		t.Fatal(err)
	}
	if v == otlpedit.Keep {
		return "unchanged"
	}
	if _, err := otlp.Check(otlp.Logs, out); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for item := range otlp.Items(out) {
		r := otlp.LogRecord(item)
		for k, v := range otlp.Attributes(r.Attributes(), nil) {
			texts = append(texts, fmt.Sprintf("%s=%s", k, v.AppendText(nil)))
		}
		if body != nil {
			texts = append(texts, "| "+string(r.Body().Resolve(nil).AppendText(nil)))
		}
		if r.TimeUnixNano() != 1 || string(r.EventName()) != "e" {
			t.Errorf("other fields are gone: %x", item)
		}
	}
	return strings.Join(texts, " ")
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	sum := md5.Sum([]byte("secret"))
	mac := hmac.New(sha256.New, []byte("k1234567890123456789012345678901"))
	mac.Write([]byte("secret"))
	for _, c := range []struct {
		config string
		in     pairs
		want   string
	}{
		{"{}", pairs{"a", "x"}, ""},
		{"{}", pairs{}, "unchanged"},
		{"allow_all_keys: true", pairs{"a", "x"}, "unchanged"},
		{"allowed_keys: [a]", pairs{"a", "x", "b", 1, "a", "y", "c", ""}, "a=x a=y"},
		{"{allowed_keys: [a], summary: info}", pairs{"b", "x", "a", "x", "c", "y"}, "a=x redaction.redacted.count=2"},
		{"{allowed_keys: [a], summary: debug}", pairs{"c", "x", "a", "x", "b", "y"}, "a=x redaction.redacted.keys=b,c redaction.redacted.count=2"},
		{"{allowed_keys: [a], summary: debug}", pairs{"c", "x", "redaction.redacted.keys", "z", "redaction.redacted.count", 4}, "redaction.redacted.keys=c,z redaction.redacted.count=5"},
		{"{allowed_keys: [a], summary: silent}", pairs{"redaction.redacted.keys", "z"}, "unchanged"},
		{"{allowed_keys: [a], summary: debug}", pairs{"redaction.allowed.keys", "z"}, "redaction.redacted.keys=redaction.allowed.keys redaction.redacted.count=1"},
		{"{allow_all_keys: true, blocked_values: [se.ret]}", pairs{"a", "my secret", "b", "x", "c", "secretsecret"}, "a=my **** b=x c=********"},
		{"{allow_all_keys: true, blocked_values: [secret], hash_function: MD5}", pairs{"a", "my secret"}, "a=my " + hex.EncodeToString(sum[:])},
		{"{allow_all_keys: true, blocked_values: [secret], hash_function: hmac-sha256, hmac_key: k1234567890123456789012345678901}", pairs{"a", "my secret"}, "a=my " + hex.EncodeToString(mac.Sum(nil))},
		{"{allow_all_keys: true, blocked_values: ['1+'], summary: debug}", pairs{"a", 121, "b", "121"}, "a=121 b=****2**** redaction.masked.keys=b redaction.masked.count=1"},
		{"{allow_all_keys: true, blocked_values: ['1+'], redact_all_types: true}", pairs{"a", 121}, "a=****2****"},
		{"{allow_all_keys: true, blocked_values: [secret], allowed_values: [^my], summary: debug}", pairs{"a", "my secret", "b", "a secret"}, "a=my secret b=a **** redaction.masked.keys=b redaction.masked.count=1 redaction.allowed.keys=a redaction.allowed.count=1"},
		{"{allow_all_keys: true, blocked_key_patterns: [token]}", pairs{"my_token", "x\ny", "token", 7, "b", "x"}, "my_token=****\n**** token=**** b=x"},
		{"{allow_all_keys: true, blocked_key_patterns: [token], allowed_values: [^x]}", pairs{"token", "x"}, "unchanged"},
		{"{allowed_keys: [b], ignored_keys: [a], ignored_key_patterns: [^safe], blocked_values: [x], summary: debug}", pairs{"a", "x", "safe.b", "x", "b", "x"}, "a=x safe.b=x b=**** redaction.masked.keys=b redaction.masked.count=1 redaction.ignored.count=2"},
	} {
		if got := redacted(t, c.config, c.in, nil); got != c.want {
			t.Errorf("%s of %v:\ngot  %s\nwant %s", c.config, c.in, got, c.want)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	nested := pairs{"a", "secret", "b", pairs{"c", "my secret", "d", []any{"x", "secret", 5}}, "token", 7}
	for _, c := range []struct {
		config string
		body   any
		want   string
	}{
		{"{allow_all_keys: true, blocked_values: [secret]}", "a secret", "| a ****"},
		{"{allow_all_keys: true, blocked_values: [secret], summary: debug}", "a secret", "redaction.body.masked.keys=body redaction.body.masked.count=1 | a ****"},
		{"{allow_all_keys: true, blocked_values: [secret], allowed_values: [^a], summary: debug}", "a secret", "unchanged"},
		{"{allow_all_keys: true, blocked_values: ['[0-9]+']}", 42, "| ****"},
		{"{allow_all_keys: true, blocked_values: [none], summary: debug}", nested, "unchanged"},
		{"{allow_all_keys: true, blocked_values: [secret]}", nested, `| {"a":"****","b":{"c":"my ****","d":["x","****",5]},"token":7}`},
		{"{allow_all_keys: true, blocked_values: [secret], blocked_key_patterns: [tok], summary: debug}", nested,
			`redaction.body.masked.keys=a,b.c,b.d.[1],token redaction.body.masked.count=4 | {"a":"****","b":{"c":"my ****","d":["x","****",5]},"token":"****"}`},
		{"{allowed_keys: [a, b, d], ignored_keys: [token], allowed_values: [^x], summary: debug}", nested,
			`redaction.body.redacted.keys=b.c redaction.body.redacted.count=1 redaction.body.allowed.keys=b.d.[0] redaction.body.allowed.count=1 redaction.body.ignored.count=1 | {"a":"secret","b":{"d":["x","secret",5]},"token":7}`},
		{"{allow_all_keys: true, blocked_values: [secret], summary: info}", []any{"secret", []any{"secret"}}, `redaction.body.masked.count=2 | ["****",["****"]]`},
		{"{}", pairs{"a", 1}, `| {}`},
	} {
		if got := redacted(t, c.config, nil, c.body); got != c.want {
			t.Errorf("%s of %v:\ngot  %s\nwant %s", c.config, c.body, got, c.want)
		}
	}
	if got, want := redacted(t, "{allow_all_keys: true, blocked_values: ['^$']}", pairs{"a", "x"}, nil), "a=x"; got != want {
		t.Errorf("a body that is missing is masked as an empty text: got %s", got)
	}
}

// Resources, scopes, spans with their events, and data points are redacted.
func TestAllAttributesOfARequest(t *testing.T) {
	t.Parallel()
	for s := range items {
		p := passOf(t, "{allow_all_keys: true, blocked_values: ['x+'], redact_all_types: true}")
		changed := 0
		for seed := range int64(60) {
			r := testkit.NewRandom(seed)
			r.Words = []string{"x", "axb", "b", ""}
			in := r.Request(s)
			n, err := otlp.Check(s, in)
			if err != nil {
				t.Fatal(err)
			}
			v, out, err := p.Run(s, in, n, otlpedit.Heap{})
			if err != nil {
				t.Fatal(err)
			}
			if v == otlpedit.Keep {
				out = in
			} else {
				changed++
			}
			for g := range otlp.Groups(out) {
				for _, list := range []otlp.List[otlp.KeyValue]{g.Resource.Attributes(), g.Scope.Attributes()} {
					mustNotHave(t, list)
				}
				for item := range g.Items.All() {
					if s == otlp.Traces {
						mustNotHave(t, otlp.Span(item).Attributes())
						for e := range otlp.Span(item).Events().All() {
							mustNotHave(t, e.Attributes())
						}
					}
					if s == otlp.Logs {
						mustNotHave(t, otlp.LogRecord(item).Attributes())
						if text := otlp.LogRecord(item).Body().Resolve(nil).AppendText(nil); otlp.LogRecord(item).Body().Resolve(nil).Kind() == otlp.KindString && bytes.Contains(text, []byte("x")) {
							t.Fatalf("a body has %q", text)
						}
					}
				}
			}
		}
		if changed == 0 {
			t.Errorf("%s: no request was changed", s)
		}
	}
}

func mustNotHave(t *testing.T, list otlp.List[otlp.KeyValue]) {
	t.Helper()
	for k, v := range otlp.Attributes(list, nil) {
		if v.Kind() == otlp.KindString && bytes.Contains(v.Text(), []byte("x")) {
			t.Fatalf("%q is %q", k, v.Text())
		}
	}
}

// Whatever comes in stays valid, with all its items, also the unusual.
func TestAnyRequest(t *testing.T) {
	t.Parallel()
	for _, config := range []string{"{}", "{allow_all_keys: true, blocked_values: ['[a-e]'], redact_all_types: true, summary: debug}", "{allow_all_keys: true, blocked_key_patterns: ['[a-m]'], blocked_values: ['.*'], hash_function: sha1, summary: info}", "{allowed_keys: [http.route, a.4], blocked_values: [x], ignored_key_patterns: [^k8s], allowed_values: ['^[0-9]'], summary: debug}"} {
		p := passOf(t, config)
		for _, s := range otlp.Signals() {
			for seed := range uint64(60) {
				in := testkit.Request(rand.New(rand.NewPCG(seed, 9)), s, int(seed%20))
				before := bytes.Clone(in)
				n, err := otlp.Check(s, in)
				if err != nil {
					t.Fatal(err)
				}
				v, out, err := p.Run(s, in, n, otlpedit.Heap{})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(in, before) {
					t.Fatal("the original was written to")
				}
				if v == otlpedit.Keep {
					continue
				}
				if m, err := otlp.Check(s, out); err != nil || m != n {
					t.Fatalf("%s, %s: %d items of %d: %v", config, s, m, n, err)
				}
			}
		}
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"blocked_values: ['(']":                            "blocked_values: error parsing regexp",
		"allowed_values: ['(']":                            "allowed_values: error parsing regexp",
		"ignored_key_patterns: ['(']":                      "ignored_key_patterns: error parsing regexp",
		"blocked_key_patterns: ['(']":                      "blocked_key_patterns: error parsing regexp",
		"hash_function: sha2":                              `hash_function: invalid value "sha2": expected sha1`,
		"hash_function: hmac-sha256":                       "hmac_key: hmac-sha256 needs a key of 32 bytes or more, found one of 0",
		"{hash_function: HMAC-SHA512, hmac_key: short}":    "hmac_key: hmac-sha512 needs a key of 64 bytes or more, found one of 5",
		"url_sanitizer: {enabled: true}":                   "url_sanitizer.enabled: url_sanitizer is not available here",
		"db_sanitizer: {sql: {enabled: true}}":             "db_sanitizer.sql.enabled: db_sanitizer is not available here",
		"db_sanitizer: {sql: {attributes: [a]}, other: 1}": "unknown key",
	} {
		cfg := DefaultConfig()
		if err := testkit.Decode(t, text, &cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %q", text, err, want)
		}
	}
	if _, err := New(Config{URLSanitizer: URLSanitizer{Enabled: true}}, component.Settings{}); err == nil {
		t.Error("a sanitizer that is not available was accepted")
	}
}

var errNoMemory = errors.New("no memory")

// noMemory has nothing to reserve.
type noMemory struct{ otlpedit.Heap }

func (noMemory) Reserve(int) error { return errNoMemory }

// Memory for what becomes large is asked for.
func TestMemoryIsAskedFor(t *testing.T) {
	t.Parallel()
	for config, in := range map[string]pairs{
		"{allow_all_keys: true, blocked_values: [x]}":                         {"a", strings.Repeat("x", 1<<20)},
		"{allow_all_keys: true, blocked_key_patterns: [a]}":                   {"a", strings.Repeat("x", 1<<20)},
		"{allow_all_keys: true, blocked_values: [x], redact_all_types: true}": {"a", []any{strings.Repeat("x", 1<<20)}},
		"{summary: debug}": {strings.Repeat("k", 1<<20), "x"},
	} {
		record, err := proto.Marshal(&logspb.LogRecord{Attributes: in.list()})
		if err != nil {
			t.Fatal(err)
		}
		var e otlp.Encoder
		rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
		rl.Close()
		request := wrap(otlpfield.RequestResources, wrap(otlpfield.ResourceXScopes, wrap(otlpfield.ScopeXItems, record)))
		if _, _, err := passOf(t, config).Run(otlp.Logs, request, 1, noMemory{}); !errors.Is(err, errNoMemory) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

func wrap(num uint32, m []byte) []byte {
	var w otlpedit.Writer
	w.Bytes(num, m)
	return bytes.Clone(w.Written())
}

func TestNothingIsAllocatedWhereNothingIsMasked(t *testing.T) {
	if strict {
		t.Skip("builds with the tag poison, or with the race detector, allocate on their own")
	}
	cfg := DefaultConfig()
	if err := testkit.Decode(t, "{allowed_keys: [k0, k1, k2], ignored_key_patterns: [2$], allowed_values: ['^never'], blocked_values: ['4[0-9]{12}', '@'], summary: info}", &cfg); err != nil {
		t.Fatal(err)
	}
	p, err := New(cfg, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var counts []float64
	for _, n := range []int{1, 1000} {
		var records []*logspb.LogRecord
		for range n {
			records = append(records, &logspb.LogRecord{Body: value(pairs{"k0", "v", "k1", []any{"x", 1}}), Attributes: pairs{"k0", "a value", "k1", 7, "k2", "x", "removed", "y"}.list()})
		}
		in, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}}}}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := pipeline.NewBatch(otlp.Logs, in, nil)
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, testing.AllocsPerRun(20, func() {
			out, err := p.Process(context.Background(), b)
			if err != nil {
				t.Error(err)
			}
			if out != b {
				out.Release()
			}
		}))
		b.Release()
	}
	if counts[1] > counts[0]+2 {
		t.Errorf("%v allocations with 1 and 1000 records", counts)
	}
}
