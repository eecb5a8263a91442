package transformprocessor

import (
	"os"
	"strings"
	"testing"
)

// TestDocumentedExample: the example of docs/transform.md is read.
func TestDocumentedExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/transform.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "```yaml\nprocessors:\n  transform:\n")
	example, _, closed := strings.Cut(example, "```")
	if !ok || !closed {
		t.Fatal("the page has no example")
	}
	if _, err := decode(t, strings.ReplaceAll("\n"+example, "\n    ", "\n")); err != nil {
		t.Error(err)
	}
}
