package conf

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// These keep a hopeless file's errors few and their text readable.
const (
	maxErrors        = 1000 // after that many, parsing, expanding and decoding stop looking for more
	maxPrintedErrors = 50
	maxPrintedPath   = 160 // bytes
)

// A Pos is a place in a configuration source. Line and Column count from 1;
// a Line of 0 means that the source has no lines (a --set flag).
type Pos struct {
	Source       string // file name as given, "env:NAME", "yaml:first::key" or "--set a.b"
	Line, Column int

	order int // of the source, as loaded
}

// String returns "source:line:column".
func (p Pos) String() string {
	if p.Line == 0 {
		return p.Source
	}
	return p.Source + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

func comparePos(a, b Pos) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// A source is one text that nodes come from.
type source struct {
	name  string
	order int
}

// A mark is a Pos in the size that a tree of many nodes can afford.
type mark struct {
	src       *source
	line, col int32
}

func (m mark) pos() Pos {
	if m.src == nil {
		return Pos{}
	}
	return Pos{Source: m.src.name, Line: int(m.line), Column: int(m.col), order: m.src.order}
}

// An Error is one problem at one place.
type Error struct {
	Pos  Pos
	Path string // "service.pipelines.traces"; empty for the whole source
	Err  error
}

func (e *Error) Error() string {
	var b strings.Builder
	path := e.Path
	if len(path) > maxPrintedPath {
		path = path[:maxPrintedPath/2] + "..." + path[len(path)-maxPrintedPath/2:]
	}
	for _, part := range []string{e.Pos.String(), path} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns the problem without its place.
func (e *Error) Unwrap() error { return e.Err }

// Errors collects problems. The zero value is empty and ready.
type Errors []*Error

// Add appends err: nothing for nil, each of its parts for an Errors or a joined error.
func (es *Errors) Add(err error) {
	switch e := err.(type) {
	case nil:
	case *Error:
		*es = append(*es, e)
	case Errors:
		*es = append(*es, e...)
	default:
		if parts, ok := joined(err); ok {
			for _, part := range parts {
				es.Add(part)
			}
			return
		}
		*es = append(*es, &Error{Err: err})
	}
}

// Err returns nil if nothing was added, else an Errors sorted by position, without repetitions.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	sorted := slices.Clone(es)
	slices.SortStableFunc(sorted, func(a, b *Error) int { return comparePos(a.Pos, b.Pos) })
	return slices.CompactFunc(sorted, func(a, b *Error) bool {
		return a == b || a.Pos == b.Pos && a.Path == b.Path && a.Err.Error() == b.Err.Error()
	})
}

// Error returns one problem per line.
func (es Errors) Error() string {
	lines := make([]string, 0, min(len(es), maxPrintedErrors)+1)
	for i, e := range es {
		if i == maxPrintedErrors {
			lines = append(lines, fmt.Sprintf("and %d more", len(es)-i))
			break
		}
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns every problem.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}

// A keyError says that a problem belongs to a key below the value that found it.
type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// At makes Validate and DecodeConf methods precise: their error is reported at the line of
// key (a dotted path is fine) instead of the line where the section starts.
func At(key string, err error) error {
	if err == nil {
		return nil
	}
	return &keyError{key: key, err: err}
}

// Atf is At with a new error.
func Atf(key, format string, args ...any) error {
	return At(key, fmt.Errorf(format, args...))
}

// place is where a value stands: its node, or for a value that the YAML does not mention,
// the nearest node around it and the path from there.
type place struct {
	node *Node
	rest string
}

func (p place) child(key string) place {
	if p.rest == "" {
		if c := p.node.Get(key); c != nil {
			return place{node: c}
		}
	}
	return place{node: p.node, rest: joinPath(p.rest, keyStep(key))}
}

// locate adds the parts of err to es, each with the most precise place it can have.
func (es *Errors) locate(p place, err error) {
	switch e := err.(type) {
	case nil:
	case *Error, Errors:
		es.Add(err)
	case *keyError:
		for part := range strings.SplitSeq(e.key, ".") {
			p = p.child(part)
		}
		es.locate(p, e.err)
	default:
		if parts, ok := joined(err); ok {
			for _, part := range parts {
				es.locate(p, part)
			}
			return
		}
		*es = append(*es, &Error{Pos: p.node.Pos(), Path: joinPath(p.node.Path(), p.rest), Err: err})
	}
}

// joined returns the parts of an errors.Join. An error that wraps several in a text of its own is one error.
func joined(err error) ([]error, bool) {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil, false
	}
	return j.Unwrap(), errors.Join(j.Unwrap()...).Error() == err.Error()
}

func (p place) item(i int) place {
	if p.rest == "" && p.node.Kind() == List && i < len(p.node.children) {
		return place{node: p.node.children[i]}
	}
	return place{node: p.node, rest: p.rest + "[" + strconv.Itoa(i) + "]"}
}

// entry is child for the key of a Go map.
func (p place) entry(key reflect.Value) place {
	if m, ok := key.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return p.child(string(text))
		}
	}
	return p.child(fmt.Sprint(key.Interface()))
}
