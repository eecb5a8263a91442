package pattern

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"testing"
)

// TestForms checks that what users write needs no regular expression, or is searched for
// a literal first.
func TestForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expr           string
		form           form
		begin, end     bool
		literals       string // joined by "|"
		prefix, suffix string
		required       string // joined by "|"
	}{
		{expr: ``, form: formAll},
		{expr: `.*`, form: formAll},
		{expr: `^.*`, form: formAll, begin: true},
		{expr: `foo`, form: formSet, literals: "foo"},
		{expr: `^foo.*`, form: formSet, begin: true, literals: "foo"},
		{expr: `^(foo).*`, form: formSet, begin: true, literals: "foo"},
		{expr: `.*foo.*`, form: formSet, literals: "foo"},
		{expr: `foo$`, form: formSet, end: true, literals: "foo"},
		{expr: `^foo$`, form: formSet, begin: true, end: true, literals: "foo"},
		{expr: `^$`, form: formSet, begin: true, end: true, literals: ""},
		{expr: `\.log$`, form: formSet, end: true, literals: ".log"},
		{expr: `^(GET|POST|PUT)$`, form: formSet, begin: true, end: true, literals: "GET|POST|PUT"},
		{expr: `^/health[zy]?`, form: formSet, begin: true, literals: "/health"},
		{expr: `^(debug|DEBUG)`, form: formSet, begin: true, literals: "debug|DEBUG"},
		{expr: `^k8s\..*\.name$`, form: formGlob, begin: true, end: true, literals: "k8s.|.name"},
		{expr: `^.*foo`, form: formGlob, begin: true, literals: "foo"},
		{expr: `(?s)^foo.*$`, form: formSet, begin: true, literals: "foo"},
		{expr: `(?s)^.*foo$`, form: formSet, end: true, literals: "foo"},
		{expr: `foo.+bar`, form: formGlob, literals: "foo|bar"},
		{expr: `^foo-\d+$`, begin: true, end: true, prefix: "foo-"},
		{expr: `\d+ms$`, end: true, suffix: "ms"},
		{expr: `user-(\d+)@example\.com`, required: "@example.com"},
		{expr: `(password|secret)=\S+`, required: "password|secret"},
		{expr: `(?i)foo`, form: formRegexp},
		{expr: `[0-9]+`, form: formRegexp},
		{expr: `(?m)^foo$`, required: "foo"},
		{expr: "\uFFFD", form: formRegexp},
	} {
		p := MustCompile(c.expr)
		join := func(l [][]byte) string { return string(bytes.Join(l, []byte("|"))) }
		if p.form != c.form || p.begin != c.begin || p.end != c.end || join(p.literals) != c.literals ||
			string(p.prefix) != c.prefix || string(p.suffix) != c.suffix || join(p.required) != c.required {
			t.Errorf("%q: form %d, begin %v, end %v, literals %q, prefix %q, suffix %q, required %q", c.expr, p.form, p.begin, p.end, p.literals, p.prefix, p.suffix, p.required)
		}
	}
	if _, err := Compile("("); err == nil {
		t.Error("an invalid expression is accepted")
	}
}

var values = []string{
	"", "foo", "xfoo", "foox", "foo bar", "fooxbar", "foobar", "foo\nbar", "\nfoo", "a\nxfoo\n", "bar foo", "k8s.pod.name", "k8s.name", "k8s..name",
	"k8s.\n.name", "GET", "GETX", "POST", "\xff", "\xe2\x82foo", "foo\xe2\x82", "é", "/healthz", "user-12@example.com", "secret=x", "foo-12", "12ms", "foofoo",
}

var expressions = []string{
	``, `foo`, `^foo.*`, `foo$`, `^foo$`, `^$`, `.*foo.*`, `^.*foo`, `^.+foo`, `.+foo`, `foo.+`, `foo.+$`, `^foo.*$`, `foo.*bar`, `foo.+bar`, `^foo.+bar$`, `(?s)^foo.*bar$`, `(?s)foo.+`,
	`(?s)^.*foo$`, `^k8s\..*\.name$`, `^(GET|POST)$`, `GET|POST`, `^GET|POST$`, `(?i)FOO`, `[fb]oo`, `fo{2}`, `(f)(o+)`, `\bfoo\b`, `.`, `^.$`, "\uFFFD", `[^a]`, `x*`, `(foo|)`, `foo?`, `(^foo|bar)`,
	`foo|^`, `(?m)^foo$`, `foo\z`, `\Afoo`, `(?U)fo+`, `a{0}foo`, `(foo)*`, `(?:^a)*foo`, `foo$|bar`, `(.*)foo(.*)bar`, `é+`, `(\w+)-(?P<n>\d+)`,
}

var templates = []string{"", "x", "$0", "${1}-$2", "$n!", "$$", "$"}

func check(t *testing.T, expr, value, template string) {
	t.Helper()
	re, err := regexp.Compile(expr)
	if err != nil {
		return
	}
	p, err := Compile(expr)
	if err != nil {
		t.Fatalf("%q: %v", expr, err)
	}
	v := []byte(value)
	if got, want := p.Match(v), re.Match(v); got != want {
		t.Fatalf("%q matches %q: %v, want %v (form %d)", expr, value, got, want, p.form)
	}
	if got, want := p.FindSubmatch(v), re.FindSubmatch(v); !equal(got, want) {
		t.Fatalf("%q finds in %q: %q, want %q", expr, value, got, want)
	}
	if got, want := p.FindSubmatchIndex(v), re.FindSubmatchIndex(v); (got == nil) != (want == nil) {
		t.Fatalf("%q finds in %q: %v, want %v", expr, value, got, want)
	}
	got, changed := p.AppendReplaceAll([]byte("before "), v, []byte(template))
	want := "before "
	if re.Match(v) {
		want += string(re.ReplaceAll(v, []byte(template)))
	}
	if string(got) != want || changed != re.Match(v) {
		t.Fatalf("%q of %q replaced by %q: %q, %v, want %q", expr, value, template, got, changed, want)
	}
}

func equal(a, b [][]byte) bool {
	if (a == nil) != (b == nil) || len(a) != len(b) {
		return false
	}
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) || !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestSameAsRegexp(t *testing.T) {
	t.Parallel()
	for _, expr := range expressions {
		for _, value := range values {
			for _, template := range templates {
				check(t, expr, value, template)
			}
		}
	}
}

// TestRandom matches expressions of a few parts against texts of the same letters.
func TestRandom(t *testing.T) {
	t.Parallel()
	parts := []string{"^", "$", "a", "b", "ab", ".*", ".+", "(?s:.*)", "(?s:.+)", "(a|ab)", "[ab]", "a?", "b*", "(?:ba|b)", "é", `\b`, "|", "a+", "(?i:a)"}
	letters := []string{"a", "b", "ab", "\n", "é", "\xff", "A", " "}
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(from []string, most int) string {
		text := ""
		for range r.IntN(most + 1) {
			text += from[r.IntN(len(from))]
		}
		return text
	}
	for range 20000 {
		expr := draw(parts, 5)
		for range 3 {
			check(t, expr, draw(letters, 6), "x$1")
			check(t, expr, draw(letters, 6), "y")
		}
	}
}

func FuzzPattern(f *testing.F) {
	for i, expr := range expressions {
		f.Add(expr, values[i%len(values)], templates[i%len(templates)])
	}
	f.Fuzz(func(t *testing.T, expr, value, template string) {
		if len(expr) > 100 || len(value) > 1000 {
			return
		}
		check(t, expr, value, template)
	})
}

// TestAllocations checks that nothing is allocated for values that do not match.
func TestAllocations(t *testing.T) {
	long := bytes.Repeat([]byte("a value that is long "), 20)
	dst := make([]byte, 0, 2000)
	for _, expr := range []string{`^foo.*`, `foo-\d+`, `(\w+) (that|x) is`, `a.*b.*z`, `z+`} {
		p := MustCompile(expr)
		if n := testing.AllocsPerRun(100, func() {
			p.Match(long)
			if !p.Match(long) {
				p.FindSubmatchIndex(long)
				p.AppendReplaceAll(dst, long, []byte("$1"))
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", expr, n)
		}
	}
	p := MustCompile("long")
	if n := testing.AllocsPerRun(100, func() { p.AppendReplaceAll(dst, long, []byte("short")) }); n != 0 {
		t.Errorf("replace: %v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	value := []byte("checkout-service request 12345 finished in 12ms for /api/v1/orders")
	for _, expr := range []string{`^foo.*`, `.*orders.*`, `foo-\d+`, `^(GET|POST) `, `finished.*orders$`, `^checkout-\w+ request \d+`} {
		b.Run("pattern/"+expr, func(b *testing.B) {
			p := MustCompile(expr)
			for b.Loop() {
				p.Match(value)
			}
		})
		b.Run("regexp/"+expr, func(b *testing.B) {
			re := regexp.MustCompile(expr)
			for b.Loop() {
				re.Match(value)
			}
		})
	}
}
