package syntax

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// parsers are the three parsers by what they parse, with the canonical text as result.
var parsers = map[string]func(string) (string, error){
	"statement": func(text string) (string, error) {
		s, err := ParseStatement(text)
		if err != nil {
			return "", err
		}
		return s.String(), nil
	},
	"condition": func(text string) (string, error) { return formatted(ParseCondition(text)) },
	"value":     func(text string) (string, error) { return formatted(ParseValue(text)) },
}

func formatted(x Expr, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return Format(x), nil
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, text, want string }{
		// Statements.
		{"statement", `set(attributes["a"],"b")`, `set(attributes["a"], "b")`},
		{"statement", " set (\n\tbody ,\r\f1 ) where  true ", `set(body, 1) where true`},
		{"statement", `delete_key(span.attributes, "a") where name == "x" and not IsMatch(name, "^y")`, `delete_key(span.attributes, "a") where name == "x" and not IsMatch(name, "^y")`},
		{"statement", `f()`, `f()`},
		{"statement", `merge Maps(a, b)`, `mergeMaps(a, b)`},
		{"statement", `f(a=1, b_Fn=Sha256, c=FOO, d=x.y)`, `f(a=1, b_Fn=Sha256, c=FOO, d=x.y)`},
		{"statement", `f(Sha256, Is String, [Len (x)])`, `f(Sha256, IsString, [Len(x)])`},
		{"statement", `set(a, "where") where b == "where"`, `set(a, "where") where b == "where"`},
		{"statement", `f(Any(a, (_, v) => v["x"][0] == 1), (k) => k, () => not true, (v) => (v + 1) * 2)`, `f(Any(a, (_, v) => v["x"][0] == 1), (k) => k, () => not true, (v) => (v + 1) * 2)`},
		{"statement", `f([(v) => v], {"a": (v) => v})`, `f([(v) => v], {"a": (v) => v})`},
		// Literals.
		{"value", `"\"\\\n\x41\xe9\101é\u00e9"`, `"\"\\\nAéAéé"`},
		{"value", "\"a\nb\"", `"a\nb"`},
		{"value", `0x0aFF`, `0x0aff`},
		{"value", `[1.5, .5, 1., 1.5e3, 1.E-2, 010, 0, -1, -1.5, - 2]`, `[1.5, 0.5, 1.0, 1500.0, 0.01, 8, 0, -1, -1.5, -2]`},
		{"value", `[nil, true, false, FOO, FOO_1, [], {}]`, `[nil, true, false, FOO, FOO_1, [], {}]`},
		{"value", `{"a": 1 "b": [2], "c": {"d": nil,},}`, `{"a": 1, "b": [2], "c": {"d": nil}}`},
		{"value", `9223372036854775807`, `9223372036854775807`},
		// Paths, calls and keys.
		{"value", `a . b["c"] [0][d.e["f"]][Len(g)[0]][x+1][-1][(1)].h`, `a.b["c"][0][d.e["f"]][Len(g)[0]][x + 1][-1][1].h`},
		{"value", `Split(a, ".")[0]["x"]`, `Split(a, ".")[0]["x"]`},
		{"value", `nilx.nota.ory.andz.trueq`, `nilx.nota.ory.andz.trueq`},
		{"value", `Is Match (a)`, `IsMatch(a)`},
		// Arithmetic. A plus and parentheses change nothing.
		{"value", `1+2*3-4/5`, `1 + 2 * 3 - 4 / 5`},
		{"value", `(1+2)*(3-4)/5`, `(1 + 2) * (3 - 4) / 5`},
		{"value", `1-(2-3)-4`, `1 - (2 - 3) - 4`},
		{"value", `-a - -1 + -(b) * +c`, `-a - -1 + -b * +c`},
		{"value", `-(1)`, `-(1)`},
		{"value", `-(-1)`, `-(-1)`},
		{"value", `(1)`, `+1`},
		{"value", `((a))`, `+a`},
		{"value", `(-1)`, `+(-1)`},
		{"value", `+(+a)`, `+(+a)`},
		{"value", `((a + b))`, `a + b`},
		{"value", `time_unix_nano - Now()`, `time_unix_nano - Now()`},
		// Conditions.
		{"condition", `a == b and c != d or e < f and g <= h or i > j and not k >= l`, `a == b and c != d or e < f and g <= h or i > j and not k >= l`},
		{"condition", `(a == b or c == d) and (e == f)`, `(a == b or c == d) and e == f`},
		{"condition", `a == b and (c == d and e == f)`, `a == b and (c == d and e == f)`},
		{"condition", `not (a == b and true)`, `not (a == b and true)`},
		{"condition", `not (not true)`, `not (not true)`},
		{"condition", `not a == nil`, `not a == nil`},
		{"condition", `true`, `true`},
		{"condition", `true == a`, `true == a`},
		{"condition", `IsMatch(a, "b")`, `IsMatch(a, "b")`},
		{"condition", `Foo()["x"] and ((Foo()))`, `Foo()["x"] and Foo()`},
		{"condition", `((a)) == 1`, `a == 1`},
		{"condition", `((a + 1)) * 2 > (3)`, `(a + 1) * 2 > +3`},
		{"condition", `((a + 1) * 2 > 3)`, `(a + 1) * 2 > 3`},
		{"condition", `(((a)) + 1 == 2 and (true))`, `a + 1 == 2 and true`},
		{"condition", `kind == SPAN_KIND_SERVER and [1] == x and {"a": 1} != y and 0x01 == z`, `kind == SPAN_KIND_SERVER and [1] == x and {"a": 1} != y and 0x01 == z`},
	} {
		got, err := parsers[c.what](c.text)
		if err != nil || got != c.want {
			t.Errorf("%s %s: %q, %v; want %q", c.what, c.text, got, err, c.want)
			continue
		}
		if again, err := parsers[c.what](got); err != nil || again != got {
			t.Errorf("%s %s parsed again: %q, %v", c.what, got, again, err)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, text, want string }{
		// Keywords and operators of other languages.
		{"statement", `set(a, 1) wher b == 1`, `parse the statement "set(a, 1) wher b == 1" at column 11: found "wher", expected "where" or the end, did you mean "where"?`},
		{"statement", `set(a, 1) WHERE true`, `found "WHERE", expected "where" or the end, did you mean "where"?`},
		{"condition", `a == 1 adn b == 2`, `at column 8: found "adn", expected "and", "or" or the end, did you mean "and"?`},
		{"condition", `a == 1 OR b == 2`, `found "OR", expected "and", "or" or the end, did you mean "or"?`},
		{"condition", `(a == 1 OR b == 2)`, `found "OR", expected "and", "or" or ")", did you mean "or"?`},
		{"condition", `a == 1 && b == 2`, `at column 8: found "&&", did you mean "and"?`},
		{"condition", `a == 1 || b == 2`, `found "||", did you mean "or"?`},
		{"condition", `!IsMatch(a, "b")`, `found "!", did you mean "not"?`},
		{"condition", `a = 1`, `at column 3: found "=", expected a comparison operator, did you mean "=="?`},
		{"condition", `a => 1`, `found "=>", expected a comparison operator, did you mean ">="?`},
		{"condition", `a == 'x'`, `found "'", strings are in double quotes: "text"`},
		{"condition", "a == “x”", "found \"“\", strings are in double quotes: \"text\""},
		{"condition", `a == null`, ``}, // a path
		{"condition", `a == True`, `at column 10: found the end, expected "(" after "True", did you mean "true"?`},
		{"statement", `set(a, $x)`, `found "$", this character is only allowed in strings`},
		{"statement", `set(_a, 1)`, `found "_", names begin with a letter`},
		{"value", "a ~ b", `found "~", expected a name, a literal or an operator`},
		// Conditions.
		{"condition", ``, `found the end, expected a value`},
		{"condition", `attributes["a"]`, `found the end, expected a comparison operator, a value is not a condition: compare it, for example with "!= nil"`},
		{"condition", `(a) and true`, `found "and", expected a comparison operator`},
		{"condition", `(a + 1)`, `expected a comparison operator`},
		{"condition", `-Foo()`, `expected a comparison operator`},
		{"condition", `a == b == c`, `found "==", expected "and", "or" or the end`},
		{"condition", `(a == b) == c`, `found "==", expected "and", "or" or the end`},
		{"condition", `(true) == c`, `found "==", expected "and", "or" or the end`},
		{"condition", `("a") == c`, `found ")", expected a comparison operator`},
		{"condition", `a == ("b")`, `expected a number, a path, a call or a parenthesis`},
		{"condition", `not not true`, `found "not", expected a condition, a second "not" needs parentheses`},
		{"condition", `not a`, `expected a comparison operator`},
		{"condition", `a == not b`, `found "not", expected a value, a condition is not a value`},
		{"condition", `(a == 1`, `found the end, expected "and", "or" or ")"`},
		{"condition", `a == 1 where true`, `found "where", expected "and", "or" or the end, "where" is only allowed once, in a statement`},
		{"condition", `isMatch(a, "b")`, `found the editor "isMatch", expected a value, names of converters begin in upper case`},
		{"condition", `(x) => x`, `found "=>", expected a comparison operator`},
		// Statements.
		{"statement", ``, `found the end, expected the name of an editor`},
		{"statement", `Set(a, 1)`, `at column 1: found "Set", expected the name of an editor, which begins in lower case`},
		{"statement", `set`, `found the end, expected "(" after the name of the editor`},
		{"statement", `set(a, 1)[0]`, `found "[", expected "where" or the end, what an editor returns has no keys`},
		{"statement", `set(a, 1) where`, `found the end, expected a value`},
		{"statement", `set(a, 1,)`, `found ")", expected a value`},
		{"statement", `set(a 1)`, `found "1", expected "," or ")"`},
		{"statement", `set(a, b == c)`, `found "==", expected "," or ")", a condition is not a value`},
		{"statement", `set(a, "b" + "c")`, `found "+", expected "," or ")", arithmetic has numbers, paths, calls and parentheses as operands`},
		{"statement", `set(a, 1) "where" true`, `found the string "where", expected "where" or the end`},
		{"statement", `f(FOO Bar)`, `found "Bar", expected "," or ")"`},
		{"statement", `f((a, a) => a)`, `found "a", expected another name for this parameter`},
		{"statement", `f((a) => (b) => a)`, `found "(", expected a value or a condition, the body of a lambda is not another lambda`},
		{"statement", `f((a) => a and true)`, `found "and", expected a comparison operator`},
		// Values.
		{"value", `Foo`, `found the end, expected "(" after "Foo"`},
		{"value", `For(x)`, `found "or", expected an arithmetic operator or the end`},
		{"value", `"a`, `at column 1: found a string without an end, expected a closing "`},
		{"value", `"\d"`, `at column 2: found the escape "\\d" in a string, expected one of`},
		{"value", `"\'"`, `found the escape "\\'"`},
		{"value", `0xabc`, `found "0xabc", expected an even number of hexadecimal digits`},
		{"value", `089`, `found "089", expected a decimal number, or an octal number if it begins with 0`},
		{"value", `-9223372036854775808`, `found "9223372036854775808", expected a number of 64 bits`},
		{"value", `1.0e999`, `expected a number of 64 bits`},
		{"value", `1e5`, `found "e5"`},
		{"value", `1 + nil`, `found "nil", expected a number, a path, a call or a parenthesis`},
		{"value", `--a`, `found "-"`},
		{"value", `a["b" + 1]`, `found "+", expected "]"`},
		{"value", `a[1 + 1]`, `found "+", expected "]"`},
		{"value", `a[nil]`, `found "nil", expected a string, an integer, a path or a call as key`},
		{"value", `a[]`, `found "]"`},
		{"value", `attributes.Foo`, `found "Foo", expected a name in lower case, the name of an attribute is a key: attributes["Foo"]`},
		{"value", `attributes.nil`, `the name of an attribute is a key: attributes["nil"]`},
		{"value", `a.`, `found the end, expected a name in lower case`},
		{"value", `[1, ]`, `found "]", expected a value`},
		{"value", `[1 2]`, `found "2", expected "," or "]"`},
		{"value", `{a: 1}`, `found "a", expected "}" or a key in double quotes`},
		{"value", `{"a" 1}`, `found "1", expected ":" after the key of a map`},
		{"value", `{,}`, `found ","`},
		{"value", `set(a, 1)`, `found the editor "set", expected a value, names of converters begin in upper case`},
		{"value", "a\vb", `found "\v"`},
		{"value", "\n  a[\n  b..]", `at line 3, column 5: found ".", expected a name in lower case`},
		{"value", strings.Repeat("(", MaxDepth+1) + "1" + strings.Repeat(")", MaxDepth+1), `found more than 200 levels of nesting, expected at most that many`},
		{"condition", strings.Repeat("(", 20000) + "true", `found more than 200 levels of nesting`},
		{"condition", strings.Repeat("not (", 10000), `found more than 200 levels of nesting`},
		{"value", strings.Repeat("[", 20000), `found more than 200 levels of nesting`},
		{"value", strings.Repeat(`{"a":`, 10000), `found more than 200 levels of nesting`},
		{"value", strings.Repeat(`A(`, 20000), `found more than 200 levels of nesting`},
		{"value", strings.Repeat(`a[`, 20000), `found more than 200 levels of nesting`},
		{"value", "A(" + strings.Repeat(`(a) => A(`, 5000), `found more than 200 levels of nesting`},
		{"value", strings.Repeat(" ", MaxSize+1), `found 65537 bytes, expected at most 65536`},
	} {
		got, err := parsers[c.what](c.text)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s %s: %v", c.what, c.text, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s %s is accepted: %s", c.what, shorten(c.text, 0), got)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v\nwant %s", c.what, shorten(c.text, 0), err, c.want)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s %s: the error has %d bytes", c.what, shorten(c.text, 0), len(err.Error()))
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	long := "set(body, [" + strings.Repeat(`"é", `, 100) + "x; " + strings.Repeat(`"é", `, 100)
	for _, c := range []struct{ text, want string }{
		{`set(body, "x") wher true`, `set(body, "x") wher true
               ^^^^ found "wher", expected "where" or the end, did you mean "where"?`},
		{"set(\n\tbody ; 1,\n\t2)", "\tbody ; 1,\n\t     ^ found"},
		{"set(é, 1)", "set(é, 1)\n    ^ found \"é\""},
		{"set(a", "set(a\n     ^ found the end"},
		{long, "^ found \";\""},
	} {
		_, err := ParseStatement(c.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%s: %v", c.text, err)
		}
		got := e.Explain()
		if !strings.HasPrefix(got, c.want) && !strings.Contains(got, c.want) {
			t.Errorf("%q:\n%s\nwant\n%s", c.text, got, c.want)
		}
		if line, _, _ := strings.Cut(got, "\n"); len(line) > maxQuoted+utf8.UTFMax {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

// TestPublicConfigurations parses what users write.
func TestPublicConfigurations(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/statements.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		what, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		_, text, _ := strings.Cut(rest, " ")
		if got, err := parsers[what](text); err != nil || got != text {
			t.Errorf("%s: %s, %v", text, got, err)
		}
		n++
	}
	if n < 40 {
		t.Errorf("%d lines", n)
	}
}

// FuzzParse checks that a tree, written as text and parsed again, is the same tree, that
// nodes are where the text has them, and that errors are within the text.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/statements.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f.Add(strings.TrimSpace(line))
	}
	for _, seed := range []string{
		`f(Any(a, (_, v) => v["x"][0] == 1), b_c=Sha256, D, -1, (2), +x.y[Z(1)["k"]])`, `(a + 1) * 2 > 3 or not (true and (Foo()))`,
		`[nil, 0xab, "a\n\"\u00e9", {"a": 1.5e3 "b": [], }, -(a) / 4]`, `set(a, 'x') wher b = c && d`, "\r",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseStatement(text); err == nil {
			again, err := ParseStatement(s.String())
			if err != nil {
				t.Fatalf("%q is written as %q: %v", text, s, err)
			}
			checkPositions(t, text, reflect.ValueOf(s))
			if withoutPositions(s); !reflect.DeepEqual(s, withoutPositions(again)) {
				t.Fatalf("%q is written as %q, which is another tree", text, s)
			}
		} else {
			checkError(t, err)
		}
		for _, parse := range []func(string) (Expr, error){ParseCondition, ParseValue} {
			x, err := parse(text)
			if err != nil {
				checkError(t, err)
				continue
			}
			written := Format(x)
			again, err := parse(written)
			if err != nil {
				t.Fatalf("%q is written as %q: %v", text, written, err)
			}
			checkPositions(t, text, reflect.ValueOf(x))
			if !reflect.DeepEqual(withoutPositions(x), withoutPositions(again)) {
				t.Fatalf("%q is written as %q, which is another tree", text, written)
			}
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Pos < 0 || int(e.Pos) > len(e.Text) || e.Found == "" || e.Expected == "" && e.Hint == "" {
		t.Fatalf("%#v", err)
	}
	if e.Explain() == "" || e.Error() == "" {
		t.Fatal("no text")
	}
}

// checkPositions checks that each node begins where the text has a token.
func checkPositions(t *testing.T, text string, v reflect.Value) {
	t.Helper()
	walk(v, func(pos reflect.Value) {
		at := int(pos.Int())
		if at < 0 || at >= len(text) || strings.ContainsRune(" \t\n\f\r", rune(text[at])) {
			t.Fatalf("a node at %d of %q", at, text)
		}
	})
}

// withoutPositions returns the tree with all positions, and the text, set to zero.
func withoutPositions[T any](tree T) T {
	walk(reflect.ValueOf(tree), func(pos reflect.Value) { pos.SetInt(0) })
	if s, ok := any(tree).(*Statement); ok {
		s.Text = ""
	}
	return tree
}

// walk calls f with each position of a tree.
func walk(v reflect.Value, f func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), f)
		}
	case reflect.Int:
		if v.Type() == reflect.TypeFor[Pos]() {
			f(v)
		}
	}
}
