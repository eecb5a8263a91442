// Package floors has tests of the whole tree. A package may import only packages of
// the floors below its own (ARCHITECTURE.md has the table).
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
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/penstock-telemetry/penstock/"

// floors lists packages by floor, lowest first. An entry that ends in "/…"
// stands for every folder below it. The first entry that matches counts.
var floors = [][]string{
	0:  {"internal/wire", "internal/bufpool", "internal/suggest", "internal/lifecycle", "internal/lograte", "internal/hostcheck", "internal/otelenv", "internal/version", "internal/vfs", "internal/sdnotify", "internal/filewatch", "internal/pattern", "otlp/otlpfield"},
	1:  {"otlp", "config", "admission", "libpf", "journal/segment", "ottl/syntax"},
	2:  {"otlpedit", "internal/conf", "internal/compress", "internal/decompress", "reporter/samples", "reporter/collectionagent/v1", "internal/pprofconv", "journal", "ottl/internal/…"},
	3:  {"pipeline", "ottl"},
	4:  {"component", "otlpclient", "obsreport", "delivery/record", "ottl/functions", "internal/statements"},
	5:  {"delivery", "receiver/internal/conns", "processor/internal/attrs", "processor/internal/aggregate"},
	6:  {"internal/control", "exporter/internal/…", "extension/internal/…", "reporter/internal/…", "receiver/internal/frontend", "receiver/internal/held", "processor/match", "processor/attraction"},
	7:  {"reporter", "receiver/internal/grpcserver", "processor/internal/actiontest", "processor/internal/sequence"},
	8:  {"receiver/…", "processor/…", "connector/…", "exporter/…", "extension/…", "internal/loadgen", "service/internal/push"},
	9:  {"components", "service/internal/selfobs"},
	10: {"service/internal/load"},
	11: {"service/internal/graph"},
	12: {"service"},
	13: {"cmd/…", "examples/…"},
}

// aside are packages that nothing in the product imports: tools and helpers of
// tests. They may import what they like.
var aside = []string{"internal/test/amplify", "internal/test/badinput", "internal/test/badinput/run", "internal/test/testkit", "internal/test/tlstest", "internal/test/hostile", "internal/test/floors", "internal/test/host", "internal/test/kills"}

func floorOf(pkg string) (int, bool) {
	for i, f := range floors {
		for _, p := range f {
			if p == pkg || strings.HasSuffix(p, "/…") && strings.HasPrefix(pkg, strings.TrimSuffix(p, "…")) {
				return i, true
			}
		}
	}
	return 0, false
}

func isAside(pkg string) bool {
	for _, p := range aside {
		if p == pkg {
			return true
		}
	}
	return false
}

// sources calls f with every Go file of the product (tests and nested modules
// excluded) and the package it is in.
func sources(t *testing.T, f func(pkg, file string, syntax *ast.File)) {
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
		if d.IsDir() {
			if base := path.Base(rel); rel == "bench" || rel == "interop" || rel == "tools" || rel == "oracle" || base == "testdata" || rel != "." && strings.HasPrefix(base, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		if err != nil {
			return err
		}
		f(path.Dir(rel), rel, syntax)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportsGoDown(t *testing.T) {
	seen := 0
	sources(t, func(pkg, file string, syntax *ast.File) {
		seen++
		floor, known := floorOf(pkg)
		if !known && !isAside(pkg) {
			t.Errorf("%s: package %s is on no floor; add it here and to ARCHITECTURE.md", file, pkg)
		}
		for _, imp := range syntax.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			dep, ours := strings.CutPrefix(name, module)
			if !ours || isAside(pkg) {
				continue
			}
			if isAside(dep) {
				t.Errorf("%s imports %s, which is for tests and tools", file, dep)
			} else if d, _ := floorOf(dep); d >= floor && !landing(pkg, dep) {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go down only", file, floor, dep, d)
			}
		}
	})
	if seen < 20 {
		t.Fatalf("looked at %d files only", seen)
	}
}

// landing reports whether dep is a part of pkg's own folder, split off.
func landing(pkg, dep string) bool { return strings.HasPrefix(dep, pkg+"/internal/") }

// What differs by signal is a column of the table in package otlp: nobody else
// switches on a Signal, or compares one with a name.
func TestNobodySwitchesOnASignal(t *testing.T) {
	sources(t, func(pkg, file string, syntax *ast.File) {
		if pkg == "otlp" || isAside(pkg) {
			return
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			var operands []ast.Expr
			switch n := n.(type) {
			case *ast.CaseClause:
				operands = n.List
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					operands = []ast.Expr{n.X, n.Y}
				}
			}
			for _, e := range operands {
				if name := signalName(e); name != "" {
					t.Errorf("%s asks for otlp.%s: make what differs a column of otlp.Spec", file, name)
				}
			}
			return true
		})
	})
}

// signalName returns the signal that e names: otlp.Traces and so on.
func signalName(e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "otlp" {
		return ""
	}
	switch sel.Sel.Name {
	case "Traces", "Metrics", "Logs", "Profiles":
		return sel.Sel.Name
	}
	return ""
}

// architectureRow is a row of the table of floors in ARCHITECTURE.md.
var architectureRow = regexp.MustCompile("(?m)^\\| (\\d+) \\| ((?:`[^`]+`(?:, )?)+) \\|")

// ARCHITECTURE.md draws the same floors, under the same numbers.
func TestArchitectureDrawsTheFloors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]string{}
	for _, row := range architectureRow.FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(row[2], ", ") {
			drawn[strings.Trim(name, "`")] = row[1]
		}
	}
	for i, floor := range floors {
		for _, pkg := range floor {
			if got, want := drawn[pkg], strconv.Itoa(i); got != want {
				t.Errorf("ARCHITECTURE.md has %s on floor %q, the list here on floor %s", pkg, got, want)
			}
			delete(drawn, pkg)
		}
	}
	for pkg, floor := range drawn {
		t.Errorf("ARCHITECTURE.md has %s on floor %s, the list here has it not", pkg, floor)
	}
}
