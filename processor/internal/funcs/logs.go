package funcs

import (
	"errors"

	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/processor/internal/logformat"
)

var ofLog = []string{"log"}

var (
	parseCEF  = logParser("ParseCEF", logformat.CEF)
	parseELF  = logParser("ParseELF", logformat.ELF)
	parseLEEF = logParser("ParseLEEF", logformat.LEEF)
)

var parseCLF = ottl.Function{Name: "ParseCLF", In: ofLog, Params: ottl.P("target", "format?"), Convert: func(a *ottl.Args) (ottl.Getter, error) {
	format, err := a.LiteralString(1, "clf")
	if err != nil {
		return nil, err
	}
	if format != "clf" && format != "combined" {
		return nil, a.Errorf(1, "expected clf or combined, found %q", format)
	}
	return parsed(a, func(s string) (*logformat.Map, error) { return logformat.CLF(s, format == "combined") })
}}

func logParser(name string, parse func(string) (*logformat.Map, error)) ottl.Function {
	return ottl.Function{Name: name, In: ofLog, Params: ottl.P("target"), Convert: func(a *ottl.Args) (ottl.Getter, error) { return parsed(a, parse) }}
}

// parsedBytes is how much memory a parser takes at most for a byte of its text.
const parsedBytes = 128

// parsed returns the map that argument 0 is the text of.
func parsed(a *ottl.Args, parse func(string) (*logformat.Map, error)) (ottl.Getter, error) {
	target, err := a.String(0)
	if err != nil {
		return nil, err
	}
	return func(e *ottl.Env) (ottl.Value, error) {
		v, err := target(e)
		if err != nil {
			return ottl.Value{}, err
		}
		if len(v.Bytes()) == 0 {
			return ottl.Value{}, errors.New("the text is empty")
		}
		if err := e.Reserve(parsedBytes * len(v.Bytes())); err != nil {
			return ottl.Value{}, err
		}
		m, err := parse(string(v.Bytes()))
		if err != nil {
			return ottl.Value{}, err
		}
		enc, ok := encoder(e, m.Size())
		if !ok {
			return ottl.Value{}, nil
		}
		m.Append(&enc)
		return ottl.OfFields(ottl.KindMap, enc.Buf), nil
	}, nil
}
