package xmlvalue

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

func shown(v otlp.AnyValue) string {
	if s, ok := v.StringValue(); ok {
		return fmt.Sprintf("%q", s)
	}
	if l, ok := v.KvlistValue(); ok {
		return shownMap(l)
	}
	a, _ := v.ArrayValue()
	var all []string
	for x := range a.Values().All() {
		all = append(all, shown(x))
	}
	return "[" + strings.Join(all, " ") + "]"
}

func shownMap(l otlp.KeyValueList) string {
	var all []string
	for kv := range l.Values().All() {
		all = append(all, string(kv.Key())+":"+shown(kv.Value()))
	}
	return "{" + strings.Join(all, " ") + "}"
}

func result(f func(dst, text []byte) ([]byte, error), text string) string {
	b, err := f(nil, []byte(text))
	if err != nil {
		return "error: " + err.Error()
	}
	return shownMap(b)
}

func TestAppendElement(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`<a/>`, `{tag:"a"}`},
		{`<?xml version="1.0"?><!-- c --><a x="1" n:y="2"> text <b>in</b> more </a>`, `{tag:"a" content:"textmore" attributes:{x:"1" y:"2"} children:[{tag:"b" content:"in"}]}`},
		{`<a><![CDATA[<x>]]></a>`, `{tag:"a" content:"<x>"}`}, {`<a x="1" n:x="2"/>`, `{tag:"a" attributes:{x:"2"}}`},
		{`<a/> `, "error: parse XML, byte 4: unexpected text behind the element"}, {``, "error: parse XML, byte 0: there is no element"}, {`text`, "error: parse XML, byte 4: there is no element"},
		{`<a><b></a>`, "error: parse XML, byte 10: XML syntax error on line 1: element <b> closed by </a>"},
	} {
		if got := result(AppendElement, c.text); got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
	if got := result(AppendElement, strings.Repeat("<a>", 100000)); !strings.Contains(got, "more than 15 elements") {
		t.Error(got)
	}
	if got := result(AppendElement, strings.Repeat("<a>", MaxDepth)+strings.Repeat("</a>", MaxDepth)); strings.Contains(got, "error") {
		t.Error(got)
	}
}

func TestAppendSimplified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`<event><id>1</id><user id="0001">u</user><tags><tag>a</tag><tag>b</tag></tags></event>`, `{event:{id:"1" user:"u" tags:{tag:["a" "b"]}}}`},
		{`<a>1</a><b>2</b><a>3</a>`, `{a:["1" "3"] b:"2"}`}, {`<a>text<b>1</b>more</a>`, `{a:{b:"1"}}`}, {`<a/>`, `{}`}, {`<a><b/></a>`, `{}`}, {`<a> </a>`, `{a:" "}`},
		{`<a><b/><b>1</b></a>`, `{a:{b:["1"]}}`}, {`<a><b>x</b><b><c>1</c></b></a>`, `{a:{b:["x" {c:"1"}]}}`}, {``, "error: parse XML, byte 0: there is no element"}, {`text`, "error: parse XML, byte 4: there is no element"}, {`<a><![CDATA[x]]></a>`, `{a:"x"}`},
		{`<a>`, "error: parse XML, byte 3: XML syntax error on line 1: unexpected EOF"},
	} {
		if got := result(AppendSimplified, c.text); got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add(`<a x="1">t<b/><b>2</b></a>`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, append := range []func(dst, text []byte) ([]byte, error){AppendElement, AppendSimplified} {
			if b, err := append(nil, []byte(text)); err == nil {
				_ = shownMap(b)
			}
		}
	})
}
