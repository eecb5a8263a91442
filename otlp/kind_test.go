package otlp

import (
	"strings"
	"testing"
)

// Each kind of AnyValue has its Kind, with a name, and its accessor.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(AnyValueBuilder)
		want  Kind
		text  string
	}{
		{"empty", func(AnyValueBuilder) {}, KindEmpty, ""},
		{"string", func(b AnyValueBuilder) { b.SetStringValue("a") }, KindString, "a"},
		{"bool", func(b AnyValueBuilder) { b.SetBoolValue(true) }, KindBool, "true"},
		{"int", func(b AnyValueBuilder) { b.SetIntValue(-7) }, KindInt, "-7"},
		{"double", func(b AnyValueBuilder) { b.SetDoubleValue(0.5) }, KindDouble, "0.5"},
		{"array", func(b AnyValueBuilder) { a := b.SetArrayValue(); a.AddValues().Close(); a.Close() }, KindArray, "[null]"},
		{"map", func(b AnyValueBuilder) { b.SetKvlistValue().Close() }, KindMap, "{}"},
		{"bytes", func(b AnyValueBuilder) { b.SetBytesValue([]byte{1}) }, KindBytes, "AQ=="},
	} {
		var e Encoder
		c.write(AppendAnyValue(&e))
		v := AnyValue(e.Buf).Resolve(nil)
		if v.Kind() != c.want || v.Kind().String() != c.name {
			t.Errorf("%s: kind %d, %s", c.name, v.Kind(), v.Kind())
		}
		if got := string(v.AppendText(nil)); got != c.text {
			t.Errorf("%s: text %q, want %q", c.name, got, c.text)
		}
	}
	if got := Kind(99).String(); !strings.Contains(got, "99") {
		t.Errorf("unknown kind: %q", got)
	}
}
