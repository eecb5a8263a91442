package functions

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/ottl"
)

var deleteKey = targetMap("delete_key", ottl.P("target", "key"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	key, err := a.String(1)
	return func(e *env, m *ottl.Map) error {
		k, err := key(e)
		if err != nil {
			return err
		}
		if i := m.FindBytes(k.Bytes()); i >= 0 {
			m.DeleteAt(i)
		}
		return nil
	}, err
})

var deleteMatchingKeys = matchingKeys("delete_matching_keys", true)

var keepMatchingKeys = matchingKeys("keep_matching_keys", false)

// matchingKeys returns an editor that deletes the keys that match a pattern, or the others.
func matchingKeys(name string, matching bool) ottl.Function {
	return targetMap(name, ottl.P("target", "pattern"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
		keys, err := regexpArg(a, 1)
		return func(e *env, m *ottl.Map) error {
			p, err := keys.pattern(e)
			if err != nil {
				return err
			}
			for i := range m.Len() {
				if m.Live(i) && p.Match(m.Key(i)) == matching {
					m.DeleteAt(i)
				}
			}
			return nil
		}, err
	})
}

var keepKeys = targetMap("keep_keys", ottl.P("target", "keys"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	arg, err := keySetArg(a, 1)
	return func(e *env, m *ottl.Map) error {
		keys, err := arg.of(e)
		if err != nil {
			return err
		}
		for i := range m.Len() {
			if m.Live(i) && !keys.has(m.Key(i)) {
				m.DeleteAt(i)
			}
		}
		return nil
	}, err
})

var limit = targetMap("limit", ottl.P("target", "limit", "priority_keys"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	most, err := a.LiteralInt(1, 0)
	if err != nil {
		return nil, err
	}
	keys, err := a.LiteralStrings(2)
	switch {
	case err != nil:
		return nil, err
	case most < 0:
		return nil, a.Errorf(1, "expected a limit of at least 0, found %d", most)
	case most < int64(len(keys)):
		return nil, a.Errorf(1, "expected a limit of at least the number of priority keys %d, found %d", len(keys), most)
	}
	priority := newKeySet(keys)
	return func(e *env, m *ottl.Map) error {
		if int64(m.Count()) <= most {
			return nil
		}
		room := most
		for _, k := range keys {
			if m.Find(k) >= 0 {
				room--
			}
		}
		for i := range m.Len() {
			switch {
			case !m.Live(i) || priority.has(m.Key(i)):
			case room > 0:
				room--
			default:
				m.DeleteAt(i)
			}
		}
		return nil
	}, nil
})

var mergeMaps = targetMap("merge_maps", ottl.P("target", "source", "strategy"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	source, err := a.Map(1)
	if err != nil {
		return nil, err
	}
	strategy, err := oneOf(a, 2, "", "insert", "update", "upsert")
	insert, update := strategy != "update", strategy != "insert"
	return func(e *env, m *ottl.Map) error {
		from, err := source(e)
		if err != nil {
			return err
		}
		for k, v := range e.Pairs(from) {
			switch i := m.FindBytes(k); {
			case i >= 0 && update:
				m.SetAt(i, v)
			case i < 0 && insert:
				m.AddBytes(k, v)
			}
		}
		return nil
	}, err
})

var truncateAll = targetMap("truncate_all", ottl.P("target", "limit", "utf8_safe?", "truncation_marker?"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	most, err := a.LiteralInt(1, 0)
	if err != nil {
		return nil, err
	}
	whole, err := a.LiteralBool(2, true)
	if err != nil {
		return nil, err
	}
	marker, err := a.LiteralString(3, "")
	switch {
	case err != nil:
		return nil, err
	case most < 0:
		return nil, a.Errorf(1, "expected a limit of at least 0, found %d", most)
	case int64(len(marker)) > most:
		return nil, a.Errorf(3, "expected at most the limit of %d bytes, found %d", most, len(marker))
	}
	return func(e *env, m *ottl.Map) error {
		for i := range m.Len() {
			if !m.Live(i) {
				continue
			}
			v := m.Value(i)
			if text := v.Bytes(); v.Kind() == ottl.KindString && int64(len(text)) > most {
				m.SetAt(i, ottl.OfText(truncated(e, text, int(most)-len(marker), whole, marker)))
			}
		}
		return nil
	}, nil
})

// truncated returns the first bytes of a text, of whole characters, with a marker behind.
func truncated(e *env, text []byte, at int, whole bool, marker string) []byte {
	for whole && at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	if marker == "" {
		return text[:at:at]
	}
	return append(append(e.Scratch(at+len(marker)), text[:at]...), marker...)
}

var stringifyAll = targetMap("stringify_all", ottl.P("target"), func(*ottl.Args) (func(*env, *ottl.Map) error, error) {
	return func(e *env, m *ottl.Map) error {
		for i := range m.Len() {
			if !m.Live(i) {
				continue
			}
			if v := m.Value(i); v.Kind() != ottl.KindString {
				m.SetAt(i, e.Text(v))
			}
		}
		return nil
	}, nil
})

var clearTarget = ottl.Function{Name: "clear", Params: ottl.P("target"), Edit: func(a *ottl.Args) (func(*env) error, error) {
	target, err := a.Target(0)
	return func(e *env) error {
		v, err := target.Get(e)
		if err != nil {
			return err
		}
		return target.Set(e, emptied(v))
	}, err
}}

// emptied returns the empty value of the kind of v.
func emptied(v value) value {
	switch v.Kind() {
	case ottl.KindBool:
		return ottl.OfBool(false)
	case ottl.KindInt:
		return ottl.OfInt(0)
	case ottl.KindDouble:
		return ottl.OfDouble(0)
	case ottl.KindString, ottl.KindBytes:
		return ottl.OfBytes(v.Kind(), nil)
	case ottl.KindMap, ottl.KindList:
		return ottl.OfFields(v.Kind(), nil)
	case ottl.KindTime:
		return ottl.OfTime(time.Unix(0, 0))
	case ottl.KindDuration:
		return ottl.OfDuration(0)
	case ottl.KindTraceID, ottl.KindProfileID:
		return ottl.OfBytes(v.Kind(), make([]byte, 16))
	case ottl.KindSpanID:
		return ottl.OfBytes(v.Kind(), make([]byte, 8))
	}
	return value{}
}

var keys = mapFunction("Keys", func(b *ottl.ListBuilder, k []byte, _ value) { b.Add(ottl.OfText(k)) })

var values = mapFunction("Values", func(b *ottl.ListBuilder, _ []byte, v value) { b.Add(v) })

// mapFunction returns a converter that makes a list of a map.
func mapFunction(name string, add func(b *ottl.ListBuilder, k []byte, v value)) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("target"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
		target, err := a.Map(0)
		return func(e *env) (value, error) {
			m, err := target(e)
			if err != nil {
				return value{}, err
			}
			var b ottl.ListBuilder
			for k, v := range e.Pairs(m) {
				add(&b, k, v)
			}
			return b.Value(), nil
		}, err
	}}
}

var flatten = targetMap("flatten", ottl.P("target", "prefix?", "depth?", "resolve_conflicts?"), func(a *ottl.Args) (func(*env, *ottl.Map) error, error) {
	prefix, err := a.LiteralString(1, "")
	if err != nil {
		return nil, err
	}
	depth, err := a.LiteralInt(2, 1<<62)
	if err != nil {
		return nil, err
	}
	if depth < 1 {
		return nil, a.Errorf(2, "expected a depth of at least 1, found %d", depth)
	}
	resolve, err := a.LiteralBool(3, false)
	return func(e *env, m *ottl.Map) error {
		if prefix == "" && !hasNested(m) {
			return nil
		}
		f := flattener{e: e, depth: depth, resolve: resolve, index: map[string]int{}}
		start := prefix
		if start != "" {
			start += "."
		}
		for i := range m.Len() {
			if m.Live(i) {
				f.value(start, string(m.Key(i)), m.Value(i), 0)
			}
		}
		m.Clear()
		for i, k := range f.keys {
			m.Add(k, f.values[i])
		}
		return nil
	}, err
})

// hasNested reports whether a map has maps or lists.
func hasNested(m *ottl.Map) bool {
	for i := range m.Len() {
		if m.Live(i) {
			if k := m.Value(i).Kind(); k == ottl.KindMap || k == ottl.KindList {
				return true
			}
		}
	}
	return false
}

// flattener collects the entries of a map of maps and lists.
type flattener struct {
	e       *env
	depth   int64
	resolve bool
	keys    []string
	values  []value
	index   map[string]int // of keys
	repeats map[string]int // how often a key was there before
}

// value adds an entry whose key is behind prefix. depth is how many maps and lists it is in.
func (f *flattener) value(prefix, key string, v value, depth int64) {
	switch {
	case v.Kind() == ottl.KindMap && depth < f.depth:
		f.pairs(prefix+key, v, depth+1)
	case v.Kind() == ottl.KindList && depth < f.depth:
		i := 0
		for item := range f.e.Items(v) {
			name := prefix + key + "." + strconv.Itoa(i)
			switch {
			case item.Kind() == ottl.KindMap && depth+1 < f.depth:
				f.pairs(name, item, depth+2)
			case item.Kind() == ottl.KindList && depth+1 < f.depth:
				f.items(name, item, depth+2)
			case f.resolve:
				f.put(prefix+key, item)
			default:
				f.put(name, item)
			}
			i++
		}
	default:
		f.put(prefix+key, v)
	}
}

func (f *flattener) pairs(prefix string, m value, depth int64) {
	if prefix != "" {
		prefix += "."
	}
	for k, v := range f.e.Pairs(m) {
		f.value(prefix, string(k), v, depth)
	}
}

// items adds the elements of a list in a list. There is no point between the two indices.
func (f *flattener) items(prefix string, l value, depth int64) {
	i := 0
	for v := range f.e.Items(l) {
		f.value(prefix, strconv.Itoa(i), v, depth+1)
		i++
	}
}

// put adds an entry, or replaces the one with this key. With resolve, it gets another key.
func (f *flattener) put(key string, v value) {
	i, repeated := f.index[key]
	if repeated && !f.resolve {
		f.values[i] = v
		return
	}
	if repeated {
		if f.repeats == nil {
			f.repeats = map[string]int{}
		}
		n := f.repeats[key]
		f.repeats[key]++
		key += "." + strconv.Itoa(n)
		if i, ok := f.index[key]; ok {
			f.values[i] = v
			return
		}
	}
	f.index[key] = len(f.keys)
	f.keys, f.values = append(f.keys, key), append(f.values, v)
}

var toKeyValueString = ottl.Function{Name: "ToKeyValueString", Params: ottl.P("target", "delimiter?", "pair_delimiter?", "sort_output?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.Map(0)
	if err != nil {
		return nil, err
	}
	pairs, err := pairsArg(a)
	if err != nil {
		return nil, err
	}
	sorted, err := a.LiteralBool(3, false)
	return func(e *env) (value, error) {
		v, err := target(e)
		if err != nil {
			return value{}, err
		}
		entries := e.Entries(nil, v)
		if sorted {
			slices.SortStableFunc(entries, func(a, b ottl.Entry) int { return bytes.Compare(a.Key, b.Key) })
		}
		dst := e.Scratch(len(v.Bytes()) + 64)
		for i, x := range entries {
			if i > 0 {
				dst = append(dst, pairs.PairDelimiter...)
			}
			dst = pairs.AppendPair(dst, x.Key, e.Text(x.Value).Bytes())
		}
		return ottl.OfText(dst), nil
	}, err
}}

var sliceToMap = ottl.Function{Name: "SliceToMap", Params: ottl.P("target", "key_path?", "value_path?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.List(0)
	if err != nil {
		return nil, err
	}
	keyPath, err := pathArg(a, 1)
	if err != nil {
		return nil, err
	}
	valuePath, err := pathArg(a, 2)
	return func(e *env) (value, error) {
		l, err := target(e)
		if err != nil {
			return value{}, err
		}
		var u uniqueMap
		i := 0
		for item := range e.Items(l) {
			key := strconv.AppendInt(nil, int64(i), 10)
			if keyPath != nil {
				k, err := within(e, item, keyPath)
				if err == nil && k.Kind() != ottl.KindString {
					err = unsupported(k, "string")
				}
				if err != nil {
					return value{}, errorf("the key of element %d: %w", i, err)
				}
				key = k.Bytes()
			}
			if valuePath != nil {
				if item, err = within(e, item, valuePath); err != nil {
					return value{}, errorf("the value of element %d: %w", i, err)
				}
			}
			u.put(key, item)
			i++
		}
		return u.value(), nil
	}, err
}}

// pathArg returns argument i, the keys of a path, nil if it was not given.
func pathArg(a *ottl.Args, i int) ([]string, error) {
	if !a.Has(i) {
		return nil, nil
	}
	path, err := a.LiteralStrings(i)
	if err == nil && len(path) == 0 {
		err = a.Errorf(i, "expected at least one key")
	}
	return path, err
}

// within returns what a path of keys names in a map.
func within(e *env, v value, path []string) (value, error) {
	for _, key := range path {
		if v.Kind() != ottl.KindMap {
			return v, unsupported(v, "map")
		}
		found := false
		for k, inner := range e.Pairs(v) {
			if found = string(k) == key; found {
				v = inner
				break
			}
		}
		if !found {
			return v, errorf("there is no %s", strings.Join(path, "."))
		}
	}
	return v, nil
}

// uniqueMap makes a map, where the last value of a key counts.
type uniqueMap struct {
	entries []ottl.Entry
	index   map[string]int // if there are many
}

func (u *uniqueMap) put(key []byte, v value) {
	if u.index == nil && len(u.entries) >= 32 {
		u.index = make(map[string]int, 64)
		for i, x := range u.entries {
			u.index[string(x.Key)] = i
		}
	}
	i := -1
	if u.index != nil {
		if at, ok := u.index[string(key)]; ok {
			i = at
		} else {
			u.index[string(key)] = len(u.entries)
		}
	} else {
		i = slices.IndexFunc(u.entries, func(x ottl.Entry) bool { return bytes.Equal(x.Key, key) })
	}
	if i >= 0 {
		u.entries[i].Value = v
		return
	}
	u.entries = append(u.entries, ottl.Entry{Key: key, Value: v})
}

func (u *uniqueMap) value() value {
	var b ottl.MapBuilder
	for _, x := range u.entries {
		b.Add(x.Key, x.Value)
	}
	return b.Value()
}
