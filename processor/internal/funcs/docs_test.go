package funcs_test

import (
	"os"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/processor/internal/funcs"
)

// TestDocumentation checks that docs/ottl.md has each function with its parameters.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/ottl.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range funcs.Transform() {
		var params []string
		for _, p := range f.Params {
			if p.Optional {
				p.Name = "[" + p.Name + "]"
			}
			params = append(params, p.Name)
		}
		if signature := "`" + f.Name + "(" + strings.Join(params, ", ") + ")`"; !strings.Contains(string(text), signature) {
			t.Errorf("docs/ottl.md does not have %s", signature)
		}
	}
}
