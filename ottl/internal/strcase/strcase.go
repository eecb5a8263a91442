// Package strcase converts names between conventions, as the Collector does: ASCII letters
// only, with digits as words of their own.
package strcase

import "bytes"

// AppendSnake appends a name in snake case: some_name_1.
func AppendSnake(dst, name []byte) []byte {
	name = bytes.TrimSpace(name)
	for i, c := range name {
		lowered := c
		if isUpper(c) {
			lowered += 'a' - 'A'
		}
		if i+1 < len(name) && changes(c, name[i+1]) {
			if isUpper(c) && isLower(name[i+1]) && i > 0 && isUpper(name[i-1]) {
				dst = append(dst, '_') // the last letter of an acronym begins a word: JSONData
			}
			dst = append(dst, lowered)
			if !isUpper(c) || isDigit(name[i+1]) {
				dst = append(dst, '_')
			}
			continue
		}
		if isSeparator(c) {
			lowered = '_'
		}
		dst = append(dst, lowered)
	}
	return dst
}

// changes reports whether a word may end between two characters.
func changes(a, b byte) bool {
	switch {
	case isUpper(a):
		return isLower(b) || isDigit(b)
	case isLower(a):
		return isUpper(b) || isDigit(b)
	case isDigit(a):
		return isUpper(b) || isLower(b)
	}
	return false
}

// AppendCamel appends a name in camel case that begins in upper case: SomeName1.
func AppendCamel(dst, name []byte) []byte {
	begins, afterUpper := true, false
	for _, c := range bytes.TrimSpace(name) {
		upper, lower := isUpper(c), isLower(c)
		switch {
		case begins && lower:
			c -= 'a' - 'A'
		case !begins && afterUpper && upper:
			c += 'a' - 'A'
		}
		afterUpper = upper
		switch {
		case upper || lower:
			dst = append(dst, c)
			begins = false
		case isDigit(c):
			dst = append(dst, c)
			begins = true
		default:
			begins = isSeparator(c)
		}
	}
	return dst
}

func isUpper(c byte) bool     { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool     { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isSeparator(c byte) bool { return c == ' ' || c == '_' || c == '-' || c == '.' }
