package otlp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// spanJSON returns a request with one span that has these fields.
func spanJSON(fields string) string {
	return `{"resourceSpans":[{"scopeSpans":[{"spans":[{` + fields + `}]}]}]}`
}

// valueJSON returns a request with one attribute whose value has these fields.
func valueJSON(fields string) string {
	return spanJSON(`"attributes":[{"key":"k","value":{` + fields + `}}]`)
}

func value(fields ...[]byte) []byte {
	return span(msg(9, msg(1, []byte("k")), msg(2, fields...)))
}

// pointJSON returns a request with one histogram data point that has these fields.
func pointJSON(fields string) string {
	return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{` + fields + `}]}}]}]}]}`
}

func point(fields ...[]byte) []byte { return metricsIn(msg(9, msg(1, fields...))) }

func fixed64(num uint32, v uint64) []byte {
	var e wire.Encoder
	e.Fixed64(num, v)
	return e.Buf
}

func double(num uint32, v float64) []byte { return fixed64(num, math.Float64bits(v)) }

// deepJSON returns an attribute value nested n levels deep.
func deepJSON(n int, open, shut string) string {
	return strings.Repeat(open, n-1) + `"stringValue":"leaf"` + strings.Repeat(shut, n-1)
}

const (
	arrayOpen, arrayShut   = `"arrayValue":{"values":[{`, `}]}`
	kvlistOpen, kvlistShut = `"kvlistValue":{"values":[{"value":{`, `}}]}`
)

// The documented choices of DecodeJSON, with the resulting bytes.
func TestDecodeJSONTakes(t *testing.T) {
	id, id8 := bytes.Repeat([]byte{0x5b, 0x8e, 0xff, 0xf7}, 4), bytes.Repeat([]byte{0x5b, 0x8e, 0xff, 0xf7}, 2)
	const hex8 = "5b8EFFF75b8efff7"
	const hex16 = hex8 + hex8
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name   string
		signal Signal
		text   string
		want   []byte
	}{
		{"nothing", Traces, `{}`, nil},
		{"white space", Traces, " \t\r\n{ \"resourceSpans\" : [ { } , { } ] } \n", join(msg(1), msg(1))},
		{"all signals: metrics", Metrics, `{"resourceMetrics":[{}]}`, msg(1)},
		{"all signals: logs", Logs, `{"resourceLogs":[{}]}`, msg(1)},
		{"all signals: profiles", Profiles, `{"dictionary":{"stringTable":["","a"]},"resourceProfiles":[{}]}`, join(msg(2, msg(5), msg(5, []byte("a"))), msg(1))},
		{"the original names", Traces, `{"resource_spans":[{"scope_spans":[{"schema_url":"u"}]}]}`, msg(1, msg(2, msg(3, []byte("u"))))},
		{"an escaped key", Traces, `{"resource\u0053pans":[{}]}`, msg(1)},
		{"unknown fields", Traces, `{"x":{"y":[1,-2.5e+3,"\u00e9\"",null,true,{}]},"resourceSpans":[{"z":[]}],"":false}`, msg(1)},
		{"an empty key does not end the object", Traces, `{"":0,"resourceSpans":[{}]}`, msg(1)},
		{"names have their case", Traces, `{"ResourceSpans":[{}]}`, nil},
		{"null is absent", Traces, spanJSON(`"traceId":null,"name":null,"kind":null,"flags":null,"attributes":null,"status":null,"startTimeUnixNano":null`), span()},
		{"null in a list of messages", Traces, `{"resourceSpans":[null,{}]}`, join(msg(1), msg(1))},
		{"null in a list of values", Traces, valueJSON(`"arrayValue":{"values":[null]}`), value(msg(5, msg(1)))},
		{"null in a list of strings", Profiles, `{"dictionary":{"stringTable":[null]}}`, msg(2, msg(5))},
		{"ids in hex", Traces, spanJSON(`"traceId":"` + hex16 + `","spanId":"` + hex8 + `","parentSpanId":"` + hex8 + `"`), span(msg(1, id), msg(2, id8), msg(4, id8))},
		{"ids with escapes", Traces, spanJSON(`"traceId":"\u0035` + hex16[1:] + `"`), span(msg(1, id))},
		{"ids of links", Traces, spanJSON(`"links":[{"traceId":"` + hex16 + `","spanId":""}]`), span(msg(13, msg(1, id)))},
		{"the id of a profile", Profiles, `{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"profileId":"` + hex16 + `"}]}]}]}`, msg(1, msg(2, msg(2, msg(7, id))))},
		{"enums as numbers", Traces, spanJSON(`"kind":2,"status":{"code":2}`), span(varint(6, 2), msg(15, varint(3, 2)))},
		{"enums as names", Traces, spanJSON(`"kind":"SPAN_KIND_SERVER","status":{"code":"STATUS_CODE_ERROR"}`), span(varint(6, 2), msg(15, varint(3, 2)))},
		{"enums that are new", Traces, spanJSON(`"kind":-7`), span(varint(6, math.MaxUint64-6))},
		{"64 bits as a string", Traces, spanJSON(`"startTimeUnixNano":"18446744073709551615"`), span(fixed64(7, math.MaxUint64))},
		{"64 bits as a number", Traces, spanJSON(`"startTimeUnixNano":18446744073709551615`), span(fixed64(7, math.MaxUint64))},
		{"32 bits as a string", Traces, spanJSON(`"droppedEventsCount":"4294967295"`), span(varint(12, math.MaxUint32))},
		{"an integer with an exponent", Traces, valueJSON(`"intValue":-1.50e3`), value(varint(3, math.MaxUint64-1499))},
		{"an integer with a fraction of zeros", Traces, valueJSON(`"intValue":"7.000"`), value(varint(3, 7))},
		{"an integer with escapes", Traces, valueJSON(`"intValue":"\u0037"`), value(varint(3, 7))},
		{"the smallest integer", Traces, valueJSON(`"intValue":"-9223372036854775808"`), value(varint(3, 1<<63))},
		{"zero in a oneof is written", Traces, valueJSON(`"intValue":0`), value(varint(3, 0))},
		{"false in a oneof", Traces, valueJSON(`"boolValue":false`), value(varint(2, 0))},
		{"the empty string in a oneof", Traces, valueJSON(`"stringValue":""`), value(msg(1))},
		{"an empty value", Traces, valueJSON(``), value()},
		{"zero is not", Traces, spanJSON(`"droppedEventsCount":0,"name":"","kind":0,"endTimeUnixNano":"0","traceId":"","attributes":[]`), span()},
		{"zero of an optional field is", Metrics, pointJSON(`"sum":0,"min":"-0.0"`), point(double(5, 0), double(11, math.Copysign(0, -1)))},
		{"doubles", Metrics, pointJSON(`"sum":1.5,"min":"2.5e-1","max":9007199254740993`), point(double(5, 1.5), double(11, 0.25), double(12, 9007199254740993))},
		{"doubles that are none", Metrics, pointJSON(`"sum":"NaN","min":"-Infinity","max":"\u0049nfinity"`), point(double(5, nan), double(11, -inf), double(12, inf))},
		{"packed lists", Metrics, pointJSON(`"bucketCounts":["1",2, "3"],"explicitBounds":[]`), point(msg(6, fixed64(0, 1)[1:], fixed64(0, 2)[1:], fixed64(0, 3)[1:]))},
		{"base64", Traces, valueJSON(`"bytesValue":"+/8="`), value(msg(7, []byte{0xfb, 0xff}))},
		{"base64 for URLs, unpadded", Traces, valueJSON(`"bytesValue":"-_8"`), value(msg(7, []byte{0xfb, 0xff}))},
		{"base64 with escapes", Traces, valueJSON(`"bytesValue":"+\/8\u003d"`), value(msg(7, []byte{0xfb, 0xff}))},
		{"escapes", Traces, valueJSON(`"stringValue":"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"`), value(msg(1, []byte("\"\\/\b\f\n\r\t\x00é😀")))},
		{"half surrogate pairs", Traces, valueJSON(`"stringValue":"\ud83d \ude00 \ud83d\u0041 \ud83d\ud83d\ude00 \ud83d"`), value(msg(1, []byte("\ufffd \ufffd \ufffdA \ufffd😀 \ufffd")))},
		{"text that is not UTF-8", Traces, valueJSON("\"stringValue\":\"a\xff\""), value(msg(1, []byte("a\xff")))},
		{"a key twice: the last one counts", Traces, spanJSON(`"name":"a","name":"","kind":1,"kind":0`), span(msg(5, []byte("a")), msg(5), varint(6, 1), varint(6, 0))},
		{"a list twice: they append", Traces, `{"resourceSpans":[{}],"resource_spans":[{}]}`, join(msg(1), msg(1))},
		{"a message twice: they merge", Traces, spanJSON(`"status":{"code":1,"message":"m"},"status":{"code":0}`), span(msg(15, varint(3, 1), msg(2, []byte("m"))), msg(15, varint(3, 0)))},
		{"two members of a oneof", Traces, valueJSON(`"intValue":1,"stringValue":"a"`), value(varint(3, 1), msg(1, []byte("a")))},
		{"the largest growth", Metrics, pointJSON(`"explicitBounds":[0` + strings.Repeat(",0", 1000) + `]`), point(msg(7, make([]byte, 8008)))},
		{"a deep array", Traces, valueJSON(deepJSON(50, arrayOpen, arrayShut)), nil},
		{"a deep map", Traces, valueJSON(deepJSON(33, kvlistOpen, kvlistShut)), nil},
		{"a deep unknown field", Traces, `{"x":` + strings.Repeat("[", maxUnknownDepth) + strings.Repeat("]", maxUnknownDepth) + `}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decode(t, c.signal, []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if c.want != nil && !bytes.Equal(got, c.want) {
				t.Errorf("got  %x\nwant %x", got, c.want)
			}
			newOracle(t).compareJSON(t, c.signal, []byte(c.text))
		})
	}
}

// Text that DecodeJSON rejects, with the offset and the path of the error.
func TestDecodeJSONRefuses(t *testing.T) {
	const inSpan = "resourceSpans[0].scopeSpans[0].spans[0]"
	for _, c := range []struct {
		text string
		at   string // the text from the offset on
		path string
		want string
	}{
		{"", "", "", "unexpected end of text, expected an object"},
		{"null", "null", "", "expected an object, found 'n'"},
		{"[]", "[]", "", "expected an object"},
		{"\ufeff{}", "\ufeff{}", "", "byte order mark"},
		{"{} {}", "{}", "", "unexpected data after the JSON request"},
		{"{", "", "", "unexpected end of text, expected a key"},
		{`{"resourceSpans"}`, "}", "", "expected a colon"},
		{`{"resourceSpans":[]`, "", "", "unexpected end of text, expected a comma or the end of the object"},
		{`{"resourceSpans":[],}`, "}", "", "expected a key"},
		{`{"resourceSpans":{}}`, "{}}", "resourceSpans", "expected a list"},
		{`{"resourceSpans":[{},]}`, "]}", "resourceSpans[1]", "expected an object"},
		{`{"resourceSpans":[{},{} {}]}`, "{}]}", "resourceSpans[1]", "a comma or the end of the list"},
		{`{"resourceSpans":[{},{"resource":[]}]}`, "[]}]}", "resourceSpans[1].resource", "expected an object"},
		{`{"x":}`, "}", "", "expected a value"},
		{`{"x":[1,]}`, "]}", "", "expected a value"},
		{`{"x":{"a" 1}}`, "1}}", "", "expected a colon"},
		{`{"x":{"a":1,}}`, "}}", "", "expected a key"},
		{`{"x":[1}}`, "}}", "", "end of the list"},
		{`{"x":{"a":1]}`, "]}", "", "end of the object"},
		{`{"x":"\q"}`, `\q"}`, "", "escape"},
		{`{"x":01}`, "01}", "", "malformed"},
		{`{"x":-}`, "-}", "", "malformed"},
		{`{"x":1e}`, "1e}", "", "malformed"},
		{`{"x":nul}`, "nul}", "", "expected null"},
		{`{"x":` + strings.Repeat("[", maxUnknownDepth+1), "[", "", "nested deeper than 512"},
		{spanJSON(`"traceId":"0"`), `"0"}]}]}]}`, inSpan + ".traceId", "hex"},
		{spanJSON(`"traceId":"5b8efff7"`), `"5b8efff7"}]}]}]}`, inSpan + ".traceId", "identifier of 4 bytes, expected 16 or none"},
		{spanJSON(`"spanId":"00112233445566778899aabbccddeeff"`), `"00112233445566778899aabbccddeeff"}]}]}]}`, inSpan + ".spanId", "identifier of 16 bytes, expected 8 or none"},
		{spanJSON(`"name":"x","traceId":"W47/95gDgQPSabYzgT/GDA=="`), `"W47/95gDgQPSabYzgT/GDA=="}]}]}]}`, inSpan + ".traceId", "hex"},
		{spanJSON(`"trace_id":7`), `7}]}]}]}`, inSpan + ".traceId", "a string of hex"},
		{spanJSON(`"name":7`), `7}]}]}]}`, inSpan + ".name", "a string"},
		{spanJSON("\"name\":\"a\nb\""), "\nb\"}]}]}]}", inSpan + ".name", `control character '\n'`},
		{spanJSON(`"name":"\u12"`), `\u12"}]}]}]}`, inSpan + ".name", "four hex digits"},
		{spanJSON(`"name":"a`)[:len(spanJSON(`"name":"a`))-7], "", inSpan + ".name", "unexpected end of text in a string"},
		{spanJSON(`"name":"a" "kind":1`), `"kind":1}]}]}]}`, inSpan, "a comma"},
		{spanJSON(`"name":"a",,`), `,}]}]}]}`, inSpan, "a key"},
		{spanJSON(`"kind":"2"`), `"2"}]}]}]}`, inSpan + ".kind", "unknown enum value"},
		{spanJSON(`"kind":"SERVER"`), `"SERVER"}]}]}]}`, inSpan + ".kind", "unknown enum value"},
		{spanJSON(`"kind":2147483648`), `2147483648}]}]}]}`, inSpan + ".kind", "out of range for an enum"},
		{spanJSON(`"kind":1.5`), `1.5}]}]}]}`, inSpan + ".kind", "not an integer"},
		{spanJSON(`"flags":-1`), `-1}]}]}]}`, inSpan + ".flags", "out of range for a uint32"},
		{spanJSON(`"startTimeUnixNano":"18446744073709551616"`), `"18446744073709551616"}]}]}]}`, inSpan + ".startTimeUnixNano", "not an integer or does not fit"},
		{spanJSON(`"startTimeUnixNano":" 1"`), `" 1"}]}]}]}`, inSpan + ".startTimeUnixNano", "malformed"},
		{spanJSON(`"startTimeUnixNano":""`), `""}]}]}]}`, inSpan + ".startTimeUnixNano", "malformed"},
		{spanJSON(`"startTimeUnixNano":true`), `true}]}]}]}`, inSpan + ".startTimeUnixNano", "expected a number"},
		{spanJSON(`"events":[{},{"attributes":[{"key":"a","value":{"intValue":"1"}},{"key":"b","value":{"intValue":"x"}}]}]`), `"x"}}]}]}]}]}]}`, inSpan + ".events[1].attributes[1].value.intValue", "malformed"},
		{spanJSON(`"attributes":[{"key":"a","value":{"intValue":"1"}},{"key":"b","value":{"stringValue":"x"}},{"key":"c","value":{"stringValue":7}}]`), `7}}]}]}]}]}`, inSpan + ".attributes[2].value.stringValue", "a string"},
		{valueJSON(`"intValue":9223372036854775808`), `9223372036854775808}}]}]}]}]}`, inSpan + ".attributes[0].value.intValue", "out of range for an int64"},
		{valueJSON(`"boolValue":"true"`), `"true"}}]}]}]}]}`, inSpan + ".attributes[0].value.boolValue", "expected true or false"},
		{valueJSON(`"doubleValue":1e999`), `1e999}}]}]}]}]}`, inSpan + ".attributes[0].value.doubleValue", "out of range for a double"},
		{valueJSON(`"doubleValue":"nan"`), `"nan"}}]}]}]}]}`, inSpan + ".attributes[0].value.doubleValue", "malformed"},
		{valueJSON(`"bytesValue":"a"`), `"a"}}]}]}]}]}`, inSpan + ".attributes[0].value.bytesValue", "base64"},
		{valueJSON(deepJSON(51, arrayOpen, arrayShut)), `{"values":[{"stringValue"`, inSpan + ".attributes[0]", "value of more than 100 nested messages"},
		{valueJSON(deepJSON(34, kvlistOpen, kvlistShut)), `{"stringValue"`, inSpan + ".attributes[0]", "value of more than 100 nested messages"},
		{valueJSON(kvlistOpen + strings.Repeat(arrayOpen, 47) + `"arrayValue":{"values":[null]}` + strings.Repeat(arrayShut, 47) + kvlistShut), "null]", inSpan + ".attributes[0]", "value of more than 100 nested messages"},
		{valueJSON(strings.Repeat(kvlistOpen, 100_000)), "", "", "value of more than 100 nested messages"},
	} {
		t.Run(c.text[:min(len(c.text), 100)], func(t *testing.T) {
			_, err := decode(t, Traces, []byte(c.text))
			var bad *JSONError
			if !errors.As(err, &bad) {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, want %q in it", err, c.want)
			}
			if rest := c.text[bad.Offset:]; rest != c.at && !(len(c.at) > 0 && len(c.text) > 500 && strings.HasPrefix(rest, c.at)) && len(c.text) < 100_000 {
				t.Errorf("the error is at %q, want %q", rest, c.at)
			}
			if bad.Path != c.path && len(c.text) < 500 {
				t.Errorf("the path is %q, want %q", bad.Path, c.path)
			}
			newOracle(t).compareJSON(t, Traces, []byte(c.text))
		})
	}
	if _, err := DecodeJSON(nil, 0, []byte("{}")); err == nil {
		t.Error("no signal: no error")
	}
}

// seedTexts returns the JSON of small requests of each signal.
func seedTexts(t testing.TB) map[Signal][]byte {
	texts := map[Signal][]byte{}
	for s, request := range seeds(t) {
		texts[s] = AppendJSON(nil, s, request)
	}
	return texts
}

// Every truncation of a request is rejected, and for many bit flips the result is
// that of the oracle.
func TestDecodeJSONTruncationsAndFlips(t *testing.T) {
	o := newOracle(t)
	for s, text := range seedTexts(t) {
		for i := 0; i < len(text); i += 1 + len(text)/4096 {
			if _, err := decode(t, s, text[:i]); err == nil {
				t.Fatalf("%s: the first %d bytes of %d are taken", s, i, len(text))
			}
		}
		if s == Profiles { // a large one
			text = AppendJSON(nil, s, sample(varint(1, 1), msg(2, []byte{1, 2}), msg(5, fixed64(0, 7)[1:])))
		}
		for i := 0; i < len(text); i += 1 + len(text)/300 {
			for _, c := range []byte{text[i] ^ 0x01, text[i] ^ 0x80, '"', ',', '}', '\\', ' ', '0'} {
				bad := append([]byte(nil), text...)
				bad[i] = c
				if json.Valid(bad) {
					o.compareJSON(t, s, bad)
				} else if _, err := decode(t, s, bad); err == nil {
					t.Fatalf("%s: taken, but no JSON: %q", s, bad)
				}
			}
		}
	}
}

// realRequest returns the official type of a request, whose descriptors oracle
// changes.
func realRequest(s Signal) proto.Message {
	return map[Signal]func() proto.Message{
		Traces:   func() proto.Message { return &coltraces.ExportTraceServiceRequest{} },
		Metrics:  func() proto.Message { return &colmetrics.ExportMetricsServiceRequest{} },
		Logs:     func() proto.Message { return &collogs.ExportLogsServiceRequest{} },
		Profiles: func() proto.Message { return &colprofiles.ExportProfilesServiceRequest{} },
	}[s]()
}

var idInBase64 = regexp.MustCompile(`"(traceId|spanId|parentSpanId|profileId)":"([A-Za-z0-9+/=]*)"`)

// officialJSON returns the text of protojson for a request, with the changes of
// OTLP: enums as numbers, ids in hex.
func officialJSON(t testing.TB, s Signal, request []byte) []byte {
	t.Helper()
	m := realRequest(s)
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	loose, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, loose); err != nil {
		t.Fatal(err)
	}
	return idInBase64.ReplaceAllFunc(text.Bytes(), func(b []byte) []byte {
		part := idInBase64.FindSubmatch(b)
		id, err := base64.StdEncoding.DecodeString(string(part[2]))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, `"%s":"%s"`, part[1], hex.EncodeToString(id))
	})
}

// anyJSON decodes the text, which makes the order of its keys irrelevant.
func anyJSON(t testing.TB, text []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// roundTrip compares AppendJSON of a request with the official text, and DecodeJSON
// of that text with the request.
func (o oracle) roundTrip(t *testing.T, s Signal, request []byte) {
	t.Helper()
	text := AppendJSON(nil, s, request)
	if want := officialJSON(t, s, request); !reflect.DeepEqual(anyJSON(t, text), anyJSON(t, want)) {
		t.Fatalf("%s: %x\nis     %s\nshould be %s", s, request, text, want)
	}
	back, err := decode(t, s, text)
	if err != nil {
		t.Fatalf("%s: %s: %v", s, text, err)
	}
	if got, want := canonical(t, o[s], back), canonical(t, o[s], request); !bytes.Equal(got, want) {
		t.Fatalf("%s: %s\nis   %x\nwant %x", s, text, got, want)
	}
}

// A request in which every field of the protocol is set is unchanged after a round
// trip through JSON, and its JSON is that of the official module.
func TestJSONOfEveryField(t *testing.T) {
	o := newOracle(t)
	for s, d := range o {
		set := map[protoreflect.FullName]bool{}
		f := filler{rng: rand.New(rand.NewPCG(3, 4))}
		for range 16 {
			m := dynamicpb.NewMessage(d)
			f.message(m, 9)
			asciiOnly(m)
			note(m, set)
			o.roundTrip(t, s, marshal(t, m))
			o.compareJSON(t, s, AppendJSON(nil, s, marshal(t, m)))
		}
		if missing := unset(d, set, map[protoreflect.FullName]bool{}); len(missing) > 0 {
			t.Errorf("%s: never set: %v", s, missing)
		}
	}
}

// asciiOnly clears the high bits of all bytes in m, so that strings are UTF-8.
func asciiOnly(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		each := func(v protoreflect.Value) {
			switch f.Kind() {
			case protoreflect.MessageKind:
				asciiOnly(v.Message())
			case protoreflect.BytesKind:
				for i, b := 0, v.Bytes(); i < len(b); i++ {
					b[i] &= 0x7f
				}
			}
		}
		if !f.IsList() {
			each(v)
			return true
		}
		for i := range v.List().Len() {
			each(v.List().Get(i))
		}
		return true
	})
}

// Requests in every form that the wire allows (fields out of order, split, repeated,
// packed and not packed) have the JSON of the official module.
func TestJSONOfGeneratedRequests(t *testing.T) {
	o := newOracle(t)
	n := 0
	for seed := range uint64(300) {
		g := &generator{rng: rand.New(rand.NewPCG(seed, 5))}
		for _, s := range Signals() {
			b := g.request(s)
			if _, err := Check(s, b); err == nil {
				o.roundTrip(t, s, b)
				n++
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d requests", n)
	}
}

func TestJSONOfWholeRequests(t *testing.T) {
	o := newOracle(t)
	for s, request := range seeds(t) {
		if s == Logs { // has a string that is not UTF-8
			text := AppendJSON(nil, s, request)
			if !bytes.Contains(text, []byte("started \ufffd not UTF-8")) || !json.Valid(text) {
				t.Errorf("%s", text)
			}
			continue
		}
		o.roundTrip(t, s, request)
	}
}

func TestAppendJSONText(t *testing.T) {
	for _, c := range []struct {
		name    string
		request []byte
		want    string
	}{
		{"nothing", nil, `{}`},
		{"controls", value(msg(1, []byte("\"\\\b\f\n\r\t\x00\x1f\x7f/<é"))), valueJSON(`"stringValue":"\"\\\b\f\n\r\t\u0000\u001f` + "\x7f" + `/<é"`)},
		{"bytes that are not UTF-8", value(msg(1, []byte("a\xff\xc3(\xed\xa0\x80"))), valueJSON(`"stringValue":"a` + "\ufffd\ufffd(\ufffd\ufffd\ufffd" + `"`)},
		{"such a byte in front", value(msg(1, []byte("\xffabcdefghijkl"))), valueJSON(`"stringValue":"` + "\ufffdabcdefghijkl" + `"`)},
		{"such a byte at the end", value(msg(1, []byte("abcdefghijkl\xff"))), valueJSON(`"stringValue":"abcdefghijkl` + "\ufffd" + `"`)},
		{"doubles", value(double(4, 1e-7)), valueJSON(`"doubleValue":1e-7`)},
		{"large doubles", value(double(4, -1e21)), valueJSON(`"doubleValue":-1e+21`)},
		{"minus zero", value(double(4, math.Copysign(0, -1))), valueJSON(`"doubleValue":-0`)},
		{"not a number", value(double(4, math.NaN())), valueJSON(`"doubleValue":"NaN"`)},
		{"infinity", value(double(4, math.Inf(-1))), valueJSON(`"doubleValue":"-Infinity"`)},
		{"a split message", span(msg(15, varint(3, 1)), msg(15, msg(2, []byte("m")))), spanJSON(`"status":{"code":1,"message":"m"}`)},
		{"a list in parts", span(msg(9), msg(15), msg(9)), spanJSON(`"attributes":[{},{}],"status":{}`)},
		{"the order of the wire", span(varint(6, 1), msg(5, []byte("n"))), spanJSON(`"kind":1,"name":"n"`)},
		{"members of a oneof", value(msg(5, msg(1)), varint(3, 1), msg(5)), valueJSON(`"arrayValue":{}`)},
		{"a member of a oneof in parts", value(msg(5, msg(1)), msg(5, msg(1))), valueJSON(`"arrayValue":{"values":[{},{}]}`)},
		{"unknown fields", span(msg(1000, []byte("new"))), spanJSON(``)},
		{"defaults", span(varint(6, 0), msg(5), varint(12, 1<<32)), spanJSON(``)},
	} {
		if got := string(AppendJSON([]byte("x"), Traces, c.request)); got != "x"+c.want {
			t.Errorf("%s:\n got %s\nwant x%s", c.name, got, c.want)
		}
	}
	if got := string(AppendJSON(nil, 0, nil)) + string(AppendResponseJSON(nil, 0, nil)); got != "nullnull" {
		t.Errorf("no signal: %s", got)
	}
}

// For bytes that were not checked, the result is arbitrary, but valid JSON.
func TestAppendJSONOfGarbage(t *testing.T) {
	for seed := range uint64(300) {
		g := &generator{rng: rand.New(rand.NewPCG(seed, 6)), evil: true}
		for _, s := range Signals() {
			b := g.request(s)
			if text := AppendJSON(nil, s, b); !json.Valid(text) {
				t.Fatalf("%s: %x: %s", s, b, text)
			}
		}
	}
	deep := []byte{}
	for range 5000 {
		deep = msg(5, msg(1, deep))
	}
	if text := AppendJSON(nil, Traces, value(deep)); !json.Valid(text) || len(text) > 100_000 {
		t.Errorf("%d bytes", len(text))
	}
}

func TestAppendResponseJSON(t *testing.T) {
	for s, name := range map[Signal]string{
		Traces: "rejectedSpans", Metrics: "rejectedDataPoints", Logs: "rejectedLogRecords", Profiles: "rejectedProfiles",
	} {
		for _, c := range []struct {
			response []byte
			want     string
		}{
			{nil, `{}`},
			{msg(1), `{"partialSuccess":{}}`},
			{msg(1, varint(1, 3), msg(2, []byte("a \"why\""))), `{"partialSuccess":{"` + name + `":"3","errorMessage":"a \"why\""}}`},
			{msg(1, msg(2, []byte("a warning"))), `{"partialSuccess":{"errorMessage":"a warning"}}`},
		} {
			if got := string(AppendResponseJSON(nil, s, c.response)); got != c.want {
				t.Errorf("%s: %x: got %s, want %s", s, c.response, got, c.want)
			}
		}
	}
}

// With a buffer of any size, the result is complete or ErrShortBuffer. Nothing is
// written beyond the buffer, and the size of the result plus twice the slack is
// always enough.
func TestDecodeJSONStaysInItsRoom(t *testing.T) {
	type request struct {
		s    Signal
		text []byte
	}
	// Small messages, then one in which each length takes more bytes than predicted.
	nested := func(s string) string {
		return `{"scopeSpans":[{"spans":[{"events":[{"attributes":[{"value":{` +
			strings.Repeat(kvlistOpen, shallow/3-1) + `"stringValue":"` + s + `"` + strings.Repeat(kvlistShut, shallow/3-1) + `}}]}]}]}]}`
	}
	requests := []request{
		{Traces, []byte(valueJSON(`"bytesValue":"\u0041QID` + strings.Repeat("BAUG", 60) + `","stringValue":"` + strings.Repeat(`\n`, 200) + `"`))},
		{Traces, []byte(`{"resourceSpans":[` + nested("x") + "," + nested(strings.Repeat("x", 20_000)) + "]}")},
	}
	for s, text := range seedTexts(t) {
		requests = append(requests, request{s, text})
	}
	for _, r := range requests {
		s, text := r.s, r.text
		want, err := decode(t, s, text)
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(want)/400)
		for room := 0; room < len(want)+300; room += step {
			if room > len(want)-100 {
				step = 1
			}
			memory := bytes.Repeat([]byte{0xa5}, room+64)
			got, err := DecodeJSON(memory[:0:room], s, text)
			switch {
			case err == nil && !bytes.Equal(got, want):
				t.Fatalf("%s: in %d bytes: %x, want %x", s, room, got, want)
			case err == nil && room < len(want), err != nil && room >= len(want)+250:
				t.Fatalf("%s: a result of %d bytes in %d: %v", s, len(want), room, err)
			case err != nil && (err != ErrShortBuffer || len(got) != 0):
				t.Fatalf("%s: in %d bytes: %v, %d bytes", s, room, err, len(got))
			}
			if !bytes.Equal(memory[room:], bytes.Repeat([]byte{0xa5}, 64)) {
				t.Fatalf("%s: wrote beyond %d bytes", s, room)
			}
		}
	}
}

func TestJSONDoesNotAllocate(t *testing.T) {
	texts := seedTexts(t)
	// Text with a code path of its own: escapes, long numbers, names, base64,
	// unknown fields, white space.
	texts[Traces] = []byte(" " + valueJSON(`"x":[{"a":"\n"}], "bytesValue":"\u0041QID","stringValue":"`+strings.Repeat(`x\n`, 200)+
		`","doubleValue":123456789.12345678901234567890123456789012345678901234567890,"intValue":"1234567890e-1"`))
	for s, text := range texts {
		room := make([]byte, 0, MaxWireBytes(len(text)))
		if n := testing.AllocsPerRun(20, func() {
			if _, err := DecodeJSON(room, s, text); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: DecodeJSON: %v allocations", s, n)
		}
		request, _ := decode(t, s, text)
		out := make([]byte, 0, 4*len(text))
		if n := testing.AllocsPerRun(20, func() { AppendJSON(out, s, request) }); n != 0 {
			t.Errorf("%s: AppendJSON: %v allocations", s, n)
		}
	}
}

// Below a few levels, lengths can have more bytes than necessary, so that deeply
// nested text is not moved once for each level. The official module reads them. On
// the levels above, all lengths are minimal.
func TestLengthsOfDeepValues(t *testing.T) {
	leaf := `"stringValue":"` + strings.Repeat("x", 200) + `"`
	rest := `],"name":"` + strings.Repeat("y", 1<<20) + `"`
	const level = shallow / 2 // an array and its element are two messages, an attribute and its value too
	for _, depth := range []int{1, level, level + 1, DefaultDepth / 2} {
		// A small value first, so that the predicted lengths of the large ones are wrong.
		small := `{"value":{` + strings.Repeat(arrayOpen, level-1) + strings.Repeat(arrayShut, level-1) + `}},`
		text := spanJSON(`"attributes":[` + small + `{"value":{` + strings.Repeat(arrayOpen, depth-1) + leaf + strings.Repeat(arrayShut, depth-1) + `}}` + rest)
		got, err := decode(t, Traces, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		canon := canonical(t, official(t, Traces), got)
		if padded := len(got) - len(canon); (padded > 0) != (depth > level) || padded > 8*depth {
			t.Errorf("depth %d: %d bytes more than needed", depth, padded)
		}
		if back := AppendJSON(nil, Traces, got); string(back) != text {
			t.Errorf("depth %d: it comes back as %.1000s", depth, back)
		}
	}
}

// Lengths change from one byte to two at 128, and code that reads eight bytes at a
// time can end at any of them. White space avoids the fast path for the same
// attribute.
func TestAttributesOfAnyLength(t *testing.T) {
	attribute := func(space, key, value string) []byte {
		return []byte(spanJSON(`"attributes":[{`+space+`"key":"`+key+`","value":{`+value+`}}]`) + strings.Repeat(" ", 40))
	}
	same := func(key, value string) {
		t.Helper()
		got, err := decode(t, Traces, attribute("", key, value))
		want, slowErr := decode(t, Traces, attribute(" ", key, value))
		if err != nil || slowErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %s:\n got %x, %v\nwant %x, %v", key, value, got, err, want, slowErr)
		}
	}
	x := strings.Repeat("x", 140)
	for _, stop := range []string{"", "é", "\x7f", `\n`, `\u0022`} {
		for n := range 140 {
			same("k"+x[:n]+stop, `"stringValue":""`)
			same("k", `"stringValue":"`+x[:n]+stop+`"`)
			same("k"+x[:n/2], `"stringValue":"`+x[n/2:n]+stop+`"`)
		}
	}
	for v := uint64(1); v < 1<<62; v = v*3 + 1 {
		same("k", fmt.Sprintf(`"intValue":"%d"`, v))
		same("k", fmt.Sprintf(`"intValue":%d`, v))
	}
	same("k", `"intValue":"9223372036854775807"`)
	for _, bad := range []string{`"intValue":"9223372036854775808"`, `"intValue":01`, "\"stringValue\":\"\x1f\""} {
		if got, err := decode(t, Traces, attribute("", "k", bad)); err == nil {
			t.Errorf("%s: %x", bad, got)
		}
	}
}

// Lists of indices are read correctly with elements of any length and with any white
// space between them.
func TestListsOfIndices(t *testing.T) {
	var numbers []uint64
	for v := uint64(1); v <= math.MaxInt32; v *= 10 {
		numbers = append(numbers, v-1, v, 3*v/2)
	}
	numbers = append(numbers, 0x7f, 0x80, 0x3fff, 0x4000, math.MaxInt32)
	for n := range len(numbers) {
		for _, comma := range []string{",", " ,", ", ", `","`} {
			var packed []byte
			var list []string
			for _, v := range numbers[:n+1] {
				packed = binary.AppendUvarint(packed, v)
				list = append(list, strconv.FormatUint(v, 10))
			}
			text := strings.Join(list, comma)
			if comma == `","` {
				text = `"` + text + `"`
			}
			got, err := decode(t, Profiles, []byte(`{"dictionary":{"stackTable":[{"locationIndices":[`+text+`]}]}}`))
			if want := msg(2, msg(7, msg(1, packed))); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s:\n got %x, %v\nwant %x", text, got, err, want)
			}
			if back := string(AppendJSON(nil, Profiles, got)); !strings.Contains(back, "["+strings.Join(list, ",")+"]") {
				t.Fatalf("%s is written as %s", text, back)
			}
		}
	}
}

func TestListsOfBadIndices(t *testing.T) {
	for _, list := range []string{"01,2,3", "1,02,3", "1,2,03", "1,,2", ",1", "1,2,", "1 2", "1,2.5", "2147483648,1", "1,2147483648", "1;2", "12345678;1"} {
		text := `{"dictionary":{"stackTable":[{"locationIndices":[` + list + `]}]}}`
		if got, err := decode(t, Profiles, []byte(text+strings.Repeat(" ", 40))); err == nil {
			t.Errorf("%s: %x", text, got)
		}
	}
}

func TestAppendDecimal(t *testing.T) {
	check := func(v uint64) {
		if got, want := string(appendDecimal([]byte("x"), v)), "x"+strconv.FormatUint(v, 10); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	for v := range uint64(100_000) {
		check(v)
		check(v * 1e4)
		check(v * 999)
		check(math.MaxUint64 - v)
	}
	for v := uint64(1); v < 1e19; v *= 10 {
		check(v - 1)
		check(v)
	}
}

// Nested values that all have to be merged would be written again at each level.
// Once that has cost as much as the request, everything is merged.
func TestAppendJSONGivesUpStreaming(t *testing.T) {
	o := newOracle(t)
	inner := msg(1, bytes.Repeat([]byte("x"), 1000))
	for range 20 { // each in a list that is split: the second part, which is empty, follows
		inner = slices.Concat(msg(5, msg(1, inner)), msg(5))
	}
	request := value(inner)
	e := jsonEncoder{retry: len(request)}
	e.message(nil, roots[Traces], request, 0)
	if !e.giveUp {
		t.Errorf("%d bytes may still be encoded again", e.retry)
	}
	o.roundTrip(t, Traces, request)
}

func TestFieldsFitTheTables(t *testing.T) {
	for m, fields := range jsonMessages {
		if len(fields) >= maxJSONFields {
			t.Errorf("message %d has %d fields, the table of predictions %d", m, len(fields), maxJSONFields)
		}
	}
}

// Numbers have the values that strconv returns.
func FuzzJSONNumbers(f *testing.F) {
	for _, s := range []string{"0", "-0", "1", "12345678", "1234567890123456789", "18446744073709551615", "18446744073709551616", "1e3", "1.5e1", "15e-1",
		"0.1", "1e-400", "9007199254740993", "9007199254740.993", "900719925474.0993", "007", "00", "-01", "12345678.", "123456789012345e", "2.2250738585072011e-308", "123456789012345678901234567890", "1e99999999999999999999", "1.", ".1", "01", "--1", "1e+"} {
		f.Add(s)
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, number string) {
		quoted, err := json.Marshal(number)
		if err != nil || len(number) > 100 {
			return
		}
		for _, n := range []string{number, string(quoted)} {
			for _, text := range []string{valueJSON(`"doubleValue":` + n), valueJSON(`"intValue":` + n), spanJSON(`"startTimeUnixNano":` + n), spanJSON(`"flags":` + n), `{"x":` + n + `}`} {
				o.compareJSON(t, Traces, []byte(text))
				// The fast paths read ahead.
				o.compareJSON(t, Traces, []byte(text+strings.Repeat(" ", 40)))
			}
		}
	})
}

// Strings are read like encoding/json reads them, in all places where strings occur.
func FuzzJSONStrings(f *testing.F) {
	for _, s := range []string{"", "plain", `\n`, `\u00e9`, `\ud83d\ude00`, `\ud83d`, `\ude00\ud83d`, `\u12`, `\`, "\x1f", "é", "\xff", "0a0B", "AQID", "-_8=",
		strings.Repeat("x", 130), strings.Repeat(`\/`, 130), "12345678\"", "1234567\\\""} {
		f.Add(s)
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{
			valueJSON(`"stringValue":"` + s + `"`), valueJSON(`"bytesValue":"` + s + `"`), spanJSON(`"traceId":"` + s + `"`),
			spanJSON(`"kind":"` + s + `"`), spanJSON(`"attributes":[{"key":"` + s + `","value":{"stringValue":"` + s + `"}}]`),
			`{"` + s + `":"` + s + `"}`,
		} {
			o.compareJSON(t, Traces, []byte(text))
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	for s, text := range seedTexts(f) {
		if len(text) < 1<<12 {
			f.Add(uint8(s-1), text)
		}
	}
	for seed := range uint64(8) {
		g := &jsonGenerator{rng: rand.New(rand.NewPCG(seed, 7)), evil: seed%4 == 3, loose: seed%2 == 1}
		for _, s := range Signals() {
			f.Add(uint8(s-1), g.request(s))
		}
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, s uint8, text []byte) { o.compareJSON(t, Signal(s%4)+1, text) })
}

func FuzzGeneratedJSON(f *testing.F) {
	f.Add(uint64(1))
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, seed uint64) { o.compareGeneratedJSON(t, seed) })
}

// A request that Check accepts is unchanged after a round trip through JSON, except
// for unknown fields and text that is not valid UTF-8, and its JSON is valid.
func FuzzJSONRoundTrip(f *testing.F) {
	for s, request := range seeds(f) {
		if len(request) < 1<<12 {
			f.Add(uint8(s-1), request)
		}
	}
	for _, c := range nastyCases() {
		if c.want == "" {
			f.Add(uint8(c.signal-1), c.data)
		}
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, n uint8, request []byte) {
		s := Signal(n%4) + 1
		text := AppendJSON(nil, s, request)
		if !json.Valid(text) {
			t.Fatalf("%s: %x: %s", s, request, text)
		}
		if _, err := Check(s, request); err != nil {
			return
		}
		if proto.Unmarshal(request, realRequest(s)) == nil {
			o.roundTrip(t, s, request)
			return
		}
		// Invalid UTF-8 is repaired in the first round trip only.
		again, err := decode(t, s, text)
		if err != nil {
			t.Fatalf("%s: %s: %v", s, text, err)
		}
		if twice := AppendJSON(nil, s, again); !bytes.Equal(twice, text) {
			t.Fatalf("%s: %s\nbecame %s", s, text, twice)
		}
	})
}

// The decoder ends soon after its context, wherever it is in the text.
func TestDecodeJSONEndsWithItsContext(t *testing.T) {
	const n = 3 * lookEvery
	list := func(open, element, end string) string {
		return open + strings.TrimSuffix(strings.Repeat(element+",", n/(len(element)+1)+1), ",") + end
	}
	const point = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{`
	for name, text := range map[string]string{
		"messages":       list(`{"resourceMetrics":[`, `{}`, `]}`),
		"attributes":     list(`{"resourceMetrics":[{"resource":{"attributes":[`, `{"key":"a","value":{"stringValue":"b"}}`, `]}}]}`),
		"fields":         list(point, `"sum":1.5e-300`, `}]}}]}]}]}`),
		"doubles":        list(point+`"explicitBounds":[`, `5e-324`, `]}]}}]}]}]}`),
		"unknown":        list(`{"x":[`, `{"a":[1,2,{}]}`, `]}`),
		"unknown fields": list(`{`, `"x":0`, `}`),
	} {
		dst := make([]byte, 0, MaxWireBytes(len(text)))
		if _, _, err := DecodeJSONContext(t.Context(), dst, Metrics, []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		cancel(gone)
		if out, _, err := DecodeJSONContext(ctx, dst, Metrics, []byte(text)); !errors.Is(err, gone) || len(out) != 0 {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
}

// The first key that is not known is reported, with what would be.
func TestUnknownField(t *testing.T) {
	for text, want := range map[string]string{
		`{"resourceLogs":[{}]}`:                            "",
		`{"resourceSpans":[{}]}`:                           `"resourceSpans" [resourceLogs]`,
		`{ "a\u0062" : 1, "b":2}`:                          `"a\u0062" [resourceLogs]`,
		`{"resourceLogs":[{"scopeLog":[{}],"other":"x"}]}`: `"scopeLog" [resource scopeLogs schemaUrl]`,
	} {
		_, u, err := DecodeJSONContext(t.Context(), make([]byte, 0, 100), Logs, []byte(text))
		got := ""
		if u.End > 0 {
			got = fmt.Sprintf("%s %v", u.Key([]byte(text)), u.Known())
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}
