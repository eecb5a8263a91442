package conf

import "reflect"

// A Validator checks itself after decoding. Decode calls it on the target and on every value in
// it, mentioned in the YAML or not, parts before the whole; absent pointers and Optionals that
// are not present are left out. Use [At] to report a problem at one of the fields, and
// errors.Join for several.
type Validator interface {
	Validate() error
}

// validate calls the Validate methods in v, which stands at p.
func (d *decoder) validate(p place, v reflect.Value) {
	switch held := v.Interface().(type) {
	case *Node:
		return
	case interface{ inner() any }: // an Optional
		v = reflect.ValueOf(held.inner())
	}
	if v.Kind() == reflect.Pointer {
		if !v.IsNil() {
			d.validate(p, v.Elem())
		}
		return
	}
	if !v.CanAddr() { // the value of a map
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		v = c
	}
	d.validateParts(p, v)
	if target, ok := v.Addr().Interface().(Validator); ok {
		d.errs.locate(p, target.Validate())
	}
}

func (d *decoder) validateParts(p place, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, inline, ok := fieldKey(f)
			switch {
			case !ok:
			case inline && !f.IsExported(): // embedded; its Validate is v's own
				d.validateParts(p, v.Field(i))
			case inline:
				d.validate(p, v.Field(i))
			default:
				d.validate(p.child(name), v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			d.validate(p.item(i), v.Index(i))
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			d.validate(p.entry(entries.Key()), entries.Value())
		}
	}
}
