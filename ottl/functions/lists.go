package functions

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/penstock-telemetry/penstock/ottl"
)

var appendTo = ottl.Function{Name: "append", Params: ottl.P("target", "value?", "values?"), Edit: func(a *ottl.Args) (func(*env) error, error) {
	target, err := a.Target(0)
	if err != nil {
		return nil, err
	}
	var gets []ottl.Getter
	if a.Has(1) {
		get, err := a.Value(1)
		if err != nil {
			return nil, err
		}
		gets = append(gets, get)
	}
	if a.Has(2) {
		list, ok, err := a.Elements(2)
		if err == nil && !ok {
			err = a.Errorf(2, "expected a list")
		}
		if err != nil {
			return nil, err
		}
		gets = append(gets, list...)
	}
	if !a.Has(1) && !a.Has(2) {
		return nil, a.Errorf(1, "expected value or values")
	}
	return func(e *env) error {
		old, err := target.Get(e)
		if err != nil {
			return err
		}
		var b ottl.ListBuilder
		switch {
		case old.Kind() == ottl.KindList:
			for v := range e.Items(old) {
				b.Add(v)
			}
		case old.Kind() >= ottl.KindMap:
			return unsupported(old, "a list or a value that can be in one")
		case !old.IsNil():
			b.Add(old)
		}
		for _, get := range gets {
			v, err := get(e)
			if err == nil && v.Kind() > ottl.KindList {
				err = unsupported(v, "a value that can be in a list")
			}
			if err != nil {
				return err
			}
			b.Add(v)
		}
		return target.Set(e, b.Value())
	}, nil
}}

var deleteIndex = ottl.Function{Name: "delete_index", Params: ottl.P("target", "start_index", "end_index?"), Edit: func(a *ottl.Args) (func(*env) error, error) {
	target, err := a.Target(0)
	if err != nil {
		return nil, err
	}
	start, err := a.Int(1)
	if err != nil {
		return nil, err
	}
	end, err := a.Int(2)
	if !a.Has(2) {
		end, err = nil, nil
	}
	return func(e *env) error {
		old, err := target.Get(e)
		if err == nil && old.Kind() != ottl.KindList {
			err = unsupported(old, "list")
		}
		if err != nil {
			return err
		}
		from, err := start(e)
		if err != nil {
			return err
		}
		to := from.Int() + 1
		if end != nil {
			v, err := end(e)
			if err != nil {
				return err
			}
			to = v.Int()
		}
		return deleteElements(e, target, old, from.Int(), to)
	}, err
}}

// deleteElements sets a target to its list without the elements from one index to another.
func deleteElements(e *env, target *ottl.Target, old value, from, to int64) error {
	n := int64(old.Count())
	switch {
	case from == 0 && to == n:
		return target.Set(e, ottl.OfFields(ottl.KindList, nil))
	case from < 0 || from >= n || to < from || to > n:
		return errorf("delete elements %d to %d of a list of %d: expected indices in it", from, to, n)
	case from == to:
		return nil
	}
	var b ottl.ListBuilder
	i := int64(0)
	for v := range e.Items(old) {
		if i < from || i >= to {
			b.Add(v)
		}
		i++
	}
	return target.Set(e, b.Value())
}

var containsValue = ottl.Function{Name: "ContainsValue", Params: ottl.P("target", "item"), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
	target, item, err := two(a.List, a.Value)
	return func(e *env) (bool, error) {
		l, v, err := both(e, target, item)
		return err == nil && position(e, l, v) >= 0, err
	}, err
}}

var index = ottl.Function{Name: "Index", Params: ottl.P("target", "value"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, item, err := two(a.Value, a.Value)
	return func(e *env) (value, error) {
		l, v, err := both(e, target, item)
		switch {
		case err != nil:
			return value{}, err
		case l.Kind() == ottl.KindString && v.Kind() == ottl.KindString:
			return ottl.OfInt(int64(bytes.Index(l.Bytes(), v.Bytes()))), nil
		case l.Kind() == ottl.KindString:
			return value{}, unsupported(v, "string")
		case l.Kind() != ottl.KindList:
			return value{}, unsupported(l, "a list or a string")
		}
		return ottl.OfInt(position(e, l, v)), nil
	}, err
}}

// position returns the index of the first element of a list that is equal to v, -1 if there
// is none.
func position(e *env, list, v value) int64 {
	i := int64(0)
	for item := range e.Items(list) {
		if e.Equal(item, v) {
			return i
		}
		i++
	}
	return -1
}

var length = ottl.Function{Name: "Len", Params: ottl.P("target"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.Value(0)
	return func(e *env) (value, error) {
		v, err := target(e)
		if err != nil {
			return value{}, err
		}
		switch k := v.Kind(); {
		case k == ottl.KindString || k == ottl.KindBytes:
			return ottl.OfInt(int64(len(v.Bytes()))), nil
		case k == ottl.KindMap || k == ottl.KindList:
			return ottl.OfInt(int64(v.Count())), nil
		case k > ottl.KindProfileID:
			return ottl.OfInt(v.Int()), nil
		}
		return value{}, unsupported(v, "a string, bytes, a map or a list")
	}, err
}}

var sortList = ottl.Function{Name: "Sort", Params: ottl.P("target", "order?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.List(0)
	if err != nil {
		return nil, err
	}
	order, err := oneOf(a, 1, "asc", "asc", "desc")
	return func(e *env) (value, error) {
		l, err := target(e)
		if err != nil {
			return value{}, err
		}
		return sorted(e, l, order == "desc"), nil
	}, err
}}

// sorted returns a list in order: of numbers by value, of other elements by their text.
// Lists with maps, lists or bytes stay as they are.
func sorted(e *env, l value, descending bool) value {
	items := e.Elements(nil, l)
	numbers := true
	for _, v := range items {
		switch v.Kind() {
		case ottl.KindInt, ottl.KindDouble:
		case ottl.KindString, ottl.KindBool, ottl.KindNil:
			numbers = false
		default:
			return l
		}
	}
	compare := func(a, b value) int { return bytes.Compare(e.Text(a).Bytes(), e.Text(b).Bytes()) }
	if numbers {
		compare = compareNumbers
	}
	slices.SortStableFunc(items, func(a, b value) int {
		if descending {
			return compare(b, a)
		}
		return compare(a, b)
	})
	var b ottl.ListBuilder
	for _, v := range items {
		b.Add(v)
	}
	return b.Value()
}

func compareNumbers(a, b value) int {
	if a.Kind() == ottl.KindInt && b.Kind() == ottl.KindInt {
		return cmp.Compare(a.Int(), b.Int())
	}
	x, _, _ := ottl.LikeDouble(a)
	y, _, _ := ottl.LikeDouble(b)
	return cmp.Compare(x, y)
}

var coalesce = ottl.Function{Name: "Coalesce", Params: ottl.P("values"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	gets, ok, err := a.Elements(0)
	if err == nil && (!ok || len(gets) == 0) {
		err = a.Errorf(0, "expected a list of at least one value")
	}
	return func(e *env) (value, error) {
		for _, get := range gets {
			if v, err := get(e); err != nil || !v.IsNil() {
				return v, err
			}
		}
		return value{}, nil
	}, err
}}
