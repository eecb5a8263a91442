package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

// maxShortJSON is the length up to which a value is on one line, so that most attributes are
// a line of a diff. A list of objects never is: one more does not change the other lines.
const maxShortJSON = 100

// canonical returns requests as JSON with sorted keys, one after the other.
func canonical(s otlp.Signal, requests [][]byte) (string, error) {
	var all []byte
	for _, r := range requests {
		value, err := jsonValue(s, r)
		if err == nil {
			all, err = appendJSON(all, value, "")
		}
		if err != nil {
			return "", fmt.Errorf("show a %s request: %w", s, err)
		}
		all = append(all, '\n')
	}
	return string(all), nil
}

// jsonValue returns a request as a value whose encoding has sorted keys.
func jsonValue(s otlp.Signal, request []byte) (value any, err error) {
	dec := json.NewDecoder(bytes.NewReader(otlp.AppendJSON(nil, s, request)))
	dec.UseNumber()
	err = dec.Decode(&value)
	return value, err
}

func jsonValues(s otlp.Signal, requests [][]byte) ([]any, error) {
	all := []any{}
	for _, r := range requests {
		value, err := jsonValue(s, r)
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}

// appendJSON appends a value, on one line if it is short.
func appendJSON(dst []byte, v any, indent string) ([]byte, error) {
	short, err := shortJSON(v)
	if err != nil || len(short) <= maxShortJSON && !listsObjects(v) {
		return append(dst, short...), err
	}
	inner := indent + "  "
	switch v := v.(type) {
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = append(append(dst, separator(i)...), inner...)
			if dst, err = appendJSON(dst, e, inner); err != nil {
				return dst, err
			}
		}
		return append(dst, "\n"+indent+"]"...), nil
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			name, err := shortJSON(key)
			if err != nil {
				return dst, err
			}
			dst = append(append(append(append(dst, separator(i)...), inner...), name...), ": "...)
			if dst, err = appendJSON(dst, v[key], inner); err != nil {
				return dst, err
			}
		}
		return append(dst, "\n"+indent+"}"...), nil
	}
	return append(dst, short...), nil // a long text
}

// listsObjects reports whether a value has a list of objects in it.
func listsObjects(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { _, ok := e.(map[string]any); return ok || listsObjects(e) })
	case map[string]any:
		for _, e := range v {
			if listsObjects(e) {
				return true
			}
		}
	}
	return false
}

// separator is between what comes before element i and its line.
func separator(i int) string {
	if i == 0 {
		return "\n"
	}
	return ",\n"
}

// shortJSON returns a value on one line.
func shortJSON(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimRight(b.String(), "\n"), err
}
