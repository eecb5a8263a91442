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
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// phrases are refused in comments, string literals and documents, each with its
// plain replacement. A pattern is a regular expression of whole words. It is
// case-insensitive unless it begins with a capital, and a space in it matches a
// line break too. CONTRIBUTING.md, section "Style", has the reasons.
var phrases = []struct{ pattern, instead string }{
	{`as good as`, "the same as; means"},
	{`what is none`, "other, invalid"},
	{`had to go`, "was evicted"},
	{`seldom`, "rarely"},
	{`who (reads|parses|sends|embeds|asks|waits)`, "name the client, caller, component"},
	// Metaphors.
	{`doors?`, "handler, front end; on arrival"},
	{`intake`, "new requests; route"},
	{`gates?`, "in-flight tracker, limit"}, // feature gates are allowed, see allowed
	{`strangers?`, "unknown client, unknown method"},
	{`greets|greeted|greetings`, "handshake, server credentials"},
	{`dismiss(es|ed|ing)?`, "drain"},
	{`lent|lends?|lending|on loan`, "pooled, get/put buffer"},
	{`whims?`, "random"},
	{`(the|its|their) books|keepers?`, "counters, held stats"},
	{`patience`, "timeout"},
	{`turn(s|ed|ing)? away`, "refuse"},
	{`come (again|back)`, "retry"},
	{`on (its|their) way`, "in flight"},

	// Old-fashioned or unclear turns.
	{`tells? of|told of|untold`, "logs, reports; not logged"},
	{`(is|are|was|were|be|been|being) told`, "gets, is notified; an error reports"},
	{`(cannot|can not|can't) be told`, "cannot determine, is unknown"},
	{`hears?|heard`, "gets, is notified"},
	{`left behind|leaves? behind`, "remains, abandoned"},
	{`something behind`, "unexpected data after"},
	{`br(oke|oken|eaks?|eaking) off`, "abort, interrupt; truncated"},
	{`no wish`, "means unspecified"},
	{`nobody to tell|nobody (is|was) told`, "is not reported"},
	{`who asked`, "the client, the caller"},
	{`in vain`, "has no effect, failed"},
	{`without a word|a word is lost`, "silently"},
	{`say(s|ing)? nothing`, "has no effect, is empty"},
	{`counts? (instead|for all)`, "is used, applies"},
	{`wants? (to know|to be told|quotes|spaces)`, "needs"},
	{`under way`, "in progress"},
	{`anew|afresh`, "again, new"},
	{`for ever`, "forever"},
	{`is there twice`, "duplicate"},
	{`what there is|that (is|are) there`, "that exists, the available"},
	{`(says?|tells?) (whether|if)`, "reports whether"},
	{`(is|are|was|were) no [a-z]+`, "is not a"}, // "there is no" is allowed, see allowed
	{`believed?`, "trust, verify"},
	{`whom|whoever|somebody`, "name the client, caller, component"},
	{`(to|of|for|from|by|with|between) who`, "name the client, caller, component"},
	{`Who [a-z]+`, "a caller that, a client that"},
}

// words are refused in the names that Go files declare, each with its plain
// replacement. They are compared with the lower-case words of a name: lend
// matches lendBuffer, but not calendar.
var words = map[string]string{
	"door": "handler, frontEnd", "doors": "handlers", "intake": "route", "gate": "limit, inFlight", "gates": "limits",
	"stranger": "unknown", "strangers": "unknown", "greetings": "serverCredentials",
	"dismiss": "drain", "lend": "get", "lent": "buffer", "loan": "buffer", "whim": "random", "books": "counters",
	"keeper": "held", "untold": "notLogged", "patience": "timeout", "told": "reported",
}

// allowed reports whether a phrase that was found is used in a plain sense.
func allowed(before, found string) bool {
	switch lower := strings.Join(strings.Fields(strings.ToLower(found)), " "); {
	case strings.HasPrefix(lower, "gate"): // of the Collector
		return strings.HasSuffix(strings.ToLower(strings.TrimRight(before, " \n-`_")), "feature")
	case strings.Contains(lower, "no "):
		if strings.HasSuffix(lower, " longer") || strings.HasSuffix(lower, " more") {
			return true
		}
		words := strings.Fields(before)
		return len(words) > 0 && strings.EqualFold(words[len(words)-1], "there")
	case strings.HasPrefix(found, "Who "): // a question is not a relative clause
		return strings.HasSuffix(strings.TrimRight(before, " \n"), "?")
	}
	return false
}

// notYet are folders that are not in this style yet. The list must become empty.
var notYet = []string{}

// exempt reports whether a file may contain the refused phrases: it lists them,
// or others wrote it.
func exempt(rel string) bool {
	return slices.Contains([]string{"internal/test/floors/words_test.go", "CONTRIBUTING.md", "LICENSE"}, rel)
}

// A passage is a piece of prose: a comment, a string literal, or a paragraph of
// a document.
type passage struct {
	line int // of its first line
	text string
}

func TestPlainWords(t *testing.T) {
	patterns := make([]*regexp.Regexp, len(phrases))
	for i, p := range phrases {
		flags := "(?i)"
		if unicode.IsUpper(rune(p.pattern[0])) {
			flags = ""
		}
		patterns[i] = regexp.MustCompile(flags + `\b(?:` + strings.ReplaceAll(p.pattern, " ", `\s+`) + `)\b`)
	}
	files := 0
	documents(t, func(rel string, text []byte) {
		files++
		for _, p := range passages(t, rel, text) {
			for i, pattern := range patterns {
				for _, at := range pattern.FindAllStringIndex(p.text, -1) {
					if found := p.text[at[0]:at[1]]; !allowed(p.text[:at[0]], found) {
						line := p.line + strings.Count(p.text[:at[0]], "\n")
						t.Errorf("%s:%d: %q: write %s", rel, line, found, phrases[i].instead)
					}
				}
			}
		}
		if strings.HasSuffix(rel, ".go") {
			checkNames(t, rel, text)
		}
	})
	if files < 300 {
		t.Fatalf("read only %d files", files)
	}
}

// documents calls f with every file that people read: Go files, documents,
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
			if base == "node_modules" || base == "fuzz" || rel != "." && strings.HasPrefix(base, ".") || slices.Contains(notYet, rel) {
				return fs.SkipDir
			}
			return nil
		}
		if exempt(rel) || !slices.Contains([]string{".go", ".md", ".yaml", ".txtar", ".html", ".proto"}, path.Ext(base)) {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if !generated.Match(text) {
			f(rel, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// generated matches files of a generator (go.dev/s/generatedcode), and those of
// other projects.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$|^// Copyright .*, OpenTelemetry Authors$`)

// passages returns the prose of a file.
func passages(t *testing.T, rel string, text []byte) (all []passage) {
	t.Helper()
	if !strings.HasSuffix(rel, ".go") {
		for n, line := 0, 1; n >= 0; line++ {
			paragraph := string(text)
			if n = strings.Index(paragraph, "\n\n"); n >= 0 {
				paragraph, text = paragraph[:n], text[n+1:]
			}
			all = append(all, passage{line, paragraph})
			line += strings.Count(paragraph, "\n")
		}
		return all
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, rel, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range syntax.Comments {
		for _, c := range group.List {
			comment := strings.TrimPrefix(c.Text, "//")
			line := set.Position(c.Pos()).Line
			if last := len(all) - 1; c != group.List[0] && line == all[last].line+strings.Count(all[last].text, "\n")+1 {
				all[last].text += "\n" + comment // so that a phrase is found across lines
				continue
			}
			all = append(all, passage{line, comment})
		}
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			value := lit.Value // keeps the line numbers of a raw string
			if s, err := strconv.Unquote(value); err == nil && value[0] == '"' {
				value = strings.ReplaceAll(s, "\n", " ")
			}
			all = append(all, passage{set.Position(lit.Pos()).Line, value})
		}
		return true
	})
	return all
}

// checkNames checks the names that a Go file declares.
func checkNames(t *testing.T, rel string, text []byte) {
	t.Helper()
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, rel, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	check := func(ids ...*ast.Ident) {
		for _, id := range ids {
			before := ""
			for _, word := range wordsOf(id.Name) {
				if plain, bad := words[word]; bad && before != "feature" {
					t.Errorf("%s: the name %s: write %s", set.Position(id.Pos()), id.Name, plain)
				}
				before = word
			}
		}
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			check(n.Name)
		case *ast.TypeSpec:
			check(n.Name)
			if n.Name.Name == "visit" { // a function visit walks over something
				t.Errorf("%s: the type visit: write request", set.Position(n.Pos()))
			}
		case *ast.ValueSpec:
			check(n.Names...)
		case *ast.Field:
			check(n.Names...)
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					check(id)
				}
			}
		}
		return true
	})
}

// wordsOf splits a name such as maxLentBuffers or HTTPDoor into lower-case words.
func wordsOf(name string) (all []string) {
	runes := []rune(name)
	start := 0
	for i := 1; i <= len(runes); i++ {
		switch {
		case i == len(runes), runes[i] == '_',
			unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]),
			unicode.IsUpper(runes[i]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]):
			all = append(all, strings.ToLower(strings.Trim(string(runes[start:i]), "_")))
			start = i
		}
	}
	return all
}

// copiedErrors are the beginnings of errors that copy the Collector's, and the
// eBPF profiler's, on purpose, so that users find them in their documentation.
var copiedErrors = []string{
	"failed to load TLS config: ", "failed to load TLS cert and key: ", "failed to load client CA CertPool: ",
	"failed to resolve OIDC provider for the issuer ", "failed to parse the token: malformed jwt", "failed to verify token: ",
	"failed to resolve authenticator ", "failed to setup queue for ",
}

// badError matches the beginning of an error that does not say what was being
// done, or that is a sentence.
var badError = regexp.MustCompile(`^(?i:cannot|can't|can not|could not|couldn't|failed to|unable to|error|an error)\b|^[A-Z][a-z]+ [a-z]`)

// Errors say what was being done, to what, and what went wrong, in lower case.
func TestErrorsHaveOneGrammar(t *testing.T) {
	errors := 0
	sources(t, func(_, file string, syntax *ast.File) {
		ast.Inspect(syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			at, logged := textArgument(calledName(call))
			if at < 0 || len(call.Args) <= at {
				return true
			}
			if lit, ok := call.Args[at].(*ast.BasicLit); ok {
				errors++
				text, _ := strconv.Unquote(lit.Value)
				copied := slices.ContainsFunc(copiedErrors, func(s string) bool { return strings.HasPrefix(text, s) })
				if badError.MatchString(text) && !copied || !logged && (strings.HasSuffix(text, ".") || strings.HasSuffix(text, "\n")) {
					t.Errorf("%s: error %q: write what was being done, to what, what went wrong", file, text)
				}
			}
			return true
		})
	})
	if errors < 400 {
		t.Errorf("found only %d errors", errors)
	}
}

// textArgument returns the index of the text among the arguments of a function that
// makes an error, an answer to a client or a log line; less than 0 for others.
func textArgument(name string) (at int, logged bool) {
	_, method, _ := strings.Cut(name, ".")
	switch {
	case name == "config.Atf" || name == "Atf":
		return 1, false
	case name == "errors.New" || strings.HasSuffix(name, "Errorf"):
		return 0, false
	case method == "Refuse" || name == "Refuse":
		return 2, false
	case method == "LogAttrs":
		return 2, true
	case name != "t.Error" && slices.Contains([]string{"Warn", "Error"}, method):
		return 0, true
	}
	return -1, false
}

// calledName returns the name of the function that is called: "fmt.Errorf".
func calledName(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		if x, ok := fun.X.(*ast.Ident); ok {
			return x.Name + "." + fun.Sel.Name
		}
		return "." + fun.Sel.Name
	}
	return ""
}
