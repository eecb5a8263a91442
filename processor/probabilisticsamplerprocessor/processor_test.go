package probabilisticsamplerprocessor

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func processorOf(t testing.TB, text string, set component.Settings) pipeline.Processor {
	t.Helper()
	cfg := DefaultConfig()
	if err := testkit.Decode(t, text, &cfg); err != nil {
		t.Fatal(err)
	}
	p, err := New(cfg, set)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// id is a trace id with a randomness.
func id(randomness uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("12345678"), randomness)
}

func span(traceID []byte, state string, priority any) []byte {
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	s := ss.AddSpans()
	s.SetTraceID(traceID)
	s.SetTraceState(state)
	s.SetName("n")
	if priority != nil {
		attribute(s.AddAttributes(), "sampling.priority", priority)
	}
	s.Close()
	ss.Close()
	rs.Close()
	return e.Buf
}

func attribute(kv otlp.KeyValueBuilder, key string, value any) {
	kv.SetKey(key)
	v := kv.SetValue()
	switch value := value.(type) {
	case string:
		v.SetStringValue(value)
	case int:
		v.SetIntValue(int64(value))
	case float64:
		v.SetDoubleValue(value)
	}
	v.Close()
	kv.Close()
}

func record(traceID []byte, attributes ...any) []byte {
	var e otlp.Encoder
	rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
	sl := rl.AddScopeLogs()
	r := sl.AddLogRecords()
	r.SetTraceID(traceID)
	for i := 0; i < len(attributes); i += 2 {
		attribute(r.AddAttributes(), attributes[i].(string), attributes[i+1])
	}
	r.Close()
	sl.Close()
	rl.Close()
	return e.Buf
}

// sampled returns what becomes of the one item of a request: its tracestate or
// attributes, or "dropped".
func sampled(t testing.TB, config string, s otlp.Signal, request []byte) string {
	t.Helper()
	b, err := pipeline.NewBatch(s, bytes.Clone(request), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	out, err := processorOf(t, config, component.Settings{}).Process(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if out == nil {
		return "dropped"
	}
	if out != b {
		defer out.Release()
	}
	if n, err := otlp.Check(s, out.Bytes()); err != nil || n != out.Items() {
		t.Fatalf("%d items: %v", n, err)
	}
	for item := range otlp.Items(out.Bytes()) {
		if s == otlp.Traces {
			return string(otlp.Span(item).TraceState())
		}
		var texts []string
		for k, v := range otlp.Attributes(otlp.LogRecord(item).Attributes(), nil) {
			texts = append(texts, fmt.Sprintf("%s=%s", k, v.AppendText(nil)))
		}
		return strings.Join(texts, " ")
	}
	return ""
}

func TestSpans(t *testing.T) {
	t.Parallel()
	const low, high = 0x10000000000000, 0xf0000000000000
	for _, c := range []struct {
		config   string
		id       []byte
		state    string
		priority any
		want     string
	}{
		{"{mode: equalizing, sampling_percentage: 50}", id(high), "", nil, "ot=th:8"},
		{"{mode: equalizing, sampling_percentage: 50}", id(low), "", nil, "dropped"},
		{"{mode: equalizing, sampling_percentage: 50}", id(low), "ot=rv:c0000000000000", nil, "ot=rv:c0000000000000;th:8"},
		{"{mode: equalizing, sampling_percentage: 50}", id(high), "a=b,ot=th:c;k:v", nil, "ot=th:c;k:v,a=b"},
		{"{mode: equalizing, sampling_percentage: 25}", id(high), "ot=th:8", nil, "ot=th:c"},
		{"{mode: proportional, sampling_percentage: 50}", id(high), "ot=th:8", nil, "ot=th:c"},
		{"{mode: proportional, sampling_percentage: 50}", id(0xa0000000000000), "ot=th:8", nil, "dropped"},
		{"{mode: proportional, sampling_percentage: 100}", id(high), "", nil, "ot=th:0"},
		{"{mode: equalizing, sampling_percentage: 100}", id(low), "ot=th:8", nil, "dropped"}, // should not have arrived
		{"{mode: equalizing, sampling_percentage: 10, fail_closed: false}", id(low), "ot=th:8", nil, "ot=th:0"},
		{"{mode: equalizing, sampling_percentage: 10}", id(high), "bad", nil, "dropped"},
		{"{mode: equalizing, sampling_percentage: 10, fail_closed: false}", id(low), "bad", nil, "bad"},
		{"{mode: equalizing, sampling_percentage: 100}", nil, "", nil, "dropped"},
		{"{mode: equalizing, sampling_percentage: 100}", make([]byte, 16), "", nil, "dropped"},
		{"{mode: equalizing, sampling_percentage: 10, fail_closed: false}", nil, "", nil, "ot=th:0"},
		{"{sampling_percentage: 100}", []byte("0123456789abcdef"), "x=y", nil, "ot=rv:20c8022a8ab7cd;th:0,x=y"},
		{"{sampling_percentage: 100}", id(high), "ot=th:8", nil, "dropped"},
		{"{sampling_percentage: 10, fail_closed: false}", id(high), "ot=th:8", nil, "ot=th:8"},
		{"{sampling_percentage: 0}", id(high), "", nil, "dropped"},
		{"{}", id(high), "", nil, "dropped"},
		{"{sampling_percentage: 0}", id(high), "", 1, "ot=th:0"},
		{"{sampling_percentage: 0}", id(high), "", 0.5, "ot=th:0"},
		{"{sampling_percentage: 0}", id(high), "", "2", "ot=th:0"},
		{"{sampling_percentage: 0}", id(high), "", "high", "dropped"},
		{"{sampling_percentage: 0}", id(high), "", -1, "dropped"},
		{"{mode: equalizing, sampling_percentage: 100}", id(high), "", 0, "dropped"},
		{"{mode: equalizing, sampling_percentage: 10}", id(low), "ot=th:08", 1, "ot=th:08"}, // the ratio does not rise
	} {
		if got := sampled(t, c.config, otlp.Traces, span(c.id, c.state, c.priority)); got != c.want {
			t.Errorf("%s of %x with %q and priority %v: got %q, want %q", c.config, c.id, c.state, c.priority, got, c.want)
		}
	}
}

func TestLogRecords(t *testing.T) {
	t.Parallel()
	const low, high = 0x10000000000000, 0xf0000000000000
	for _, c := range []struct {
		config     string
		id         []byte
		attributes []any
		want       string
	}{
		{"{mode: equalizing, sampling_percentage: 50}", id(high), nil, "sampling.threshold=8"},
		{"{mode: equalizing, sampling_percentage: 50}", id(low), nil, "dropped"},
		{"{mode: equalizing, sampling_percentage: 50}", id(low), []any{"sampling.randomness", "c0000000000000"}, "sampling.randomness=c0000000000000 sampling.threshold=8"},
		{"{mode: proportional, sampling_percentage: 50}", id(high), []any{"sampling.threshold", "8", "a", "b"}, "sampling.threshold=c a=b"},
		{"{mode: equalizing, sampling_percentage: 50}", id(high), []any{"sampling.threshold", "no"}, "dropped"},
		{"{mode: equalizing, sampling_percentage: 50, fail_closed: false}", id(low), []any{"sampling.threshold", "no"}, "sampling.threshold=no"},
		{"{mode: equalizing, sampling_percentage: 50, fail_closed: false}", id(low), []any{"sampling.threshold", "8"}, "sampling.threshold=0"},
		{"{sampling_percentage: 100}", []byte("0123456789abcdef"), nil, "sampling.randomness=20c8022a8ab7cd sampling.threshold=0"},
		{"{sampling_percentage: 100}", nil, []any{"k", "v"}, "dropped"},
		{"{sampling_percentage: 100, from_attribute: k}", nil, []any{"k", "v"}, "k=v sampling.randomness=" + hashed("v") + " sampling.threshold=0"},
		{"{sampling_percentage: 100, from_attribute: k}", nil, []any{"k", 12}, "k=12 sampling.randomness=" + hashed("12") + " sampling.threshold=0"},
		{"{sampling_percentage: 100, from_attribute: k}", nil, []any{"k", ""}, "dropped"},
		{"{sampling_percentage: 100, from_attribute: k, attribute_source: record}", id(high), []any{"k", "v"}, "k=v sampling.randomness=" + hashed("v") + " sampling.threshold=0"},
		{"{sampling_percentage: 100, attribute_source: record}", id(high), nil, "dropped"},
		{"{sampling_percentage: 100}", id(high), []any{"sampling.threshold", "8"}, "dropped"},
		{"{sampling_percentage: 0, sampling_priority: p}", id(high), []any{"p", 100}, "p=100 sampling.threshold=0"},
		{"{mode: equalizing, sampling_percentage: 0, sampling_priority: p}", id(high), []any{"p", 50.0}, "p=50 sampling.threshold=8"},
		{"{mode: equalizing, sampling_percentage: 100, sampling_priority: p}", id(low), []any{"p", 50}, "dropped"},
		{"{sampling_percentage: 0, sampling_priority: p}", id(high), []any{"p", 0}, "dropped"},
		{"{sampling_percentage: 0, sampling_priority: p}", id(high), []any{"p", "100"}, "dropped"},
		{"{sampling_percentage: 0, sampling_priority: p}", id(high), []any{"p", 150}, "dropped"},
	} {
		if got := sampled(t, c.config, otlp.Logs, record(c.id, c.attributes...)); got != c.want {
			t.Errorf("%s of %x with %v: got %q, want %q", c.config, c.id, c.attributes, got, c.want)
		}
	}
}

func hashed(text string) string {
	return string(appendRandomness(nil, hashRandomness([]byte(text), 0)))
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"sampling_percentage: -1":    "sampling_percentage: expected 0 or more, found -1",
		"sampling_percentage: 1e-20": "sampling_percentage: expected 0, or at least",
		"sampling_percentage: .nan":  "sampling_percentage: expected a number",
		"sampling_precision: 0":      "sampling_precision: expected 1 to 14, found 0",
		"sampling_precision: 15":     "sampling_precision: expected 1 to 14, found 15",
		"attribute_source: traceid":  `attribute_source: expected traceID or record, found "traceid"`,
		"mode: hash":                 `mode: invalid value "hash": expected hash_seed, equalizing or proportional`,
		"hash_seed: -1":              "hash_seed",
	} {
		cfg := DefaultConfig()
		if err := testkit.Decode(t, text, &cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %q", text, err, want)
		}
	}
	if _, err := New(Config{}, component.Settings{}); err == nil {
		t.Error("a configuration without defaults was accepted")
	}
}

// Whatever comes in, it stays valid, items are counted, and the decisions too.
func TestAnyRequest(t *testing.T) {
	t.Parallel()
	for _, config := range []string{"sampling_percentage: 50", "{mode: equalizing, sampling_percentage: 30, fail_closed: false}", "{mode: proportional, sampling_percentage: 80, fail_closed: false}", "{sampling_percentage: 60, fail_closed: false, from_attribute: a, attribute_source: record}"} {
		for s := range deciders {
			meter := testkit.NewMeter()
			p := processorOf(t, config, component.Settings{Meter: meter})
			in, passed := 0, 0
			for seed := range uint64(60) {
				request := testkit.Request(rand.New(rand.NewPCG(seed, 5)), s, int(seed))
				b, err := pipeline.NewBatch(s, bytes.Clone(request), nil)
				if err != nil {
					t.Fatal(err)
				}
				out, err := p.Process(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(b.Bytes(), request) {
					t.Fatal("the original was written to")
				}
				in += b.Items()
				if out != nil {
					n, err := otlp.Check(s, out.Bytes())
					if err != nil || n != out.Items() || n > b.Items() {
						t.Fatalf("%d items of %d: %v", n, b.Items(), err)
					}
					passed += n
				}
				if out != nil && out != b {
					out.Release()
				}
				b.Release()
			}
			var dropped, sampled int
			for _, point := range meter.Points(t) {
				if point.Has("sampled=true") {
					sampled += int(point.Value)
				} else if point.Has("sampled=false") {
					dropped += int(point.Value)
				}
			}
			if sampled != passed || dropped+sampled != in {
				t.Errorf("%s, %s: %d items, %d passed on; counted %d and %d dropped", config, s, in, passed, sampled, dropped)
			}
		}
	}
}

func BenchmarkSpans(b *testing.B) {
	const n = 1000
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	r := rand.New(rand.NewPCG(1, 1))
	for range n {
		s := ss.AddSpans()
		s.SetTraceID(id(r.Uint64()))
		s.SetName("GET /api/v1/products/{id}")
		for _, key := range []string{"http.request.method", "url.path", "server.address", "user_agent.original"} {
			attribute(s.AddAttributes(), key, strings.Repeat("x", 60))
		}
		s.Close()
	}
	ss.Close()
	rs.Close()
	for _, config := range []string{"sampling_percentage: 10", "{mode: equalizing, sampling_percentage: 10}", "{mode: equalizing, sampling_percentage: 90}"} {
		b.Run(config, func(b *testing.B) {
			p := processorOf(b, config, component.Settings{})
			batch, err := pipeline.NewBatch(otlp.Traces, e.Buf, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer batch.Release()
			b.ReportAllocs()
			for b.Loop() {
				out, err := p.Process(context.Background(), batch)
				if err != nil {
					b.Fatal(err)
				}
				out.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/span")
		})
	}
}
