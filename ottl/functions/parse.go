package functions

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/internal/charset"
	"github.com/penstock-telemetry/penstock/ottl/internal/jsonvalue"
	"github.com/penstock-telemetry/penstock/ottl/internal/textfields"
	"github.com/penstock-telemetry/penstock/ottl/internal/xmlvalue"
)

var jsonDecoders = sync.Pool{New: func() any { return new(jsonvalue.Decoder) }}

var parseJSON = textFunction("ParseJSON", func(e *env, text []byte) (value, error) {
	d := jsonDecoders.Get().(*jsonvalue.Decoder)
	defer jsonDecoders.Put(d)
	fields, kind, err := d.Append(e.Scratch(2*len(text)+64), text)
	switch {
	case err != nil:
		return value{}, err
	case kind == jsonvalue.Array:
		return ottl.OfFields(ottl.KindList, fields), nil
	}
	return ottl.OfFields(ottl.KindMap, fields), nil
})

var (
	parseXML = textFunction("ParseXML", func(_ *env, text []byte) (value, error) {
		fields, err := xmlvalue.AppendElement(nil, text)
		return ottl.OfFields(ottl.KindMap, fields), err
	})
	parseSimplifiedXML = textFunction("ParseSimplifiedXML", func(_ *env, text []byte) (value, error) {
		fields, err := xmlvalue.AppendSimplified(nil, text)
		return ottl.OfFields(ottl.KindMap, fields), err
	})
)

var parseKeyValue = ottl.Function{Name: "ParseKeyValue", Params: ottl.P("target", "delimiter?", "pair_delimiter?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.String(0)
	if err != nil {
		return nil, err
	}
	pairs, err := pairsArg(a)
	return func(e *env) (value, error) {
		v, err := target(e)
		if err != nil {
			return value{}, err
		}
		fields, err := pairs.AppendParsed(e.Scratch(2*len(v.Bytes())+64), v.Bytes())
		return ottl.OfFields(ottl.KindMap, fields), err
	}, err
}}

var parseCSV = ottl.Function{Name: "ParseCSV", Params: ottl.P("target", "header", "delimiter?", "header_delimiter?", "mode?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, header, err := two(a.String, a.String)
	if err != nil {
		return nil, err
	}
	csv, err := csvArgs(a)
	return func(e *env) (value, error) {
		row, names, err := both(e, target, header)
		if err != nil {
			return value{}, err
		}
		fields, err := csv.AppendParsed(e.Scratch(2*len(row.Bytes())+len(names.Bytes())+64), row.Bytes(), names.Bytes())
		return ottl.OfFields(ottl.KindMap, fields), err
	}, err
}}

// csvArgs returns arguments 2 to 4 of ParseCSV.
func csvArgs(a *ottl.Args) (c textfields.CSV, err error) {
	delimiter, err := oneCharacter(a, 2, ",")
	if err != nil {
		return c, err
	}
	c.Delimiter, _ = utf8.DecodeRuneInString(delimiter)
	if c.HeaderDelimiter, err = oneCharacter(a, 3, delimiter); err != nil {
		return c, err
	}
	mode, err := oneOf(a, 4, "strict", "strict", "lazyQuotes", "ignoreQuotes")
	if err != nil {
		return c, err
	}
	c.Lazy, c.IgnoreQuotes = mode == "lazyQuotes", mode == "ignoreQuotes"
	if err := c.Validate(); err != nil {
		return c, a.Errorf(2, "%w", err)
	}
	return c, nil
}

func oneCharacter(a *ottl.Args, i int, otherwise string) (string, error) {
	text, err := a.LiteralString(i, otherwise)
	if err == nil && utf8.RuneCountInString(text) != 1 {
		err = a.Errorf(i, "expected one character, found %q", text)
	}
	return text, err
}

var parseInt = ottl.Function{Name: "ParseInt", Params: ottl.P("target", "base"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, base, err := two(a.String, a.Int)
	return func(e *env) (value, error) {
		v, b, err := both(e, target, base)
		switch {
		case err != nil:
			return value{}, err
		case len(v.Bytes()) == 0:
			return value{}, errors.New("parse an integer: the text is empty")
		case b.Int() < 0 || b.Int() > 36:
			return value{}, errorf("parse an integer: the base %d is not between 0 and 36", b.Int())
		}
		i, err := strconv.ParseInt(string(v.Bytes()), int(b.Int()), 64)
		return ottl.OfInt(i), err
	}, err
}}

var logarithm = valueFunction("Log", func(_ *env, v value) (value, error) {
	f, ok, err := ottl.LikeDouble(v)
	switch {
	case err != nil:
		return value{}, err
	case !ok || f <= 0:
		return value{}, errorf("the logarithm of %v: expected a number above 0", f)
	}
	return ottl.OfDouble(math.Log(f)), nil
})

var isValidLuhn = ottl.Function{Name: "IsValidLuhn", Params: ottl.P("target"), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
	target, err := a.Value(0)
	return func(e *env) (bool, error) {
		v, err := target(e)
		if err != nil {
			return false, err
		}
		text, ok, err := e.Like(v)
		if err == nil && !ok {
			err = unsupported(v, "digits")
		}
		if err != nil {
			return false, err
		}
		return luhn(text)
	}, err
}}

// luhn reports whether the last digit is the check digit of those before. Spaces are left
// out.
func luhn(text []byte) (bool, error) {
	sum, n := 0, 0
	for i := len(text) - 1; i >= 0; i-- {
		c := text[i]
		if c == ' ' {
			continue
		}
		if c < '0' || c > '9' {
			return false, errorf("check digits: found %q, expected a digit", c)
		}
		digit := int(c - '0')
		if n%2 == 1 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
		n++
	}
	return n > 0 && sum%10 == 0, nil
}

var decode = ottl.Function{Name: "Decode", Params: ottl.P("target", "encoding"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, name, err := two(a.Value, a.String)
	if err != nil {
		return nil, err
	}
	if v, ok := a.Constant(1); ok {
		if _, err := decoder(string(v.Bytes())); err != nil {
			return nil, a.Errorf(1, "%w", err)
		}
	}
	return func(e *env) (value, error) {
		v, n, err := both(e, target, name)
		if err == nil && v.Kind() != ottl.KindString && v.Kind() != ottl.KindBytes {
			err = unsupported(v, "string or bytes")
		}
		if err != nil {
			return value{}, err
		}
		decode, err := decoder(string(n.Bytes()))
		if err != nil {
			return value{}, err
		}
		text, err := decode(e.Scratch(len(v.Bytes())), v.Bytes())
		return ottl.OfText(text), err
	}, nil
}}

// decoder returns what appends a text in an encoding as UTF-8.
func decoder(name string) (func(dst, text []byte) ([]byte, error), error) {
	if enc := base64Encodings[name]; enc != nil {
		return func(dst, text []byte) ([]byte, error) { return decodeBase64(enc, dst, text) }, nil
	}
	return charset.Decoder(name)
}

func decodeBase64(enc *base64.Encoding, dst, text []byte) ([]byte, error) {
	dst, err := enc.AppendDecode(dst, text)
	if err != nil {
		return dst, errorf("decode base64: %w", err)
	}
	return dst, nil
}
