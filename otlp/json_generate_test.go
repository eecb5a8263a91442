package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// jsonGenerator writes random requests in JSON from the tables of DecodeJSON: every
// field in every form, in any order, any number of times, with and without white
// space. If evil is true, there are some errors.
type jsonGenerator struct {
	rng   *rand.Rand
	evil  bool
	loose bool // white space
	out   strings.Builder
}

func (g *jsonGenerator) one(n int) bool { return g.rng.IntN(n) == 0 }

func pick[T any](g *jsonGenerator, from ...T) T { return from[g.rng.IntN(len(from))] }

func (g *jsonGenerator) write(s string) {
	if g.loose && g.one(3) {
		g.out.WriteString(pick(g, " ", "\n", "\t\r\n ", "          "))
	}
	if g.evil && g.one(400) {
		s = pick(g, "", "]", "}", ",", ":", "x", "\"", "{", "[", "null", "0", "\x00", "\xef\xbb\xbf")
	}
	g.out.WriteString(s)
}

func (g *jsonGenerator) message(m uint8, depth int) {
	g.write("{")
	n := g.rng.IntN(3)
	if depth < 4 {
		n += 2
	}
	if m == msgKeyValue && !g.one(4) {
		n = 0
		g.out.WriteString(`"key":`)
		g.text(jsonString, 0)
		g.out.WriteString(`,"value":`)
		g.message(msgAnyValue, depth+1)
	}
	for k := range n {
		if k > 0 {
			g.write(",")
		}
		f := &jsonMessages[m][g.rng.IntN(len(jsonMessages[m]))]
		switch {
		case g.one(20):
			g.write(pick(g, `"new"`, `""`, `"\u006eew"`, `"traceid"`, `"values "`))
			g.write(":")
			g.unknown(0)
			continue
		case g.one(5):
			g.write(`"` + f.orig + `"`)
			g.write(":")
		case g.one(20):
			g.write(fmt.Sprintf(`"\u%04x%s"`, f.name()[0], f.name()[1:]))
			g.write(":")
		default:
			g.write(f.key)
		}
		g.field(f, depth)
	}
	g.write("}")
}

func (g *jsonGenerator) field(f *jsonField, depth int) {
	switch {
	case g.one(30):
		g.write("null")
	case f.form == formList:
		g.write("[")
		for k := range g.rng.IntN(4) {
			if k > 0 {
				g.write(",")
			}
			if g.one(40) && (f.kind == jsonMessage || f.kind == jsonString || g.evil) {
				g.write("null")
				continue
			}
			g.value(f, depth)
		}
		g.write("]")
	default:
		g.value(f, depth)
	}
}

func (g *jsonGenerator) value(f *jsonField, depth int) {
	if g.evil && g.one(200) {
		g.unknown(0)
		return
	}
	switch f.kind {
	case jsonMessage:
		if depth > 25 {
			g.write("{}")
			return
		}
		g.message(f.arg, depth+1)
	case jsonString, jsonBytes, jsonHex:
		g.text(f.kind, int(f.arg))
	case jsonBool:
		g.write(pick(g, "true", "false"))
	case jsonEnum:
		values := jsonEnums[f.arg]
		g.write(pick(g, "0", "1", "2", "-1", "2e0", fmt.Sprintf("%q", values[g.rng.IntN(len(values))].name)))
	case jsonDouble:
		g.number(pick(g, `"NaN"`, `"Infinity"`, `"-Infinity"`, "1e-400", "5e-324", "1.7976931348623157e308", "2.2250738585072011e-308",
			"9007199254740993", "0.1", "123456789.123456789e-5", "-0", "-0.0", "0e5", fmt.Sprint(g.rng.NormFloat64())))
	default:
		g.number(pick(g, "0", "-0", "1.0", "1e3", "20e-1", "0.5e1", "100e-2", "12345678", "123456789", "0", "1", "1", "0.0e77", g.integer(f.kind)))
	}
	if g.evil && g.one(150) {
		g.write(pick(g, "-7", "25e-1", "4294967296", "-2147483649", "99999999999999999999", "18446744073709551616", "1e20", "01", "1.", ".5", "+1", "1e", "0x10", "--1", "1e999", "\"1 \"", "NaN"))
	}
}

// integer returns a number in the range of the kind, or if evil, one close to it.
func (g *jsonGenerator) integer(kind jsonKind) string {
	limit := integerLimits[kind]
	v := limit.max >> g.rng.IntN(64)
	if g.one(2) {
		v = g.rng.Uint64N(v/2+1) + v/2
	}
	if g.evil && g.one(20) {
		v++
	}
	if limit.min > 0 && g.one(2) {
		return "-" + fmt.Sprint(min(v+1, limit.min))
	}
	return fmt.Sprint(v)
}

func (g *jsonGenerator) number(s string) {
	if g.one(2) && s[0] != '"' {
		s = `"` + s + `"`
	}
	g.write(s)
}

// text writes a string, bytes, or an id of size bytes.
func (g *jsonGenerator) text(kind jsonKind, size int) {
	raw := make([]byte, g.rng.IntN(6)+g.rng.IntN(2)*g.rng.IntN(150))
	for i := range raw {
		raw[i] = byte(g.rng.IntN(256))
	}
	switch kind {
	case jsonHex:
		if !g.evil || !g.one(40) {
			raw = append(raw, make([]byte, 16)...)[:size*g.rng.IntN(2)]
		}
		s := hex.EncodeToString(raw)
		if g.one(3) {
			s = strings.ToUpper(s)
		}
		if g.evil && g.one(40) {
			s += "g"
		}
		g.write(`"` + g.escaped(s) + `"`)
	case jsonBytes:
		e := pick(g, base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding)
		s := e.EncodeToString(raw)
		if g.evil && g.one(30) {
			s += pick(g, "=", "!", "A", "\\n")
		}
		g.write(`"` + g.escaped(s) + `"`)
	default:
		for i := range raw {
			raw[i] = "abc/ {}[],:.-_0123456789ABCDEF"[int(raw[i])%30]
		}
		s := g.escaped(string(raw))
		for g.one(4) {
			s += pick(g, `\n`, `\\`, `\"`, `\/`, `\u0000`, `\ud83d\ude00`, "é", "日本", "\U0001f600", `\ud800`, `\udc00x`, `\ud800\u0041`, `\uD83D\uD83D\uDE00`, "\u007f")
		}
		if g.evil && g.one(30) {
			s += pick(g, `\x`, `\u12`, `\`, "\n", "\x1f", `\u12g4`)
		}
		g.write(`"` + s + `"`)
	}
}

// escaped writes some characters of s as escapes.
func (g *jsonGenerator) escaped(s string) string {
	if !g.one(6) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '/' && g.one(2):
			b.WriteString(`\/`)
		case g.one(5):
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

func (g *jsonGenerator) unknown(depth int) {
	switch k := g.rng.IntN(8); {
	case depth < 20 && k == 0:
		g.write("[")
		for j := range g.rng.IntN(3) {
			if j > 0 {
				g.write(",")
			}
			g.unknown(depth + 1)
		}
		g.write("]")
	case depth < 20 && k == 1:
		g.write("{")
		for j := range g.rng.IntN(3) {
			if j > 0 {
				g.write(",")
			}
			g.text(jsonString, 0)
			g.write(":")
			g.unknown(depth + 1)
		}
		g.write("}")
	case k == 2:
		g.text(jsonString, 0)
	default:
		g.write(pick(g, "0", "-1.5e+7", "true", "false", "null", `""`, "123456789012345678901234567890"))
	}
}

// request writes a request of signal s.
func (g *jsonGenerator) request(s Signal) []byte {
	g.out.Reset()
	g.message(roots[s], 0)
	text := g.out.String()
	if g.evil && g.one(4) {
		text = text[:g.rng.IntN(len(text))]
	}
	return []byte(text)
}

func (o oracle) compareGeneratedJSON(t *testing.T, seed uint64) (accepted int) {
	t.Helper()
	g := &jsonGenerator{rng: rand.New(rand.NewPCG(seed, 2)), evil: seed%3 == 0, loose: seed%4 == 1}
	for _, s := range Signals() {
		if o.compareJSON(t, s, g.request(s)) {
			accepted++
		}
	}
	return accepted
}

func TestGeneratedJSON(t *testing.T) {
	o := newOracle(t)
	const seeds = 300
	accepted := 0
	for seed := range uint64(seeds) {
		accepted += o.compareGeneratedJSON(t, seed)
	}
	if all := 4 * seeds; accepted < all/4 || accepted > all*9/10 {
		t.Errorf("%d of %d requests are accepted: the generator is not balanced", accepted, all)
	}
}
