package ottl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// ContextsOf returns the contexts of a signal, innermost first.
func ContextsOf(s otlp.Signal) (list []*Context) {
	for _, name := range [...]string{"log", "datapoint", "metric", "spanevent", "span", "profilesample", "profile", "scope", "resource"} {
		if c := contexts[name]; c.signal == 0 || c.signal == s {
			list = append(list, c)
		}
	}
	return list
}

// Names returns the names of contexts, as a list to print.
func Names(list []*Context) string {
	var names []string
	for _, c := range list {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// Infer returns the context of statements and conditions all of whose paths begin with
// the name of one: the innermost that is named. If that lacks a function or an enum, it is
// the first context inside it that has all.
func Infer(s otlp.Signal, parser func(*Context) *Parser, statements, conditions []string) (*Context, error) {
	h := hints{of: ContextsOf(s)}
	for _, text := range statements {
		tree, err := syntax.ParseStatement(text)
		if err != nil {
			return nil, err
		}
		h.text = text
		h.visit(tree.Editor)
		h.visit(tree.Where)
	}
	for _, text := range conditions {
		tree, err := syntax.ParseCondition(text)
		if err != nil {
			return nil, err
		}
		h.text = text
		h.visit(tree)
	}
	if h.err != nil {
		return nil, h.err
	}
	if h.inner == nil {
		return nil, fmt.Errorf("find the context of %q: no path names one of %s; write the context before a path, such as %s.attributes, or set the key context",
			slices.Concat(statements, conditions), Names(h.of), h.of[0].name)
	}
	first := h.missing(parser(h.inner))
	if first == nil {
		return h.inner, nil
	}
	for _, c := range slices.Backward(h.of) {
		if slices.Contains(c.around, h.inner.name) && h.missing(parser(c)) == nil {
			return c, nil
		}
	}
	return nil, first
}

// hints are what a tree says of its context.
type hints struct {
	of      []*Context
	inner   *Context // innermost of those named
	calls   []*syntax.Call
	symbols []*syntax.Symbol
	text    string
	err     error
}

// visit collects the hints of a tree.
func (h *hints) visit(x syntax.Expr) {
	syntax.Walk(x, func(x syntax.Expr) {
		switch x := x.(type) {
		case *syntax.Call:
			h.calls = append(h.calls, x)
		case *syntax.Symbol:
			h.symbols = append(h.symbols, x)
		case *syntax.Path:
			h.path(x)
		}
	})
}

func (h *hints) path(p *syntax.Path) {
	name := p.Segments[0].Name
	if name == "otelcol" {
		return
	}
	c := ContextOf(name)
	if c == nil || !slices.Contains(h.of, c) || len(p.Segments) == 1 {
		if h.err == nil {
			h.err = &Error{h.text, p.Pos, fmt.Errorf("the path %q does not begin with a context: write %s.%s, or another of %s", pathText(p), h.of[0].name, pathText(p), Names(h.of))}
		}
		return
	}
	if h.inner == nil || slices.Index(h.of, c) < slices.Index(h.of, h.inner) {
		h.inner = c
	}
}

// missing returns an error if the context of p lacks a function or an enum.
func (h *hints) missing(p *Parser) error {
	c := &compiler{ctx: p.ctx, functions: p.functions, text: h.text}
	for _, call := range h.calls {
		if _, err := c.function(call.Name, call.Pos); err != nil {
			return err
		}
	}
	for _, s := range h.symbols {
		if p.functions[s.Name] != nil {
			continue
		}
		if _, err := c.enum(s); err != nil {
			return err
		}
	}
	return nil
}
