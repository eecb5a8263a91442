package conf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A variable in quotes is text in a field of any type, exactly as the variable has it;
// without quotes it has the type of its content.
func TestQuotedVariableIsText(t *testing.T) {
	t.Parallel()
	for content, unquoted := range map[string]any{
		"0123":                  83,
		"1.10":                  1.1,
		"123456789012345678901": 123456789012345678901.0,
		"true":                  true,
		"~":                     nil,
		"":                      nil,
		"[a, b]":                []any{"a", "b"},
		"{a: b}":                map[string]any{"a": "b"},
		"fe80:: 1":              map[string]any{"fe80:": 1},
		"2024-01-31":            "2024-01-31",
		"a$$b":                  "a$$b",
		"$":                     "$",
		"$$$":                   "$$$",
		"p$1{w}$":               "p$1{w}$",
		"$${env:OTHER}":         "$${env:OTHER}",
		"x${env:OTHER}$$y":      "x$o$$y",
		"plain":                 "plain",
		" 'quotes' ":            " 'quotes' ",
	} {
		o := testOptions(map[string]string{"V": content, "OTHER": "$o"}, nil)
		o.Sources = []string{"yaml:plain: ${env:V}\ndouble: \"${env:V}\"\nsingle: '${env:V}'\ninner: <${env:V}>\nblock: |-\n  ${env:V}\n"}
		tree, err := Load(o)
		if err != nil {
			t.Errorf("%s: %v", content, err)
			continue
		}
		text := content
		if content == "x${env:OTHER}$$y" {
			text = "x$o$$y"
		}
		want := map[string]any{"plain": unquoted, "double": text, "single": text, "block": text, "inner": "<" + text + ">"}
		if diff := cmp.Diff(want, tree.Root().Raw()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", content, diff)
		}
	}
}

// Where a field needs a number, a list or a map, a variable in quotes is read as such.
func TestQuotedVariableIsParsedWhereItMustBe(t *testing.T) {
	t.Parallel()
	o := testOptions(map[string]string{"N": "4317", "B": "true", "L": "[a, b]", "M": "{a: 'x$$y'}"}, nil)
	o.Sources = []string{`yaml:{n: "${env:N}", b: "${env:B}", l: "${env:L}", m: "${env:M}"}`}
	tree, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	type fields struct {
		N int
		B bool
		L []string
		M map[string]string
	}
	var got fields
	if err := tree.Root().Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fields{4317, true, []string{"a", "b"}, map[string]string{"a": "x$$y"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// In the text of a configuration $$ is a dollar: in a source, and in a file that is a
// part of one, but not in a file with a secret.
func TestDollarsOfTexts(t *testing.T) {
	t.Parallel()
	o := testOptions(map[string]string{"CONFIG": "env: a$$b", "V": "c$$d"}, map[string]string{
		"part.yaml": "{p: 'a$$b ${env:V}'}", "secret": "s$$t", "main.yaml": "{file: a$$b, both: 'a$$b${env:V}$$$$'}",
	})
	o.Sources = []string{"main.yaml", "env:CONFIG", "yaml:{yaml: 'a$$b', part: '${file:part.yaml}', secret: '${file:secret}'}"}
	tree, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		File, Both, Env, YAML, Secret string
		Part                          map[string]string
	}
	if err := tree.Root().Decode(&got); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{got.File, "a$b"}, {got.Env, "a$b"}, {got.YAML, "a$b"}, {got.Part["p"], "a$b c$$d"},
		{got.Secret, "s$$t"}, {got.Both, "a$bc$$d$$"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}

// A printed tree has the text of a variable in quotes.
func TestQuotedVariableIsPrintedAsText(t *testing.T) {
	t.Parallel()
	o := testOptions(map[string]string{"V": "0123", "D": "a$$b"}, nil)
	o.Sources = []string{"yaml:{a: \"${env:V}\", b: 0123, c: \"${env:D}\"}"}
	tree, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if want := "a: \"0123\"\nb: 0123\nc: a$$$$b\n"; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
