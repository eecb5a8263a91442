package pattern

import "testing"

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, value string
		want        bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "ab", false}, {"a*", "abc", true}, {"*a", "ba", true}, {"*", "", true}, {"*", "a/b.c\n", true},
		{"user*", "user-1", true}, {"user*", "a user", false}, {"a**b", "axb", true}, {"?", "é", true}, {"?", "", false}, {"?", "ab", false}, {"a?c", "abc", true},
		{"[abc]x", "bx", true}, {"[abc]x", "dx", false}, {"[!abc]x", "dx", true}, {"[!abc]x", "ax", false}, {"[a-c]", "b", true}, {"[a-c]", "d", false}, {"[!a-c]", "d", true},
		{"[abc-d]", "-", true}, {`[\]]`, "]", true}, {"{a,b*}c", "ac", true}, {"{a,b*}c", "bxc", true}, {"{a,b*}c", "c", false}, {"{a,{b,c}}", "c", true},
		{"{a,b", "b", true}, {`\*`, "*", true}, {`\*`, "x", false}, {`a\`, "a", true}, {"a,b", "a,b", true}, {"a}", "a}", true}, {"a.c", "abc", false}, {"(a+)", "(a+)", true}, {"^a$", "^a$", true},
		{"/health*", "/healthz", true}, {"*.svc", "a.b.svc", true},
	} {
		p, err := CompileGlob(c.glob)
		if err != nil {
			t.Errorf("%q: %v", c.glob, err)
			continue
		}
		if got := p.Match([]byte(c.value)); got != c.want {
			t.Errorf("%q matches %q: %v", c.glob, c.value, got)
		}
	}
	for _, glob := range []string{"[", "[]", "[a", "[z-a]", "[a-cx]", "[!]", "\xff"} {
		if _, err := CompileGlob(glob); err == nil {
			t.Errorf("%q is accepted", glob)
		}
	}
	if p, _ := CompileGlob("user*"); p.form != formSet {
		t.Errorf("a prefix is matched in form %d", p.form)
	}
}
