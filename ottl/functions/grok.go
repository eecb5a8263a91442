package functions

import (
	"strings"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/internal/grok"
)

var extractGrokPatterns = ottl.Function{Name: "ExtractGrokPatterns", Params: ottl.P("target", "pattern", "named_captures_only?", "pattern_definitions?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, text, err := two(a.String, a.String)
	if err != nil {
		return nil, err
	}
	named, err := a.LiteralBool(2, false)
	if err != nil {
		return nil, err
	}
	definitions, err := definitionsArg(a, 3)
	if err != nil {
		return nil, err
	}
	compile := func(text string) (*grok.Grok, error) { return grok.Compile(text, named, definitions) }
	var literal *grok.Grok
	if v, ok := a.Constant(1); ok {
		if literal, err = compile(string(v.Bytes())); err != nil {
			return nil, a.Errorf(1, "%w", err)
		}
	}
	last := new(atomic.Pointer[compiledGrok])
	return func(e *env) (value, error) {
		v, t, err := both(e, target, text)
		if err != nil {
			return value{}, err
		}
		g := literal
		if g == nil {
			if g, err = again(last, t.Bytes(), compile); err != nil {
				return value{}, err
			}
		}
		fields, err := g.Append(e.Scratch(2*len(v.Bytes())+256), v.Bytes())
		return ottl.OfFields(ottl.KindMap, fields), err
	}, nil
}}

// compiledGrok is a pattern with its text.
type compiledGrok struct {
	text string
	grok *grok.Grok
}

// again returns the pattern of a text: the last one if it is the same.
func again(last *atomic.Pointer[compiledGrok], text []byte, compile func(string) (*grok.Grok, error)) (*grok.Grok, error) {
	if l := last.Load(); l != nil && l.text == string(text) {
		return l.grok, nil
	}
	g, err := compile(string(text))
	if err != nil {
		return nil, errorf("the pattern %.100q: %w", text, err)
	}
	last.Store(&compiledGrok{string(text), g})
	return g, nil
}

// definitionsArg returns argument i, a list of definitions NAME=pattern.
func definitionsArg(a *ottl.Args, i int) (map[string]string, error) {
	list, err := a.LiteralStrings(i)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, text := range list {
		name, definition, ok := strings.Cut(text, "=")
		if !ok || strings.Contains(name, ":") {
			return nil, a.Errorf(i, "expected NAME=pattern, found %.40q", text)
		}
		all[name] = definition
	}
	return all, nil
}
