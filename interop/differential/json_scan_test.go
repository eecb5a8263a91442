package differential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// span is a part of a text.
type span struct{ from, to int }

// jsonOddities are what can be found in a text that pdata and penstock do not
// judge alike. It goes by keys, wherever they stand.
type jsonOddities struct {
	invalid   bool // encoding/json does not take it
	null      bool // in the place of a value, or of the request
	emptyKey  bool // pdata takes it for the end of the object
	fraction  bool // an integer with a fraction or an exponent, or -0, quoted or not
	looseText bool // a quoted number that Go reads and JSON does not: +7, 007, inf, 0x1p-2, 1_000
	huge      bool // a number beyond a double
	id        bool // an id that is not hex digits of its length
	escape    bool // a backslash in an id, a number or base64
	base64    bool // base64 without padding, or for URLs
	oneof     bool // two members of a oneof, or one twice
	deep      bool
	reference bool // references into the dictionary

	values []span // scalars
	keys   []span // with their quotes
}

// jsonIDs are the lengths in digits of ids, by their keys without underscores.
var jsonIDs = map[string]int{"traceid": 32, "spanid": 16, "parentspanid": 16, "profileid": 32}

// jsonOneofs are the keys of members of a oneof, without underscores.
var jsonOneofs = map[string]string{
	"stringvalue": "value", "boolvalue": "value", "intvalue": "value", "doublevalue": "value", "arrayvalue": "value", "kvlistvalue": "value",
	"bytesvalue": "value", "stringvaluestrindex": "value", "asdouble": "point", "asint": "point", "gauge": "data", "sum": "data", "histogram": "data",
	"exponentialhistogram": "data", "summary": "data",
}

// scanJSON looks at a text token by token. It stops where the text is not JSON,
// but the places up to there are known.
func scanJSON(text []byte) *jsonOddities {
	o := &jsonOddities{invalid: !json.Valid(text)}
	type level struct {
		object bool
		key    string
		oneofs map[string]bool
	}
	var open []level
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	at := func() string { // the key of the value that comes
		if len(open) == 0 {
			return ""
		}
		return strings.TrimPrefix(open[len(open)-1].key, "k")
	}
	wantsKey := func() bool { return len(open) > 0 && open[len(open)-1].object && open[len(open)-1].key == "" }
	for {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			return o
		}
		to := int(d.InputOffset())
		from := before + len(text[before:to]) - len(bytes.TrimLeft(text[before:to], " \t\r\n,:"))
		here := span{from, to}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				l := level{object: v == '{', oneofs: map[string]bool{}}
				if v == '[' {
					l.key = "k" + at() // elements have their list's key
				}
				open = append(open, l)
				o.deep = o.deep || len(open) > otlp.DefaultDepth
				continue
			}
			open = open[:len(open)-1]
		case string:
			if wantsKey() {
				l := &open[len(open)-1]
				key := strings.ToLower(strings.ReplaceAll(v, "_", ""))
				o.keys = append(o.keys, here)
				o.emptyKey = o.emptyKey || v == ""
				if of := jsonOneofs[key]; of != "" {
					o.oneof = o.oneof || l.oneofs[of]
					l.oneofs[of] = true
				}
				o.reference = o.reference || strings.HasSuffix(key, "index") || strings.HasSuffix(key, "indices")
				l.key = "k" + key // never empty
				continue
			}
			o.text(v, text[from:to], at())
			o.values = append(o.values, here)
		case json.Number:
			o.fraction = o.fraction || jsonKinds[at()].integer && oddInteger(v.String())
			_, err := v.Float64()
			o.huge = o.huge || err != nil
			o.values = append(o.values, here)
		case nil:
			o.null = o.null || len(open) == 0 || jsonKinds[at()] != kinds{}
			o.values = append(o.values, here)
		default:
			o.values = append(o.values, here)
		}
		if n := len(open); n > 0 && open[n-1].object {
			open[n-1].key = ""
		}
	}
}

func oddInteger(s string) bool { return strings.ContainsAny(s, ".eE") || strings.HasPrefix(s, "-0") }

// text looks at a string, which stands in the text as raw.
func (o *jsonOddities) text(v string, raw []byte, key string) {
	k := jsonKinds[key]
	number := k.integer || k.double
	if n, isID := jsonIDs[key]; isID && v != "" && len(v) != n {
		o.id = true
	} else if k.bytes && !isID {
		_, err := base64.StdEncoding.Strict().DecodeString(v)
		o.base64 = o.base64 || err != nil
	}
	o.escape = o.escape || (k.bytes || number) && bytes.IndexByte(raw, '\\') >= 0
	o.fraction = o.fraction || k.integer && json.Valid([]byte(v)) && oddInteger(v)
	o.looseText = o.looseText || number && !json.Valid([]byte(v))
}

// kinds are what values fields of one name have.
type kinds struct{ text, bytes, integer, double, other bool }

// jsonKinds are the kinds by the fields' keys without underscores.
var jsonKinds = func() map[string]kinds {
	out := map[string]kinds{}
	seen := map[protoreflect.FullName]bool{}
	var add func(d protoreflect.MessageDescriptor)
	add = func(d protoreflect.MessageDescriptor) {
		if seen[d.FullName()] {
			return
		}
		seen[d.FullName()] = true
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			name := strings.ToLower(f.JSONName())
			k := out[name]
			switch f.Kind() {
			case protoreflect.StringKind:
				k.text = true
			case protoreflect.BytesKind:
				k.bytes = true
			case protoreflect.DoubleKind:
				k.double = true
			case protoreflect.BoolKind:
				k.other = true
			case protoreflect.MessageKind:
				k.other = true
				add(f.Message())
			default:
				k.integer = true
			}
			out[name] = k
		}
	}
	for _, s := range otlp.Signals() {
		add(testkit.NewMessage(s).ProtoReflect().Descriptor())
	}
	return out
}()
