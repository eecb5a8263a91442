package logformat

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// LEEF parses a message of the Log Event Extended Format 1.0 or 2.0; what stands before
// LEEF: is ignored.
func LEEF(message string) (*Map, error) {
	at := strings.Index(message, "LEEF:")
	if at < 0 {
		return nil, errors.New("the message has no header \"LEEF:\"")
	}
	version, rest, ok := strings.Cut(message[at+len("LEEF:"):], "|")
	if !ok {
		return nil, errors.New("the header has no pipe")
	}
	if version != "1.0" && version != "2.0" {
		return nil, fmt.Errorf("unknown version %.40q, expected 1.0 or 2.0", version)
	}
	fields := strings.SplitN(rest, "|", 5)
	if len(fields) < 4 {
		return nil, fmt.Errorf("expected 4 fields between pipes behind the version, found %d", len(fields))
	}
	delimiter, attributes := "\t", ""
	if len(fields) == 5 {
		attributes = fields[4]
	}
	if version == "2.0" && len(fields) == 5 {
		// The delimiter may be left out: what has a = is an attribute already.
		if spec, behind, _ := strings.Cut(attributes, "|"); !strings.Contains(spec, "=") {
			var err error
			if delimiter, err = leefDelimiter(spec); err != nil {
				return nil, err
			}
			attributes = behind
		}
	}
	m := &Map{}
	m.put("leef.version", version)
	m.put("leef.vendor", fields[0])
	m.put("leef.product.name", fields[1])
	m.put("leef.product.version", fields[2])
	m.put("leef.event.id", fields[3])
	list := &Map{}
	for pair := range strings.SplitSeq(attributes, delimiter) {
		if key, value, ok := strings.Cut(pair, "="); ok && key != "" {
			list.put(key, value)
		}
	}
	m.put("leef.attributes", list)
	return m, nil
}

// leefDelimiter returns the byte that a header names: itself, or 0x and two digits.
func leefDelimiter(spec string) (string, error) {
	if spec == "" {
		return "\t", nil
	}
	if digits, ok := strings.CutPrefix(strings.ToLower(spec), "0x"); ok {
		if b, err := hex.DecodeString(digits); err == nil && len(b) == 1 {
			return string(b), nil
		}
	} else if len(spec) == 1 {
		return spec, nil
	}
	return "", fmt.Errorf("delimiter %.40q: expected one character, or 0x and two hexadecimal digits", spec)
}
