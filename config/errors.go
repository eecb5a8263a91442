package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// These limit the text of the errors of a file with many problems.
const (
	maxPrintedErrors = 50
	maxPrintedPath   = 160 // bytes
)

// A Pos is a position in a configuration source. Line and Column count from 1;
// a Line of 0 means that the source has no lines (a --set flag).
type Pos struct {
	Source       string // file name as given, "env:NAME", "yaml:first::key" or "--set a.b"
	Line, Column int

	// Order is the index of the source among all sources, for sorting.
	Order int
}

// String returns "source:line:column".
func (p Pos) String() string {
	if p.Line == 0 {
		return p.Source
	}
	return p.Source + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// ComparePos orders positions by source, line and column.
func ComparePos(a, b Pos) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// An Error is one problem with its position.
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

// Unwrap returns the problem without its position.
func (e *Error) Unwrap() error { return e.Err }

// Errors collects problems. The zero value is empty and ready to use.
type Errors []*Error

// Add appends err, or each of its parts if it is an Errors or a joined error.
// It ignores nil.
func (es *Errors) Add(err error) {
	switch e := err.(type) {
	case nil:
	case *Error:
		*es = append(*es, e)
	case Errors:
		*es = append(*es, e...)
	default:
		if parts, ok := Joined(err); ok {
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
	slices.SortStableFunc(sorted, func(a, b *Error) int { return ComparePos(a.Pos, b.Pos) })
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

// Joined returns the parts of an errors.Join. An error that wraps several in a text of its own is one error.
func Joined(err error) ([]error, bool) {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil, false
	}
	return j.Unwrap(), errors.Join(j.Unwrap()...).Error() == err.Error()
}
