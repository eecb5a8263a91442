package logformat

import (
	"errors"
	"fmt"
	"strings"
)

// elfGrowth is how many times larger than the text its entries may be: a short line has a
// value for each field of a long one.
const elfGrowth = 64

// elfDirectives are the directives that become keys.
var elfDirectives = map[string]string{
	"version": "elf.version", "software": "elf.software", "date": "elf.date",
	"start-date": "elf.start_date", "end-date": "elf.end_date", "remark": "elf.remark",
}

// ELF parses text in the Extended Log Format: directives, and lines with the values of the
// fields that the directive before names. A value that is missing is "-", and more values
// than fields are dropped.
func ELF(text string) (*Map, error) {
	m := &Map{}
	m.put("elf.entries", nil)
	entries, fields := List{}, []string(nil)
	room := elfGrowth*len(text) + 1<<16
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line[0] == '#':
			named, err := m.directive(line[1:])
			if err != nil {
				return nil, err
			}
			if named != nil {
				fields = named
			}
		case len(fields) == 0:
			return nil, errors.New("an entry stands before the directive #Fields")
		default:
			entry, err := elfEntry(line, fields)
			if err != nil {
				return nil, err
			}
			if room -= entry.Size() + len(fields); room < 0 { // fields may have equal names
				return nil, fmt.Errorf("the entries are more than %d times as large as the text", elfGrowth)
			}
			entries = append(entries, entry)
		}
	}
	if m.Get("elf.version") == nil {
		return nil, errors.New("the directive #Version is missing")
	}
	m.put("elf.entries", entries)
	names := List{}
	for _, f := range fields {
		names = append(names, f)
	}
	m.put("elf.fields", names)
	return m, nil
}

// directive sets the key of a directive. It returns the names of #Fields, nil for others.
func (m *Map) directive(text string) (fields []string, err error) {
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		if s := strings.TrimSpace(text); len(s) >= 6 && strings.EqualFold(s[:6], "fields") {
			return nil, errors.New("the directive #Fields has no colon")
		}
		return nil, nil
	}
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	if name == "fields" {
		return append([]string{}, strings.Fields(value)...), nil
	}
	if key := elfDirectives[name]; key != "" {
		m.put(key, value)
	}
	return nil, nil
}

// elfEntry parses a line of values.
func elfEntry(line string, fields []string) (*Map, error) {
	m := &Map{}
	for _, name := range fields {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			m.put(name, "-")
			continue
		}
		value, rest, err := elfValue(line)
		if err != nil {
			return nil, err
		}
		m.put(name, value)
		line = rest
	}
	for line = strings.TrimLeft(line, " \t"); line != ""; line = strings.TrimLeft(line, " \t") {
		var err error
		if _, line, err = elfValue(line); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// elfValue returns the value that a line begins with, which may be quoted; "" stands for a
// quote in it.
func elfValue(line string) (value, rest string, err error) {
	if line[0] != '"' {
		i := strings.IndexAny(line, " \t")
		if i < 0 {
			i = len(line)
		}
		return line[:i], line[i:], nil
	}
	escaped := false
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] != '"':
		case i+1 < len(line) && line[i+1] == '"':
			escaped = true
			i++
		default:
			if value = line[1:i]; escaped {
				value = strings.ReplaceAll(value, `""`, `"`)
			}
			return value, line[i+1:], nil
		}
	}
	return "", "", errors.New("a quoted value has no end")
}
