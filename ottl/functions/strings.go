package functions

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/internal/strcase"
	"github.com/penstock-telemetry/penstock/ottl/internal/textfields"
)

var (
	hasPrefix  = textsTest("HasPrefix", "prefix", bytes.HasPrefix)
	hasSuffix  = textsTest("HasSuffix", "suffix", bytes.HasSuffix)
	trimPrefix = textsFunction("TrimPrefix", "prefix", func(_ *env, a, b []byte) (value, error) { return ottl.OfText(bytes.TrimPrefix(a, b)), nil })
	trimSuffix = textsFunction("TrimSuffix", "suffix", func(_ *env, a, b []byte) (value, error) { return ottl.OfText(bytes.TrimSuffix(a, b)), nil })

	toLowerCase = textFunction("ToLowerCase", func(e *env, t []byte) (value, error) { return ottl.OfText(lower(e, t)), nil })
	toUpperCase = textFunction("ToUpperCase", func(e *env, t []byte) (value, error) { return ottl.OfText(upper(e, t)), nil })
	toSnakeCase = textFunction("ToSnakeCase", func(e *env, t []byte) (value, error) { return ottl.OfText(snake(e, t)), nil })
	toCamelCase = textFunction("ToCamelCase", func(e *env, t []byte) (value, error) { return ottl.OfText(camel(e, t)), nil })
)

// caseChanges are the cases of ConvertCase.
var caseChanges = map[string]func(*env, []byte) []byte{"lower": lower, "upper": upper, "snake": snake, "camel": camel}

var convertCase = ottl.Function{Name: "ConvertCase", Params: ottl.P("target", "to_case"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.String(0)
	if err != nil {
		return nil, err
	}
	name, err := oneOf(a, 1, "", "lower", "upper", "snake", "camel")
	change := caseChanges[name]
	return func(e *env) (value, error) {
		v, err := target(e)
		if err != nil {
			return value{}, err
		}
		return ottl.OfText(change(e, v.Bytes())), nil
	}, err
}}

func lower(e *env, text []byte) []byte {
	return changed(e, text, bytes.ToLower, func(c byte) byte {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	})
}

func upper(e *env, text []byte) []byte {
	return changed(e, text, bytes.ToUpper, func(c byte) byte {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		return c
	})
}

// changed returns a text with all characters changed, without an allocation if it is ASCII.
func changed(e *env, text []byte, all func([]byte) []byte, one func(byte) byte) []byte {
	dst := e.Scratch(len(text))
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return all(text)
		}
		dst = append(dst, one(c))
	}
	return dst
}

func snake(e *env, text []byte) []byte { return strcase.AppendSnake(e.Scratch(2*len(text)), text) }
func camel(e *env, text []byte) []byte { return strcase.AppendCamel(e.Scratch(len(text)), text) }

var concat = ottl.Function{Name: "Concat", Params: ottl.P("values", "delimiter"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	delimiter, err := a.String(1)
	if err != nil {
		return nil, err
	}
	gets, ok, err := a.Elements(0)
	if err != nil {
		return nil, err
	}
	if ok {
		return func(e *env) (value, error) { return joinValues(e, gets, delimiter) }, nil
	}
	list, err := a.Value(0)
	return func(e *env) (value, error) { return joinList(e, list, delimiter) }, err
}}

// joinValues joins the values of a list between brackets.
func joinValues(e *env, gets []ottl.Getter, delimiter ottl.Getter) (value, error) {
	d, err := delimiter(e)
	if err != nil {
		return value{}, err
	}
	dst := e.Scratch(128)
	for i, get := range gets {
		v, err := get(e)
		if err != nil {
			return value{}, err
		}
		text, ok, err := e.Like(v)
		if err != nil {
			return value{}, err
		}
		if i > 0 {
			dst = append(dst, d.Bytes()...)
		}
		if !ok {
			text = []byte("<nil>")
		}
		dst = append(dst, text...)
	}
	return ottl.OfText(dst), nil
}

// joinList joins the elements of a list that an item has. One that is absent is empty.
func joinList(e *env, list, delimiter ottl.Getter) (value, error) {
	l, d, err := both(e, list, delimiter)
	if err == nil && l.Kind() != ottl.KindList && !l.IsNil() {
		err = unsupported(l, "list")
	}
	if err != nil {
		return value{}, err
	}
	dst := e.Scratch(len(l.Bytes()) + 64)
	first := true
	for v := range e.Items(l) {
		if !first {
			dst = append(dst, d.Bytes()...)
		}
		first = false
		dst = append(dst, e.Text(v).Bytes()...)
	}
	return ottl.OfText(dst), nil
}

var split = textsFunction("Split", "delimiter", func(_ *env, text, delimiter []byte) (value, error) {
	var b ottl.ListBuilder
	if len(delimiter) == 0 {
		for len(text) > 0 {
			_, n := utf8.DecodeRune(text)
			b.Add(ottl.OfText(text[:n]))
			text = text[n:]
		}
		return b.Value(), nil
	}
	for {
		part, rest, found := bytes.Cut(text, delimiter)
		b.Add(ottl.OfText(part))
		if !found {
			return b.Value(), nil
		}
		text = rest
	}
})

var substring = ottl.Function{Name: "Substring", Params: ottl.P("target", "start", "length", "utf8_safe?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, start, err := two(a.String, a.Int)
	if err != nil {
		return nil, err
	}
	size, err := a.Int(2)
	if err != nil {
		return nil, err
	}
	whole, err := a.LiteralBool(3, false)
	return func(e *env) (value, error) {
		from, n, err := both(e, start, size)
		if err != nil {
			return value{}, err
		}
		v, err := target(e)
		if err != nil {
			return value{}, err
		}
		return part(v.Bytes(), from.Int(), n.Int(), whole)
	}, err
}}

// part returns n bytes of a text from a place on; of whole characters fewer.
func part(text []byte, from, n int64, whole bool) (value, error) {
	size := int64(len(text))
	if from < 0 || n <= 0 || from > size || n > size-from {
		return value{}, errorf("substring of %d bytes from %d on, of a text of %d bytes", n, from, size)
	}
	start, end := int(from), int(from+n)
	if whole {
		for start < len(text) && !utf8.RuneStart(text[start]) {
			start++
		}
		for start < end && end < len(text) && !utf8.RuneStart(text[end]) {
			end--
		}
		end = max(end, start)
	}
	return ottl.OfText(text[start:end:end]), nil
}

var trim = ottl.Function{Name: "Trim", Params: ottl.P("target", "replacement?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.String(0)
	if err != nil {
		return nil, err
	}
	cutset, err := a.LiteralString(1, " ")
	return func(e *env) (value, error) {
		v, err := target(e)
		return ottl.OfText(bytes.Trim(v.Bytes(), cutset)), err
	}, err
}}

var format = ottl.Function{Name: "Format", Params: ottl.P("format", "vals"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	if !a.Has(0) {
		return nil, a.Errorf(0, "expected a literal string")
	}
	text, err := a.LiteralString(0, "")
	if err != nil {
		return nil, err
	}
	gets, ok, err := a.Elements(1)
	if err == nil && !ok {
		err = a.Errorf(1, "expected a list")
	}
	return func(e *env) (value, error) {
		args := make([]any, len(gets))
		for i, get := range gets {
			v, err := get(e)
			if err != nil {
				return value{}, err
			}
			args[i] = printable(e, v)
		}
		return ottl.OfText(fmt.Appendf(e.Scratch(128), text, args...)), nil
	}, err
}}

// printable returns a value as package fmt takes it: maps and lists as JSON, ids as
// hexadecimal digits.
func printable(e *env, v value) any {
	switch v.Kind() {
	case ottl.KindNil:
		return nil
	case ottl.KindBool:
		return v.Bool()
	case ottl.KindInt:
		return v.Int()
	case ottl.KindDouble:
		return v.Double()
	case ottl.KindString:
		return string(v.Bytes())
	case ottl.KindBytes:
		return v.Bytes()
	case ottl.KindMap, ottl.KindList:
		return string(e.Text(v).Bytes())
	case ottl.KindTime:
		return v.Time()
	case ottl.KindDuration:
		return v.Duration()
	case ottl.KindTraceID, ottl.KindSpanID, ottl.KindProfileID:
		return fmt.Sprintf("%x", v.Bytes())
	}
	return v.Kind().String()
}

// base64Encodings are the encodings of base64 by name.
var base64Encodings = map[string]*base64.Encoding{
	"base64": base64.StdEncoding, "base64-raw": base64.RawStdEncoding, "base64-url": base64.URLEncoding, "base64-raw-url": base64.RawURLEncoding,
}

var base64Encode = ottl.Function{Name: "Base64Encode", Params: ottl.P("target", "variant?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.String(0)
	if err != nil {
		return nil, err
	}
	standard := ottl.OfString("base64")
	variant := ottl.Getter(func(*env) (value, error) { return standard, nil })
	if a.Has(1) {
		if variant, err = a.String(1); err != nil {
			return nil, err
		}
	}
	return func(e *env) (value, error) {
		v, name, err := both(e, target, variant)
		if err != nil {
			return value{}, err
		}
		enc := base64Encodings[string(name.Bytes())]
		if enc == nil {
			return value{}, errorf("unknown variant of base64 %.100q", name.Bytes())
		}
		return ottl.OfText(enc.AppendEncode(e.Scratch(enc.EncodedLen(len(v.Bytes()))), v.Bytes())), nil
	}, err
}}

// pairsArg returns the delimiters of pairs, which are arguments 1 and 2.
func pairsArg(a *ottl.Args) (p textfields.Pairs, err error) {
	if p.Delimiter, err = a.LiteralString(1, "="); err != nil {
		return p, err
	}
	if p.PairDelimiter, err = a.LiteralString(2, " "); err != nil {
		return p, err
	}
	if err := p.Validate(); err != nil {
		return p, a.Errorf(1, "%w", err)
	}
	return p, nil
}
