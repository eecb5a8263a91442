package jsonvalue

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/otlp"
)

// tree returns a value as encoding/json decodes it.
func tree(v otlp.AnyValue) any {
	if s, ok := v.StringValue(); ok {
		return string(s)
	}
	if b, ok := v.BoolValue(); ok {
		return b
	}
	if f, ok := v.DoubleValue(); ok {
		return f
	}
	if l, ok := v.KvlistValue(); ok {
		return object(l)
	}
	if a, ok := v.ArrayValue(); ok {
		return array(a)
	}
	return nil
}

func object(l otlp.KeyValueList) any {
	m := map[string]any{}
	for kv := range l.Values().All() {
		if _, ok := m[string(kv.Key())]; ok {
			return "the key " + string(kv.Key()) + " is repeated"
		}
		m[string(kv.Key())] = tree(kv.Value())
	}
	return m
}

func array(a otlp.ArrayValue) any {
	l := []any{}
	for v := range a.Values().All() {
		l = append(l, tree(v))
	}
	return l
}

func decode(d *Decoder, text string) (any, error) {
	b, kind, err := d.Append([]byte("before"), []byte(text))
	if err != nil {
		return nil, err
	}
	if kind == Object {
		return object(otlp.KeyValueList(b[6:])), nil
	}
	return array(otlp.ArrayValue(b[6:])), nil
}

var texts = []string{
	`{}`, `[]`, ` { "a" : 1 , "b" : [ true , false , null , "x" , -1.5e3 ] } `, `{"a":{"b":{"c":[[],{}]}}}`, `{"a":1,"b":2,"a":3}`, `{"a":1,"a":{"b":1,"b":2},"c":3}`,
	`{"\u0061":1,"a":2}`, `{"t":"a\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00\ud800x\ud800A"}`, `[123456789012345,1234567890123456789,0.1,1e-7,-0,0]`, `{"":""}`,
	`[1,]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `[01]`, `[1.]`, `[.5]`, `[+1]`, `[1e]`, `[-]`, `[1e999]`, `[tru]`, `["a`, `["\x"]`, `["\u12"]`, "[\"\n\"]", `[1] x`, `1`, `"a"`, `null`, ``, ` `, `[`, `{`, `{"a":1`, "\x00",
}

// check compares with encoding/json.
func check(t *testing.T, text string) {
	t.Helper()
	var want any
	wantErr := json.Unmarshal([]byte(text), &want)
	switch want.(type) {
	case map[string]any, []any:
	default:
		wantErr = errScalar
	}
	got, err := decode(&Decoder{}, text)
	if err != nil && strings.Contains(err.Error(), "in each other") {
		return
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, encoding/json: %v", text, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %v, encoding/json: %v", text, got, want)
	}
}

func TestSameAsEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		check(t, text)
	}
	var many strings.Builder
	for i := range 100 {
		many.WriteString(`,"k` + string(rune('a'+i%26)) + string(rune('a'+i%40)) + `":` + `"` + strings.Repeat("v", i*3) + `"`)
	}
	check(t, "{"+many.String()[1:]+"}")
	check(t, strings.Repeat("[", MaxDepth)+strings.Repeat("]", MaxDepth))
	if _, err := decode(&Decoder{}, strings.Repeat("[", 100000)); err == nil || !strings.Contains(err.Error(), "more than 30 objects") {
		t.Error(err)
	}
}

func FuzzDecoder(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if utf8.ValidString(text) { // else encoding/json replaces what is invalid
			check(t, text)
		}
	})
}

func TestAllocations(t *testing.T) {
	d, dst := &Decoder{}, make([]byte, 0, 4096)
	text := []byte(`{"level":"info","msg":"done","n":12,"ok":true,"tags":["a","b"],"http":{"method":"GET","status":200,"path":"/a/b"},"x":null}`)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := d.Append(dst, text); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	d, dst := &Decoder{}, make([]byte, 0, 4096)
	text := []byte(`{"level":"info","msg":"done","n":12,"ok":true,"tags":["a","b"],"http":{"method":"GET","status":200,"path":"/a/b"},"x":null}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _, _ = d.Append(dst, text)
	}
}
