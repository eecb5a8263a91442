package floors

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// What a public package exports names no type of an internal one: an
// embedding program could neither make nor hold such a value. Types of internal packages of
// other modules are looked for as well.
func TestPublicSignaturesNameNoInternalType(t *testing.T) {
	exported := exportData(t)
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exported[path]
		if !ok { // a package that the standard library brings with it
			file = exported["vendor/"+path]
		}
		if file == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(file)
	})
	looked := 0
	for path := range exported {
		rel, ours := strings.CutPrefix(path, module)
		if !ours || isInternal(path) || strings.HasPrefix(rel, "cmd/") || strings.HasPrefix(rel, "examples") {
			continue
		}
		pkg, err := imp.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		looked++
		scan := &publicScan{seen: map[types.Type]bool{}}
		for _, name := range pkg.Scope().Names() {
			if obj := pkg.Scope().Lookup(name); obj.Exported() {
				scan.object(path+"."+name, obj)
			}
		}
		sort.Strings(scan.found)
		for _, f := range scan.found {
			t.Error(f)
		}
	}
	if looked < 20 {
		t.Fatalf("looked at %d packages only", looked)
	}
}

func isInternal(path string) bool {
	return strings.Contains(path, "/internal/") || strings.HasSuffix(path, "/internal")
}

// exportData builds the module and returns the file of export data of each of its
// packages, and of those they need.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "./...")
	cmd.Dir = filepath.Join("..", "..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[path] = file
	}
	return files
}

// publicScan walks what an outsider can reach from an exported object: its type,
// exported fields and methods, and the types of their parameters and results.
type publicScan struct {
	seen  map[types.Type]bool
	found []string
}

func (s *publicScan) object(at string, obj types.Object) {
	s.typ(at, obj.Type())
	named, ok := obj.Type().(*types.Named)
	if _, isType := obj.(*types.TypeName); !isType || !ok {
		return
	}
	s.typ(at, named.Underlying())
	for i := range named.NumMethods() {
		if m := named.Method(i); m.Exported() {
			s.typ(at+"."+m.Name(), m.Type())
		}
	}
}

func (s *publicScan) typ(at string, t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		s.name(at, t.Obj())
		s.typ(at, types.Unalias(t))
	case *types.Named:
		s.name(at, t.Obj())
		for i := range t.TypeArgs().Len() {
			s.typ(at, t.TypeArgs().At(i))
		}
		for i := range t.TypeParams().Len() {
			s.typ(at, t.TypeParams().At(i).Constraint())
		}
	case *types.Pointer:
		s.typ(at, t.Elem())
	case *types.Slice:
		s.typ(at, t.Elem())
	case *types.Array:
		s.typ(at, t.Elem())
	case *types.Chan:
		s.typ(at, t.Elem())
	case *types.Map:
		s.typ(at, t.Key())
		s.typ(at, t.Elem())
	case *types.Tuple:
		for i := range t.Len() {
			s.typ(at, t.At(i).Type())
		}
	case *types.Signature:
		for i := range t.TypeParams().Len() {
			s.typ(at, t.TypeParams().At(i).Constraint())
		}
		s.typ(at, t.Params())
		s.typ(at, t.Results())
	case *types.Struct:
		s.structure(at, t)
	case *types.Interface:
		if s.seen[t] {
			return
		}
		s.seen[t] = true
		for i := range t.NumMethods() {
			if m := t.Method(i); m.Exported() {
				s.typ(at+"."+m.Name(), m.Type())
			}
		}
		for i := range t.NumEmbeddeds() {
			s.typ(at, t.EmbeddedType(i))
		}
	case *types.Union:
		for i := range t.Len() {
			s.typ(at, t.Term(i).Type())
		}
	}
}

// structure looks at exported fields, and at embedded ones, whose methods are the
// struct's own.
func (s *publicScan) structure(at string, t *types.Struct) {
	for i := range t.NumFields() {
		if f := t.Field(i); f.Exported() || f.Embedded() && promotes(f.Type()) {
			s.typ(at+"."+f.Name(), f.Type())
		}
	}
}

// promotes reports whether an embedded type gives the struct exported methods.
func promotes(t types.Type) bool {
	methods := types.NewMethodSet(types.NewPointer(t))
	for i := range methods.Len() {
		if methods.At(i).Obj().Exported() {
			return true
		}
	}
	return false
}

func (s *publicScan) name(at string, obj *types.TypeName) {
	if obj.Pkg() != nil && isInternal(obj.Pkg().Path()) {
		s.found = append(s.found, fmt.Sprintf("%s mentions %s.%s", strings.TrimPrefix(at, module), obj.Pkg().Path(), obj.Name()))
	}
}
