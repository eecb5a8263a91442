package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// jsonValues are put in the place of a scalar.
var jsonValues = []string{
	"null", "0", "-0", "1", "-1", "7", "1e3", "1.50e2", "1.5", "0.0", "007", "-", "1.", "+1", "NaN", "true", "false", `""`, `"0"`, `"-7"`, `"+7"`, `"007"`,
	`"1e3"`, `"2.0"`, `"inf"`, `"Infinity"`, `"-Infinity"`, `"NaN"`, `"nan"`, `"0x10"`, `"1_0"`, `" 1"`, `"true"`, `"null"`, "4294967295", "4294967296",
	"-2147483649", "9223372036854775807", "9223372036854775808", `"18446744073709551615"`, `"18446744073709551616"`, "1e400", `"1e400"`,
	`"5b8efff798038103d269b633813fc60c"`, `"5B8EFFF798038103"`, `"5b8e"`, `"zz"`, `"AQID"`, `"AQI="`, `"AQI"`, `"-_8="`, `"\u0041QID"`, `"\ud83d"`, `"\ud83d\ude00"`,
	`"\q"`, `"\u12"`, "\"a\nb\"", "\"\\n\x01\"", "\"\xff\"", `"SPAN_KIND_SERVER"`, `"STATUS_CODE_ERROR"`, "{}", "[]", "[null]", "[{}]", `{"x":[1,{"y":null}]}`,
	"99999999999999999999999999999999", "-1e-400", "5e-324",
}

// jsonFields are put before a key.
var jsonFields = []string{
	`"new":{"a":[1,"x",null,true,{}]},`, `"":0,`, `"new":01,`, `"new":"\q",`, `"new":[1,],`, `"new":tru,`, `"name":"twice",`, `"intValue":"5",`, `"stringValue":"s",`,
	`"attributes":[{"key":"k","value":{"boolValue":true}}],`, `"status":{"code":1},`, `"flags":1,`, `,`, `"new":-,`, `"new":1.e,`, `"new":{"a":1,},`,
}

// mutateJSON returns a copy of a text with a few things changed.
func mutateJSON(rng *rand.Rand, text []byte, o *jsonOddities) []byte {
	b := slices.Clone(text)
	replace := func(s span, by string) {
		if s.to <= len(b) {
			b = slices.Replace(b, s.from, s.to, []byte(by)...)
		}
	}
	for range 1 + rng.IntN(2) {
		if len(b) == 0 {
			return b
		}
		at := rng.IntN(len(b))
		switch n := rng.IntN(12); {
		case n == 0: // a byte
			b[at] = byte(rng.IntN(256))
		case n == 1: // the end
			b = b[:at]
		case n == 2: // bytes gone
			b = slices.Delete(b, at, min(len(b), at+1+rng.IntN(4)))
		case n == 3: // bytes after the end, or before the beginning
			b = append(b, []string{" ", "\n", "{}", "x", "]", "}", ",", "\x00"}[rng.IntN(8)]...)
		case n == 4 && rng.IntN(4) == 0: // deep nesting in an unknown field
			depth := 500 + rng.IntN(20)
			b = append([]byte(`{"deep":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+","), b[1:]...)
		case n <= 8 && len(o.values) > 0: // a value
			replace(o.values[rng.IntN(len(o.values))], jsonValues[rng.IntN(len(jsonValues))])
		case n <= 10 && len(o.keys) > 0: // a field more
			s := o.keys[rng.IntN(len(o.keys))]
			replace(span{s.from, s.from}, jsonFields[rng.IntN(len(jsonFields))])
		case len(o.keys) > 0: // a key, written otherwise
			s := o.keys[rng.IntN(len(o.keys))]
			if s.to <= len(b) && s.to-s.from > 2 {
				name := string(b[s.from+1 : s.to-1])
				replace(s, []string{fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:]), `"` + snake(name) + `"`, `"` + strings.ToUpper(name) + `"`, `""`, `"` + name + ` "`}[rng.IntN(5)])
			}
		}
	}
	return b
}

// snake writes a lowerCamelCase name as its protobuf name.
func snake(name string) string {
	var out strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			out.WriteByte('_')
			c += 'a' - 'A'
		}
		out.WriteRune(c)
	}
	return out.String()
}
