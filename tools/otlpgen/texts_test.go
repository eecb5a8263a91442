package main

import (
	"strings"
	"testing"
)

func TestTextsMustMatchTheModel(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"complete", "# a comment\n\nSpan\tone operation\nSpan.name\tthe name\nKind\ta kind\nResponse\ta response\n", ""},
		{"no text for a message", "Span.name\tthe name\nKind\ta kind\nResponse\ta response\n", "texts.txt has no text for Span"},
		{"no text for a field", "Span\tone operation\nKind\ta kind\nResponse\ta response\n", "texts.txt has no text for Span.name"},
		{"no text for an enum", "Span\tone operation\nSpan.name\tthe name\nResponse\ta response\n", "texts.txt has no text for Kind"},
		{"unknown name", "Span\tone operation\nSpan.name\tthe name\nKind\ta kind\nResponse\ta response\nSpan.gone\tit was here\n", "texts.txt has a text for Span.gone, which OTLP does not have"},
		{"name twice", "Span\tone operation\nSpan\tone operation\n", "texts.txt:2: Span has a text already"},
		{"empty text", "Span\t \n", "texts.txt:1: expected a name, a tab and a text"},
		{"no tab", "Span one operation\n", "texts.txt:1: expected a name, a tab and a text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			span := &message{Name: "Span", Fields: []*field{{Proto: "name"}}}
			response := &message{Name: "Response", Fields: []*field{{Proto: "code"}}}
			j := &jsonModel{All: []*message{span, response}, Responses: []*message{response}, Enums: []*enum{{Name: "Kind"}}}
			all, err := readTexts([]byte(c.file))
			if err == nil {
				err = all.apply(j)
			}
			if c.want == "" {
				if err != nil || span.Text != "one operation" || span.Fields[0].Text != "the name" || j.Enums[0].Text != "a kind" {
					t.Errorf("error %v, span %q, field %q, enum %q", err, span.Text, span.Fields[0].Text, j.Enums[0].Text)
				}
				return
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestWrapComments(t *testing.T) {
	words := strings.Repeat("word ", 20)
	in := "package x\n\n\t// " + words + "\nvar s = \"// " + words + "\" // " + words + "\n// " + strings.Repeat("x", 100) + "\n"
	got := string(wrapComments([]byte(in)))
	for line := range strings.Lines(got) {
		if strings.HasPrefix(strings.TrimLeft(line, "\t"), "// word") && len(line) > commentColumns+1 {
			t.Errorf("not wrapped: %q", line)
		}
	}
	unwrap := strings.ReplaceAll(got, "\n\t// ", " ")
	if want := strings.ReplaceAll(in, "\n\t// ", " "); unwrap != want {
		t.Errorf("got %q, want %q", unwrap, want)
	}
}
