package config

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Header is one header to send. Its value may be a secret and is printed as
// [REDACTED].
type Header struct {
	Name  string `yaml:"name"`
	Value Secret `yaml:"value"`
}

// Headers are headers to send with every request, written in a configuration
// as a map of names to values, or as a list of name and value.
type Headers []Header

// DecodeConfig implements Decoder.
func (h *Headers) DecodeConfig(v Value) error {
	switch v.Kind() {
	case Null:
		return nil
	case List:
		type plain Headers
		return v.Decode((*plain)(h))
	case Map:
	default:
		return v.Errorf("expected a map of header names to values")
	}
	var problems Errors
	all := Headers{}
	for entry := range v.Values() {
		header := Header{Name: entry.Key()}
		problems.Add(entry.Decode(&header.Value))
		all = append(all, header)
	}
	*h = all
	return problems.Err()
}

// Validate returns an error for names and values that cannot be sent, and for
// duplicate names.
func (h Headers) Validate() error {
	var problems []error
	seen := make(map[string]bool, len(h))
	for _, header := range h {
		name := strings.ToLower(header.Name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			problems = append(problems, fmt.Errorf("header %q: the name may contain letters, digits and any of !#$%%&'*+-.^_`|~", header.Name))
		case !httpguts.ValidHeaderFieldValue(string(header.Value)):
			problems = append(problems, fmt.Errorf("header %q: the value contains a control character (a line break?)", header.Name))
		case seen[name]:
			problems = append(problems, fmt.Errorf("duplicate header %q; names are case-insensitive", header.Name))
		}
		seen[name] = true
	}
	return errors.Join(problems...)
}

// Get returns the value of the header name, which is case-insensitive; "" if
// there is none.
func (h Headers) Get(name string) string {
	for _, header := range h {
		if strings.EqualFold(header.Name, name) {
			return string(header.Value)
		}
	}
	return ""
}
