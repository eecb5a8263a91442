package grok

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

func found(t *testing.T, pattern, text string, named bool, own map[string]string) string {
	t.Helper()
	g, err := Compile(pattern, named, own)
	if err != nil {
		return "error: " + err.Error()
	}
	b, err := g.Append(nil, []byte(text))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for kv := range otlp.KeyValueList(b).Values().All() {
		text, _ := kv.Value().StringValue()
		i, _ := kv.Value().IntValue()
		f, _ := kv.Value().DoubleValue()
		b, _ := kv.Value().BoolValue()
		all = append(all, fmt.Sprintf("%s=%s %d %v %v", kv.Key(), text, i, f, b))
	}
	return strings.Join(all, ", ")
}

func TestGrok(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		named         bool
		own           map[string]string
		want          string
	}{
		{"%{IP:client.ip} %{NUMBER:n:int}", "10.1.2.3 42", true, nil, "client.ip=10.1.2.3 0 0 false, n= 42 0 false"},
		{"%{A:x:float} %{A:y:bool}", "1.5 true", true, map[string]string{"A": `\S+`}, "x= 0 1.5 false, y= 0 0 true"},
		{"%{A:x}|%{A:x}%{A:x}", "b", true, map[string]string{"A": "b"}, "x=b 0 0 false"},
		{"%{WORD}", "b", false, nil, "WORD=b 0 0 false"}, {"%{WORD:a}", " ", true, nil, ""},
		{"%{WORD}", "b", true, nil, "error: the pattern has no reference with a key, such as %{IP:client}"},
		{"%{WORD:a:int}", "b", true, nil, `error: a: strconv.ParseInt: parsing "b": invalid syntax`}, {"%{WORD:a:time}", "b", true, nil, `error: a: unknown type "time", expected string, int, long, float, double, bool or boolean`},
		{"%{NOPE}", "", true, nil, `error: there is no pattern definition "NOPE"`}, {"(", "", false, nil, "error: error parsing regexp: missing closing ): `(`"},
		{"%{A}", "", false, map[string]string{"A": "%{A}"}, "error: the definitions of the pattern are more than 100 deep in each other"},
		{"%{A}", "", false, map[string]string{"A": "%{B:b}%{B:c}%{B:d}", "B": "%{A:b}%{A:c}%{A:d}"}, "error: the pattern is more than 262144 bytes with its definitions"},
	} {
		if got := found(t, c.pattern, c.text, c.named, c.own); got != c.want {
			t.Errorf("%s: %s, want %s", c.pattern, got, c.want)
		}
	}
}

// TestDefinitions compiles all known definitions.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	for name := range definitions() {
		if _, err := Compile("%{"+name+"}", false, nil); err != nil {
			t.Logf("%s: %v", name, err) // some are not for package regexp
		}
	}
}
