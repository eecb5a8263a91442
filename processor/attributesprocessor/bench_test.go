package attributesprocessor

import (
	"context"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// logs is a request with n log records of 424 bytes, each with 8 attributes.
func logs(n int) []byte {
	var e otlp.Encoder
	rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
	res := rl.SetResource()
	text(res.AddAttributes(), "service.name", "cart")
	res.Close()
	sl := rl.AddScopeLogs()
	for i := range n {
		r := sl.AddLogRecords()
		r.SetTimeUnixNano(1_700_000_000_000_000_000 + uint64(i))
		r.SetObservedTimeUnixNano(1_700_000_000_000_100_000 + uint64(i))
		r.SetSeverityNumber(otlp.SeverityNumberInfo)
		r.SetSeverityText("INFO")
		body := r.SetBody()
		body.SetStringValue("Order confirmation email sent to the customer after the payment was authorized; 3 items, 2 addresses")
		body.Close()
		text(r.AddAttributes(), "http.method", "POST")
		text(r.AddAttributes(), "http.url", "https://shop.example.com/api/checkout/7f3c91a")
		text(r.AddAttributes(), "http.status_code", "200")
		text(r.AddAttributes(), "net.peer.ip", "10.1.22.33")
		text(r.AddAttributes(), "code.function", "sendOrderConfirmation")
		text(r.AddAttributes(), "thread.name", "worker-17")
		text(r.AddAttributes(), "order.id", "0198c7aa-1f50")
		text(r.AddAttributes(), "currency", "CHF")
		r.SetTraceID([]byte("0123456789abcdef"))
		r.SetSpanID([]byte("01234567"))
		r.SetFlags(1)
		r.Close()
	}
	sl.Close()
	rl.Close()
	return e.Buf
}

func text(kv otlp.KeyValueBuilder, key, value string) {
	kv.SetKey(key)
	v := kv.SetValue()
	v.SetStringValue(value)
	v.Close()
	kv.Close()
}

// renames are actions that rename n attributes of logs.
func renames(n int) (actions []attraction.Action) {
	for _, names := range [][2]string{
		{"http.method", "http.request.method"}, {"http.url", "url.full"},
		{"http.status_code", "http.response.status_code"}, {"net.peer.ip", "network.peer.address"},
	}[:n] {
		actions = append(actions,
			attraction.Action{Key: names[1], FromAttribute: names[0], Action: "upsert"},
			attraction.Action{Key: names[0], Action: "delete"})
	}
	return actions
}

// BenchmarkLogs edits 1000 log records.
func BenchmarkLogs(b *testing.B) {
	const n = 1000
	request := logs(n)
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"rename four", Config{Actions: renames(4)}},
		{"rename one", Config{Actions: renames(1)}},
		{"insert one", Config{Actions: []attraction.Action{{Key: "env", Value: "prod", Action: "insert"}}}},
		{"update one", Config{Actions: []attraction.Action{{Key: "http.method", Value: "GET", Action: "update"}}}},
		{"delete by pattern", Config{Actions: []attraction.Action{{Pattern: "^http", Action: "delete"}}}},
		{"nothing to do", Config{Actions: []attraction.Action{{Key: "env", Action: "delete"}}}},
		{"hash one", Config{Actions: []attraction.Action{{Key: "net.peer.ip", Action: "hash"}}}},
		{"rename four of included", Config{Include: &match.Properties{MatchType: "strict", Attributes: []match.Attribute{{Key: "currency", Value: "CHF"}}}, Actions: renames(4)}},
		{"excluded by a pattern", Config{Exclude: &match.Properties{MatchType: "regexp", LogBodies: []string{"^Order"}}, Actions: renames(4)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, err := New(c.cfg, component.Settings{Signal: otlp.Logs})
			if err != nil {
				b.Fatal(err)
			}
			chain := pipeline.Chain(pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return nil }), pipeline.Step{Name: "attributes", Processor: p})
			batch, err := pipeline.NewBatch(otlp.Logs, request, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer batch.Release()
			b.SetBytes(int64(len(request)))
			b.ReportAllocs()
			for b.Loop() {
				if err := chain.Consume(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/log")
		})
	}
}

func TestLogsAreOfTheSizeTheFiguresName(t *testing.T) {
	t.Parallel()
	if per := (len(logs(1001)) - len(logs(1))) / 1000; per != 424 {
		t.Errorf("a log record takes %d bytes, expected 424", per)
	}
}
