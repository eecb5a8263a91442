package debugexporter

import (
	"github.com/penstock-telemetry/penstock/otlp"
)

// requests creates one request of each signal, with a value in every field.
// word is applied to all text in it.
var requests = map[otlp.Signal]func(word func(string) string) []byte{
	otlp.Traces: tracesRequest, otlp.Metrics: metricsRequest, otlp.Logs: logsRequest, otlp.Profiles: profilesRequest,
}

func plainWord(s string) string { return s }

const noon = 1_700_000_000_000_000_321 // nanoseconds since 1970

var (
	traceID = []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	spanID  = []byte{17, 18, 19, 20, 21, 22, 23, 24}
)

// in calls fill for a message and closes it.
func in[B interface{ Close() }](b B, fill func(B)) {
	fill(b)
	b.Close()
}

type attributer interface{ AddAttributes() otlp.KeyValueBuilder }

func attribute(b attributer, key string, fill func(otlp.AnyValueBuilder)) {
	in(b.AddAttributes(), func(kv otlp.KeyValueBuilder) {
		kv.SetKey(key)
		in(kv.SetValue(), fill)
	})
}

func textValue(s string) func(otlp.AnyValueBuilder) {
	return func(v otlp.AnyValueBuilder) { v.SetStringValue(s) }
}

// everyKind adds an attribute of each kind of value.
func everyKind(b attributer, word func(string) string) {
	attribute(b, word("str"), textValue(word(`a "quoted" \ word`)))
	attribute(b, word("bool"), func(v otlp.AnyValueBuilder) { v.SetBoolValue(true) })
	attribute(b, word("int"), func(v otlp.AnyValueBuilder) { v.SetIntValue(-7) })
	attribute(b, word("double"), func(v otlp.AnyValueBuilder) { v.SetDoubleValue(1e21) })
	attribute(b, word("bytes"), func(v otlp.AnyValueBuilder) { v.SetBytesValue([]byte{0, 0x1b, 0xff}) })
	attribute(b, word("empty"), func(otlp.AnyValueBuilder) {})
	attribute(b, word("map"), func(v otlp.AnyValueBuilder) {
		in(v.SetKvlistValue(), func(m otlp.KeyValueListBuilder) {
			in(m.AddValues(), func(kv otlp.KeyValueBuilder) {
				kv.SetKey(word("list"))
				in(kv.SetValue(), func(v otlp.AnyValueBuilder) {
					in(v.SetArrayValue(), func(a otlp.ArrayValueBuilder) {
						in(a.AddValues(), textValue(word(`a "quoted" \ word`)))
						in(a.AddValues(), func(v otlp.AnyValueBuilder) { v.SetDoubleValue(0.5) })
						in(a.AddValues(), func(v otlp.AnyValueBuilder) { v.SetBytesValue([]byte("x")) })
						in(a.AddValues(), func(otlp.AnyValueBuilder) {})
					})
				})
			})
			in(m.AddValues(), func(kv otlp.KeyValueBuilder) {
				kv.SetKey(word("none"))
				in(kv.SetValue(), func(v otlp.AnyValueBuilder) { v.SetArrayValue().Close() })
			})
		})
	})
}

func resource(b otlp.ResourceBuilder, word func(string) string) {
	attribute(b, word("service.name"), textValue(word("checkout")))
	attribute(b, word("process.pid"), func(v otlp.AnyValueBuilder) { v.SetIntValue(42) })
	in(b.AddEntityRefs(), func(e otlp.EntityRefBuilder) {
		e.SetType(word("service"))
		e.SetSchemaURL(word("https://example.com/entity"))
		e.AddIDKeys(word("service.name"))
		e.AddDescriptionKeys(word("process.pid"))
	})
}

func scope(b otlp.InstrumentationScopeBuilder, word func(string) string) {
	b.SetName(word("example.com/lib"))
	b.SetVersion(word("1.2.3"))
	attribute(b, word("short"), textValue(word("yes")))
}

func tracesRequest(word func(string) string) []byte {
	var e otlp.Encoder
	r := otlp.AppendExportTraceServiceRequest(&e)
	in(r.AddResourceSpans(), func(rs otlp.ResourceSpansBuilder) {
		in(rs.SetResource(), func(b otlp.ResourceBuilder) { resource(b, word) })
		rs.SetSchemaURL(word("https://example.com/schema"))
		in(rs.AddScopeSpans(), func(ss otlp.ScopeSpansBuilder) {
			in(ss.SetScope(), func(b otlp.InstrumentationScopeBuilder) { scope(b, word) })
			ss.SetSchemaURL(word("https://example.com/scope"))
			in(ss.AddSpans(), func(s otlp.SpanBuilder) { fullSpan(s, word) })
			in(ss.AddSpans(), func(s otlp.SpanBuilder) { s.SetName(word("bare")) })
		})
		in(rs.AddScopeSpans(), func(ss otlp.ScopeSpansBuilder) {
			in(ss.AddSpans(), func(s otlp.SpanBuilder) { s.SetKind(99) })
		})
	})
	r.AddResourceSpans().Close()
	return e.Buf
}

func fullSpan(s otlp.SpanBuilder, word func(string) string) {
	s.SetTraceID(traceID)
	s.SetSpanID(spanID)
	s.SetParentSpanID(spanID)
	s.SetTraceState(word("ot=th:0"))
	s.SetName(word("GET /cart"))
	s.SetKind(otlp.SpanKindServer)
	s.SetStartTimeUnixNano(noon)
	s.SetEndTimeUnixNano(noon + 5)
	everyKind(s, word)
	s.SetDroppedAttributesCount(1)
	in(s.AddEvents(), func(ev otlp.SpanEventBuilder) {
		ev.SetTimeUnixNano(noon)
		ev.SetName(word("exception"))
		attribute(ev, word("exception.type"), textValue(word("IOError")))
		ev.SetDroppedAttributesCount(2)
	})
	s.SetDroppedEventsCount(3)
	in(s.AddLinks(), func(l otlp.SpanLinkBuilder) {
		l.SetTraceID(traceID)
		l.SetSpanID(spanID)
		l.SetTraceState(word("a=b"))
		attribute(l, word("why"), textValue(word("batch")))
		l.SetDroppedAttributesCount(4)
	})
	s.SetDroppedLinksCount(5)
	in(s.SetStatus(), func(st otlp.StatusBuilder) {
		st.SetCode(otlp.StatusCodeError)
		st.SetMessage(word("broken pipe"))
	})
}

func metricsRequest(word func(string) string) []byte {
	var e otlp.Encoder
	r := otlp.AppendExportMetricsServiceRequest(&e)
	in(r.AddResourceMetrics(), func(rm otlp.ResourceMetricsBuilder) {
		in(rm.SetResource(), func(b otlp.ResourceBuilder) { resource(b, word) })
		in(rm.AddScopeMetrics(), func(sm otlp.ScopeMetricsBuilder) {
			in(sm.SetScope(), func(b otlp.InstrumentationScopeBuilder) { scope(b, word) })
			in(sm.AddMetrics(), func(m otlp.MetricBuilder) { gauge(m, word) })
			in(sm.AddMetrics(), func(m otlp.MetricBuilder) { sum(m, word) })
			in(sm.AddMetrics(), func(m otlp.MetricBuilder) { histogram(m, word) })
			in(sm.AddMetrics(), func(m otlp.MetricBuilder) { exponential(m, word) })
			in(sm.AddMetrics(), func(m otlp.MetricBuilder) { summary(m, word) })
			in(sm.AddMetrics(), func(m otlp.MetricBuilder) { m.SetName(word("empty")) })
		})
	})
	return e.Buf
}

func gauge(m otlp.MetricBuilder, word func(string) string) {
	m.SetName(word("queue.length"))
	m.SetDescription(word("How long it is."))
	m.SetUnit(word("{request}"))
	in(m.AddMetadata(), func(kv otlp.KeyValueBuilder) {
		kv.SetKey(word("prometheus.type"))
		in(kv.SetValue(), textValue(word("gauge")))
	})
	in(m.SetGauge(), func(g otlp.GaugeBuilder) {
		in(g.AddDataPoints(), func(p otlp.NumberDataPointBuilder) {
			attribute(p, word("queue"), textValue(word("a")))
			attribute(p, word("shard"), func(v otlp.AnyValueBuilder) { v.SetIntValue(3) })
			p.SetTimeUnixNano(noon)
			p.SetAsInt(-12)
		})
		in(g.AddDataPoints(), func(p otlp.NumberDataPointBuilder) { p.SetAsDouble(1e6) })
		g.AddDataPoints().Close()
	})
}

func sum(m otlp.MetricBuilder, word func(string) string) {
	m.SetName(word("requests"))
	in(m.SetSum(), func(s otlp.SumBuilder) {
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(otlp.AggregationTemporalityCumulative)
		in(s.AddDataPoints(), func(p otlp.NumberDataPointBuilder) {
			p.SetStartTimeUnixNano(noon - 9)
			p.SetTimeUnixNano(noon)
			p.SetAsDouble(2.5)
			in(p.AddExemplars(), func(x otlp.ExemplarBuilder) {
				x.SetTimeUnixNano(noon)
				x.SetAsInt(1)
				x.SetTraceID(traceID)
				x.SetSpanID(spanID)
				in(x.AddFilteredAttributes(), func(kv otlp.KeyValueBuilder) {
					kv.SetKey(word("user"))
					in(kv.SetValue(), textValue(word("u1")))
				})
			})
			in(p.AddExemplars(), func(x otlp.ExemplarBuilder) { x.SetAsDouble(0.5) })
		})
	})
}

func histogram(m otlp.MetricBuilder, word func(string) string) {
	m.SetName(word("duration"))
	in(m.SetHistogram(), func(h otlp.HistogramBuilder) {
		h.SetAggregationTemporality(otlp.AggregationTemporalityDelta)
		in(h.AddDataPoints(), func(p otlp.HistogramDataPointBuilder) {
			attribute(p, word("route"), textValue(word("/cart")))
			p.SetCount(6)
			p.SetSum(7.5)
			p.SetMin(0.25)
			p.SetMax(9)
			p.AddExplicitBounds(0.5, 1, 5)
			p.AddBucketCounts(1, 2, 0, 3)
		})
		in(h.AddDataPoints(), func(p otlp.HistogramDataPointBuilder) { p.SetCount(1) })
	})
}

func exponential(m otlp.MetricBuilder, word func(string) string) {
	m.SetName(word("size"))
	in(m.SetExponentialHistogram(), func(h otlp.ExponentialHistogramBuilder) {
		h.SetAggregationTemporality(otlp.AggregationTemporalityDelta)
		in(h.AddDataPoints(), func(p otlp.ExponentialHistogramDataPointBuilder) {
			p.SetCount(10)
			p.SetSum(3)
			p.SetScale(0)
			p.SetZeroCount(4)
			in(p.SetPositive(), func(b otlp.ExponentialHistogramDataPointBucketsBuilder) {
				b.SetOffset(1)
				b.AddBucketCounts(1, 2)
			})
			in(p.SetNegative(), func(b otlp.ExponentialHistogramDataPointBucketsBuilder) {
				b.SetOffset(-1)
				b.AddBucketCounts(1, 2)
			})
		})
	})
}

func summary(m otlp.MetricBuilder, word func(string) string) {
	m.SetName(word("latency"))
	in(m.SetSummary(), func(s otlp.SummaryBuilder) {
		in(s.AddDataPoints(), func(p otlp.SummaryDataPointBuilder) {
			attribute(p, word("route"), textValue(word("/cart")))
			p.SetCount(4)
			p.SetSum(12.5)
			in(p.AddQuantileValues(), func(q otlp.SummaryDataPointValueAtQuantileBuilder) {
				q.SetQuantile(0.99)
				q.SetValue(8)
			})
		})
	})
}

func logsRequest(word func(string) string) []byte {
	var e otlp.Encoder
	r := otlp.AppendExportLogsServiceRequest(&e)
	in(r.AddResourceLogs(), func(rl otlp.ResourceLogsBuilder) {
		in(rl.SetResource(), func(b otlp.ResourceBuilder) { resource(b, word) })
		in(rl.AddScopeLogs(), func(sl otlp.ScopeLogsBuilder) {
			in(sl.SetScope(), func(b otlp.InstrumentationScopeBuilder) { b.SetVersion(word("9")) })
			in(sl.AddLogRecords(), func(l otlp.LogRecordBuilder) {
				l.SetTimeUnixNano(noon)
				l.SetObservedTimeUnixNano(noon + 1)
				l.SetSeverityNumber(otlp.SeverityNumberTrace2)
				l.SetSeverityText(word("trace"))
				l.SetEventName(word("cart.opened"))
				in(l.SetBody(), textValue(word("first line\n\tsecond line")))
				everyKind(l, word)
				l.SetDroppedAttributesCount(2)
				l.SetFlags(1)
				l.SetTraceID(traceID)
				l.SetSpanID(spanID)
			})
			l := sl.AddLogRecords()
			in(l.SetBody(), func(v otlp.AnyValueBuilder) { v.SetKvlistValue().Close() })
			l.Close()
		})
	})
	return e.Buf
}

func profilesRequest(word func(string) string) []byte {
	var e otlp.Encoder
	r := otlp.AppendExportProfilesServiceRequest(&e)
	in(r.AddResourceProfiles(), func(rp otlp.ResourceProfilesBuilder) {
		in(rp.SetResource(), func(b otlp.ResourceBuilder) {
			resource(b, word)
			in(b.AddAttributes(), func(kv otlp.KeyValueBuilder) {
				kv.SetKeyStrindex(9)
				in(kv.SetValue(), func(v otlp.AnyValueBuilder) { v.SetStringValueStrindex(8) })
			})
		})
		in(rp.AddScopeProfiles(), func(sp otlp.ScopeProfilesBuilder) {
			in(sp.SetScope(), func(b otlp.InstrumentationScopeBuilder) { scope(b, word) })
			in(sp.AddProfiles(), func(p otlp.ProfileBuilder) { fullProfile(p, word) })
			sp.AddProfiles().Close()
		})
	})
	in(r.SetDictionary(), func(d otlp.ProfilesDictionaryBuilder) { dictionary(d, word) })
	return e.Buf
}

func fullProfile(p otlp.ProfileBuilder, word func(string) string) {
	in(p.SetSampleType(), func(v otlp.ValueTypeBuilder) { v.SetTypeStrindex(1); v.SetUnitStrindex(2) })
	in(p.SetPeriodType(), func(v otlp.ValueTypeBuilder) { v.SetTypeStrindex(1) })
	p.SetPeriod(10)
	p.SetProfileID(traceID)
	p.SetTimeUnixNano(noon)
	p.SetDurationNano(5e9)
	p.SetDroppedAttributesCount(1)
	p.SetOriginalPayloadFormat(word("pprof"))
	p.SetOriginalPayload([]byte("\x1b\x00"))
	p.AddAttributeIndices(1)
	in(p.AddSamples(), func(s otlp.SampleBuilder) {
		s.SetStackIndex(1)
		s.SetLinkIndex(1)
		s.AddValues(4, 5)
		s.AddTimestampsUnixNano(noon, noon+1)
		s.AddAttributeIndices(1, 2)
	})
	in(p.AddSamples(), func(s otlp.SampleBuilder) { s.AddValues(1) })
}

func dictionary(d otlp.ProfilesDictionaryBuilder, word func(string) string) {
	d.AddStringTable("")
	for _, s := range []string{"cpu", "nanoseconds", "memcpy", "_Z6printfv", "printf.c", "libc.so.6", "thread.name", "worker", "host.name", "size", "By"} {
		d.AddStringTable(word(s))
	}
	d.AddMappingTable().Close()
	in(d.AddMappingTable(), func(m otlp.MappingBuilder) {
		m.SetFilenameStrindex(6)
		m.SetMemoryStart(0x1000)
		m.SetMemoryLimit(0x2000)
		m.SetFileOffset(0x10)
		m.AddAttributeIndices(1)
	})
	d.AddFunctionTable().Close()
	in(d.AddFunctionTable(), func(f otlp.FunctionBuilder) { f.SetNameStrindex(3) })
	in(d.AddFunctionTable(), func(f otlp.FunctionBuilder) { f.SetSystemNameStrindex(4); f.SetFilenameStrindex(5) })
	d.AddLocationTable().Close()
	in(d.AddLocationTable(), func(l otlp.LocationBuilder) { // one function inlined in another
		l.SetMappingIndex(1)
		l.SetAddress(0x1234)
		in(l.AddLines(), func(n otlp.LineBuilder) { n.SetFunctionIndex(1); n.SetLine(12) })
		in(l.AddLines(), func(n otlp.LineBuilder) { n.SetFunctionIndex(2); n.SetLine(99); n.SetColumn(3) })
		l.AddAttributeIndices(1, 2)
	})
	in(d.AddLocationTable(), func(l otlp.LocationBuilder) { l.SetAddress(0xdead) })
	d.AddLinkTable().Close()
	in(d.AddLinkTable(), func(l otlp.LinkBuilder) { l.SetTraceID(traceID); l.SetSpanID(spanID) })
	d.AddAttributeTable().Close()
	in(d.AddAttributeTable(), func(a otlp.KeyValueAndUnitBuilder) {
		a.SetKeyStrindex(7)
		in(a.SetValue(), func(v otlp.AnyValueBuilder) { v.SetStringValueStrindex(8) })
	})
	in(d.AddAttributeTable(), func(a otlp.KeyValueAndUnitBuilder) {
		a.SetKeyStrindex(10)
		in(a.SetValue(), func(v otlp.AnyValueBuilder) { v.SetIntValue(64) })
		a.SetUnitStrindex(11)
	})
	d.AddStackTable().Close()
	in(d.AddStackTable(), func(s otlp.StackBuilder) { s.AddLocationIndices(1, 2) })
}
