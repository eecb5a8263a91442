// Package badinput sends bad requests to an OTLP server and checks the answer, the
// counters, and that other clients are not affected. The corpus is data:
//
//	testdata/*.cases ─ parse ─► template ─ each × signal × over ─► Case
//	                                                                 │
//	              server under test ◄─ raw HTTP/1, raw HTTP/2 ─ Runner
//	                     │                                           │
//	                     └── answer ─► want    counters ─► metric    healthy
//
// A file of cases is one family:
//
//	# why, and where the rule comes from
//	over: http grpc                   file-wide defaults, not indented
//	want http: 400 code=3             "KEY TRANSPORT:" takes precedence over "KEY:"
//
//	let dict = field(5, "")           $dict stands for the text after =
//
//	case length-beyond-the-end
//	  each level: request item        one case for each; $level is its value
//	  body: at($level, hex(0a 7f 01))
//
// The keys are in keys, the language of body in functions, that of want in
// parseWant. Any server can be measured: go run ./internal/test/badinput/run.
//
// The one trap: expectations are what the OTLP specification says and what
// penstock promises in addition. Options.SpecOnly checks the first only.
package badinput

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed testdata/*.cases
var corpus embed.FS

// Corpus returns the cases of this repository.
func Corpus() ([]Case, error) { return Load(corpus, "testdata") }

// Load reads every file *.cases of a folder.
func Load(files fs.FS, dir string) ([]Case, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.cases"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("load cases: expected files *.cases in %s, found none", dir)
	}
	var all []Case
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("load cases: %w", err)
		}
		cases, err := Parse(path.Base(name), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, nil
}

// Parse reads one file of cases. Its family is the name without the extension.
func Parse(name, text string) ([]Case, error) {
	templates, err := parseFile(name, text)
	if err != nil {
		return nil, err
	}
	family, _, _ := strings.Cut(name, ".")
	var all []Case
	seen := map[string]bool{}
	for _, t := range templates {
		cases, err := t.expand(family)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: case %s: %w", name, t.line, t.name, err)
		}
		for _, c := range cases {
			if seen[c.ID()] {
				return nil, fmt.Errorf("%s:%d: case %s occurs twice", name, t.line, c.ID())
			}
			seen[c.ID()] = true
		}
		all = append(all, cases...)
	}
	return all, nil
}
