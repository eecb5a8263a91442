package oracle

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Generate returns a random request with 1 to most items. Its attributes have
// the keys of the cases in testdata, mostly with the kind of value that the key
// stands for. The same state of rng gives the same bytes.
func Generate(rng *rand.Rand, s otlp.Signal, most int) []byte {
	g := generator{rng: rng, most: most}
	return generators[s](g)
}

var generators = map[otlp.Signal]func(generator) []byte{
	otlp.Traces: func(g generator) []byte {
		td := ptrace.NewTraces()
		for range g.few() {
			rs := td.ResourceSpans().AppendEmpty()
			g.resource(rs.Resource(), rs)
			for range g.few() {
				ss := rs.ScopeSpans().AppendEmpty()
				g.scope(ss.Scope(), ss)
				for range g.items() {
					g.span(ss.Spans().AppendEmpty())
				}
			}
		}
		return encoded(tracesCodec, td)
	},
	otlp.Logs: func(g generator) []byte {
		ld := plog.NewLogs()
		for range g.few() {
			rl := ld.ResourceLogs().AppendEmpty()
			g.resource(rl.Resource(), rl)
			for range g.few() {
				sl := rl.ScopeLogs().AppendEmpty()
				g.scope(sl.Scope(), sl)
				for range g.items() {
					g.log(sl.LogRecords().AppendEmpty())
				}
			}
		}
		return encoded(logsCodec, ld)
	},
	otlp.Metrics: func(g generator) []byte {
		md := pmetric.NewMetrics()
		for range g.few() {
			rm := md.ResourceMetrics().AppendEmpty()
			g.resource(rm.Resource(), rm)
			for range g.few() {
				sm := rm.ScopeMetrics().AppendEmpty()
				g.scope(sm.Scope(), sm)
				for range g.items() {
					g.metric(sm.Metrics().AppendEmpty())
				}
			}
		}
		return encoded(metricsCodec, md)
	},
	otlp.Profiles: func(g generator) []byte {
		pd := pprofile.NewProfiles()
		d := pd.Dictionary()
		d.StringTable().Append("")
		d.AttributeTable().AppendEmpty()
		d.LinkTable().AppendEmpty()
		d.LocationTable().AppendEmpty()
		d.MappingTable().AppendEmpty()
		d.FunctionTable().AppendEmpty()
		d.StackTable().AppendEmpty()
		for range g.few() {
			rp := pd.ResourceProfiles().AppendEmpty()
			g.resource(rp.Resource(), rp)
			for range g.few() {
				sp := rp.ScopeProfiles().AppendEmpty()
				g.scope(sp.Scope(), sp)
				for range g.items() {
					g.profile(d, sp.Profiles().AppendEmpty())
				}
			}
		}
		return encoded(profilesCodec, pd)
	},
}

func encoded[T any](c codec[T], data T) []byte {
	b, err := c.encode(data)
	if err != nil {
		panic(err) // pdata wrote it
	}
	return b
}

type generator struct {
	rng  *rand.Rand
	most int
}

func (g generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

// few is how many resources or scopes there are.
func (g generator) few() int {
	if g.most == 1 || !g.oneIn(3) {
		return 1
	}
	return 2
}

func (g generator) items() int { return 1 + g.rng.IntN(g.most) }

func pick[T any](g generator, list ...T) T { return list[g.rng.IntN(len(list))] }

func (g generator) resource(r pcommon.Resource, x interface{ SetSchemaUrl(string) }) {
	g.attributes(r.Attributes(), resourceKeys)
	if g.oneIn(4) {
		x.SetSchemaUrl("https://opentelemetry.io/schemas/1.26.0")
		r.SetDroppedAttributesCount(uint32(g.rng.IntN(3)))
	}
}

func (g generator) scope(s pcommon.InstrumentationScope, x interface{ SetSchemaUrl(string) }) {
	s.SetName(pick(g, "", "otelhttp", "my.library", "a"))
	s.SetVersion(pick(g, "", "1.0", "0.49.0"))
	if g.oneIn(2) {
		g.attributes(s.Attributes(), plainKeys)
	}
	if g.oneIn(4) {
		x.SetSchemaUrl("https://opentelemetry.io/schemas/1.25.0")
		s.SetDroppedAttributesCount(uint32(g.rng.IntN(3)))
	}
}

// keySpec is a key and how its usual value is made.
type keySpec struct {
	key   string
	usual func(generator, pcommon.Value)
}

func texts(list ...string) func(generator, pcommon.Value) {
	return func(g generator, v pcommon.Value) { v.SetStr(pick(g, list...)) }
}

func integers(list ...int64) func(generator, pcommon.Value) {
	return func(g generator, v pcommon.Value) { v.SetInt(pick(g, list...)) }
}

var plainKeys = []keySpec{
	{"s", texts("abc", "", "abcabc", "ABC def", "a.b.c", "b", "key")},
	{"s2", texts("abc", "x", "k", "s")},
	{"u", texts("héllo wörld", "日本語", "🦆 a", "zażółć", "e\u0301")},
	{"i", integers(7, 0, -1, 2, 1, math.MaxInt64, math.MinInt64)},
	{"d", func(g generator, v pcommon.Value) {
		v.SetDouble(pick(g, 2.5, 0, -1.5, 7, 1e21, 1e-7, math.MaxFloat64, math.Inf(1), math.NaN(), 0.1))
	}},
	{"b", func(g generator, v pcommon.Value) { v.SetBool(g.oneIn(2)) }},
	{"by", func(g generator, v pcommon.Value) {
		v.SetEmptyBytes().FromRaw(pick(g, []byte{1, 2, 255}, []byte{}, []byte("abc"), []byte("0123456789abcdef")))
	}},
	{"e", func(generator, pcommon.Value) {}},
	{"m", func(g generator, v pcommon.Value) { g.anyMap(v.SetEmptyMap(), 0) }},
	{"l", func(g generator, v pcommon.Value) { g.anySlice(v.SetEmptySlice(), 0) }},
	{"ls", func(g generator, v pcommon.Value) {
		v.SetEmptySlice()
		for _, s := range pick(g, []string{"b", "a", "c"}, []string{}, []string{"x"}) {
			v.Slice().AppendEmpty().SetStr(s)
		}
	}},
	{"li", func(g generator, v pcommon.Value) {
		v.SetEmptySlice()
		for _, n := range pick(g, []int64{3, 1, 2}, []int64{}, []int64{7}) {
			v.Slice().AppendEmpty().SetInt(n)
		}
	}},
	{"lm", func(g generator, v pcommon.Value) {
		l := v.SetEmptySlice()
		for i := range 1 + g.rng.IntN(3) {
			m := l.AppendEmpty().SetEmptyMap()
			m.PutStr("name", pick(g, "k1", "k2")+strconv.Itoa(i))
			m.PutInt("value", int64(i))
		}
	}},
	{"num", texts("7", "-1", "2.5", "007", "abc", "", "1e3", "0x1f")},
	{"flag", texts("true", "false", "t", "0", "yes", "")},
	{"json", texts(`{"a":1,"b":[1,2.5,null,true],"c":{"d":"e"}}`, `[1,"x",{"y":null}]`, `{"level":"INFO","msg":"<hi> \u00e9"}`, `{}`, `3`, `null`, `{broken`, ``)},
	{"kv", texts(`a=1 b="x y" c=d=e`, `a=1`, `k1:v1,k2:v2`, `nothing`, ``, `a="unclosed`)},
	{"csv", texts(`a,"b,c",d`, `1,2,3`, `1,2`, ``, "x\ty\tz", `a"b,c,d`)},
	{"xml", texts(`<a b="1"><c>t</c><c>u</c></a>`, `<a/>`, `<?xml version="1.0"?><r><x/>text</r>`, `<broken`, ``, `<a>1<b>2</b>3</a>`)},
	{"url", texts("http://user:pw@example.com:80/path/x.html?q=1&q=2#frag", "https://example.com", "/only/path", "?a=b", "%zz", "")},
	{"ua", texts("curl/7.81.0", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", "")},
	{"time", texts("2023-01-02T03:04:05Z", "2023-01-02 03:04:05", "2024-02-29", "Jan 2 2023", "not a time", "")},
	{"dur", texts("1s", "1h2m3s", "150ms", "abc", "")},
	{"ip", texts("10.1.2.3", "192.168.0.1", "fe80::1", "2001:db8::1", "not an ip", "")},
	{"hex", texts("00112233445566778899aabbccddeeff", "0011223344556677", "zz", "", "00112233445566778899AABBCCDDEEFF")},
	{"luhn", texts("17893729974", "4242 4242 4242 4242", "1234", "12x4", "")},
	{"b64", texts("YWJj", "YT8=", "YT8", "####", "")},
	{"level", texts("info", "WARN", "error", "debug", "500", "x")},
	{"apache", texts(`127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326`, `bad line`, ``)},
	{"http.method", texts("GET", "POST", "DELETE")},
	{"http.status_code", integers(200, 404, 500, 503)},
	{"http.url", texts("http://example.com/path?queryParam1=value1,queryParam2=value2", "/api/v1/document/12345678/update")},
	{"http.target", texts("/health", "/api/users/123", "/ready")},
	{"db.statement", texts("SELECT * FROM t WHERE a = 1", "select 1")},
	{"password", texts("secret", "hunter2")},
	{"credit_card", texts("4111111111111111", "none 5105105105105100 here", "x")},
	{"k1", texts("k1", "k2", "k1 k2", "abc")}, // those of testdata/shapes
	{"k2", texts("k1", "k2", "text")},
	{"k1.*", texts("k1", "k2")},
	{"", texts("empty key", "")},
}

var resourceKeys = append([]keySpec{
	{"service.name", texts("cart", "checkout", "auth-service", "")},
	{"service.namespace", texts("shop", "default")},
	{"host.name", texts("host-1", "localhost", "node.example.com")},
	{"k8s.pod.name", texts("cart-5d9f-abc", "pod-1")},
	{"k8s.namespace.name", texts("default", "kube-system", "prod")},
	{"deployment.environment", texts("prod", "staging")},
	{"cloud.region", texts("eu-west-1")},
	{"process.command_line", texts("/usr/bin/app --password=secret --verbose")},
}, plainKeys...)

// attributes puts some of the keys into m, in a random order.
func (g generator) attributes(m pcommon.Map, keys []keySpec) {
	wanted := min(g.rng.IntN(10), len(keys))
	if g.oneIn(3) {
		wanted = len(keys) / 2
	}
	for _, i := range g.rng.Perm(len(keys))[:wanted] {
		v := m.PutEmpty(keys[i].key)
		if g.oneIn(8) {
			g.anyValue(v, 0)
		} else {
			keys[i].usual(g, v)
		}
	}
}

func (g generator) anyValue(v pcommon.Value, depth int) {
	kinds := 9
	if depth > 2 {
		kinds = 6
	}
	switch g.rng.IntN(kinds) {
	case 0:
		v.SetStr(pick(g, "abc", "", "7", "true", "日本", "x y", strings.Repeat("long.", 50)))
	case 1:
		v.SetInt(pick[int64](g, 0, 1, 7, -5, math.MaxInt64))
	case 2:
		v.SetDouble(pick(g, 0, 1, 2.5, -1e10, math.Inf(-1)))
	case 3:
		v.SetBool(g.oneIn(2))
	case 4:
		v.SetEmptyBytes().FromRaw(pick(g, []byte{0}, []byte{}, []byte("abc")))
	case 5: // no value
	case 6:
		g.anyMap(v.SetEmptyMap(), depth+1)
	case 7:
		g.anySlice(v.SetEmptySlice(), depth+1)
	case 8:
		v.SetStr("abc")
	}
}

func (g generator) anyMap(m pcommon.Map, depth int) {
	for _, k := range []string{"k", "n", "x", "k.y", ""} {
		if g.oneIn(2) {
			g.anyValue(m.PutEmpty(k), depth+1)
		}
	}
}

func (g generator) anySlice(s pcommon.Slice, depth int) {
	for range g.rng.IntN(4) {
		g.anyValue(s.AppendEmpty(), depth+1)
	}
}

func (g generator) timestamp() pcommon.Timestamp {
	return pick[pcommon.Timestamp](g, 0, 1, 1_700_000_000_123_456_789, 1_699_999_999_000_000_000, math.MaxInt64, 60_000_000_000)
}

func (g generator) traceID() (id pcommon.TraceID) {
	switch g.rng.IntN(6) {
	case 0: // none
	case 1:
		id = pcommon.TraceID{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	default:
		for i := range id {
			id[i] = byte(g.rng.IntN(256))
		}
	}
	return id
}

func (g generator) spanID() (id pcommon.SpanID) {
	if g.oneIn(4) {
		return id
	}
	for i := range id {
		id[i] = byte(g.rng.IntN(256))
	}
	return id
}

func (g generator) traceState() string {
	return pick(g, "", "", "k=v", "a=1,b=2", "ot=th:8;rv:abcdef01234567", "ot=th:0", "not valid", "vendor=x,ot=p:8;r:62", "a=1,a=2")
}

func (g generator) log(lr plog.LogRecord) {
	lr.SetTimestamp(g.timestamp())
	lr.SetObservedTimestamp(g.timestamp())
	lr.SetSeverityNumber(pick(g, plog.SeverityNumber(g.rng.IntN(25)), plog.SeverityNumberInfo, plog.SeverityNumberError))
	lr.SetSeverityText(pick(g, "", "INFO", "info", "Error", "WARN", "debug"))
	lr.SetEventName(pick(g, "", "", "event.a"))
	lr.SetTraceID(g.traceID())
	lr.SetSpanID(g.spanID())
	lr.SetFlags(plog.LogRecordFlags(g.rng.IntN(3)))
	if g.oneIn(4) {
		lr.SetDroppedAttributesCount(uint32(g.rng.IntN(4)))
	}
	g.attributes(lr.Attributes(), plainKeys)
	if g.oneIn(3) {
		g.anyValue(lr.Body(), 0)
		return
	}
	lr.Body().SetStr(pick(g, "body text", "GET /health 200", `{"level":"INFO","n":1,"nested":{"a":[1]}}`, "user=42 password=secret",
		"CEF:0|V|P|1|id|name|5|src=1.2.3.4 msg=a b", "ERROR: failure", "", "a=1 b=2",
		"LEEF:1.0|V|P|1|id|a=1\tb=2", "#Version: 1.0\n#Fields: date time\n2024-01-01 00:00:00",
		`127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 -`))
}

func (g generator) span(s ptrace.Span) {
	s.SetTraceID(g.traceID())
	s.SetSpanID(g.spanID())
	s.SetParentSpanID(g.spanID())
	s.TraceState().FromRaw(g.traceState())
	s.SetName(pick(g, "GET /users/123", "POST /api/v1/document/12345678/update", "operation", "", "SELECT", "health", "/api/v1/x"))
	s.SetKind(ptrace.SpanKind(g.rng.IntN(6)))
	s.SetStartTimestamp(g.timestamp())
	s.SetEndTimestamp(g.timestamp())
	s.SetFlags(uint32(g.rng.IntN(512)))
	s.Status().SetCode(ptrace.StatusCode(g.rng.IntN(3)))
	s.Status().SetMessage(pick(g, "", "", "failed", "timeout", "k1"))
	g.attributes(s.Attributes(), append(semconvKeys, plainKeys...))
	if g.oneIn(4) {
		s.SetDroppedAttributesCount(1)
		s.SetDroppedEventsCount(2)
		s.SetDroppedLinksCount(3)
	}
	for range g.rng.IntN(3) {
		e := s.Events().AppendEmpty()
		e.SetName(pick(g, "exception", "event", "", "log"))
		e.SetTimestamp(g.timestamp())
		e.SetDroppedAttributesCount(uint32(g.rng.IntN(2)))
		g.attributes(e.Attributes(), plainKeys)
	}
	for range g.rng.IntN(2) {
		l := s.Links().AppendEmpty()
		l.SetTraceID(g.traceID())
		l.SetSpanID(g.spanID())
		l.TraceState().FromRaw(g.traceState())
		g.attributes(l.Attributes(), plainKeys)
	}
}

// semconvKeys are what set_semconv_span_name reads.
var semconvKeys = []keySpec{
	{"http.request.method", texts("GET", "POST")},
	{"http.route", texts("/users/{id}", "/health")},
	{"url.template", texts("/v1/{x}")},
	{"rpc.system", texts("grpc")},
	{"rpc.service", texts("pkg.Service")},
	{"rpc.method", texts("Call")},
	{"db.system", texts("postgresql")},
	{"db.system.name", texts("mysql")},
	{"db.operation.name", texts("SELECT")},
	{"db.collection.name", texts("users")},
	{"db.namespace", texts("app")},
	{"db.query.summary", texts("SELECT users")},
	{"messaging.system", texts("kafka")},
	{"messaging.operation.name", texts("publish", "process")},
	{"messaging.destination.name", texts("topic-1")},
	{"messaging.destination.temporary", func(g generator, v pcommon.Value) { v.SetBool(g.oneIn(2)) }},
	{"server.address", texts("db.example.com")},
	{"server.port", integers(5432, 443)},
}

func (g generator) metric(m pmetric.Metric) {
	m.SetName(pick(g, "system.cpu.time", "http.server.duration", "a", "", "process.runtime.go.goroutines", "my_metric_total", "old_name", "k1", "k1.x", "k2"))
	m.SetDescription(pick(g, "", "a description", "bytes"))
	m.SetUnit(pick(g, "", "s", "By", "1", "ms"))
	if g.oneIn(3) {
		g.attributes(m.Metadata(), plainKeys[:6])
	}
	switch g.rng.IntN(6) {
	case 0:
		m.SetEmptyGauge()
		g.numbers(m.Gauge().DataPoints())
	case 1:
		m.SetEmptySum().SetAggregationTemporality(g.temporality())
		m.Sum().SetIsMonotonic(g.oneIn(2))
		g.numbers(m.Sum().DataPoints())
	case 2:
		m.SetEmptyHistogram().SetAggregationTemporality(g.temporality())
		for range g.points() {
			g.histogram(m.Histogram().DataPoints().AppendEmpty())
		}
	case 3:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(g.temporality())
		for range g.points() {
			g.exponential(m.ExponentialHistogram().DataPoints().AppendEmpty())
		}
	case 4:
		m.SetEmptySummary()
		for range g.points() {
			g.summary(m.Summary().DataPoints().AppendEmpty())
		}
	case 5:
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		m.Sum().SetIsMonotonic(true)
		g.numbers(m.Sum().DataPoints())
	}
}

func (g generator) temporality() pmetric.AggregationTemporality {
	return pmetric.AggregationTemporality(g.rng.IntN(3))
}

func (g generator) points() int {
	if g.oneIn(12) {
		return 0
	}
	return 1 + g.rng.IntN(3)
}

// pointKeys are few, so that points meet in aggregations.
var pointKeys = append([]keySpec{
	{"state", texts("idle", "user", "system")},
	{"cpu", texts("0", "1")},
	{"state", texts("idle", "user", "system")},
}, plainKeys...)

func (g generator) pointAttributes(m pcommon.Map) {
	if g.oneIn(2) {
		m.PutStr("state", pick(g, "idle", "user", "system"))
		m.PutStr("cpu", pick(g, "0", "1"))
		return
	}
	g.attributes(m, pointKeys)
}

func (g generator) numbers(dps pmetric.NumberDataPointSlice) {
	for range g.points() {
		dp := dps.AppendEmpty()
		g.pointAttributes(dp.Attributes())
		dp.SetStartTimestamp(pick[pcommon.Timestamp](g, 0, 1000))
		dp.SetTimestamp(pick[pcommon.Timestamp](g, 0, 1_700_000_000_000_000_000, 1_700_000_060_000_000_000))
		dp.SetFlags(pmetric.DataPointFlags(g.rng.IntN(5) / 4))
		switch g.rng.IntN(8) {
		case 0: // no value
		case 1, 2, 3:
			dp.SetIntValue(pick[int64](g, 0, 1, 7, 100, -3))
		default:
			dp.SetDoubleValue(pick(g, 0, 1, 2.5, -3, 1e10))
		}
		g.exemplars(dp.Exemplars())
	}
}

func (g generator) exemplars(es pmetric.ExemplarSlice) {
	for range g.rng.IntN(6) / 4 {
		e := es.AppendEmpty()
		e.SetTimestamp(g.timestamp())
		e.SetTraceID(g.traceID())
		e.SetSpanID(g.spanID())
		g.attributes(e.FilteredAttributes(), plainKeys[:8])
		if g.oneIn(2) {
			e.SetIntValue(3)
		} else {
			e.SetDoubleValue(1.5)
		}
	}
}

func (g generator) histogram(dp pmetric.HistogramDataPoint) {
	g.pointAttributes(dp.Attributes())
	dp.SetStartTimestamp(pick[pcommon.Timestamp](g, 0, 1000))
	dp.SetTimestamp(pick[pcommon.Timestamp](g, 0, 1_700_000_000_000_000_000))
	bounds := pick(g, []float64{0, 5, 10}, []float64{0.1, 1, 10, 100}, []float64{}, []float64{1, 2})
	dp.ExplicitBounds().FromRaw(bounds)
	var total uint64
	for range len(bounds) + 1 {
		n := uint64(g.rng.IntN(10))
		dp.BucketCounts().Append(n)
		total += n
	}
	if g.oneIn(8) {
		dp.BucketCounts().FromRaw(nil)
	}
	dp.SetCount(total)
	if !g.oneIn(4) {
		dp.SetSum(float64(total) * 2.5)
	}
	if g.oneIn(2) {
		dp.SetMin(0.5)
		dp.SetMax(50)
	}
	g.exemplars(dp.Exemplars())
}

func (g generator) exponential(dp pmetric.ExponentialHistogramDataPoint) {
	g.pointAttributes(dp.Attributes())
	dp.SetTimestamp(pick[pcommon.Timestamp](g, 0, 1_700_000_000_000_000_000))
	dp.SetScale(int32(g.rng.IntN(6) - 2))
	dp.SetZeroCount(uint64(g.rng.IntN(3)))
	dp.SetZeroThreshold(pick(g, 0, 0.001))
	total := dp.ZeroCount()
	for _, b := range []pmetric.ExponentialHistogramDataPointBuckets{dp.Positive(), dp.Negative()} {
		b.SetOffset(int32(g.rng.IntN(5) - 2))
		for range g.rng.IntN(4) {
			n := uint64(g.rng.IntN(5))
			b.BucketCounts().Append(n)
			total += n
		}
	}
	dp.SetCount(total)
	if !g.oneIn(4) {
		dp.SetSum(42)
	}
	if g.oneIn(2) {
		dp.SetMin(-1)
		dp.SetMax(9)
	}
	g.exemplars(dp.Exemplars())
}

func (g generator) summary(dp pmetric.SummaryDataPoint) {
	g.pointAttributes(dp.Attributes())
	dp.SetStartTimestamp(pick[pcommon.Timestamp](g, 0, 1000))
	dp.SetTimestamp(pick[pcommon.Timestamp](g, 0, 1_700_000_000_000_000_000))
	dp.SetCount(uint64(g.rng.IntN(100)))
	dp.SetSum(pick(g, 0, 12.5))
	for range g.rng.IntN(3) {
		q := dp.QuantileValues().AppendEmpty()
		q.SetQuantile(pick(g, 0.5, 0.99, 0))
		q.SetValue(pick(g, 1.0, 7.5))
	}
}

// text returns the index of a string in the dictionary.
func textIndex(d pprofile.ProfilesDictionary, s string) int32 {
	i, err := pprofile.SetString(d.StringTable(), s)
	if err != nil {
		panic(err)
	}
	return i
}

func (g generator) profile(d pprofile.ProfilesDictionary, p pprofile.Profile) {
	p.SetTime(g.timestamp())
	p.SetDurationNano(uint64(g.rng.IntN(1000)))
	p.SetPeriod(int64(g.rng.IntN(100)))
	p.SampleType().SetTypeStrindex(textIndex(d, pick(g, "samples", "cpu", "")))
	p.SampleType().SetUnitStrindex(textIndex(d, pick(g, "count", "ns")))
	p.PeriodType().SetTypeStrindex(textIndex(d, "cpu"))
	p.SetProfileID(pprofile.ProfileID(g.traceID()))
	p.SetDroppedAttributesCount(uint32(g.rng.IntN(2)))
	if g.oneIn(4) {
		p.SetOriginalPayloadFormat("pprof")
		p.OriginalPayload().FromRaw([]byte{1, 2})
	}
	g.indices(d, p.AttributeIndices())
	for range g.rng.IntN(3) {
		s := p.Samples().AppendEmpty()
		s.Values().Append(int64(g.rng.IntN(10)))
		s.TimestampsUnixNano().Append(uint64(g.timestamp()))
		g.indices(d, s.AttributeIndices())
	}
}

// indices adds attributes to the dictionary, and their indices to list.
func (g generator) indices(d pprofile.ProfilesDictionary, list pcommon.Int32Slice) {
	m := pcommon.NewMap()
	g.attributes(m, plainKeys)
	for k, v := range m.All() {
		a := pprofile.NewKeyValueAndUnit()
		a.SetKeyStrindex(textIndex(d, k))
		v.CopyTo(a.Value())
		i, err := pprofile.SetAttribute(d.AttributeTable(), a)
		if err != nil {
			panic(err)
		}
		list.Append(i)
	}
}
