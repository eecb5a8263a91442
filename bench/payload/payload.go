// Package payload builds the requests of the benchmarks: the same bytes for all
// programs.
package payload

import (
	"encoding/binary"
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Of returns a request of signal s with n items of typical content.
func Of(s otlp.Signal, n int) []byte {
	return [...]func(int) []byte{otlp.Traces: Traces, otlp.Metrics: Metrics, otlp.Logs: Logs, otlp.Profiles: Profiles}[s](n)
}

// Traces returns a request of n spans of 437 bytes each, like those of an HTTP
// server with the usual attributes.
func Traces(n int) []byte {
	var e otlp.Encoder
	req := otlp.AppendExportTraceServiceRequest(&e)
	rs := req.AddResourceSpans()
	res := rs.SetResource()
	resource(res)
	ss := rs.AddScopeSpans()
	scope(ss.SetScope())
	for i := range n {
		sp := ss.AddSpans()
		id := ids(i)
		sp.SetTraceID(id)
		sp.SetSpanID(id[:8])
		sp.SetParentSpanID(id[8:])
		sp.SetName("GET /api/v1/products/{id}")
		sp.SetKind(otlp.SpanKindServer)
		sp.SetStartTimeUnixNano(start + uint64(i)*1000)
		sp.SetEndTimeUnixNano(start + uint64(i)*1000 + 1_234_567)
		text(sp.AddAttributes(), "http.request.method", "GET")
		text(sp.AddAttributes(), "url.path", "/api/v1/products/OLJCESPC7Z")
		text(sp.AddAttributes(), "server.address", "frontend-proxy.shop.svc.cluster.local")
		text(sp.AddAttributes(), "user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0 Safari/53")
		number(sp.AddAttributes(), "http.response.status_code", 200)
		text(sp.AddAttributes(), "network.protocol.version", "1.1")
		text(sp.AddAttributes(), "client.address", "10.1.22.33")
		number(sp.AddAttributes(), "network.peer.port", 54321)
		sp.SetStatus().Close()
		sp.SetFlags(257)
		sp.Close()
	}
	ss.Close()
	rs.Close()
	req.Close()
	return e.Buf
}

// Metrics returns a request of n data points, half sums and half histograms.
func Metrics(n int) []byte {
	var e otlp.Encoder
	req := otlp.AppendExportMetricsServiceRequest(&e)
	rm := req.AddResourceMetrics()
	res := rm.SetResource()
	resource(res)
	sm := rm.AddScopeMetrics()
	scope(sm.SetScope())
	m := sm.AddMetrics()
	m.SetName("http.server.active_requests")
	sum := m.SetSum()
	sum.SetAggregationTemporality(otlp.AggregationTemporalityCumulative)
	for i := range n / 2 {
		p := sum.AddDataPoints()
		text(p.AddAttributes(), "http.request.method", "GET")
		text(p.AddAttributes(), "http.route", fmt.Sprintf("/api/v1/products/%d", i%50))
		p.SetStartTimeUnixNano(start)
		p.SetTimeUnixNano(start + uint64(i))
		p.SetAsInt(int64(i))
		p.Close()
	}
	sum.Close()
	m.Close()
	m = sm.AddMetrics()
	m.SetName("http.server.request.duration")
	m.SetUnit("s")
	h := m.SetHistogram()
	h.SetAggregationTemporality(otlp.AggregationTemporalityCumulative)
	for i := range n - n/2 {
		p := h.AddDataPoints()
		text(p.AddAttributes(), "http.request.method", "GET")
		text(p.AddAttributes(), "http.route", fmt.Sprintf("/api/v1/products/%d", i%50))
		p.SetStartTimeUnixNano(start)
		p.SetTimeUnixNano(start + uint64(i))
		p.SetCount(1000)
		p.SetSum(12.5)
		p.AddBucketCounts(1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
		p.AddExplicitBounds(.005, .01, .025, .05, .1, .25, .5, 1, 2.5)
		p.Close()
	}
	h.Close()
	m.Close()
	sm.Close()
	rm.Close()
	req.Close()
	return e.Buf
}

// Logs returns a request of n records.
func Logs(n int) []byte {
	var e otlp.Encoder
	req := otlp.AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	res := rl.SetResource()
	resource(res)
	sl := rl.AddScopeLogs()
	scope(sl.SetScope())
	for i := range n {
		r := sl.AddLogRecords()
		r.SetTimeUnixNano(start + uint64(i))
		r.SetSeverityNumber(otlp.SeverityNumberInfo)
		r.SetSeverityText("INFO")
		b := r.SetBody()
		b.SetStringValue(fmt.Sprintf("request %d handled in 12 ms: GET /api/v1/products/OLJCESPC7Z", i))
		b.Close()
		text(r.AddAttributes(), "code.function.name", "handleProduct")
		text(r.AddAttributes(), "thread.name", "http-nio-8080-exec-7")
		id := ids(i)
		r.SetTraceID(id)
		r.SetSpanID(id[:8])
		r.Close()
	}
	sl.Close()
	rl.Close()
	req.Close()
	return e.Buf
}

// Profiles returns a request of n samples over a shared dictionary, with stacks
// of 20 frames.
func Profiles(n int) []byte {
	const frames, functions = 20, 400
	var e otlp.Encoder
	req := otlp.AppendExportProfilesServiceRequest(&e)
	rp := req.AddResourceProfiles()
	res := rp.SetResource()
	resource(res)
	sp := rp.AddScopeProfiles()
	scope(sp.SetScope())
	p := sp.AddProfiles()
	for i := range n {
		s := p.AddSamples()
		s.SetStackIndex(int32(i%functions) + 1)
		s.AddAttributeIndices(1, int32(i%4)+2)
		s.AddTimestampsUnixNano(start + uint64(i)*1_000_000)
		s.Close()
	}
	p.SetTimeUnixNano(start)
	p.SetDurationNano(uint64(n+1) * 1_000_000)
	p.Close()
	sp.Close()
	rp.Close()
	d := req.SetDictionary()
	d.AddMappingTable().Close()
	d.AddLocationTable().Close()
	d.AddFunctionTable().Close()
	d.AddLinkTable().Close()
	d.AddStringTable("")
	d.AddAttributeTable().Close()
	d.AddStackTable().Close()
	for i := range functions {
		d.AddStringTable(fmt.Sprintf("github.com/example/shop/internal/checkout.(*Service).step%03d", i))
		f := d.AddFunctionTable()
		f.SetNameStrindex(int32(i) + 1)
		f.Close()
		l := d.AddLocationTable()
		l.SetAddress(uint64(0x400000 + i*64))
		line := l.AddLines()
		line.SetFunctionIndex(int32(i) + 1)
		line.SetLine(int64(i) + 10)
		line.Close()
		l.Close()
		var stack [frames]int32
		for j := range stack {
			stack[j] = int32((i+j*7)%functions) + 1
		}
		st := d.AddStackTable()
		st.AddLocationIndices(stack[:]...)
		st.Close()
	}
	d.AddStringTable("thread.id")
	for i := range 5 {
		a := d.AddAttributeTable()
		a.SetKeyStrindex(functions + 1)
		v := a.SetValue()
		v.SetIntValue(int64(i))
		v.Close()
		a.Close()
	}
	d.Close()
	req.Close()
	return e.Buf
}

const start = 1_790_000_000_000_000_000

func ids(i int) []byte {
	id := make([]byte, 16)
	binary.BigEndian.PutUint64(id, uint64(i+1)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(id[8:], uint64(i+1)*0xC2B2AE3D27D4EB4F)
	return id
}

func resource(r otlp.ResourceBuilder) {
	text(r.AddAttributes(), "service.name", "checkout")
	text(r.AddAttributes(), "service.version", "2.14.0")
	text(r.AddAttributes(), "k8s.pod.name", "checkout-7d9f8b6c5-x2x1z")
	text(r.AddAttributes(), "k8s.namespace.name", "shop")
	r.Close()
}

func scope(s otlp.InstrumentationScopeBuilder) {
	s.SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
	s.SetVersion("0.64.0")
	s.Close()
}

func text(kv otlp.KeyValueBuilder, k, v string) {
	kv.SetKey(k)
	a := kv.SetValue()
	a.SetStringValue(v)
	a.Close()
	kv.Close()
}

func number(kv otlp.KeyValueBuilder, k string, v int64) {
	kv.SetKey(k)
	a := kv.SetValue()
	a.SetIntValue(v)
	a.Close()
	kv.Close()
}
