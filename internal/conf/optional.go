package conf

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// An Optional is a section that may be there or not, with the Collector's rules:
//
//	declared as       key absent    null             {} or {...}       {enabled: false, ...}
//	None (zero value) none          none             present           none
//	Default(v)        none          present, is v    present, over v   none
//
// The section takes a key "enabled" for this; T must not have one of its own. An Optional that
// is no struct is none when it is null.
type Optional[T any] struct {
	value T
	state optionalState
}

type optionalState uint8

const (
	none         optionalState = iota
	defaultValue               // none until the key is there
	some
)

// None returns an Optional without a value, which is also the zero value.
func None[T any]() Optional[T] { return Optional[T]{} }

// Default returns an Optional without a value that becomes v, and what the YAML says, once its key is there.
func Default[T any](v T) Optional[T] { return Optional[T]{value: v, state: defaultValue} }

// Some returns an Optional that is present.
func Some[T any](v T) Optional[T] { return Optional[T]{value: v, state: some} }

// Get returns the value, or nil if there is none.
func (o *Optional[T]) Get() *T {
	if o.state != some {
		return nil
	}
	return &o.value
}

// HasValue tells whether there is a value.
func (o Optional[T]) HasValue() bool { return o.state == some }

// IsZero makes the omitempty of yaml and the omitzero of json leave out what is not present.
func (o Optional[T]) IsZero() bool { return o.state != some }

func (o Optional[T]) inner() any { return o.Get() }

// DecodeConf implements [Decoder].
func (o *Optional[T]) DecodeConf(n *Node) error {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Struct {
		if _, clash := fieldsOf(t)["enabled"]; clash {
			panic("conf: " + t.String() + " in an Optional has a key \"enabled\" of its own")
		}
	}
	if n.kind == Null && (o.state == none || t.Kind() != reflect.Struct) {
		*o = None[T]()
		return nil
	}
	enabled := true
	d := &decoder{}
	if flag := n.Get("enabled"); flag != nil && t.Kind() == reflect.Struct {
		if flag.kind == Null {
			d.expected(flag, "true or false")
		} else {
			d.value(flag, reflect.ValueOf(&enabled).Elem())
		}
		n = n.without("enabled")
	}
	if o.state == none {
		o.value = fresh(t).Interface().(T)
	}
	d.value(n, reflect.ValueOf(&o.value).Elem()) // also if not enabled: a misspelt key there is a mistake all the same
	o.state = some
	if !enabled {
		*o = None[T]()
	}
	return d.errs.Err()
}

// without returns a copy of a map without one key.
func (n *Node) without(key string) *Node {
	rest := *n
	rest.children = nil
	for _, c := range n.children {
		if c.key != key {
			rest.children = append(rest.children, c)
		}
	}
	return &rest
}

// MarshalYAML implements yaml.Marshaler: the value, or null.
func (o Optional[T]) MarshalYAML() (any, error) {
	if o.state != some {
		return nil, nil
	}
	return o.value, nil
}

// MarshalJSON implements json.Marshaler: the value, or null.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.state != some {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// Format implements fmt.Formatter. Without it, fmt would reach into the unexported value
// and print an Opaque there as it is.
func (o Optional[T]) Format(f fmt.State, verb rune) {
	if o.state != some {
		fmt.Fprint(f, "none")
		return
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), o.value)
}
