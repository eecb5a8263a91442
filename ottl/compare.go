package ottl

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// compare compares two values. Of different kinds only numbers are comparable: all others
// are unequal and in no order. Maps and lists are equal or not.
func (e *Env) compare(op syntax.Op, a, b Value) bool {
	switch {
	case a.kind == KindNil && b.kind == KindNil:
		return op == syntax.Eq || op == syntax.Le || op == syntax.Ge
	case a.kind == b.kind:
		return e.compareAlike(op, a, b)
	case a.kind == KindInt && b.kind == KindDouble:
		return ordered(op, float64(a.Int()), b.Double())
	case a.kind == KindDouble && b.kind == KindInt:
		return ordered(op, a.Double(), float64(b.Int()))
	}
	return op == syntax.Ne
}

func (e *Env) compareAlike(op syntax.Op, a, b Value) bool {
	switch a.kind {
	case KindInt, KindTime, KindDuration:
		return ordered(op, a.Int(), b.Int())
	case KindBool:
		return ordered(op, a.num, b.num)
	case KindDouble:
		return ordered(op, a.Double(), b.Double())
	case KindString, KindBytes:
		return ordered(op, bytes.Compare(a.bytes, b.bytes), 0)
	case KindMap, KindList:
		return either(op, e.equal(a, b))
	}
	return either(op, bytes.Equal(a.bytes, b.bytes))
}

func either(op syntax.Op, equal bool) bool {
	return op == syntax.Eq && equal || op == syntax.Ne && !equal
}

func ordered[T cmp.Ordered](op syntax.Op, a, b T) bool {
	switch op {
	case syntax.Eq:
		return a == b
	case syntax.Ne:
		return a != b
	case syntax.Lt:
		return a < b
	case syntax.Le:
		return a <= b
	case syntax.Gt:
		return a > b
	}
	return a >= b
}

// Equal reports whether two values are of the same kind and equal. The order of the keys
// of a map does not matter.
func (e *Env) Equal(a, b Value) bool { return e.compare(syntax.Eq, a, b) }

func (e *Env) equal(a, b Value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case KindList:
		return slices.EqualFunc(e.Elements(nil, a), e.Elements(nil, b), e.equal)
	case KindMap:
		x, y := e.Entries(nil, a), e.Entries(nil, b)
		if len(x) != len(y) {
			return false
		}
		for _, entry := range x {
			i := slices.IndexFunc(y, func(o Entry) bool { return bytes.Equal(o.Key, entry.Key) })
			if i < 0 || !e.equal(entry.Value, y[i].Value) {
				return false
			}
		}
		return true
	}
	return e.compareAlike(syntax.Eq, a, b)
}

var errDivision = errors.New("division by zero")

// arithmetic returns a op b.
func arithmetic(op syntax.Op, a, b Value) (Value, error) {
	switch {
	case a.kind == KindInt && b.kind == KindInt:
		return calculate(op, a.Int(), b.Int(), OfInt)
	case a.number() && b.number():
		return calculate(op, a.float(), b.float(), OfDouble)
	case a.kind == KindTime && b.kind == KindTime && op == syntax.Sub:
		return Value{kind: KindDuration, num: a.num - b.num}, nil
	case a.kind == KindTime && b.kind == KindDuration && op == syntax.Add:
		return Value{kind: KindTime, num: a.num + b.num, zone: a.zone}, nil
	case a.kind == KindTime && b.kind == KindDuration && op == syntax.Sub:
		return Value{kind: KindTime, num: a.num - b.num, zone: a.zone}, nil
	case a.kind == KindDuration && b.kind == KindTime && op == syntax.Add:
		return Value{kind: KindTime, num: a.num + b.num, zone: b.zone}, nil
	case a.kind == KindDuration && b.kind == KindDuration && op == syntax.Add:
		return Value{kind: KindDuration, num: a.num + b.num}, nil
	case a.kind == KindDuration && b.kind == KindDuration && op == syntax.Sub:
		return Value{kind: KindDuration, num: a.num - b.num}, nil
	}
	return Value{}, &operandError{op, a.kind, b.kind}
}

// operandError is the error of operands that an operator does not take.
type operandError struct {
	op   syntax.Op
	a, b Kind
}

func (e *operandError) Error() string {
	return e.a.String() + " " + e.op.String() + " " + e.b.String() + " has no result"
}

func (v Value) number() bool { return v.kind == KindInt || v.kind == KindDouble }

func (v Value) float() float64 {
	if v.kind == KindInt {
		return float64(v.Int())
	}
	return v.Double()
}

func calculate[T int64 | float64](op syntax.Op, a, b T, of func(T) Value) (Value, error) {
	switch op {
	case syntax.Add:
		return of(a + b), nil
	case syntax.Sub:
		return of(a - b), nil
	case syntax.Mul:
		return of(a * b), nil
	}
	if b == 0 {
		return Value{}, errDivision
	}
	return of(a / b), nil
}
