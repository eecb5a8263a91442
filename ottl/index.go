package ottl

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// key is what stands between brackets. An expression is evaluated for each item.
type key struct {
	kind  Kind // KindString, KindInt, or KindNil for an expression
	text  string
	index int64
	expr  Getter
}

var errKey = errors.New("expected a key that is a string or an integer")

// value returns the key, which is a string or an integer.
func (k *key) value(e *Env) (Value, error) {
	switch k.kind {
	case KindString:
		return Value{kind: KindString}, nil // its text is k.text
	case KindInt:
		return OfInt(k.index), nil
	}
	v, err := k.expr(e)
	if err == nil && v.kind != KindString && v.kind != KindInt {
		err = errKey
	}
	return v, err
}

// name returns a key of a map.
func (k *key) name(e *Env) (string, error) {
	if k.kind == KindString {
		return k.text, nil
	}
	if k.kind == KindNil {
		v, err := k.expr(e)
		if err != nil {
			return "", err
		}
		if v.kind == KindString {
			return string(v.bytes), nil
		}
	}
	return "", errors.New("a map has keys that are strings")
}

// position returns an index of a list.
func (k *key) position(e *Env) (int64, error) {
	switch k.kind {
	case KindInt:
		return k.index, nil
	case KindNil:
		v, err := k.expr(e)
		if err != nil {
			return 0, err
		}
		if v.kind == KindInt {
			return v.Int(), nil
		}
	}
	return 0, errors.New("a list has keys that are integers")
}

// index returns what keys name in v, Nil for a key that a map does not have.
func (e *Env) index(v Value, keys []key) (Value, error) {
	for i := range keys {
		var raw []byte
		switch v.kind {
		case KindMap:
			name, err := keys[i].name(e)
			if err != nil {
				return Value{}, err
			}
			_, raw = e.findKey(v.bytes, name)
			if raw == nil {
				return Value{}, nil
			}
		case KindList:
			at, err := keys[i].position(e)
			if err != nil {
				return Value{}, err
			}
			if raw, _, _ = findElement(v.bytes, at); raw == nil {
				return Value{}, fmt.Errorf("index %d is out of bounds", at)
			}
		default:
			return Value{}, fmt.Errorf("a value that is %s has no keys", v.kind)
		}
		v = e.decode(raw)
	}
	return v, nil
}

// findKey returns the first entry of a KeyValueList with a key, and its value, which is
// not nil.
func (e *Env) findKey(list []byte, name string) (c wire.Cursor, value []byte) {
	for c = (wire.Cursor{Buf: list}); c.Next(); {
		if c.Num != otlpfield.KeyValueListValues || c.Type != wire.TypeBytes {
			continue
		}
		f := otlp.KeyValue(c.Bytes).Decode()
		k := f.Key
		if len(k) == 0 && f.KeyStrindex != 0 {
			k = e.dictionaryString(f.KeyStrindex)
		}
		if string(k) == name {
			if f.Value == nil {
				return c, []byte{}
			}
			return c, f.Value
		}
	}
	return c, nil
}

// findElement returns an element of an ArrayValue, nil if there is none, and where its
// field is.
func findElement(list []byte, at int64) (value []byte, start, end int) {
	if at < 0 {
		return nil, 0, 0
	}
	for c := (wire.Cursor{Buf: list}); c.Next(); {
		if c.Num != otlpfield.ArrayValueValues || c.Type != wire.TypeBytes {
			continue
		}
		if at == 0 {
			return c.Bytes, c.Start, c.End
		}
		at--
	}
	return nil, 0, 0
}

// maxIndex bounds the lists that are made by setting an element of what is empty.
const maxIndex = 10_000

// placed returns the AnyValue old with v in the place that keys name in it, made in a.
// What is empty becomes a map or a list by its key.
func (e *Env) placed(a *arena, old []byte, keys []key, v Value) ([]byte, error) {
	if len(keys) == 0 {
		return a.encode(v), nil
	}
	was := e.decode(old)
	switch was.kind {
	case KindMap:
		return e.placedKey(a, was, keys, v)
	case KindList:
		return e.placedElement(a, was, keys, v)
	case KindNil:
		k, err := keys[0].value(e)
		if err != nil {
			return nil, err
		}
		if k.kind == KindString {
			return e.placedKey(a, OfFields(KindMap, nil), keys, v)
		}
		n := k.Int()
		if n > maxIndex {
			return nil, fmt.Errorf("index %d is more than %d", n, maxIndex)
		}
		return e.placedElement(a, OfFields(KindList, e.emptyElements(n+1)), keys, v)
	}
	return nil, fmt.Errorf("a value that is %s has no keys", was.kind)
}

// emptyElements returns an ArrayValue of n empty values.
func (e *Env) emptyElements(n int64) []byte {
	enc, mark := e.scratch.room(int(max(n, 0)) * 2)
	if enc == nil {
		return nil
	}
	for range n {
		enc.Bytes(otlpfield.ArrayValueValues, nil)
	}
	return e.scratch.since(mark)
}

func (e *Env) placedKey(a *arena, was Value, keys []key, v Value) ([]byte, error) {
	name, err := keys[0].name(e)
	if err != nil {
		return nil, err
	}
	c, value := e.findKey(was.bytes, name)
	now, err := e.placed(a, value, keys[1:], v)
	if err != nil {
		return nil, err
	}
	enc, mark := a.room(len(was.bytes) + len(name) + len(now) + 64)
	if enc == nil {
		return nil, a.err
	}
	entry := mapEntry{key: []byte(name), value: now, state: entrySet}
	start, end := len(was.bytes), len(was.bytes)
	if value != nil {
		entry.raw, start, end = c.Bytes, c.Start, c.End
	}
	outer := enc.Open(otlpfield.AnyValueKvlistValue)
	enc.Raw(was.bytes[:start])
	entry.append(enc, otlpfield.KeyValueListValues)
	enc.Raw(was.bytes[end:])
	enc.Close(outer)
	return a.since(mark), nil
}

func (e *Env) placedElement(a *arena, was Value, keys []key, v Value) ([]byte, error) {
	at, err := keys[0].position(e)
	if err != nil {
		return nil, err
	}
	value, start, end := findElement(was.bytes, at)
	if value == nil {
		return nil, fmt.Errorf("index %d is out of bounds", at)
	}
	now, err := e.placed(a, value, keys[1:], v)
	if err != nil {
		return nil, err
	}
	enc, mark := a.room(len(was.bytes) + len(now) + 64)
	if enc == nil {
		return nil, a.err
	}
	outer := enc.Open(otlpfield.AnyValueArrayValue)
	enc.Raw(was.bytes[:start])
	enc.Bytes(otlpfield.ArrayValueValues, now)
	enc.Raw(was.bytes[end:])
	enc.Close(outer)
	return a.since(mark), nil
}
