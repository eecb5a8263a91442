package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// testName is a test as docs/collector-tests.md names it: `file:Test/subtest`.
var testName = regexp.MustCompile("`([a-z0-9_/]+_test\\.go):((?:Test|Fuzz|Benchmark)[^`/]*)(?:/([^`]*))?`")

// Each row of docs/collector-tests.md names a test of ours that exists, or says
// why there is none or what it has to show.
func TestCollectorTestsExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "collector-tests.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*testFile{}
	rows, names := 0, 0
	for n, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || cells[0] == "Collector" {
			continue
		}
		rows++
		if len(cells) != 3 || cells[0] == "" || cells[1] == "" {
			t.Errorf("line %d: expected three cells that say something, found %q", n+1, cells)
			continue
		}
		found := testName.FindAllStringSubmatch(cells[2], -1)
		if len(found) != strings.Count(cells[2], "_test.go") {
			t.Errorf("line %d: a test is not written as `file:Test` or `file:Test/subtest`: %s", n+1, cells[2])
		}
		if len(found) == 0 && !strings.HasPrefix(cells[2], "not applicable: ") && !strings.HasPrefix(cells[2], "missing: ") {
			t.Errorf("line %d: neither a test nor a reason: %q", n+1, cells[2])
		}
		for _, m := range found {
			names++
			if missing := look(t, files, m[1]).missing(m[2], m[3]); missing != "" {
				t.Errorf("line %d: %s: %s", n+1, m[0], missing)
			}
		}
	}
	if rows < 100 || names < 100 {
		t.Errorf("%d rows with %d tests: the page is not what it was", rows, names)
	}
}

// testFile is what a file of tests names: its functions, and the texts in it,
// where subtests have their names from.
type testFile struct {
	functions map[string]bool
	texts     map[string]bool
}

func (f *testFile) missing(function, subtest string) string {
	switch {
	case f == nil:
		return "there is no such file"
	case !f.functions[function]:
		return "there is no such function"
	case subtest != "" && !f.texts[subtest]:
		return "no case has this name"
	}
	return ""
}

// look reads a file once; nil if there is none.
func look(t *testing.T, files map[string]*testFile, path string) *testFile {
	t.Helper()
	if f, seen := files[path]; seen {
		return f
	}
	files[path] = nil
	syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "..", filepath.FromSlash(path)), nil, 0)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	f := &testFile{map[string]bool{}, map[string]bool{}}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			f.functions[n.Name.Name] = true
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil {
				f.texts[s] = true
			}
		}
		return true
	})
	files[path] = f
	return f
}
