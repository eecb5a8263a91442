// Package host tests that penstock changes nothing global in a program that embeds
// it. Each of its folders is a separate test binary, since gRPC's registry belongs
// to the whole process.
package host

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/penstock-telemetry/penstock"

// program imports packages and prints what they changed. Of gRPC it imports only
// packages that register nothing.
const program = `package main

import (
	"fmt"
	"math"
	"runtime/debug"

	"google.golang.org/grpc/encoding"

%s)

func main() {
	for _, name := range []string{"gzip", "zstd", "snappy"} {
		if c := encoding.GetCompressor(name); c != nil {
			fmt.Printf("the gRPC encoding %%s is registered: %%T\n", name, c)
		}
	}
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		fmt.Println("the memory limit is set:", n)
	}
}
`

// Importing every public package changes nothing for the rest of the program.
func TestImportsChangeNothing(t *testing.T) {
	t.Parallel()
	var imports strings.Builder
	for _, pkg := range publicPackages(t) {
		fmt.Fprintf(&imports, "\t_ %q\n", pkg)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, fmt.Appendf(nil, program, &imports), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "go", "run", file) // in this folder, so that the imports are found
	run.Env = append(os.Environ(), "GOMEMLIMIT=")
	var errs bytes.Buffer
	run.Stderr = &errs
	out, err := run.Output()
	if err != nil || len(out) > 0 {
		t.Errorf("%s%s%v", out, &errs, err)
	}
}

func publicPackages(t *testing.T) (all []string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{if and .GoFiles (ne .Name "main")}}{{.ImportPath}}{{end}}`, module+"/...")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if !strings.Contains(pkg, "/internal/") {
			all = append(all, pkg)
		}
	}
	if len(all) < 20 {
		t.Fatalf("found %d packages only: %v", len(all), all)
	}
	return all
}
