package conf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Options are the sources to load.
type Options struct {
	// Sources are merged in their Order: "path", "file:path", "env:NAME", "env:NAME:-default",
	// "yaml:text", or a URL with http: or https:. They are the Collector's --config.
	Sources []string
	// Set holds key=value assignments, merged after the sources. Dots or :: separate the parts
	// of the key; the value is YAML.
	Set []string

	LookupEnv func(name string) (value string, ok bool) // nil means os.LookupEnv
	ReadFile  func(path string) ([]byte, error)         // nil means reading from disk, at most 4 MiB
	Fetch     func(url string) ([]byte, error)          // nil means with HTTP, at most 4 MiB in 30 s

	// Read is called with each file and URL that was read, and with those that could not be.
	// isFile says which. nil means that nothing is called.
	Read func(name string, isFile bool, text []byte, err error)
}

// A Tree is a loaded configuration: merged and expanded.
type Tree struct {
	root     *Node
	warnings []Warning
}

// Root returns the top-level map. It is never nil.
func (t *Tree) Root() *Node { return t.root }

// Warnings returns the settings that are valid but suspicious, in source order.
func (t *Tree) Warnings() []Warning { return t.warnings }

// A Warning is a text for the log with its position.
type Warning struct {
	Pos  Pos
	Text string
}

func (w Warning) String() string { return w.Pos.String() + ": " + w.Text }

// Load reads, merges and expands a configuration. Its error is an [Errors] with all problems found.
func Load(o Options) (*Tree, error) {
	l := &loader{lookupEnv: o.LookupEnv, readFile: o.ReadFile, fetch: o.Fetch, read: o.Read, nodes: maxNodes, textBytes: maxTextBytes, files: map[string][]byte{}}
	if l.lookupEnv == nil {
		l.lookupEnv = os.LookupEnv
	}
	if l.readFile == nil {
		l.readFile = readFile
	}
	if l.fetch == nil {
		l.fetch = fetch
	}
	if l.read == nil {
		l.read = func(string, bool, []byte, error) {}
	}
	root := &Node{kind: Map}
	for _, uri := range o.Sources {
		l.add(root, l.load(uri))
	}
	for _, assignment := range o.Set {
		l.add(root, l.assign(assignment))
	}
	if len(l.errs) > 0 {
		return nil, l.errs.Err()
	}
	l.expand(root, origin{})
	if err := l.errs.Err(); err != nil {
		return nil, err
	}
	return &Tree{root: root, warnings: l.sortedWarnings()}, nil
}

// A loader is the state of one Load.
type loader struct {
	lookupEnv func(string) (string, bool)
	readFile  func(string) ([]byte, error)
	fetch     func(string) ([]byte, error)
	read      func(string, bool, []byte, error)
	files     map[string][]byte // each file and URL is read once, so that all references see the same contents
	sources   int
	nodes     int  // number that is left; see maxNodes
	textBytes int  // number that is left; see maxTextBytes
	full      bool // a limit was exceeded and reported; the rest is not expanded
	errs      Errors
	warnings  []Warning
}

func (l *loader) source(name string) *source {
	l.sources++
	return &source{name: name, order: l.sources}
}

// load reads one source. Its top-level keys may be paths, which become nested
// maps.
func (l *loader) load(uri string) *Node {
	scheme, opaque, ok := cutScheme(uri)
	if !ok || len(scheme) == 1 { // C:\penstock.yaml
		scheme, opaque = "file", uri
	}
	src := l.source(sourceName(scheme, opaque))
	start := mark{src: src}
	content, err := l.retrieve(start, scheme, opaque)
	if err != nil {
		l.fail(start, fmt.Errorf("load %s: %w", uriForError(scheme, uri), err))
		return nil
	}
	p := &parser{src: src, nodes: &l.nodes}
	root, extra := p.parse([]byte(content.text))
	if extra {
		l.warn(mark{src: src, line: 1, col: 1}, `more than one YAML document ("---"); only the first is used`)
	}
	if len(p.errs) > 0 {
		l.errs.Add(p.errs)
		return nil
	}
	if root.kind != Map && root.kind != Null {
		l.fail(root.at, fmt.Errorf("expected a map with keys such as receivers, exporters and service, found %s", root.found()))
		return nil
	}
	return root
}

// assign converts key=value to a tree with one leaf.
func (l *loader) assign(assignment string) *Node {
	key, value, ok := strings.Cut(assignment, "=")
	key = strings.TrimSpace(key)
	src := l.source("--set " + key)
	at := mark{src: src}
	if !ok {
		l.fail(at, errors.New(`expected key=value, as in --set exporters.otlp.timeout=2s`))
		return nil
	}
	p := &parser{src: src, at: &at, nodes: &l.nodes}
	leaf, _ := p.parse([]byte(value))
	for _, e := range p.errs {
		l.fail(at, e.Err)
	}
	if len(p.errs) > 0 {
		return nil
	}
	leaf.at, leaf.key, leaf.keyAt = at, strings.ReplaceAll(key, ".", keySeparator), at
	root := &Node{kind: Map, at: at}
	root.adopt([]*Node{leaf})
	return root
}

func (l *loader) fail(at mark, err error) {
	l.errs.Add(&Error{Pos: at.pos(), Err: err})
}

// content is the text of a URI.
type content struct {
	text    string
	literal bool // text is a string, even if it is empty: ${env:X:-}
}

// retrieve returns the text of file:, env: and yaml: URIs.
func (l *loader) retrieve(at mark, scheme, opaque string) (content, error) {
	switch scheme {
	case "yaml":
		return content{text: opaque}, nil
	case "env":
		return l.environment(at, opaque)
	case "file":
		return l.once(filepath.Clean(opaque), true, l.readFile)
	case "http", "https":
		return l.once(scheme+":"+opaque, false, l.fetch)
	}
	return content{}, fmt.Errorf("unknown scheme %q (known: env, file, http, https, yaml)", scheme)
}

// once returns what read returns for name, and does not read it again.
func (l *loader) once(name string, isFile bool, read func(string) ([]byte, error)) (content, error) {
	text, ok := l.files[name]
	if !ok {
		var err error
		text, err = read(name)
		l.read(name, isFile, text, err)
		if err != nil {
			return content{}, err
		}
		l.files[name] = text
	}
	return content{text: string(text)}, nil
}

func (l *loader) environment(at mark, opaque string) (content, error) {
	name, def, hasDefault := strings.Cut(opaque, ":-")
	if !isEnvName(name) {
		return content{}, fmt.Errorf("%q is not a valid name for an environment variable (letters, digits and _, not a digit first)", name)
	}
	value, ok := l.lookupEnv(name)
	switch {
	case ok:
		return content{text: value}, nil
	case hasDefault:
		return content{text: def, literal: def == ""}, nil
	}
	l.warn(at, "the environment variable "+name+" is not set and has no default; the empty string is used")
	return content{}, nil
}

func isEnvName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// cutScheme splits "scheme:rest". A scheme is a letter, then letters, digits, +, . or -.
func cutScheme(uri string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(uri, ":")
	for i, r := range scheme {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || strings.ContainsRune("+.-", r))) {
			return "", uri, false
		}
	}
	return scheme, rest, ok && scheme != ""
}

// sourceName returns the name of a source in errors. For yaml: it shows only
// the first key, since values may be secret.
func sourceName(scheme, opaque string) string {
	switch scheme {
	case "file":
		return opaque
	case "env":
		name, _, _ := strings.Cut(opaque, ":-")
		return "env:" + name
	case "http", "https":
		return config.RedactURLs(scheme + ":" + opaque)
	}
	key, _, _ := strings.Cut(opaque, "\n")
	key, _, _ = strings.Cut(key, ": ")
	return scheme + ":" + strings.TrimSuffix(key, ":")
}

func uriForError(scheme, uri string) string {
	switch scheme {
	case "file":
		return "the file"
	case "http", "https":
		return "the URL"
	}
	name, _, _ := strings.Cut(uri, ":-")
	return shorten(name)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSourceBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, nil
}
