// Package credential reads the request header in which a client says who it is,
// for all authenticators in the same way.
//
//	authorization: Bearer  s3cret
//	   name        scheme  rest
//
// The rules are those of RFC 9110: the header occurs once (section 5.3: it is no
// list), spaces around its value are not part of it (section 5.5), and the
// scheme is the same in upper and lower case (section 11.1).
//
// The one trap: what Value and Split return is the client's secret. It goes into
// no error and no log.
package credential

import (
	"errors"
	"fmt"
	"strings"
)

// MaxBytes bounds a header's value: what is longer is refused before anybody
// looks into it. A token with many groups in it takes a few KiB.
const MaxBytes = 16 << 10

// The reasons why a header is not even looked into.
var (
	ErrMissing  = errors.New("it is missing or empty")
	ErrRepeated = errors.New("it occurs more than once")
	ErrTooLong  = fmt.Errorf("it is longer than %d bytes", MaxBytes)
)

// Value returns the value of a header that occurs once. header is what
// pipeline.Authenticator is given; name is in lower case.
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

// Split takes the scheme off a value. It says false if the value has another
// scheme, or nothing behind it. Without a scheme the value is the rest.
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
