package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// badPhrases are words and turns that readers had to guess at, each with what to
// write instead. CONTRIBUTING.md, "Style", says why. They are looked for in
// comments, texts and documents; letter case does not count.
var badPhrases = []struct{ phrase, instead string }{
	{`at the door`, "when it arrives"},
	{`strangers`, "unknown methods, unknown clients"},
	{`greetings`, "server credentials, preface"},
	{`(was|were|is|are|be) told of`, "logged, reported"},
	{`told of`, "logged, reported"},
	{`(cannot|can not|can't) be told`, "cannot determine, is unknown"},
	{`nobody (is|was) told`, "is not reported"},
	{`left behind`, "abandoned, remains"},
	{`something behind`, "unexpected data after"},
	{`(broke|broken) off`, "interrupted, aborted"},
	{`is no wish`, "means unspecified"},
	{`nobody to tell`, "the client has disconnected"},
	{`who asked (is|may be) gone`, "the client has disconnected"},
	{`in vain`, "has no effect, failed"},
	{`out of patience`, "timed out"},
	{`a word is lost`, "say what is lost"},
	{`on loan`, "pooled"},
	{`lent|lends?`, "returned by, get/put buffer"},
	{`whim`, "random"},
	{`whom`, "name the thing"},
	{`strange(r|rs)`, "unknown client"},
	{`untold`, "not logged"},
	{`wants to (know|be told)`, "needs"},
}

// badNames are identifiers with the same fault.
var badNames = map[string]string{
	"door": "handler, front end", "visit": "request", "intake": "route", "stranger": "unknown", "strangers": "unknown methods",
	"greeting": "preface, credentials", "greetings": "server credentials", "dismiss": "drain", "lend": "get", "lent": "buffer",
	"whim": "random", "Books": "held stats", "Keeper": "held items", "keeper": "say what it keeps", "untold": "notLogged",
}

// words that may look bad and are not: quotations of other software, and this
// file.
func exempt(rel string) bool {
	return rel == "internal/test/floors/words_test.go" || rel == "CONTRIBUTING.md" || rel == "LICENSE"
}

// documents calls f with every text that people read: Go files, documents,
// examples, scripts. Generated files and recorded data are left out.
func documents(t *testing.T, f func(rel string, text []byte)) {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		base := path.Base(rel)
		if d.IsDir() {
			if base == "node_modules" || base == "fuzz" || rel != "." && strings.HasPrefix(base, ".") {
				return fs.SkipDir
			}
			return nil
		}
		ext := path.Ext(base)
		if exempt(rel) || strings.HasSuffix(base, ".gen.go") || strings.HasSuffix(base, ".pb.go") ||
			ext != ".go" && ext != ".md" && ext != ".txtar" && ext != ".html" && ext != ".proto" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f(rel, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPlainWords(t *testing.T) {
	var alternatives []string
	for _, b := range badPhrases {
		alternatives = append(alternatives, b.phrase)
	}
	bad := regexp.MustCompile(`(?i)\b(?:` + strings.Join(alternatives, "|") + `)\b`)
	looked := 0
	documents(t, func(rel string, text []byte) {
		looked++
		for n, line := range strings.Split(string(text), "\n") {
			if found := bad.FindString(line); found != "" {
				t.Errorf("%s:%d: %q: write %s", rel, n+1, found, instead(found))
			}
		}
		if strings.HasSuffix(rel, ".go") {
			checkNames(t, rel, text)
		}
	})
	if looked < 300 {
		t.Fatalf("looked at %d files only", looked)
	}
}

// instead returns what to write for a phrase that was found.
func instead(found string) string {
	for _, b := range badPhrases {
		if regexp.MustCompile(`(?i)^(?:` + b.phrase + `)$`).MatchString(found) {
			return b.instead
		}
	}
	return "it in plain words"
}

// checkNames looks at the names that a file declares.
func checkNames(t *testing.T, rel string, text []byte) {
	t.Helper()
	files := token.NewFileSet()
	syntax, err := parser.ParseFile(files, rel, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	check := func(id *ast.Ident) {
		if plain, bad := badNames[id.Name]; bad {
			t.Errorf("%s: the name %s: write %s", files.Position(id.Pos()), id.Name, plain)
		}
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			check(n.Name)
		case *ast.TypeSpec:
			check(n.Name)
		case *ast.ValueSpec:
			for _, id := range n.Names {
				check(id)
			}
		case *ast.Field:
			for _, id := range n.Names {
				check(id)
			}
		}
		return true
	})
}
