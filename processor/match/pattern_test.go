package match

import (
	"regexp"
	"testing"
)

var patterns = map[string]bool{ // whether it is a literal
	"abc": true, "^abc": true, "abc$": true, "^abc$": true, ".*abc.*": true, ".*abc$": true, `a\.c`: true, "^é": true,
	"^.*abc": false, "(?i)abc": false, "a.c": false, "": false, "^$": false, "^": false, "a|b": false, "(abc)": false, "[a]bc+": false,
	"\uFFFD": false, "(?m)^abc$": false, `abc\z`: true, `\Aabc`: true, `\babc`: false, "(?s).*abc": true, ".*": false,
}

var texts = []string{"", "abc", "xabc", "abcx", "x\nabc", "abc\n", "abc\nx", "x\nabcx\n", "a.c", "ABC", "a", "é", "\xff", "\xffabc", "\xc3abc\xa9"}

func TestLiteralsAreTheirPatterns(t *testing.T) {
	t.Parallel()
	for text, literal := range patterns {
		p, err := compilePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if (p.re == nil) != literal {
			t.Errorf("%q is a literal: %t", text, p.re == nil)
		}
		for _, s := range texts {
			if got, want := p.match([]byte(s)), regexp.MustCompile(text).MatchString(s); got != want {
				t.Errorf("%q in %q: %t", text, s, got)
			}
		}
	}
}

func FuzzPattern(f *testing.F) {
	for text := range patterns {
		for _, s := range texts {
			f.Add(text, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, text string, s []byte) {
		re, err := regexp.Compile(text)
		if err != nil {
			return
		}
		p, err := compilePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if p.match(s) != re.Match(s) {
			t.Errorf("%q in %q: %t", text, s, p.match(s))
		}
	})
}
