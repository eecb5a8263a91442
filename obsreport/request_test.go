package obsreport

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock-telemetry/penstock/otlp"
)

// The text and outcome of each reason, in full: dashboards use both.
var reasons = map[Reason]struct{ name, outcome string }{
	ReasonNone:       {"none", "success"},
	ReasonNotFound:   {"not_found", "refused"},
	ReasonMethod:     {"method", "refused"},
	ReasonCORS:       {"cors", "refused"},
	ReasonMediaType:  {"media_type", "refused"},
	ReasonEncoding:   {"encoding", "refused"},
	ReasonAuth:       {"auth", "refused"},
	ReasonAdmission:  {"admission", "refused"},
	ReasonTooLarge:   {"too_large", "refused"},
	ReasonBrokenOff:  {"broken_off", "failure"},
	ReasonDecompress: {"decompress", "refused"},
	ReasonDecode:     {"decode", "refused"},
	ReasonShutdown:   {"shutdown", "refused"},
	ReasonPipeline:   {"pipeline", "refused"},
	ReasonInternal:   {"internal", "failure"},
	reasonCount + 7:  {"internal", "failure"}, // not one of the constants
}

func TestReasons(t *testing.T) {
	t.Parallel()
	if len(reasons) != int(reasonCount)+1 {
		t.Fatalf("%d reasons here, %d in the package", len(reasons)-1, reasonCount)
	}
	for why, want := range reasons {
		b := newBench(t, "otlp", "http")
		b.Begin()
		b.Done(t.Context(), Request{Signal: otlp.Logs, Format: "json", Reason: why})
		const tags = "format=json,%s=%s,receiver=otlp,signal=logs,transport=http"
		done := map[string]int64{}
		for _, o := range []string{"success", "refused", "failure"} {
			done[fmt.Sprintf(tags, "outcome", o)] = 0
		}
		done[fmt.Sprintf(tags, "outcome", want.outcome)] = 1
		var refused map[string]int64
		if want.outcome != "success" {
			refused = map[string]int64{fmt.Sprintf("format=json,reason=%s,receiver=otlp,signal=logs,transport=http", want.name): 1}
		}
		got := b.collect(t)
		if diff := cmp.Diff(done, got["otelcol_receiver_requests"].Values); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", why, diff)
		}
		if diff := cmp.Diff(refused, got["otelcol_receiver_refused_requests"].Values); diff != "" {
			t.Errorf("%s: refused requests (-want +got):\n%s", why, diff)
		}
		if why.String() != want.name {
			t.Errorf("%d has the name %q, want %q", why, why, want.name)
		}
	}
}

// A request is counted with its signal and format as far as they are known.
func TestRequestsBySignalAndFormat(t *testing.T) {
	t.Parallel()
	b := newBench(t, "otlp", "grpc")
	want := map[string]int64{}
	n := int64(0)
	signals := otlp.Signals()
	for _, s := range append(signals[:], 0, 77) {
		for _, f := range []string{"protobuf", "json", "", "yaml"} {
			signal, format := s.String(), f
			if !s.Valid() {
				signal = "unknown"
			}
			if f == "" || f == "yaml" {
				format = "unknown"
			}
			n++
			for range n {
				b.Begin()
				b.Done(t.Context(), Request{Signal: s, Format: f})
			}
			for _, o := range outcomeNames {
				want[fmt.Sprintf("format=%s,outcome=%s,receiver=otlp,signal=%s,transport=grpc", format, o, signal)] += 0
			}
			want[fmt.Sprintf("format=%s,outcome=success,receiver=otlp,signal=%s,transport=grpc", format, signal)] += n
		}
	}
	if diff := cmp.Diff(want, b.collect(t)["otelcol_receiver_requests"].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOddRequests(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]func(bench, otlp.Signal){
		"invalid_utf8": func(b bench, s otlp.Signal) { b.InvalidUTF8(t.Context(), s, "protobuf") },
		"unrecognized": func(b bench, s otlp.Signal) { b.Unrecognized(t.Context(), s, "protobuf") },
	} {
		testOddRequests(t, "otelcol_receiver_"+name+"_requests", count)
	}
}

func testOddRequests(t *testing.T, metric string, count func(bench, otlp.Signal)) {
	for _, s := range otlp.Signals() {
		b := newBench(t, "otlp", "grpc")
		tags := fmt.Sprintf("format=protobuf,receiver=otlp,signal=%s,transport=grpc", s)
		for n := range int64(3) {
			if n == 0 {
				b.Begin()
				b.Done(t.Context(), Request{Signal: s, Format: "protobuf"}) // the series exists from here on
			} else {
				count(b, s)
			}
			if diff := cmp.Diff(map[string]int64{tags: n}, b.collect(t)[metric].Values); diff != "" {
				t.Errorf("%s after %d (-want +got):\n%s", metric, n, diff)
			}
		}
	}
}

func TestHTTPHistograms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		q    Request
		want string
	}{
		{Request{Method: "POST", Route: "/in/traces", Status: 200}, "http.request.method=POST,http.response.status_code=200,http.route=/in/traces"},
		{Request{Method: "POST", Route: "/v1/traces", Status: 404, Reason: ReasonNotFound}, "http.request.method=POST,http.response.status_code=404"}, // not a route of this receiver
		{Request{Method: "GET", Route: "/etc/passwd", Status: 404, Reason: ReasonNotFound}, "http.request.method=GET,http.response.status_code=404"},
		{Request{Method: "BREW", Route: "/in/logs", Status: 405, Reason: ReasonMethod}, "http.request.method=_OTHER,http.response.status_code=405,http.route=/in/logs"},
		{Request{Method: "post", Route: "/in/logs", Status: 200}, "http.request.method=_OTHER,http.response.status_code=200,http.route=/in/logs"},
		{Request{Method: "POST", Route: "/in/logs", Reason: ReasonBrokenOff}, "http.request.method=POST,http.route=/in/logs"},
		{Request{Method: "POST", Route: "/in/logs", Status: 99999}, "http.request.method=POST,http.route=/in/logs"},
	} {
		b := bench{reader: sdkmetric.NewManualReader()}
		var err error
		b.Receiver, err = NewReceiver("otlp", "http", tracenoop.NewTracerProvider(),
			sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), true, "/in/traces", "/in/logs")
		if err != nil {
			t.Fatal(err)
		}
		c.q.Began, c.q.WireBytes, c.q.Protocol = time.Now(), 7, "HTTP/1.1"
		c.q.Local = netip.MustParseAddrPort("[::1]:4318")
		b.Begin()
		b.Done(t.Context(), c.q)
		got := b.collect(t)
		want := map[string]int64{c.want + ",network.protocol.name=http,network.protocol.version=1.1,receiver=otlp,server.address=::1,server.port=4318,url.scheme=http": 1}
		for _, name := range []string{"http.server.request.duration", "http.server.request.body.size"} {
			if diff := cmp.Diff(want, got[name].Values); diff != "" {
				t.Errorf("%+v: %s (-want +got):\n%s", c.q, name, diff)
			}
		}
		if c.q.Status == 0 {
			want = nil // nothing was answered
		}
		if diff := cmp.Diff(want, got["http.server.response.body.size"].Values); diff != "" {
			t.Errorf("%+v: response (-want +got):\n%s", c.q, diff)
		}
	}
}

// The version of the protocol is one of three, and a unix socket has no address.
func TestHTTPProtocols(t *testing.T) {
	t.Parallel()
	for proto, want := range map[string]string{
		"HTTP/1.0": "network.protocol.name=http,network.protocol.version=1.0",
		"HTTP/2.0": "network.protocol.name=http,network.protocol.version=2.0",
		"HTTP/7.3": "network.protocol.name=http",
		"":         "network.protocol.name=http",
	} {
		b := newBench(t, "otlp", "http")
		b.Begin()
		b.Done(t.Context(), Request{Method: "POST", Status: 200, Protocol: proto, TLS: true, ResponseBytes: 5})
		want := map[string]int64{"http.request.method=POST,http.response.status_code=200," + want + ",receiver=otlp,url.scheme=https": 1}
		if diff := cmp.Diff(want, b.collect(t)["http.server.response.body.size"].Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", proto, diff)
		}
	}
}

// The default routes are the paths of the protocol.
func TestDefaultRoutes(t *testing.T) {
	t.Parallel()
	b := newBench(t, "otlp", "http")
	want := map[string]int64{}
	for _, s := range otlp.Signals() {
		for _, path := range append([]string{s.Spec().Path}, s.Spec().Aliases...) {
			b.Begin()
			b.Done(t.Context(), Request{Signal: s, Method: "POST", Route: path, Status: 200})
			want["http.request.method=POST,http.response.status_code=200,http.route="+path+",network.protocol.name=http,receiver=otlp,url.scheme=http"] = 1
		}
	}
	if diff := cmp.Diff(want, b.collect(t)["http.server.request.body.size"].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRPCHistograms(t *testing.T) {
	t.Parallel()
	codes := []string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"} // google.golang.org/grpc/codes, from 0
	b := newBench(t, "otlp", "grpc")
	want := map[string]int64{}
	signals := otlp.Signals()
	for _, s := range append(signals[:], 0, 9) {
		method := "_OTHER"
		if s.Valid() {
			method = s.Spec().Service + "/Export"
		}
		for _, status := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, -1, 200} {
			code := "UNKNOWN"
			if status >= 0 && status < len(codes) {
				code = codes[status]
			}
			b.Begin()
			b.Done(t.Context(), Request{Signal: s, Format: "protobuf", Status: status, Bytes: 7, Began: time.Now()})
			failed := ""
			switch code {
			case "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS":
				failed = "error.type=" + code + ","
			}
			want[failed+"receiver=otlp,rpc.method="+method+",rpc.response.status_code="+code+",rpc.system.name=grpc"]++
		}
	}
	got := b.collect(t)
	for _, name := range []string{"rpc.server.call.duration", "rpc.server.request.size"} {
		if diff := cmp.Diff(want, got[name].Values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The recorded values, and their buckets.
func TestHistogramValues(t *testing.T) {
	t.Parallel()
	for transport, names := range map[string]struct {
		duration, size string
		bytes          int64
	}{
		"http": {"http.server.request.duration", "http.server.request.body.size", 100}, // compressed
		"grpc": {"rpc.server.call.duration", "rpc.server.request.size", 5000},          // decompressed
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "otlp", transport)
			b.Begin()
			began := time.Now()
			time.Sleep(30 * time.Millisecond)
			b.Done(t.Context(), Request{Signal: otlp.Traces, Began: began, WireBytes: 100, Bytes: 5000})
			b.Begin()
			b.Done(t.Context(), Request{Reason: ReasonAuth}) // no body and no begin: in neither
			var rm metricdata.ResourceMetrics
			if err := b.reader.Collect(t.Context(), &rm); err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, m := range rm.ScopeMetrics[0].Metrics {
				switch data := m.Data.(type) {
				case metricdata.Histogram[float64]:
					seen++
					p := data.DataPoints[0]
					if m.Name != names.duration || len(data.DataPoints) != 1 || p.Count != 1 || p.Sum != 0.03 {
						t.Errorf("%s is %+v, want one of 0.03 s in %s", m.Name, data.DataPoints, names.duration)
					}
					if at := slices.Index(p.BucketCounts, 1); p.Bounds[at-1] != 0.025 || p.Bounds[at] != 0.05 {
						t.Errorf("30 ms is in bucket %d of %v", at, p.Bounds)
					}
					if p.Bounds[0] != 5e-6 || p.Bounds[len(p.Bounds)-1] != 60 || !slices.IsSorted(p.Bounds) {
						t.Errorf("boundaries %v, want 5 µs to 60 s", p.Bounds)
					}
				case metricdata.Histogram[int64]:
					seen++
					p := data.DataPoints[0]
					if m.Name != names.size || len(data.DataPoints) != 1 || p.Count != 1 || p.Sum != names.bytes {
						t.Errorf("%s is %+v, want one of %d bytes in %s", m.Name, data.DataPoints, names.bytes, names.size)
					}
					if p.Bounds[0] != 64 || p.Bounds[len(p.Bounds)-1] != 64<<20 || !slices.IsSorted(p.Bounds) {
						t.Errorf("boundaries %v, want 64 B to 64 MiB", p.Bounds)
					}
				}
			}
			if seen != 2 {
				t.Errorf("%s: %d histograms, want 2", transport, seen)
			}
		})
	}
}

// The number of series is bounded, whatever clients send.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, "otlp", "http")
	const requests = 600 * 10 * 2
	for status := range 600 {
		for _, method := range methodNames {
			for _, route := range []string{"/v1/logs", "/" + method} {
				b.Begin()
				b.Done(t.Context(), Request{Method: method, Route: route, Status: status, Format: method})
			}
		}
	}
	got := b.collect(t)
	sizes := got["http.server.request.body.size"].Values
	if len(sizes) != maxSets {
		t.Errorf("%d series, want %d", len(sizes), maxSets)
	}
	total := int64(0)
	for _, n := range sizes {
		total += n
	}
	if rest := sizes["otel.metric.overflow=true,receiver=otlp"]; total != requests || rest == 0 {
		t.Errorf("%d requests in the series, %d of them in the last one; want %d", total, rest, requests)
	}
	if n := len(got["otelcol_receiver_requests"].Values); n != 3 {
		t.Errorf("%d series of requests, want one for each outcome", n)
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t, "otlp", "grpc")
	gauge := func(name string) int64 {
		t.Helper()
		values := b.collect(t)[name].Values
		n, ok := values["receiver=otlp,transport=grpc"]
		if len(values) != 1 || !ok {
			t.Fatalf("%s: %v, want one series", name, values)
		}
		return n
	}
	for want := range int64(3) {
		if n := gauge("otelcol_receiver_active_connections"); n != want {
			t.Errorf("%d connections are open, want %d", n, want)
		}
		b.ConnOpened()
		b.Begin()
	}
	b.ConnClosed()
	if n := gauge("otelcol_receiver_active_connections"); n != 2 {
		t.Errorf("%d connections are open, want 2", n)
	}
	if n := gauge("otelcol_receiver_active_requests"); n != 3 {
		t.Errorf("%d requests are active, want 3", n)
	}
	want := map[string]int64{}
	for i, name := range []string{"limit", "handshake", "protocol", "timeout", "abuse"} {
		want["reason="+name+",receiver=otlp,transport=grpc"] = int64(i)
		for range i {
			b.ConnRefused(ConnReason(i))
		}
		if got := ConnReason(i).String(); got != name {
			t.Errorf("%d has the name %q, want %q", i, got, name)
		}
	}
	b.ConnRefused(connReasonCount + 3) // not one of the constants
	want["reason=protocol,receiver=otlp,transport=grpc"]++
	if diff := cmp.Diff(want, b.collect(t)["otelcol_receiver_refused_connections"].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An alert on refusals works even if the first connection is refused.
func TestRefusedConnectionsBeginTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, "otlp", "http")
	b.ConnRefused(ConnAbuse)
	want := map[string]int64{}
	for _, name := range connReasonNames {
		want["reason="+name+",receiver=otlp,transport=http"] = 0
	}
	want["reason=abuse,receiver=otlp,transport=http"] = 1
	if diff := cmp.Diff(want, b.collect(t)["otelcol_receiver_refused_connections"].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A new receiver on the same meter replaces the closed one, and a closed one
// still counts requests that finish during shutdown.
func TestCloseUnregistersGauges(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	for range 3 {
		r, err := NewReceiver("otlp", "grpc", tracenoop.NewTracerProvider(), mp, true)
		if err != nil {
			t.Fatal(err)
		}
		r.ConnOpened()
		r.Begin()
		got := bench{reader: reader}.collect(t)
		for _, name := range []string{"otelcol_receiver_active_connections", "otelcol_receiver_active_requests"} {
			if diff := cmp.Diff(map[string]int64{"receiver=otlp,transport=grpc": 1}, got[name].Values); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		r.Done(t.Context(), Request{Signal: otlp.Logs})
		got = bench{reader: reader}.collect(t)
		if left := slices.Collect(maps.Values(got["otelcol_receiver_active_requests"].Values)); len(left) > 0 {
			t.Errorf("a closed receiver still has %d requests", left)
		}
	}
	const served = "format=unknown,outcome=success,receiver=otlp,signal=logs,transport=grpc"
	if n := (bench{reader: reader}).collect(t)["otelcol_receiver_requests"].Values[served]; n != 3 {
		t.Errorf("%d requests after three receivers, want 3", n)
	}
}

// All methods concurrently, for the race detector; all counts add up.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"grpc", "http"} {
		b := newBench(t, "otlp", transport)
		const workers, rounds = 8, 200
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range rounds {
					s := otlp.Signals()[i%4]
					b.ConnOpened()
					b.receive(context.Background(), Request{Signal: s, Format: formatNames[i%3], Method: methodNames[(w+i)%10],
						Route: s.Spec().Path, Status: 200 + i%5, Reason: Reason(i % int(reasonCount)), WireBytes: 1, Bytes: 1},
						Outcome{Accepted: 1}, nil)
					b.InvalidUTF8(context.Background(), s, formatNames[i%3])
					b.ConnRefused(ConnTimeout)
					b.ConnClosed()
				}
			})
		}
		b.collect(t)
		wg.Wait()
		got := b.collect(t)
		total := func(name string) (n int64) {
			for _, v := range got[name].Values {
				n += v
			}
			return n
		}
		sizeName := instruments[rpcSize].name
		if transport == "http" {
			sizeName = instruments[httpSize].name
		}
		for name, want := range map[string]int64{
			"otelcol_receiver_requests":              workers * rounds,
			"otelcol_receiver_invalid_utf8_requests": workers * rounds,
			"otelcol_receiver_refused_connections":   workers * rounds,
			sizeName:                                 workers * rounds,
			"otelcol_receiver_active_requests":       0,
			"otelcol_receiver_active_connections":    0,
		} {
			if n := total(name); n != want {
				t.Errorf("%s, %s: %d, want %d", transport, name, n, want)
			}
		}
		items := int64(0)
		for _, s := range otlp.Signals() {
			items += total("otelcol_receiver_accepted_" + s.Spec().Item)
		}
		if items != workers*rounds {
			t.Errorf("%s: %d items, want %d", transport, items, workers*rounds)
		}
	}
}

// brokenMeter returns an error for one name.
type brokenMeter struct {
	metric.Meter
	name string
}

type brokenProvider struct {
	metricnoop.MeterProvider
	name string
}

func (p brokenProvider) Meter(string, ...metric.MeterOption) metric.Meter {
	return brokenMeter{metricnoop.Meter{}, p.name}
}

func (m brokenMeter) Int64Counter(name string, opts ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	c, err := m.Meter.Int64Counter(name, opts...)
	if name == m.name {
		err = fmt.Errorf("refused")
	}
	return c, err
}

func TestErrorsNameTheMetricAndItsOwner(t *testing.T) {
	t.Parallel()
	_, err := NewReceiver("otlp/2", "grpc", tracenoop.NewTracerProvider(), brokenProvider{name: "otelcol_receiver_requests"}, true)
	if want := `create metric otelcol_receiver_requests of receiver "otlp/2": refused`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = NewExporter("otlp", brokenProvider{name: "otelcol_exporter_sent_spans"}, false, nil)
	if want := `create metric otelcol_exporter_sent_spans of exporter "otlp": refused`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
