package config

import "fmt"

// A FieldError is a problem of one field of a configuration. Validate methods
// return it, so that the problem is reported at the line of the field instead of
// the line where its section starts.
type FieldError struct {
	// Key is the field's key in the file, or a dotted path relative to the
	// validated value, with indices of lists: "keepalive.time", "statements[2]".
	Key string
	Err error
}

func (e *FieldError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the problem without the key.
func (e *FieldError) Unwrap() error { return e.Err }

// At returns err as a FieldError; nil if err is nil.
func At(key string, err error) error {
	if err == nil {
		return nil
	}
	return &FieldError{Key: key, Err: err}
}

// Atf is At with a new error.
func Atf(key, format string, args ...any) error {
	return At(key, fmt.Errorf(format, args...))
}
