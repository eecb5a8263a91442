package match

import (
	"strconv"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// Attributes are attributes that must all be there. The empty list matches all.
type Attributes []attribute

type attribute struct {
	key   string
	texts *Texts     // with regexp
	value otlp.Value // with strict
	any   bool       // any value
}

// CompileAttributes makes a list of the attributes that a configuration has under a key.
func CompileAttributes(key, matchType string, list []Attribute) (compiled Attributes, err error) {
	for i := range list {
		a := &list[i]
		one := attribute{key: a.Key, any: a.Value == nil}
		switch text, isText := a.Value.(string); {
		case one.any:
		case matchType == "strict":
			value, err := attrs.EncodeValue(a.Value)
			if err != nil {
				return nil, config.At(key, err)
			}
			one.value = otlp.AnyValue(value).Resolve(nil)
		case matchType == "regexp" && !isText:
			return nil, config.Atf(key, "expected a pattern for the value of %q, since match_type is regexp, found %v", a.Key, a.Value)
		default:
			if one.texts, err = CompileTexts(key, matchType, []string{text}); err != nil {
				return nil, err
			}
		}
		compiled = append(compiled, one)
	}
	return compiled, nil
}

// Match reports whether message m, a part of the request that p edits, has all of the
// attributes in field num, which is below 16. In room texts are made; its memory is used
// again.
func (a Attributes) Match(p *otlpedit.Pass, m []byte, num uint32, room *[]byte) bool {
	for i := range a {
		value, ok := attrs.Find(p, m, num, a[i].key)
		if !ok || !a[i].matches(p, value, room) {
			return false
		}
	}
	return true
}

func (a *attribute) matches(p *otlpedit.Pass, value []byte, room *[]byte) bool {
	if a.any {
		return true
	}
	v := attrs.Resolve(p, value)
	if a.texts == nil {
		return attrs.Equal(a.value, v)
	}
	*room = (*room)[:0]
	switch v.Kind() {
	case otlp.KindString:
		return a.texts.Match(v.Text())
	case otlp.KindBool:
		*room = strconv.AppendBool(*room, v.Bool())
	case otlp.KindInt:
		*room = strconv.AppendInt(*room, v.Int(), 10)
	case otlp.KindDouble:
		*room = strconv.AppendFloat(*room, v.Double(), 'f', -1, 64)
	default:
		return false
	}
	return a.texts.Match(*room)
}
