package ottl

import (
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

func BenchmarkStatements(b *testing.B) {
	attrs := []string{"http.request.method", "GET", "url.path", "/api/v1/carts/items", "http.response.status_code", "200", "server.address", "shop.example.com",
		"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)", "client.address", "203.0.113.77", "thread.name", "worker-17", "log.iostream", "stdout"}
	request := logs(1000, attrs...)
	items, _ := otlp.Check(otlp.Logs, request)
	for _, c := range []struct {
		name string
		do   []string
	}{
		{"rename four", []string{
			`set(attributes["http.method"], attributes["http.request.method"])`, `delete_key(attributes, "http.request.method")`,
			`set(attributes["http.target"], attributes["url.path"])`, `delete_key(attributes, "url.path")`,
			`set(attributes["http.status"], attributes["http.response.status_code"])`, `delete_key(attributes, "http.response.status_code")`,
			`set(attributes["host"], attributes["server.address"])`, `delete_key(attributes, "server.address")`}},
		{"one that does not apply", []string{`set(attributes["x"], 1) where attributes["http.request.method"] == "POST"`}},
		{"set one", []string{`set(attributes["x"], "y")`}},
	} {
		b.Run(c.name, func(b *testing.B) {
			plans := plansFor(b, "log", c.do...)
			p := otlpedit.NewPass(plans[0])
			mem := &testkit.ReusedMemory{}
			b.SetBytes(int64(len(request)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := p.Run(otlp.Logs, request, items, mem); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Logf("%d bytes an item", len(request)/1000)
}
