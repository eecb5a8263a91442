package functions

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/penstock-telemetry/penstock/internal/pattern"
	"github.com/penstock-telemetry/penstock/ottl"
)

var isMatch = ottl.Function{Name: "IsMatch", Params: ottl.P("target", "pattern"), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
	target, err := a.Value(0)
	if err != nil {
		return nil, err
	}
	m, err := regexpArg(a, 1)
	return func(e *env) (bool, error) {
		p, err := m.pattern(e)
		if err != nil {
			return false, err
		}
		v, err := target(e)
		if err != nil {
			return false, err
		}
		if v.Kind() == ottl.KindString {
			return p.Match(v.Bytes()), nil
		}
		text, ok, err := e.Like(v)
		return ok && p.Match(text), err
	}, err
}}

// replacement is what replaces what matches: a text, or what a converter makes of it.
type replacement struct {
	text   ottl.Getter
	apply  func(*env, value) (value, error) // nil: the text as it is
	format ottl.Getter                      // nil: the result as it is
}

// replacementArgs returns arguments i (text), i+1 (function) and i+2 (format).
func replacementArgs(a *ottl.Args, i int) (r replacement, err error) {
	if r.text, err = a.String(i); err != nil {
		return r, err
	}
	if r.apply, err = a.Function(i + 1); err != nil || !a.Has(i+2) {
		return r, err
	}
	r.format, err = a.String(i + 2)
	return r, err
}

// of returns what replaces one match, whose text is that of the replacement.
func (r *replacement) of(e *env, text value) (value, error) {
	if r.apply == nil {
		return text, nil
	}
	v, err := r.apply(e, text)
	if err == nil && v.Kind() != ottl.KindString {
		err = unsupported(v, "a replacement that is a string")
	}
	if err != nil || r.format == nil {
		return v, err
	}
	f, err := r.format(e)
	if err != nil {
		return v, err
	}
	if !oneVerb.Match(f.Bytes()) || otherVerb.Match(f.Bytes()) {
		return v, errors.New("the format of a replacement has not exactly one %s")
	}
	return ottl.OfText(fmt.Appendf(nil, string(f.Bytes()), string(v.Bytes()))), nil
}

var (
	oneVerb   = regexp.MustCompile(`^(.*?%s.*?)$`)
	otherVerb = regexp.MustCompile(`%[^s]`)
)

// replaced returns a text with its matches replaced; ok is false if there are none.
func (r *replacement) replaced(e *env, p *pattern.Pattern, text, template []byte) (result []byte, ok bool, err error) {
	if r.apply == nil {
		result, ok = p.AppendReplaceAll(e.Scratch(len(text)+len(template)+64), text, template)
		return result, ok, nil
	}
	matches := p.FindAllSubmatchIndex(text)
	if matches == nil {
		return nil, false, nil
	}
	last := 0
	for _, m := range matches {
		v, err := r.of(e, ottl.OfText(p.Regexp().Expand(nil, template, text, m)))
		if err != nil {
			return nil, true, err
		}
		result = append(append(result, text[last:m[0]]...), v.Bytes()...)
		last = m[1]
	}
	return append(result, text[last:]...), true, nil
}

var replacePattern = ottl.Function{Name: "replace_pattern", Params: ottl.P("target", "regex_pattern", "replacement", "function?", "replacement_format?"), Edit: func(a *ottl.Args) (func(*env) error, error) {
	target, err := a.Target(0)
	if err != nil {
		return nil, err
	}
	m, err := regexpArg(a, 1)
	if err != nil {
		return nil, err
	}
	r, err := replacementArgs(a, 2)
	return func(e *env) error {
		v, err := target.Get(e)
		if err != nil || v.IsNil() {
			return err
		}
		template, err := r.text(e)
		if err != nil || v.Kind() != ottl.KindString {
			return err
		}
		p, err := m.pattern(e)
		if err != nil {
			return err
		}
		if text, ok, err := r.replaced(e, p, v.Bytes(), template.Bytes()); err != nil || !ok {
			return err
		} else {
			return target.Set(e, ottl.OfText(text))
		}
	}, err
}}

var replaceMatch = ottl.Function{Name: "replace_match", Params: ottl.P("target", "pattern", "replacement", "function?", "replacement_format?"), Edit: func(a *ottl.Args) (func(*env) error, error) {
	target, err := a.Target(0)
	if err != nil {
		return nil, err
	}
	m, err := globArg(a, 1)
	if err != nil {
		return nil, err
	}
	r, err := replacementArgs(a, 2)
	return func(e *env) error {
		p, err := m.pattern(e)
		if err != nil {
			return err
		}
		v, err := target.Get(e)
		if err != nil {
			return err
		}
		with, err := r.whole(e)
		if err != nil || v.Kind() != ottl.KindString || !p.Match(v.Bytes()) {
			return err
		}
		return target.Set(e, with)
	}, err
}}

// whole returns what replaces a whole value.
func (r *replacement) whole(e *env) (value, error) {
	v, err := r.text(e)
	if err != nil {
		return v, err
	}
	return r.of(e, v)
}

var replaceAllMatches = targetMap("replace_all_matches", ottl.P("target", "pattern", "replacement", "function?", "replacement_format?"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	glob, err := globArg(a, 1)
	if err != nil {
		return nil, err
	}
	r, err := replacementArgs(a, 2)
	return func(e *env, m *ottl.Map) error {
		p, err := glob.pattern(e)
		if err != nil {
			return err
		}
		with, err := r.whole(e)
		if err != nil {
			return err
		}
		for i := range m.Len() {
			if !m.Live(i) {
				continue
			}
			if v := m.Value(i); v.Kind() == ottl.KindString && p.Match(v.Bytes()) {
				m.SetAt(i, with)
			}
		}
		return nil
	}, err
})

var replaceAllPatterns = targetMap("replace_all_patterns", ottl.P("target", "mode", "regex_pattern", "replacement", "function?", "replacement_format?"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	mode, err := oneOf(a, 1, "", "key", "value")
	if err != nil {
		return nil, err
	}
	re, err := regexpArg(a, 2)
	if err != nil {
		return nil, err
	}
	r, err := replacementArgs(a, 3)
	return func(e *env, m *ottl.Map) error {
		template, err := r.text(e)
		if err != nil {
			return err
		}
		p, err := re.pattern(e)
		if err != nil {
			return err
		}
		if mode == "key" {
			r.inKeys(e, p, m, template.Bytes())
		} else {
			r.inValues(e, p, m, template.Bytes())
		}
		return nil
	}, err
})

// inValues replaces in the strings of a map. A value whose function fails stays.
func (r *replacement) inValues(e *env, p *pattern.Pattern, m *ottl.Map, template []byte) {
	for i := range m.Len() {
		if !m.Live(i) {
			continue
		}
		v := m.Value(i)
		if v.Kind() != ottl.KindString {
			continue
		}
		if text, ok, err := r.replaced(e, p, v.Bytes(), template); ok && err == nil {
			m.SetAt(i, ottl.OfText(text))
		}
	}
}

// inKeys replaces in the keys of a map. Of keys that become equal the last value counts, at
// the place of the first one. An entry whose function fails is deleted.
func (r *replacement) inKeys(e *env, p *pattern.Pattern, m *ottl.Map, template []byte) {
	any := false
	for i := range m.Len() {
		any = any || m.Live(i) && p.Match(m.Key(i))
	}
	if !any {
		return
	}
	var u uniqueMap
	for i := range m.Len() {
		if !m.Live(i) {
			continue
		}
		key := m.Key(i)
		text, ok, err := r.replaced(e, p, key, template)
		switch {
		case err != nil:
			continue
		case ok:
			key = text
		}
		u.put(key, m.Value(i))
	}
	m.Clear()
	for _, x := range u.entries {
		m.AddBytes(x.Key, x.Value)
	}
}

var extractPatterns = ottl.Function{Name: "ExtractPatterns", Params: ottl.P("target", "pattern"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.String(0)
	if err != nil {
		return nil, err
	}
	m, err := regexpArg(a, 1)
	if err != nil {
		return nil, err
	}
	if m.literal != nil && !hasNames(m.literal) {
		return nil, a.Errorf(1, "expected at least one named group, such as (?P<name>...)")
	}
	return func(e *env) (value, error) {
		p, err := m.pattern(e)
		if err != nil {
			return value{}, err
		}
		if !hasNames(p) {
			return value{}, errors.New("the pattern has no named group")
		}
		v, err := target(e)
		if err != nil {
			return value{}, err
		}
		return groups(p, v.Bytes()), nil
	}, err
}}

func hasNames(p *pattern.Pattern) bool {
	for _, name := range p.Regexp().SubexpNames() {
		if name != "" {
			return true
		}
	}
	return false
}

// groups returns the named groups of the first match in a text.
func groups(p *pattern.Pattern, text []byte) value {
	match := p.FindSubmatchIndex(text)
	if match == nil {
		return ottl.OfFields(ottl.KindMap, nil)
	}
	var b ottl.MapBuilder
	for i, name := range p.Regexp().SubexpNames() {
		if name == "" || i == 0 {
			continue
		}
		var group []byte
		if match[2*i] >= 0 {
			group = text[match[2*i]:match[2*i+1]]
		}
		b.Add([]byte(name), ottl.OfText(group))
	}
	return b.Value()
}
