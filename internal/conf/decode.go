package conf

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// Decode stores the node's value in the variable that v points to. Fields that the YAML does
// not mention keep their values. It returns all problems as an [Errors]. If there are none,
// Decode calls the Validate methods; see [config.Validator].
//
// A struct field has the key of its yaml tag, or its name in lower case; the fields of a struct with
// `yaml:",inline"` belong to the outer struct; a field with `yaml:"-"` is ignored. Beside the basic Go
// kinds and [config.Decoder], a field may be a time.Duration ("5s"), an encoding.TextUnmarshaler, or a
// *Node, which keeps the value for later. A pointer to a struct with the tag `config:"section"` is a
// section that may be absent; see the method section for its rules.
//
// As in the Collector, null sets a scalar to its zero value and does not change structs, maps and
// lists, a map adds to the existing entries, a list replaces the existing one, and a string for a
// []string is split at commas. Unlike in the Collector, null sets a pointer to a struct to its
// defaults, a number or boolean for a text field is used as it is written, and quoted numbers and
// booleans are accepted. Numbers out of range and durations without a unit are errors.
func (n *Node) Decode(v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic("conf: Decode needs a non-nil pointer")
	}
	d := &decoder{}
	if n != nil {
		d.value(n, target.Elem())
	}
	if len(d.errs) == 0 {
		d.validate(place{node: n}, target.Elem())
	}
	return d.errs.Err()
}

// A decoder collects the problems of one Decode.
type decoder struct {
	errs Errors
}

func (d *decoder) expected(n *Node, what string) {
	d.errs.Add(n.Errorf("expected %s, found %s", what, n.found()))
}

// value decodes n into v, which is settable.
func (d *decoder) value(n *Node, v reflect.Value) {
	if len(d.errs) >= maxErrors {
		return
	}
	switch target := v.Addr().Interface().(type) {
	case **Node:
		*target = n
		return
	case config.Decoder:
		locate(&d.errs, place{node: n}, target.DecodeConfig(n))
		return
	case *time.Duration:
		d.duration(n, v)
		return
	case encoding.TextUnmarshaler:
		d.text(n, v, target)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		d.pointer(n, v)
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.slice(n, v)
	case reflect.Interface:
		if v.NumMethod() > 0 {
			panic("conf: cannot decode into " + v.Type().String())
		}
		if raw := n.Raw(); raw != nil {
			v.Set(reflect.ValueOf(raw))
		}
	default:
		d.scalar(n, v)
	}
}

// newValue returns a new value of type t with its defaults.
func newValue(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if target, ok := p.Interface().(config.Defaulter); ok {
		target.SetDefaults()
	}
	return p.Elem()
}

// pointer decodes into a copy of the variable that v points to, so that shared
// defaults do not change.
func (d *decoder) pointer(n *Node, v reflect.Value) {
	elem := v.Type().Elem()
	if n.kind == Null && elem.Kind() != reflect.Struct {
		v.SetZero()
		return
	}
	value := newValue(elem)
	if !v.IsNil() {
		value.Set(v.Elem())
	}
	d.value(n, value)
	v.Set(value.Addr())
}

func (d *decoder) structure(n *Node, v reflect.Value) {
	if n.kind != Map {
		if n.kind != Null {
			d.expected(n, "a map")
		}
		return
	}
	fields := fieldsOf(v.Type())
	for _, c := range n.children {
		if len(d.errs) >= maxErrors {
			return
		}
		if f, ok := fields[c.key]; ok {
			if f.section {
				d.section(c, v.FieldByIndex(f.index))
			} else {
				d.value(c, v.FieldByIndex(f.index))
			}
			continue
		}
		d.errs.Add(c.KeyErrorf("unknown key%s", suggest.Known(c.key, slices.Collect(maps.Keys(fields)))))
	}
}

// section decodes into a pointer to a struct whose presence enables a feature,
// with the Collector's rules. The struct has no key "enabled" itself: the
// section has one.
//
//	the pointer is           key absent  null          {} or {...}            {enabled: false, ...}
//	nil                      nil         nil           present                nil
//	nil, to a Defaulter      nil         the defaults  present, over them     nil
//	not nil                  unchanged   unchanged     present, over its own  nil
func (d *decoder) section(n *Node, v reflect.Value) {
	elem := v.Type().Elem()
	_, hasDefaults := reflect.New(elem).Interface().(config.Defaulter)
	if n.kind == Null && v.IsNil() && !hasDefaults {
		return
	}
	enabled := true
	if flag := n.Get("enabled"); flag != nil {
		if flag.kind == Null {
			d.expected(flag, "true or false")
		} else {
			d.value(flag, reflect.ValueOf(&enabled).Elem())
		}
		n = n.without("enabled")
	}
	d.pointer(n, v) // also if not enabled: a misspelt key is an error in any case
	if !enabled {
		v.SetZero()
	}
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

// A field is the struct field for a key.
type field struct {
	index   []int
	section bool
}

// fieldsOf maps keys to the fields of a struct type, including those of inline
// structs.
func fieldsOf(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := tagOfField(f)
		switch {
		case !ok:
		case tag.inline && f.Type.Kind() != reflect.Struct:
			panic("conf: " + t.String() + "." + f.Name + ": only a struct can be inline")
		case tag.inline:
			for key, inner := range fieldsOf(f.Type) {
				if _, taken := fields[key]; !taken {
					fields[key] = field{append([]int{i}, inner.index...), inner.section}
				}
			}
		default:
			if tag.section {
				checkSection(t, f)
			}
			fields[tag.name] = field{[]int{i}, tag.section}
		}
	}
	return fields
}

// checkSection panics for fields that cannot be sections.
func checkSection(t reflect.Type, f reflect.StructField) {
	if f.Type.Kind() != reflect.Pointer || f.Type.Elem().Kind() != reflect.Struct {
		panic("conf: " + t.String() + "." + f.Name + ": only a pointer to a struct can be a section")
	}
	if _, clash := fieldsOf(f.Type.Elem())["enabled"]; clash {
		panic("conf: " + t.String() + "." + f.Name + " is a section with a key \"enabled\" of its own")
	}
}

// fieldTag is a parsed yaml tag, with the rules of the yaml package.
type fieldTag struct {
	name            string
	inline, section bool
}

func tagOfField(f reflect.StructField) (t fieldTag, ok bool) {
	text := f.Tag.Get("yaml")
	if text == "-" || !f.IsExported() && !f.Anonymous {
		return t, false
	}
	name, flags, _ := strings.Cut(text, ",")
	if name == "" {
		name = strings.ToLower(f.Name)
	}
	t.name = name
	for flag := range strings.SplitSeq(flags, ",") {
		t.inline = t.inline || flag == "inline"
	}
	t.section = f.Tag.Get("config") == "section"
	return t, true
}

// mapping adds n's entries to a copy of the existing map.
func (d *decoder) mapping(n *Node, v reflect.Value) {
	if n.kind != Map {
		if n.kind != Null {
			d.expected(n, "a map")
		}
		return
	}
	t := v.Type()
	m := reflect.MakeMapWithSize(t, v.Len()+len(n.children))
	for entries := v.MapRange(); entries.Next(); {
		m.SetMapIndex(entries.Key(), entries.Value())
	}
	written := make(map[any]*Node, len(n.children))
	for _, c := range n.children {
		key := reflect.New(t.Key()).Elem()
		if !d.key(c, key) {
			continue
		}
		if first, ok := written[key.Interface()]; ok {
			d.errs.Add(c.KeyErrorf("the same key as %q at %s", first.key, first.KeyPos()))
			continue
		}
		written[key.Interface()] = c
		value := newValue(t.Elem())
		d.value(c, value)
		m.SetMapIndex(key, value)
	}
	v.Set(m)
}

// key decodes the node's own key.
func (d *decoder) key(n *Node, v reflect.Value) bool {
	if target, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := target.UnmarshalText([]byte(n.key)); err != nil {
			d.errs.Add(n.KeyErrorf("invalid key: %w", err))
			return false
		}
		return true
	}
	as := &Node{kind: String, text: n.key, at: n.keyAt, keyAt: n.keyAt, parent: n.parent, key: n.key}
	before := len(d.errs)
	d.scalar(as, v)
	return len(d.errs) == before
}

func (d *decoder) slice(n *Node, v reflect.Value) {
	t := v.Type()
	switch {
	case n.kind == Null:
	case n.kind == List:
		s := reflect.MakeSlice(t, len(n.children), len(n.children))
		for i, c := range n.children {
			s.Index(i).Set(newValue(t.Elem()))
			d.value(c, s.Index(i))
		}
		v.Set(s)
	case n.kind == String && t.Elem().Kind() == reflect.String:
		var parts []string
		if n.text != "" {
			parts = strings.Split(n.text, ",")
		}
		s := reflect.MakeSlice(t, len(parts), len(parts))
		for i, part := range parts {
			item := *n
			item.text = part
			d.value(&item, s.Index(i))
		}
		v.Set(s)
	default:
		d.expected(n, "a list")
	}
}

// text decodes a scalar into an encoding.TextUnmarshaler.
func (d *decoder) text(n *Node, v reflect.Value, target encoding.TextUnmarshaler) {
	switch {
	case n.kind == Null:
		v.SetZero()
	case (n.kind == Map || n.kind == List) && n.original == nil:
		d.expected(n, "text")
	default:
		if err := target.UnmarshalText([]byte(n.Text())); err != nil {
			d.errs.Add(n.Errorf("invalid value %s: %w", shorten(n.Text()), err))
		}
	}
}

func (d *decoder) duration(n *Node, v reflect.Value) {
	const what = `a duration such as "5s"`
	switch n.kind {
	case Null:
		v.SetInt(0)
	case String:
		duration, err := time.ParseDuration(n.text)
		if err != nil {
			d.expected(n, what)
			return
		}
		v.SetInt(int64(duration))
	case Int:
		if n.scalar() != 0 {
			d.errs.Add(n.Errorf(`expected %s, found %s without a unit; for seconds write "%[3]ss"`, what, n.found(), n.text))
			return
		}
		v.SetInt(0)
	default:
		d.expected(n, what)
	}
}
