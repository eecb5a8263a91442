package logformat

import (
	"errors"
	"fmt"
	"strings"
)

// cefHeader are the fields between pipes, in their order.
var cefHeader = [...]string{"cef.version", "cef.device_vendor", "cef.device_product", "cef.device_version", "cef.device_event_class_id", "cef.name", "cef.severity"}

// CEF parses a message of the Common Event Format; what stands before CEF: is ignored.
func CEF(message string) (*Map, error) {
	at := strings.Index(message, "CEF:")
	if at < 0 {
		return nil, errors.New("the message has no header \"CEF:\"")
	}
	rest := message[at+len("CEF:"):]
	m := &Map{}
	for i, key := range cefHeader {
		end := pipe(rest)
		last := i == len(cefHeader)-1
		if end < 0 && !last {
			return nil, fmt.Errorf("expected %d fields between pipes, found %d", len(cefHeader), i+1)
		}
		field := rest
		if rest = ""; end >= 0 {
			field, rest = field[:end], field[end+1:]
		}
		if i > 0 {
			field = unescapeWith(field, `|\`, `|\`)
		} else if field == "" {
			return nil, errors.New("the version is empty")
		}
		m.put(key, field)
	}
	extensions := &Map{}
	cefExtensions(rest, extensions)
	m.put("cef.extensions", extensions)
	return m, nil
}

// pipe returns the index of the first pipe that is not escaped, -1 if there is none.
func pipe(s string) int {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '|' || s[i+1] == '\\'):
			i++
		case s[i] == '|':
			return i
		}
	}
	return -1
}

// unescapeWith replaces a backslash and one of the bytes in from by the byte in to.
func unescapeWith(s, from, to string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if k := strings.IndexByte(from, s[i+1]); k >= 0 {
				b = append(b, to[k])
				i++
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// cefExtensions adds key=value …, in which values have spaces: a value ends before the next
// key, which begins the text or is behind a space.
func cefExtensions(s string, m *Map) {
	key, value := "", 0
	found := false
	add := func(end int) {
		if found {
			m.put(key, unescapeWith(strings.TrimRight(s[value:end], " "), `\=nr`, "\\=\n\r"))
		}
	}
	for i := 0; i < len(s); {
		if i > 0 && s[i-1] != ' ' {
			i++
			continue
		}
		n := keyLength(s[i:])
		if n == 0 {
			i++
			continue
		}
		add(i)
		key, found = s[i:i+n], true
		value = i + n + 1
		i = value
	}
	add(len(s))
}

// keyLength returns the length of the key before a = at the beginning of s, 0 if there is
// none.
func keyLength(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '=':
			return i
		case c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'):
			return 0
		}
	}
	return 0
}
