package functions

import "github.com/penstock-telemetry/penstock/ottl"

var (
	isBool   = isKind("IsBool", ottl.KindBool)
	isInt    = isKind("IsInt", ottl.KindInt)
	isDouble = isKind("IsDouble", ottl.KindDouble)
	isString = isKind("IsString", ottl.KindString)
	isMap    = isKind("IsMap", ottl.KindMap)
)

// isKind returns a converter that tests the kind of a value. A literal of another kind is a
// mistake.
func isKind(name string, kind ottl.Kind) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("target"), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
		target, err := a.Value(0)
		if err != nil {
			return nil, err
		}
		if v, ok := a.Literal(0); ok && v.Kind() != kind {
			return nil, a.Errorf(0, "%w", unsupported(v, kind.String()))
		}
		return func(e *env) (bool, error) {
			v, err := target(e)
			return err == nil && v.Kind() == kind, err
		}, nil
	}}
}

var isList = ottl.Function{Name: "IsList", Params: ottl.P("target"), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
	target, err := a.Value(0)
	return func(e *env) (bool, error) {
		v, err := target(e)
		return err == nil && (v.Kind() == ottl.KindList || v.Kind() > ottl.KindProfileID), err
	}, err
}}

var isEmpty = ottl.Function{Name: "IsEmpty", Params: ottl.P("target"), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
	target, err := a.Value(0)
	return func(e *env) (bool, error) {
		v, err := target(e)
		return err == nil && empty(v), err
	}, err
}}

// empty reports whether a value is nil, zero, or has no elements.
func empty(v value) bool {
	switch v.Kind() {
	case ottl.KindNil:
		return true
	case ottl.KindBool:
		return !v.Bool()
	case ottl.KindInt, ottl.KindDuration:
		return v.Int() == 0
	case ottl.KindDouble:
		return v.Double() == 0
	case ottl.KindString, ottl.KindBytes:
		return len(v.Bytes()) == 0
	case ottl.KindMap, ottl.KindList:
		return v.Count() == 0
	case ottl.KindTime:
		return v.Time().IsZero()
	case ottl.KindTraceID, ottl.KindSpanID, ottl.KindProfileID:
		for _, b := range v.Bytes() {
			if b != 0 {
				return false
			}
		}
		return true
	}
	return v.Int() == 0
}

var (
	toString = valueFunction("String", func(e *env, v value) (value, error) {
		text, ok, err := e.Like(v)
		if !ok || err != nil {
			return value{}, err
		}
		return ottl.OfText(text), nil
	})
	toInt = valueFunction("Int", func(_ *env, v value) (value, error) {
		i, ok, err := ottl.LikeInt(v)
		if !ok || err != nil {
			return value{}, err
		}
		return ottl.OfInt(i), nil
	})
	toDouble = valueFunction("Double", func(_ *env, v value) (value, error) {
		f, ok, err := ottl.LikeDouble(v)
		if !ok || err != nil {
			return value{}, err
		}
		return ottl.OfDouble(f), nil
	})
	toBool = valueFunction("Bool", func(_ *env, v value) (value, error) {
		b, ok, err := ottl.LikeBool(v)
		if !ok || err != nil {
			return value{}, err
		}
		return ottl.OfBool(b), nil
	})
)

var isRootSpan = ottl.Function{Name: "IsRootSpan", In: []string{"span"}, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
	parent, err := a.Path("parent_span_id")
	return func(e *env) (bool, error) {
		v, err := parent(e)
		return err == nil && empty(v), err
	}, err
}}
