// Command vulndb writes the Go vulnerability database in the layout that govulncheck
// reads (https://go.dev/doc/security/vuln/database#api), from the module
// golang.org/x/vulndb: a module proxy is enough, the database's own host need not be
// reachable.
//
//	go run ./vulndb -out DIR
//	govulncheck -db file://DIR ./...
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "", "the directory for the database, which is created")
	module := flag.String("module", "golang.org/x/vulndb@latest", "the module with the reports")
	flag.Parse()
	n, err := run(*out, *module)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulndb:", err)
		os.Exit(1)
	}
	fmt.Printf("%d reports of %s\n", n, *module)
}

func run(out, module string) (reports int, err error) {
	if out == "" {
		return 0, errors.New("-out is required")
	}
	dir, published, err := download(module)
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "data", "osv", "*.json"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("find reports in %s: %w", module, errors.Join(err, errors.New("there are no files data/osv/*.json")))
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(out, "ID"), 0o755), os.MkdirAll(filepath.Join(out, "index"), 0o755)); err != nil {
		return 0, err
	}
	modules := map[string][]vuln{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		if err := index(modules, text, published); err != nil {
			return 0, fmt.Errorf("read %s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(out, "ID", filepath.Base(file)), text, 0o644); err != nil {
			return 0, err
		}
	}
	return len(files), errors.Join(
		write(out, "db.json", map[string]time.Time{"modified": published}),
		write(out, "modules.json", listOf(modules)))
}

// download returns the directory of the module in the module cache, and when its
// version was made.
func download(module string) (dir string, published time.Time, err error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return "", published, fmt.Errorf("download %s: %w: %s", module, err, bytes.TrimSpace(text))
	}
	var m struct{ Dir, Info string }
	var info struct{ Time time.Time }
	if err := json.Unmarshal(text, &m); err != nil {
		return "", published, fmt.Errorf("read the answer of go mod download: %w", err)
	}
	if text, err = os.ReadFile(m.Info); err == nil {
		err = json.Unmarshal(text, &info)
	}
	return m.Dir, info.Time, err
}

// vuln is an entry of the index of modules.
type vuln struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Fixed    string    `json:"fixed,omitempty"`
}

// report is what the index needs of a report in the OSV format.
type report struct {
	ID       string
	Affected []struct {
		Package struct{ Name string }
		Ranges  []struct {
			Events []struct{ Fixed string }
		}
	}
}

// index adds the modules of a report.
func index(modules map[string][]vuln, text []byte, modified time.Time) error {
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	for _, a := range r.Affected {
		v := vuln{ID: r.ID, Modified: modified}
		for _, rng := range a.Ranges {
			for _, e := range rng.Events {
				if e.Fixed != "" {
					v.Fixed = e.Fixed // the last one is the version without the fault
				}
			}
		}
		if all := modules[a.Package.Name]; len(all) == 0 || all[len(all)-1].ID != r.ID {
			modules[a.Package.Name] = append(all, v)
		}
	}
	return nil
}

type moduleVulns struct {
	Path  string `json:"path"`
	Vulns []vuln `json:"vulns"`
}

func listOf(modules map[string][]vuln) []moduleVulns {
	list := make([]moduleVulns, 0, len(modules))
	for path, vulns := range modules {
		list = append(list, moduleVulns{path, vulns})
	}
	slices.SortFunc(list, func(a, b moduleVulns) int { return strings.Compare(a.Path, b.Path) })
	return list
}

func write(out, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "index", name), text, 0o644)
}
