package otlp

import (
	"fmt"
)

// maxUnknownDepth is the maximum nesting inside the value of an unknown field.
const maxUnknownDepth = 512

var errUnknownDepth = fmt.Errorf("unknown field nested deeper than %d levels", maxUnknownDepth)

// skip reads the value of an unknown field, of any type, and returns the index
// after it.
func (d *jsonDecoder) skip(i int) int {
	d.between = true
	if i = d.skipValue(i); i != failed {
		d.between = false
	}
	return i
}

// skipValue is a loop without recursion. Its stack of the open objects and lists has
// one bit for each: 1 for an object, 0 for a list.
func (d *jsonDecoder) skipValue(i int) int {
	var open [maxUnknownDepth / 64]uint64
	for depth := 0; ; {
		if i >= d.lookAt && d.looks(i) == failed {
			return failed
		}
		i = skipSpace(d.text, i)
		if i < len(d.text) && (d.text[i] == '{' || d.text[i] == '[') {
			if depth == maxUnknownDepth {
				return d.fail(i, errUnknownDepth)
			}
			isObject := d.text[i] == '{'
			word, bit := depth/64, uint64(1)<<(depth%64)
			open[word] &^= bit
			if isObject {
				open[word] |= bit
			}
			depth++
			next, entered := d.skipOpen(isObject, i+1)
			if next == failed {
				return failed
			}
			if i = next; entered {
				continue
			}
			depth--
		} else if i = d.skipScalar(i); i == failed {
			return failed
		}
		// After a value: go to the next one, and leave what ends here.
		for more := false; !more; {
			if depth == 0 {
				return i
			}
			isObject := open[(depth-1)/64]>>((depth-1)%64)&1 != 0
			if i, more = d.skipNext(isObject, i); i == failed {
				return failed
			}
			if !more {
				depth--
			}
		}
	}
}

// skipOpen continues after { or [: to the first value, or past the end if there is
// none.
func (d *jsonDecoder) skipOpen(isObject bool, i int) (next int, entered bool) {
	i = skipSpace(d.text, i)
	if i < len(d.text) && (isObject && d.text[i] == '}' || !isObject && d.text[i] == ']') {
		return i + 1, false
	}
	if isObject {
		i = d.skipKey(i)
	}
	return i, true
}

// skipNext continues after a value: to the next one, or past the end.
func (d *jsonDecoder) skipNext(isObject bool, i int) (next int, more bool) {
	i = skipSpace(d.text, i)
	switch {
	case i == len(d.text):
	case isObject && d.text[i] == '}', !isObject && d.text[i] == ']':
		return i + 1, false
	case isObject && d.text[i] == ',':
		return d.skipKey(skipSpace(d.text, i+1)), true
	case d.text[i] == ',':
		return i + 1, true
	}
	if isObject {
		return d.expected(i, "a comma or the end of the object"), false
	}
	return d.expected(i, "a comma or the end of the list"), false
}

func (d *jsonDecoder) skipKey(i int) int {
	if i >= len(d.text) || d.text[i] != '"' {
		return d.expected(i, "a key")
	}
	if i = d.skipString(i); i == failed {
		return failed
	}
	if i = skipSpace(d.text, i); i == len(d.text) || d.text[i] != ':' {
		return d.expected(i, "a colon")
	}
	return i + 1
}

func (d *jsonDecoder) skipScalar(i int) int {
	if i == len(d.text) {
		return d.expected(i, "a value")
	}
	switch d.text[i] {
	case '"':
		return d.skipString(i)
	case 'n':
		return d.literal(i, "null")
	case 't':
		return d.literal(i, "true")
	case 'f':
		return d.literal(i, "false")
	}
	_, next := splitNumber(d.text, i)
	if next == i {
		if d.text[i] == '-' || d.text[i]-'0' <= 9 {
			return d.fail(i, errNumber)
		}
		return d.expected(i, "a value")
	}
	return next
}

func (d *jsonDecoder) skipString(i int) int {
	for i++; ; {
		end := plainEnd(d.text, i)
		switch {
		case end == len(d.text) || d.text[end] < ' ':
			return d.badString(end)
		case d.text[end] == '"':
			return end + 1
		}
		if _, i = d.escape(end); i == failed {
			return failed
		}
	}
}
