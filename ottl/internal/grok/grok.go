// Package grok compiles grok patterns, such as %{IP:client} %{NUMBER:bytes:int}, to regular
// expressions, with the pattern definitions of Elastic's grok library.
package grok

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/elastic/go-grok/patterns"

	"github.com/penstock-telemetry/penstock/internal/pattern"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// definitions are the known patterns; those that come later replace earlier ones.
var definitions = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, set := range []map[string]string{
		patterns.Default, patterns.AWS, patterns.Bind9, patterns.Bro, patterns.Exim, patterns.HAProxy, patterns.Httpd, patterns.Firewalls, patterns.Java, patterns.Junos,
		patterns.Maven, patterns.MCollective, patterns.MongoDB, patterns.PostgreSQL, patterns.Rails, patterns.Redis, patterns.Ruby, patterns.Squid, patterns.Syslog,
	} {
		for name, text := range set {
			all[name] = text
		}
	}
	return all
})

// reference is a use of a definition: %{NAME}, %{NAME:key} or %{NAME:key:type}.
var reference = regexp.MustCompile(`%{(\w+(?::[\w+.]+(?::\w+)?)?)}`)

const (
	maxRounds = 100       // of definitions in each other
	maxBytes  = 256 << 10 // of the expanded pattern
	point     = "___"     // of a key, in the name of a group
)

// Grok is a compiled pattern.
type Grok struct {
	re     *pattern.Pattern
	groups []group
}

// group is a part of a match that is kept.
type group struct {
	key     string
	kind    string // "", "int", "float", "bool" or an unknown one
	indices []int  // of the groups with this name, the last one that is not empty counts
}

// Compile compiles a pattern. own are definitions that are used before the known ones. If
// named is set, only references with a key are kept.
func Compile(text string, named bool, own map[string]string) (*Grok, error) {
	kinds := map[string]string{}
	for range maxRounds {
		if !reference.MatchString(text) {
			return finish(text, named, kinds)
		}
		var failed error
		text = reference.ReplaceAllStringFunc(text, func(use string) string {
			expanded, err := expand(use[2:len(use)-1], named, own, kinds)
			failed = cmp.Or(failed, err)
			return expanded
		})
		if failed == nil && len(text) > maxBytes {
			failed = fmt.Errorf("the pattern is more than %d bytes with its definitions", maxBytes)
		}
		if failed != nil {
			return nil, failed
		}
	}
	return nil, fmt.Errorf("the definitions of the pattern are more than %d deep in each other", maxRounds)
}

// expand returns the regular expression of a reference, and keeps its type.
func expand(use string, named bool, own, kinds map[string]string) (string, error) {
	parts := strings.Split(use, ":")
	definition, ok := own[parts[0]]
	if !ok {
		if definition, ok = definitions()[parts[0]]; !ok {
			return "", fmt.Errorf("there is no pattern definition %q", parts[0])
		}
	}
	name := parts[0]
	if len(parts) > 1 {
		name = strings.ReplaceAll(parts[1], ".", point)
	}
	if len(parts) == 3 {
		kinds[name] = parts[2]
	}
	if named && len(parts) == 1 {
		return "(" + definition + ")", nil
	}
	return "(?P<" + name + ">" + definition + ")", nil
}

func finish(text string, named bool, kinds map[string]string) (*Grok, error) {
	re, err := pattern.Compile(text)
	if err != nil {
		return nil, err
	}
	g := &Grok{re: re}
	at := map[string]int{}
	for i, name := range re.Regexp().SubexpNames() {
		if name == "" {
			continue
		}
		key := strings.ReplaceAll(name, point, ".")
		j, ok := at[key]
		if !ok {
			j = len(g.groups)
			at[key] = j
			g.groups = append(g.groups, group{key: key, kind: kinds[name]})
		}
		g.groups[j].indices = append(g.groups[j].indices, i)
	}
	if named && len(g.groups) == 0 {
		return nil, errors.New("the pattern has no reference with a key, such as %{IP:client}")
	}
	return g, nil
}

// Append appends what the pattern finds in a text as the fields of a KeyValueList: nothing
// if it does not match. Empty parts are left out.
func (g *Grok) Append(dst, text []byte) ([]byte, error) {
	match := g.re.FindSubmatchIndex(text)
	if match == nil {
		return dst, nil
	}
	enc := wire.Encoder{Buf: dst}
	for _, k := range g.groups {
		found := k.in(match, text)
		if len(found) == 0 {
			continue
		}
		entry := enc.Open(otlpfield.KeyValueListValues)
		enc.String(otlpfield.KeyValueKey, k.key)
		value := enc.Open(otlpfield.KeyValueValue)
		if err := appendValue(&enc, k.kind, found); err != nil {
			return dst, fmt.Errorf("%s: %w", k.key, err)
		}
		enc.Close(value)
		enc.Close(entry)
	}
	return enc.Buf, nil
}

// in returns the part of a text that a match has for the group, which may be empty.
func (k *group) in(match []int, text []byte) []byte {
	for _, i := range slices.Backward(k.indices) {
		if from, to := match[2*i], match[2*i+1]; from >= 0 && from < to {
			return text[from:to]
		}
	}
	return nil
}

func appendValue(enc *wire.Encoder, kind string, text []byte) error {
	switch kind {
	case "", "string":
		enc.Bytes(otlpfield.AnyValueStringValue, text)
	case "int", "long":
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return err
		}
		enc.Varint(otlpfield.AnyValueIntValue, uint64(n))
	case "float", "double":
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return err
		}
		enc.Double(otlpfield.AnyValueDoubleValue, f)
	case "bool", "boolean":
		b, err := strconv.ParseBool(string(text))
		if err != nil {
			return err
		}
		n := uint64(0)
		if b {
			n = 1
		}
		enc.Varint(otlpfield.AnyValueBoolValue, n)
	default:
		return fmt.Errorf("unknown type %q, expected string, int, long, float, double, bool or boolean", kind)
	}
	return nil
}
