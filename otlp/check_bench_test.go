package otlp

import (
	"encoding/binary"
	"testing"
)

// spansRequest is n spans of about 437 bytes each.
func spansRequest(n int) []byte {
	var e Encoder
	req := AppendExportTraceServiceRequest(&e)
	rs := req.AddResourceSpans()
	res := rs.SetResource()
	str := func(kv KeyValueBuilder, k, v string) {
		kv.SetKey(k)
		a := kv.SetValue()
		a.SetStringValue(v)
		a.Close()
		kv.Close()
	}
	str(res.AddAttributes(), "service.name", "checkout")
	str(res.AddAttributes(), "k8s.pod.name", "checkout-7d9f8b6c5-x2x1z")
	res.Close()
	ss := rs.AddScopeSpans()
	sc := ss.SetScope()
	sc.SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
	sc.Close()
	for i := range n {
		sp := ss.AddSpans()
		id := make([]byte, 16)
		binary.BigEndian.PutUint64(id, uint64(i)*0x9E3779B97F4A7C15)
		sp.SetTraceID(id)
		sp.SetSpanID(id[:8])
		sp.SetParentSpanID(id[:8])
		sp.SetName("GET /api/v1/products/{id}")
		sp.SetKind(2)
		sp.SetStartTimeUnixNano(1700000000000000000 + uint64(i))
		sp.SetEndTimeUnixNano(1700000000001000000 + uint64(i))
		str(sp.AddAttributes(), "http.request.method", "GET")
		str(sp.AddAttributes(), "url.path", "/api/v1/products/OLJCESPC7Z")
		str(sp.AddAttributes(), "server.address", "frontend-proxy.shop.svc.cluster.local")
		str(sp.AddAttributes(), "user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0")
		kv := sp.AddAttributes()
		kv.SetKey("http.response.status_code")
		v := kv.SetValue()
		v.SetIntValue(200)
		v.Close()
		kv.Close()
		str(sp.AddAttributes(), "network.protocol.version", "1.1")
		str(sp.AddAttributes(), "net.peer.ip", "10.1.2.3")
		kv = sp.AddAttributes()
		kv.SetKey("net.peer.port")
		v = kv.SetValue()
		v.SetIntValue(54321)
		v.Close()
		kv.Close()
		st := sp.SetStatus()
		st.Close()
		sp.SetFlags(257)
		sp.Close()
	}
	ss.Close()
	rs.Close()
	req.Close()
	return e.Buf
}

func BenchmarkCheckTraces(b *testing.B) {
	req := spansRequest(1000)
	b.SetBytes(int64(len(req)))
	b.ReportAllocs()
	for b.Loop() {
		n, err := Check(Traces, req)
		if n != 1000 || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
}
