package textfields

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// CSV parses rows.
type CSV struct {
	Delimiter       rune
	HeaderDelimiter string
	Lazy            bool // a quote may be in a field without quotes, and be single in one with quotes
	IgnoreQuotes    bool // quotes are characters like others
}

// Validate checks the delimiters.
func (c CSV) Validate() error {
	switch {
	case c.IgnoreQuotes:
	case c.Delimiter == 0 || c.Delimiter == '"' || c.Delimiter == '\r' || c.Delimiter == '\n' || c.Delimiter == utf8.RuneError:
		return fmt.Errorf("%q is not a delimiter of fields", c.Delimiter)
	}
	return nil
}

// AppendParsed appends the fields of a row, with the names that the header has, as the
// fields of a KeyValueList.
func (c CSV) AppendParsed(dst, row, header []byte) ([]byte, error) {
	if len(header) == 0 {
		return dst, errors.New("parse CSV: the header is empty")
	}
	names := bytes.Split(header, []byte(c.HeaderDelimiter))
	fields, err := c.split(row)
	if err != nil {
		return dst, fmt.Errorf("parse CSV: %w", err)
	}
	if len(fields) != len(names) {
		return dst, fmt.Errorf("parse CSV: found %d fields, expected %d as in the header", len(fields), len(names))
	}
	var found entries
	for i, n := range names {
		found.put(n, fields[i])
	}
	return found.append(dst), nil
}

// split returns the fields of a row. The row is one value, so that further lines continue
// the last field of the line before.
func (c CSV) split(row []byte) ([][]byte, error) {
	if c.IgnoreQuotes {
		return bytes.Split(row, []byte(string(c.Delimiter))), nil
	}
	r := csv.NewReader(bytes.NewReader(row))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = c.Delimiter, -1, c.Lazy
	var fields [][]byte
	for {
		line, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil && len(line) == 0 {
			return nil, err
		}
		if n := len(fields); n > 0 {
			fields[n-1] = append(append(fields[n-1], '\n'), line[0]...)
			line = line[1:]
		}
		for _, f := range line {
			fields = append(fields, []byte(f))
		}
	}
	if len(fields) == 0 {
		return nil, errors.New("the row is empty")
	}
	return fields, nil
}
