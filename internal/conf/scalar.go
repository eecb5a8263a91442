package conf

import (
	"fmt"
	"math"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// scalar decodes into the basic Go kinds.
func (d *decoder) scalar(n *Node, v reflect.Value) {
	if n.kind == Null && n.original == nil {
		v.SetZero()
		return
	}
	if v.Kind() == reflect.String {
		if n.kind >= List && n.original == nil {
			d.expected(n, "a string")
			return
		}
		v.SetString(n.Text())
		return
	}
	switch value := n.plain().(type) {
	case nil:
		v.SetZero()
	case bool:
		if v.Kind() != reflect.Bool {
			d.expected(n, wanted(v))
			return
		}
		v.SetBool(value)
	case int, int64, uint64, float64:
		if !setNumber(v, reflect.ValueOf(value)) {
			d.expected(n, wanted(v))
		}
	default:
		d.expected(n, wanted(v))
	}
}

// plain returns the scalar as Go data; a string is parsed as if it had no
// quotes.
func (n *Node) plain() any {
	if n.kind != String || n.text == "" {
		return n.typed()
	}
	var v any
	y := yaml.Node{Kind: yaml.ScalarNode, Value: n.text}
	if err := y.Decode(&v); err != nil || v == nil {
		return n.text
	}
	return v
}

// wanted describes the values that a kind of field accepts.
func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if bits := v.Type().Bits(); bits < 64 {
			return fmt.Sprintf("an integer between %d and %d", -1<<(bits-1), 1<<(bits-1)-1)
		}
		return "an integer"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if bits := v.Type().Bits(); bits < 64 {
			return fmt.Sprintf("an integer between 0 and %d", 1<<bits-1)
		}
		return "an integer that is not negative"
	}
	panic("conf: cannot decode into " + v.Type().String())
}

// setNumber stores an int, int64, uint64 or float64 if v can hold it without
// loss.
func setNumber(v, number reflect.Value) bool {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		v.SetFloat(number.Convert(reflect.TypeFor[float64]()).Float())
		return true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, ok := asInt(number)
		if !ok || v.OverflowInt(i) {
			return false
		}
		v.SetInt(i)
		return true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, ok := asUint(number)
		if !ok || v.OverflowUint(u) {
			return false
		}
		v.SetUint(u)
		return true
	}
	return false
}

func asInt(number reflect.Value) (int64, bool) {
	switch {
	case number.CanInt():
		return number.Int(), true
	case number.CanUint():
		return int64(number.Uint()), number.Uint() <= math.MaxInt64
	}
	f := number.Float()
	return int64(f), f == math.Trunc(f) && math.Abs(f) < 1<<63
}

func asUint(number reflect.Value) (uint64, bool) {
	switch {
	case number.CanInt():
		return uint64(number.Int()), number.Int() >= 0
	case number.CanUint():
		return number.Uint(), true
	}
	f := number.Float()
	return uint64(f), f == math.Trunc(f) && f >= 0 && f < 1<<64
}
