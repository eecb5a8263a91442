package badinput

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
)

// env is the context of an evaluation.
type env struct {
	signal    otlp.Signal
	format    string
	transport string
	encoding  string
	maxBytes  int // the server's limit
}

// maxGenerated bounds the bytes that one expression returns.
const maxGenerated = 1 << 30

// function is a function of the language. Errors show usage.
type function struct {
	pipe        bool // its input is the left side of |
	least, most int  // arguments; most -1: any number
	usage       string
	run         func(a *arguments) ([]byte, error)
}

// functions is the language. It is read-only.
var functions = makeFunctions()

func makeFunctions() map[string]function {
	all := map[string]function{}
	for _, some := range []map[string]function{
		byteFunctions(), requestFunctions(), protobufFunctions(), jsonFunctions(), codecFunctions(), framingFunctions(),
	} {
		maps.Copy(all, some)
	}
	return all
}

func byteFunctions() map[string]function {
	return map[string]function{
		"cat": {least: 1, most: -1, usage: "cat(EXPR, ...): concatenated", run: func(a *arguments) (out []byte, _ error) {
			for i := range a.args {
				out = append(out, a.bytes(i)...)
			}
			return out, nil
		}},
		"repeat": {least: 2, most: 2, usage: "repeat(EXPR, N)", run: func(a *arguments) ([]byte, error) {
			b, n := a.bytes(0), a.int(1)
			if n < 0 || n*int64(len(b)) > maxGenerated {
				return nil, fmt.Errorf("expected at most %d bytes", maxGenerated)
			}
			return bytes.Repeat(b, int(n)), nil
		}},
		"zeros": {least: 1, most: 1, usage: "zeros(N)", run: func(a *arguments) ([]byte, error) {
			n := a.int(0)
			if n < 0 || n > maxGenerated {
				return nil, fmt.Errorf("expected at most %d bytes", maxGenerated)
			}
			return make([]byte, n), nil
		}},
		"head": {pipe: true, least: 1, most: 1, usage: "X | head(N): the first N bytes", run: func(a *arguments) ([]byte, error) {
			n := a.int(0)
			if n < 0 || n > int64(len(a.in)) {
				return nil, fmt.Errorf("%d of %d bytes", n, len(a.in))
			}
			return a.in[:n], nil
		}},
		"cut": {pipe: true, least: 1, most: 1, usage: "X | cut(N): all but the last N bytes", run: func(a *arguments) ([]byte, error) {
			n := a.int(0)
			if n < 0 || n > int64(len(a.in)) {
				return nil, fmt.Errorf("%d of %d bytes", n, len(a.in))
			}
			return a.in[:int64(len(a.in))-n], nil
		}},
		"flip": {pipe: true, least: 1, most: 1, usage: "X | flip(I): byte I inverted, from the end if negative", run: func(a *arguments) ([]byte, error) {
			i := a.int(0)
			if i < 0 {
				i += int64(len(a.in))
			}
			if i < 0 || i >= int64(len(a.in)) {
				return nil, fmt.Errorf("byte %d of %d", i, len(a.in))
			}
			out := bytes.Clone(a.in)
			out[i] ^= 0xff
			return out, nil
		}},
	}
}

func requestFunctions() map[string]function {
	return map[string]function{
		"valid": {most: 1, usage: "valid or valid(SIGNAL): a request in the case's format", run: func(a *arguments) ([]byte, error) {
			s := a.signal
			if len(a.args) == 1 {
				var ok bool
				if s, ok = otlp.SignalByName(a.word(0)); !ok {
					return nil, fmt.Errorf("unknown signal %q", a.word(0))
				}
			}
			if a.format == "json" {
				return validRequestJSON(s), nil
			}
			return validRequest(s), nil
		}},
		"validpb": {usage: "validpb: a request in protobuf, independent of the case's format", run: func(a *arguments) ([]byte, error) {
			return validRequest(a.signal), nil
		}},
		"encode": {pipe: true, usage: "X | encode: compressed with the case's encoding", run: func(a *arguments) ([]byte, error) {
			name := a.encoding
			if a.transport == overGRPC && name == "snappy" {
				name = "x-snappy-framed" // the meaning of snappy in gRPC
			}
			return compress(name, a.in)
		}},
	}
}

// levels are where a request's messages nest. All four signals have the same
// numbers. The attribute is the resource's.
var levels = map[string][]uint32{
	"request":     {},
	"by_resource": {1},
	"resource":    {1, 1},
	"attribute":   {1, 1, 1},
	"value":       {1, 1, 1, 2},
	"by_scope":    {1, 2},
	"scope":       {1, 2, 1},
	"item":        {1, 2, 2},
}

func protobufFunctions() map[string]function {
	field := func(num uint32, v []byte) []byte { return wire.AppendBytes(nil, num, v) }
	tag := func(a *arguments, t int64) []byte { return binary.AppendUvarint(nil, uint64(a.int(0)<<3|t)) }
	return map[string]function{
		"uvarint": {least: 1, most: 1, usage: "uvarint(N)", run: func(a *arguments) ([]byte, error) {
			return binary.AppendUvarint(nil, uint64(a.int(0))), nil
		}},
		"tag": {least: 2, most: 2, usage: "tag(NUMBER, TYPE)", run: func(a *arguments) ([]byte, error) {
			return tag(a, a.int(1)), nil
		}},
		"varint": {least: 2, most: 2, usage: "varint(NUMBER, N): a field; negative numbers take ten bytes", run: func(a *arguments) ([]byte, error) {
			return binary.AppendUvarint(tag(a, 0), uint64(a.int(1))), nil
		}},
		"fixed64": {least: 2, most: 2, usage: "fixed64(NUMBER, N)", run: func(a *arguments) ([]byte, error) {
			return binary.LittleEndian.AppendUint64(tag(a, 1), uint64(a.int(1))), nil
		}},
		"fixed32": {least: 2, most: 2, usage: "fixed32(NUMBER, N)", run: func(a *arguments) ([]byte, error) {
			return binary.LittleEndian.AppendUint32(tag(a, 5), uint32(a.int(1))), nil
		}},
		"field": {least: 2, most: 2, usage: "field(NUMBER, EXPR): length-delimited", run: func(a *arguments) ([]byte, error) {
			return field(uint32(a.int(0)), a.bytes(1)), nil
		}},
		"group": {least: 2, most: 2, usage: "group(NUMBER, EXPR)", run: func(a *arguments) ([]byte, error) {
			return append(append(tag(a, 3), a.bytes(1)...), tag(a, 4)...), nil
		}},
		"groups": {least: 2, most: 2, usage: "groups(NUMBER, DEPTH): groups in groups", run: func(a *arguments) ([]byte, error) {
			n := int(a.int(1))
			return append(bytes.Repeat(tag(a, 3), n), bytes.Repeat(tag(a, 4), n)...), nil
		}},
		"at": {least: 2, most: 2, usage: "at(LEVEL, EXPR): the fields of a message inside a request", run: func(a *arguments) ([]byte, error) {
			path, ok := levels[a.word(0)]
			if !ok {
				return nil, fmt.Errorf("unknown level %q", a.word(0))
			}
			b := a.bytes(1)
			for i := len(path) - 1; i >= 0; i-- {
				b = field(path[i], b)
			}
			return b, nil
		}},
		"arrays":  {least: 1, most: 1, usage: "arrays(DEPTH): an AnyValue at that depth, in arrays", run: nest(1, 5)},
		"kvlists": {least: 1, most: 1, usage: "kvlists(DEPTH): an AnyValue at that depth, in maps", run: nest(2, 1, 6)},
	}
}

// nest makes an AnyValue at a depth. Each level around it consists of the fields
// given, inner first. The headers are collected first, since most of a deeply
// nested value is headers.
func nest(around ...uint32) func(a *arguments) ([]byte, error) {
	return func(a *arguments) ([]byte, error) {
		innermost := []byte{0x10, 1} // bool_value: true
		var headers [][]byte
		size := len(innermost)
		for range a.int(0) - 1 {
			for _, num := range around {
				h := binary.AppendUvarint(wire.AppendTag(nil, num, wire.TypeBytes), uint64(size))
				headers, size = append(headers, h), size+len(h)
			}
		}
		slices.Reverse(headers)
		return append(bytes.Join(headers, nil), innermost...), nil
	}
}

func jsonFunctions() map[string]function {
	// wrap[level] is the text around an object of that level.
	wrap := map[string]string{
		"by_resource": `{"$rx":[%]}`,
		"resource":    `{"$rx":[{"resource":%}]}`,
		"attribute":   `{"$rx":[{"resource":{"attributes":[%]}}]}`,
		"value":       `{"$rx":[{"resource":{"attributes":[{"key":"k","value":%}]}}]}`,
		"by_scope":    `{"$rx":[{"$sx":[%]}]}`,
		"scope":       `{"$rx":[{"$sx":[{"scope":%}]}]}`,
		"item":        `{"$rx":[{"$sx":[{"$ix":[%]}]}]}`,
		"request":     `%`,
	}
	return map[string]function{
		"js": {least: 2, most: 2, usage: "js(LEVEL, EXPR): an object inside a request", run: func(a *arguments) ([]byte, error) {
			around, ok := wrap[a.word(0)]
			if !ok {
				return nil, fmt.Errorf("unknown level %q", a.word(0))
			}
			n := names[a.signal]
			around = strings.NewReplacer("$rx", n["rx"], "$sx", n["sx"], "$ix", n["ix"]).Replace(around)
			return []byte(strings.Replace(around, "%", string(a.bytes(1)), 1)), nil
		}},
		"nested": {least: 4, most: 4, usage: "nested(OPEN, INNER, CLOSE, DEPTH)", run: func(a *arguments) ([]byte, error) {
			n := int(a.int(3))
			out := bytes.Repeat(a.bytes(0), n)
			out = append(out, a.bytes(1)...)
			return append(out, bytes.Repeat(a.bytes(2), n)...), nil
		}},
	}
}
