package attrs

import (
	"math"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Texts are those of the Collector.
func TestAppendText(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"a<b": "a<b", "true": true, "-7": -7, "1000000": 1e6, "1e+21": 1e21, "1e-7": 1e-7, "-0": math.Copysign(0, -1), "NaN": math.NaN(), "-Infinity": math.Inf(-1),
		`{"a":["x<",1.5,null],"b":{}}`: map[string]any{"b": map[string]any{}, "a": []any{"x<", 1.5, nil}},
		"":                             []any{math.Inf(1)},
	} {
		value, err := EncodeValue(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AppendText(nil, otlp.AnyValue(value).Resolve(nil))); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
	var e otlp.Encoder
	list := otlp.AppendAnyValue(&e).SetArrayValue()
	for _, b := range []string{"", "a"} {
		v := list.AddValues()
		v.SetBytesValue([]byte(b))
		v.Close()
	}
	list.Close()
	if got := string(AppendText(nil, otlp.AnyValue(e.Buf).Resolve(nil))); got != `[null,"YQ=="]` {
		t.Errorf("bytes: %s", got)
	}
}
