package conf

import (
	"strings"
	"testing"
)

// Two configurations have one canonical text only if they decode to the same values.
func TestWriteCanonical(t *testing.T) {
	t.Setenv("CANONICAL_A", "8")
	t.Setenv("CANONICAL_B", "9")
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"{x: 1, y: 2}", "{y: 2, x: 1}", true},
		{"x: 1 # one\ny:\n  - 2\n", "y: [2]\nx: 1", true},
		{"x: ${env:CANONICAL_A}", "x: ${env:CANONICAL_A}", true},
		{"x: ${env:CANONICAL_A}", "x: ${env:CANONICAL_B}", false},
		{"{x: 1}", "{x: 2}", false},
		{"{x: 1}", "{x: \"1\"}", false},
		{"{x: 0x1F}", "{x: 31}", false}, // a text field keeps what is written
		{"{x: [1, 2]}", "{x: [2, 1]}", false},
		{"{x: [a, b]}", "{x: [\"a,b\"]}", false},
		{"{x: {y: 1}}", "{x: , y: 1}", false},
		{"{x: }", "{x: {}}", false},
		{"{x: }", "{}", false},
		{"{x: ab, y: c}", "{x: a, y: bc}", false},
	} {
		text := func(yaml string) string {
			tree, err := Load(Options{Sources: []string{"yaml:" + yaml}})
			if err != nil {
				t.Fatalf("%s: %v", yaml, err)
			}
			var b strings.Builder
			tree.Root().WriteCanonical(&b)
			return b.String()
		}
		if got := text(c.a) == text(c.b); got != c.same {
			t.Errorf("%s and %s are the same: %v, want %v\n%s\n%s", c.a, c.b, got, c.same, text(c.a), text(c.b))
		}
	}
}
