package otlp

import (
	"maps"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

type nasty struct {
	name   string
	signal Signal
	data   []byte
	// want is a part of the error text; empty if the request is valid.
	want  string
	items int
}

// msg returns the message field num with these fields inside.
func msg(num uint32, fields ...[]byte) []byte {
	return wire.AppendBytes(nil, num, join(fields...))
}

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func varint(num uint32, v uint64) []byte {
	var e wire.Encoder
	e.Varint(num, v)
	return e.Buf
}

// span returns a request with one span that has these fields.
func span(fields ...[]byte) []byte { return msg(1, msg(2, msg(2, fields...))) }

// deep returns an attribute whose value is at depth n, nested in arrays or maps.
func deep(n int, maps bool) []byte { return msg(9, deepKeyValue(n, maps)) }

func deepKeyValue(n int, maps bool) []byte {
	v := msg(1, []byte("leaf"))
	for range n - 1 {
		if maps {
			v = msg(6, msg(1, msg(1, []byte("k")), msg(2, v)))
		} else {
			v = msg(5, msg(1, v))
		}
	}
	return join(msg(1, []byte("key")), msg(2, v))
}

// sample returns a request with one sample that has these fields.
func sample(fields ...[]byte) []byte { return msg(1, msg(2, msg(2, msg(2, fields...)))) }

// metricsIn returns a request with one metric that has these fields.
func metricsIn(fields ...[]byte) []byte { return msg(1, msg(2, msg(2, fields...))) }

func nastyCases() []nasty {
	stacks2 := msg(2, msg(7), msg(7)) // a dictionary with two stacks
	strings2 := msg(2, msg(5), msg(5, []byte("s")))
	minus1 := uint64(1<<64 - 1)
	point := msg(1)
	return []nasty{
		{"empty", Traces, nil, "", 0},
		{"empty span", Traces, span(), "", 1},
		{"truncated tag", Traces, []byte{0x8a}, "truncated field", 0},
		{"truncated length", Traces, []byte{0x0a}, "truncated field", 0},
		{"length beyond the end", Traces, []byte{0x0a, 5, 1}, "truncated field", 0},
		{"inner length beyond its message", Traces, join(msg(1, []byte{0x12, 9}), make([]byte, 9)), "truncated field", 0},
		{"huge length", Traces, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, "truncated field", 0},
		{"over-long varint", Traces, span([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}), "longer than 64 bits", 0},
		{"eleven byte varint", Traces, span([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}), "longer than 64 bits", 0},
		{"ten byte varint", Traces, span([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}), "", 1},
		{"fixed64 cut", Traces, span([]byte{0x39, 1, 2, 3}), "truncated field", 0},
		{"fixed32 cut", Traces, span([]byte{0x85, 1, 2, 3}), "truncated field", 0},
		{"fixed64 past its message", Traces, msg(1, msg(2, join(msg(2, []byte{0x39, 1, 2}), make([]byte, 20)))), "truncated field", 0},
		{"field number 0", Traces, []byte{0x02, 0}, "field number", 0},
		{"field number too large", Traces, []byte{0xfa, 0xff, 0xff, 0xff, 0x7f, 0}, "field number", 0},
		{"wire type 6", Traces, []byte{0x7e, 0}, "wire type", 0},
		{"wire type 7 of a known field", Traces, []byte{0x0f}, "wire type", 0},
		{"wrong wire type", Traces, span([]byte{0x28, 1}), "unexpected wire type varint", 0},
		{"wrong wire type, message", Traces, []byte{0x08, 1}, "resource_spans: unexpected wire type varint", 0},
		{"known field as a group", Traces, []byte{0x0b, 0x0c}, "unexpected wire type group start", 0},
		{"non-canonical tag", Traces, []byte{0x8a, 0x80, 0, 0}, "", 0},
		{"unknown field", Traces, span(msg(1000, []byte("new"))), "", 1},
		{"unknown group", Traces, []byte{0xa3, 6, 0x08, 1, 0xa4, 6}, "", 0},
		{"unknown group not closed", Traces, []byte{0xa3, 6, 0x08, 1}, "truncated field", 0},
		{"group closed by another", Traces, []byte{0xa3, 6, 0xac, 6}, "unexpected end of a group", 0},
		{"end of a group alone", Traces, []byte{0xa4, 6}, "unexpected end of a group", 0},
		{"groups too deep", Traces, []byte(strings.Repeat("\xa3\x06", 65) + strings.Repeat("\xa4\x06", 65)), "nested deeper than 64", 0},
		{"groups just deep enough", Traces, []byte(strings.Repeat("\xa3\x06", 64) + strings.Repeat("\xa4\x06", 64)), "", 0},
		{"arrays at the limit", Traces, span(deep(50, false)), "", 1},
		{"arrays beyond the limit", Traces, span(deep(51, false)), "ResourceSpans.ScopeSpans.Span.KeyValue: value of 102 nested messages, expected at most 100", 0},
		{"maps at the limit", Traces, span(deep(33, true)), "", 1},
		{"maps beyond the limit", Traces, span(deep(34, true)), "value of 101 nested messages", 0},
		{"arrays far beyond the limit", Traces, span(deep(5000, false)), "value of more than 192 nested messages", 0},
		{"event attribute at the limit", Traces, span(msg(11, msg(3, deepKeyValue(33, true)))), "", 1},
		{"a value that is a lone tag, bool", Traces, span(msg(9, msg(1), msg(2, []byte{0x10}))), "truncated field", 0},
		{"a value that is a lone tag, int", Traces, span(msg(9, msg(1), msg(2, []byte{0x18}))), "truncated field", 0},
		{"a value that is a lone tag, string", Traces, span(msg(9, msg(1), msg(2, []byte{0x0a}))), "truncated field", 0},
		{"a value that is a lone tag, double", Traces, span(msg(9, msg(1), msg(2, []byte{0x21}))), "truncated field", 0},
		{"an int cut in the middle", Traces, span(msg(9, msg(1), msg(2, []byte{0x18, 0x80}))), "truncated field", 0},
		{"an int of ten bytes", Traces, span(msg(9, msg(1), msg(2, []byte{0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}))), "", 1},
		{"two values in one", Traces, span(msg(9, msg(1), msg(2, []byte{0x10, 1, 0x18, 2}))), "", 1},
		{"a key that reaches to the end", Traces, span(msg(9, []byte{0x0a, 2, 'a', 'b'})), "", 1},
		{"a key that reaches beyond the end", Traces, span(msg(9, []byte{0x0a, 3, 'a', 'b'})), "truncated field", 0},
		{"a reference outside profiles is nothing", Traces, span(msg(9, varint(3, 77))), "", 1},

		{"two members of a metric's oneof", Metrics, metricsIn(msg(5, point, point), msg(7, point)), "", 1},
		{"a member of a oneof twice", Metrics, metricsIn(msg(5, point), msg(5, point)), "", 2},
		{"a member, another, and the first again", Metrics, metricsIn(msg(5, point, point), msg(7, point), msg(5, point)), "", 1},
		{"two metrics", Metrics, msg(1, msg(2, msg(2, msg(5, point)), msg(2, msg(9, point)))), "", 2},
		{"packed fixed64 of odd length", Metrics, metricsIn(msg(9, msg(1, msg(6, make([]byte, 9))))), "truncated field", 0},
		{"unpacked fixed64", Metrics, metricsIn(msg(9, msg(1, []byte{0x31, 1, 0, 0, 0, 0, 0, 0, 0}))), "", 1},

		{"no dictionary, no index", Profiles, sample(), "", 1},
		{"no dictionary, index 0", Profiles, sample(varint(1, 0)), "", 1},
		{"no dictionary, index 1", Profiles, sample(varint(1, 1)), "the request has no", 0},
		{"dictionary after", Profiles, join(sample(varint(1, 1)), stacks2), "", 1},
		{"dictionary before", Profiles, join(stacks2, sample(varint(1, 1))), "", 1},
		{"dictionary twice", Profiles, join(stacks2, sample(varint(1, 3)), stacks2), "", 1},
		{"dictionary twice, beyond", Profiles, join(stacks2, sample(varint(1, 4)), stacks2), "index 4 out of range: stack_table has 4", 0},
		{"just outside", Profiles, join(sample(varint(1, 2)), stacks2), "index 2 out of range: stack_table has 2", 0},
		{"negative", Profiles, join(sample(varint(1, minus1)), stacks2), "index -1", 0},
		{"least int32", Profiles, join(sample(varint(1, 1<<31)), stacks2), "index -2147483648", 0},
		{"high bits are cut off", Profiles, join(sample(varint(1, 1<<32|1)), stacks2), "", 1},
		{"packed index", Profiles, sample(msg(2, []byte{0, 1})), "the request has no", 0},
		{"unpacked index", Profiles, sample(varint(2, 1)), "the request has no", 0},
		{"packed values are not indices", Profiles, sample(msg(4, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 5})), "", 1},
		{"key reference", Profiles, join(msg(1, msg(1, msg(1, varint(3, 1)))), strings2), "", 0},
		{"key reference outside", Profiles, join(msg(1, msg(1, msg(1, varint(3, 2)))), strings2), "out of range: string_table", 0},
		{"value reference outside", Profiles, join(msg(1, msg(1, msg(1, msg(2, varint(8, 2))))), strings2), "out of range: string_table", 0},
		{"reference inside the dictionary", Profiles, msg(2, msg(2, varint(1, 1))), "index 1 out of range: the request has no mapping_table", 0},
	}
}

func TestCheckNastyCases(t *testing.T) {
	o := newOracle(t)
	for _, c := range nastyCases() {
		t.Run(c.name, func(t *testing.T) {
			o.compare(t, c.signal, c.data)
			items, err := Check(c.signal, c.data)
			switch {
			case c.want == "" && (err != nil || items != c.items):
				t.Fatalf("%d items, %v; want %d", items, err, c.items)
			case c.want != "" && err == nil:
				t.Fatalf("accepted with %d items; want %q", items, c.want)
			case c.want != "" && !strings.Contains(err.Error(), c.want):
				t.Fatalf("%v; want %q", err, c.want)
			}
		})
	}
}

// Every index field of the protocol is checked against the table that the protocol
// names, packed and not packed.
func TestEveryIndexFieldIsChecked(t *testing.T) {
	got := map[string]string{}
	for m := range tables {
		for tag, e := range tables[m] {
			if e.op != opIndex && e.op != opPackedIndex {
				continue
			}
			name := messageNames[m] + "." + fieldNames[m][tag>>3]
			table := fieldNames[msgProfilesDictionary][e.arg]
			if was, ok := got[name]; ok && was != table {
				t.Errorf("%s points into %s packed and %s not", name, table, was)
			}
			got[name] = table
			if list := strings.HasSuffix(name, "_indices"); list && (tables[m][tag&^7].op != opIndex || tables[m][tag&^7|2].op != opPackedIndex) {
				t.Errorf("%s is checked in one of its two forms only", name)
			}
		}
	}
	if !maps.Equal(got, indexFields) {
		t.Errorf("checked: %v\nof the protocol: %v", got, indexFields)
	}
}

func TestCheckErrorNamesThePlace(t *testing.T) {
	_, err := Check(Traces, span([]byte{0x28, 1}))
	const want = "traces request, byte 6, ResourceSpans.ScopeSpans.Span.name: unexpected wire type varint"
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
}

func TestCheckOfNoSignal(t *testing.T) {
	if _, err := Check(0, nil); err == nil {
		t.Fatal("accepted")
	}
}
