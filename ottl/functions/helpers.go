package functions

import (
	"fmt"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/internal/pattern"
	"github.com/penstock-telemetry/penstock/ottl"
)

type (
	env   = ottl.Env
	value = ottl.Value
)

// textFunction returns a converter of one string.
func textFunction(name string, f func(e *env, text []byte) (value, error)) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("target"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
		target, err := a.String(0)
		if err != nil {
			return nil, err
		}
		return func(e *env) (value, error) {
			v, err := target(e)
			if err != nil {
				return value{}, err
			}
			return f(e, v.Bytes())
		}, nil
	}}
}

// textsTest returns a converter that tests two strings.
func textsTest(name, second string, test func(a, b []byte) bool) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("target", second), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
		target, other, err := two(a.String, a.String)
		if err != nil {
			return nil, err
		}
		return func(e *env) (bool, error) {
			v, w, err := both(e, target, other)
			return err == nil && test(v.Bytes(), w.Bytes()), err
		}, nil
	}}
}

// textsFunction returns a converter of two strings.
func textsFunction(name, second string, f func(e *env, a, b []byte) (value, error)) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("target", second), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
		target, other, err := two(a.String, a.String)
		if err != nil {
			return nil, err
		}
		return func(e *env) (value, error) {
			v, w, err := both(e, target, other)
			if err != nil {
				return value{}, err
			}
			return f(e, v.Bytes(), w.Bytes())
		}, nil
	}}
}

// valueFunction returns a converter of one value of any kind. Of a literal, an error is
// one of the compile step.
func valueFunction(name string, f func(e *env, v value) (value, error)) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("target"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
		target, err := a.Value(0)
		if err != nil {
			return nil, err
		}
		get := func(e *env) (value, error) {
			v, err := target(e)
			if err != nil {
				return value{}, err
			}
			return f(e, v)
		}
		if v, ok := a.Literal(0); ok {
			if _, err := f(ottl.NewEnv(), v); err != nil {
				return nil, a.Errorf(0, "%w", err)
			}
		}
		return get, nil
	}}
}

// two compiles the first two arguments of a call.
func two(first, second func(int) (ottl.Getter, error)) (ottl.Getter, ottl.Getter, error) {
	x, err := first(0)
	if err != nil {
		return nil, nil, err
	}
	y, err := second(1)
	return x, y, err
}

// both returns the values of two getters.
func both(e *env, x, y ottl.Getter) (v, w value, err error) {
	if v, err = x(e); err == nil {
		w, err = y(e)
	}
	return v, w, err
}

// targetMap returns an editor of a map. prepare compiles the arguments behind the map; what
// it returns changes it.
func targetMap(name string, params []ottl.Param, prepare func(a *ottl.Args) (func(*env, *ottl.Map) error, error)) ottl.Function {
	return ottl.Function{Name: name, Params: params, Edit: func(a *ottl.Args) (func(*env) error, error) {
		target, err := a.Target(0)
		if err != nil {
			return nil, err
		}
		edit, err := prepare(a)
		if err != nil {
			return nil, err
		}
		return func(e *env) error {
			m, err := target.Map(e)
			if err != nil {
				return err
			}
			if err := edit(e, m); err != nil {
				return err
			}
			return target.Put(e, m)
		}, nil
	}}
}

// matcher is an argument that is a pattern: a literal is compiled once, the text of
// another expression when it is another one than for the item before.
type matcher struct {
	compile func(string) (*pattern.Pattern, error)
	get     ottl.Getter
	last    atomic.Pointer[compiled]
	literal *pattern.Pattern
}

// compiled is a pattern with its text.
type compiled struct {
	text    string
	pattern *pattern.Pattern
}

// regexpArg returns argument i, a regular expression.
func regexpArg(a *ottl.Args, i int) (*matcher, error) { return patternArg(a, i, pattern.Compile) }

// globArg returns argument i, a glob.
func globArg(a *ottl.Args, i int) (*matcher, error) { return patternArg(a, i, pattern.CompileGlob) }

func patternArg(a *ottl.Args, i int, compile func(string) (*pattern.Pattern, error)) (*matcher, error) {
	get, err := a.String(i)
	if err != nil {
		return nil, err
	}
	m := &matcher{compile: compile, get: get}
	if v, ok := a.Constant(i); ok && v.Kind() == ottl.KindString {
		m.literal, err = compile(string(v.Bytes()))
		if _, literal := a.Literal(i); literal && err != nil {
			return nil, a.Errorf(i, "%w", err)
		}
	}
	return m, nil
}

// pattern returns the pattern for an item.
func (m *matcher) pattern(e *env) (*pattern.Pattern, error) {
	if m.literal != nil {
		return m.literal, nil
	}
	v, err := m.get(e)
	if err != nil {
		return nil, err
	}
	if last := m.last.Load(); last != nil && last.text == string(v.Bytes()) {
		return last.pattern, nil
	}
	p, err := m.compile(string(v.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("the pattern %.100q: %w", v.Bytes(), err)
	}
	m.last.Store(&compiled{string(v.Bytes()), p})
	return p, nil
}

// keySet are keys that are arguments. Most calls have a few literals.
type keySet struct {
	few  []string
	many map[string]struct{} // instead of few
	gets []ottl.Getter       // instead of both, if one is not a literal
}

func newKeySet(keys []string) *keySet {
	if len(keys) <= 8 {
		return &keySet{few: keys}
	}
	s := &keySet{many: make(map[string]struct{}, len(keys))}
	for _, k := range keys {
		s.many[k] = struct{}{}
	}
	return s
}

func (s *keySet) has(key []byte) bool {
	if s.many != nil {
		_, ok := s.many[string(key)]
		return ok
	}
	for _, k := range s.few {
		if len(k) == len(key) && k == string(key) {
			return true
		}
	}
	return false
}

// keySetArg returns argument i, a list of keys.
func keySetArg(a *ottl.Args, i int) (*keySet, error) {
	if v, ok := a.Constant(i); ok && v.Kind() == ottl.KindList {
		keys, err := a.LiteralStrings(i)
		return newKeySet(keys), err
	}
	gets, ok, err := a.Elements(i)
	if err == nil && !ok {
		err = a.Errorf(i, "expected a list of strings")
	}
	return &keySet{gets: gets}, err
}

// of returns the set for an item.
func (s *keySet) of(e *env) (*keySet, error) {
	if s.gets == nil {
		return s, nil
	}
	keys := make([]string, 0, len(s.gets))
	for _, get := range s.gets {
		v, err := get(e)
		if err == nil && v.Kind() != ottl.KindString {
			err = &ottl.TypeError{Want: "string", Got: v.Kind()}
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, string(v.Bytes()))
	}
	return newKeySet(keys), nil
}

// oneOf returns literal argument i, which must be one of some words.
func oneOf(a *ottl.Args, i int, otherwise string, words ...string) (string, error) {
	word, err := a.LiteralString(i, otherwise)
	if err != nil {
		return "", err
	}
	for _, w := range words {
		if word == w {
			return word, nil
		}
	}
	return "", a.Errorf(i, "expected one of %q, found %q", words, word)
}

// errorf is fmt.Errorf, whose name is short where a function has many errors.
var errorf = fmt.Errorf

// unsupported is the error of a value whose kind a function does not take.
func unsupported(v value, want string) error { return &ottl.TypeError{Want: want, Got: v.Kind()} }
