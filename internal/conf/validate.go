package conf

import (
	"reflect"

	"github.com/penstock-telemetry/penstock/config"
)

// validate calls the Validate methods in v, whose place is p.
func (d *decoder) validate(p place, v reflect.Value) {
	if _, isNode := v.Interface().(*Node); isNode {
		return
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
	if target, ok := v.Addr().Interface().(config.Validator); ok {
		locate(&d.errs, p, target.Validate())
	}
}

func (d *decoder) validateParts(p place, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			tag, ok := tagOfField(f)
			switch {
			case !ok:
			case tag.inline && !f.IsExported(): // embedded; its Validate is promoted to v
				d.validateParts(p, v.Field(i))
			case tag.inline:
				d.validate(p, v.Field(i))
			default:
				d.validate(p.child(tag.name), v.Field(i))
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
