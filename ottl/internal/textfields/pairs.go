package textfields

import (
	"bytes"
	"errors"
	"fmt"
)

// Pairs parses and writes pairs of keys and values. Spaces around both are removed.
type Pairs struct {
	Delimiter     string // between a key and its value
	PairDelimiter string // between pairs
}

// Validate checks the delimiters.
func (p Pairs) Validate() error {
	switch {
	case p.Delimiter == "":
		return errors.New("the delimiter is empty")
	case p.PairDelimiter == "":
		return errors.New("the delimiter of pairs is empty")
	case p.Delimiter == p.PairDelimiter:
		return fmt.Errorf("the delimiter %q is also that of pairs", p.Delimiter)
	}
	return nil
}

// AppendParsed appends the pairs of a text as the fields of a KeyValueList. Delimiters in
// single or double quotes are part of the text; the quotes are removed.
func (p Pairs) AppendParsed(dst, text []byte) ([]byte, error) {
	if len(text) == 0 {
		return dst, errors.New("parse pairs: the text is empty")
	}
	pairs, err := p.split(text)
	if err != nil {
		return dst, fmt.Errorf("parse pairs: %w", err)
	}
	var found entries
	for _, pair := range pairs {
		key, value, ok := bytes.Cut(pair, []byte(p.Delimiter))
		if !ok {
			return dst, fmt.Errorf("parse pairs: %q has no %q", pair[:min(len(pair), 100)], p.Delimiter)
		}
		found.put(bytes.TrimSpace(key), bytes.TrimSpace(value))
	}
	return found.append(dst), nil
}

// split returns the pairs of a text without their quotes. Empty ones are left out.
func (p Pairs) split(text []byte) ([][]byte, error) {
	var pairs [][]byte
	buf := make([]byte, 0, len(text)) // of all pairs
	begin := 0
	var quote byte // 0: outside of quotes
	escaped := false
	end := func() {
		if len(buf) > begin {
			pairs = append(pairs, buf[begin:len(buf):len(buf)])
		}
		begin = len(buf)
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if quote == 0 && bytes.HasPrefix(text[i:], []byte(p.PairDelimiter)) {
			end()
			i += len(p.PairDelimiter) - 1
			continue
		}
		switch {
		case escaped:
			escaped = false
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
			continue
		case quote != 0 && c == quote:
			quote = 0
			continue
		default:
			escaped = c == '\\'
		}
		buf = append(buf, c)
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	end()
	return pairs, nil
}

// AppendPair appends a pair; the first one of a text has nothing before it.
func (p Pairs) AppendPair(dst, key, value []byte) []byte {
	dst = p.appendQuoted(dst, key)
	return p.appendQuoted(append(dst, p.Delimiter...), value)
}

// appendQuoted appends a text, in quotes if it has a delimiter.
func (p Pairs) appendQuoted(dst, text []byte) []byte {
	start := len(dst)
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	written := dst[start+1:]
	if bytes.Contains(written, []byte(p.Delimiter)) || bytes.Contains(written, []byte(p.PairDelimiter)) {
		return append(dst, '"')
	}
	copy(dst[start:], written)
	return dst[:len(dst)-1]
}
