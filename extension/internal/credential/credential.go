// Package credential reads the credentials from a request header, in the same
// way for all authenticators.
//
//	authorization: Bearer  s3cret
//	   name        scheme  rest
//
// The rules are those of RFC 9110: the header occurs once (section 5.3: it is
// not a list), spaces around its value are not part of it (section 5.5), and the
// scheme is case-insensitive (section 11.1).
//
// The one trap: Value and Split return the client's secret. It must not appear
// in errors or logs.
package credential

import (
	"errors"
	"fmt"
	"strings"
)

// MaxBytes is the maximum length of the header's value: a longer one is refused
// before it is parsed. A token with many groups has a few KiB.
const MaxBytes = 16 << 10

// The errors of Value.
var (
	ErrMissing  = errors.New("it is missing or empty")
	ErrRepeated = errors.New("it occurs more than once")
	ErrTooLong  = fmt.Errorf("it is longer than %d bytes", MaxBytes)
)

// Value returns the value of a header that occurs once. header is the argument
// of pipeline.Authenticator; name is in lower case.
func Value(header func(name string) []string, name string) (string, error) {
	all := header(name)
	switch {
	case len(all) == 0:
		return "", ErrMissing
	case len(all) > 1:
		return "", ErrRepeated
	case len(all[0]) > MaxBytes:
		return "", ErrTooLong
	}
	value := strings.Trim(all[0], " \t")
	if value == "" {
		return "", ErrMissing
	}
	return value, nil
}

// Split removes the scheme from a value. It returns false if the value has
// another scheme, or nothing after it. If scheme is empty, rest is the value.
func Split(value, scheme string) (rest string, ok bool) {
	if scheme == "" {
		return value, true
	}
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) || value[len(scheme)] != ' ' {
		return "", false
	}
	rest = strings.TrimLeft(value[len(scheme):], " ")
	return rest, rest != ""
}
