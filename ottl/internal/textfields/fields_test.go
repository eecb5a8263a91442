package textfields

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// shown returns the fields of a KeyValueList as text.
func shown(fields []byte, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for kv := range otlp.KeyValueList(fields).Values().All() {
		s, _ := kv.Value().StringValue()
		all = append(all, fmt.Sprintf("%s:%s", kv.Key(), s))
	}
	return strings.Join(all, "|")
}

func TestPairs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, delimiter, pairs, want string }{
		{"a=b c=d", "=", " ", "a:b|c:d"}, {"  a=b   c=d  ", "=", " ", "a:b|c:d"}, {`a="b c" d='e "f'`, "=", " ", `a:b c|d:e "f`}, {"a=b=c", "=", " ", "a:b=c"},
		{"a=1 b=2 a=3", "=", " ", "a:3|b:2"}, {`a="b\"c" d=e`, "=", " ", `a:b\"c|d:e`}, {"a: b , c:d", ":", ",", "a:b|c:d"}, {"a=>b;;c=>d", "=>", ";;", "a:b|c:d"}, {"a=", "=", " ", "a:"},
		{`a=x\ y`, "=", " ", `error: parse pairs: "y" has no "="`}, {"", "=", " ", "error: parse pairs: the text is empty"}, {"a=b c", "=", " ", `error: parse pairs: "c" has no "="`},
		{`a="b`, "=", " ", `error: parse pairs: the quote " is not closed`}, {"   ", "=", " ", ""},
	} {
		p := Pairs{c.delimiter, c.pairs}
		if got := shown(p.AppendParsed(nil, []byte(c.text))); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("k%d=%d", i%60, i))
	}
	got := strings.Split(shown(Pairs{"=", " "}.AppendParsed(nil, []byte(strings.Join(many, " ")))), "|")
	if len(got) != 60 || got[39] != "k39:99" || got[40] != "k40:40" {
		t.Errorf("many keys: %d, %s, %s", len(got), got[39], got[40])
	}
	for _, p := range []Pairs{{"", " "}, {"=", ""}, {"=", "="}} {
		if p.Validate() == nil {
			t.Errorf("%v is valid", p)
		}
	}
}

func TestAppendPair(t *testing.T) {
	t.Parallel()
	p := Pairs{"=", " "}
	for _, c := range []struct{ key, value, want string }{
		{"a", "b", "a=b"}, {"a b", "c=d", `"a b"="c=d"`}, {"a", `say "x y"`, `a="say \"x y\""`}, {"a", `"x"`, `a=\"x\"`}, {"", "", "="},
	} {
		if got := string(p.AppendPair([]byte(">"), []byte(c.key), []byte(c.value))); got != ">"+c.want {
			t.Errorf("%q, %q: %s, want %s", c.key, c.value, got, c.want)
		}
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	strict, lazy, ignore := CSV{Delimiter: ',', HeaderDelimiter: ","}, CSV{Delimiter: ',', HeaderDelimiter: ",", Lazy: true}, CSV{Delimiter: ',', HeaderDelimiter: ",", IgnoreQuotes: true}
	tab := CSV{Delimiter: '\t', HeaderDelimiter: "|"}
	for _, c := range []struct {
		csv               CSV
		row, header, want string
	}{
		{strict, "1,2,3", "a,b,c", "a:1|b:2|c:3"}, {strict, `1,"2,x",3`, "a,b,c", "a:1|b:2,x|c:3"}, {strict, `"a ""q"""`, "a", `a:a "q"`}, {strict, "aa,b\nb,cc", "a,b,c", "a:aa|b:b\nb|c:cc"},
		{strict, "1,2", "a,a", "a:2"}, {lazy, `a "b",c`, "a,b", `a:a "b"|b:c`}, {ignore, `"a,b"`, "a,b", `a:"a|b:b"`}, {tab, "1\t2", "a|b", "a:1|b:2"},
		{strict, "1,2", "a", "error: parse CSV: found 2 fields, expected 1 as in the header"}, {strict, "", "a", "error: parse CSV: the row is empty"}, {strict, "1", "", "error: parse CSV: the header is empty"},
	} {
		if got := shown(c.csv.AppendParsed(nil, []byte(c.row), []byte(c.header))); got != c.want {
			t.Errorf("%q: %s, want %s", c.row, got, c.want)
		}
	}
	if got := shown(strict.AppendParsed(nil, []byte(`a "b"`), []byte("a"))); !strings.HasPrefix(got, "error: parse CSV: parse error on line 1") {
		t.Error(got)
	}
	if (CSV{Delimiter: '"'}).Validate() == nil || strict.Validate() != nil {
		t.Error("Validate")
	}
}

// FuzzPairs checks that what is written is parsed to the same.
func FuzzPairs(f *testing.F) {
	f.Add("key", "a value", `a="b c"`)
	f.Fuzz(func(t *testing.T, key, value, text string) {
		p := Pairs{"=", " "}
		_, _ = p.AppendParsed(nil, []byte(text))
		_, _ = CSV{Delimiter: ',', HeaderDelimiter: ","}.AppendParsed(nil, []byte(text), []byte(value))
		if slices.ContainsFunc([]string{key, value}, func(s string) bool {
			return s == "" || s != strings.TrimSpace(s) || strings.ContainsAny(s, `"'\`) || s != strings.TrimFunc(s, func(r rune) bool { return r == '\n' })
		}) || strings.Contains(key, "=") {
			return
		}
		if got := shown(p.AppendParsed(nil, p.AppendPair(nil, []byte(key), []byte(value)))); got != key+":"+value {
			t.Fatalf("%q, %q: %q", key, value, got)
		}
	})
}
