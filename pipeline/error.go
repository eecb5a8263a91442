package pipeline

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what an error asks of the sender.
type Kind uint8

// The kinds of errors.
const (
	// Retryable: nothing is wrong with the data; send the same again later.
	Retryable Kind = 1 + iota
	// Overloaded is Retryable after a delay: RetryAfter.
	Overloaded
	// Permanent: the same data would be refused again.
	Permanent
	// Partial: all items were kept except for Rejected ones, which must not be sent
	// again (OTLP specification, "Partial Success").
	Partial
)

var kindNames = [...]string{"unknown", "retryable", "overloaded", "permanent", "partial"}

// String returns the kind in lower case.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return kindNames[0]
	}
	return kindNames[k]
}

// Error is an error that says what the sender should do.
type Error struct {
	Kind Kind
	// RetryAfter is the time to wait before the next attempt; 0 means unspecified.
	RetryAfter time.Duration
	// Rejected is the number of items not kept, of kind Partial.
	Rejected int64
	// Code is the gRPC status code that a destination answered with, 0 if none.
	Code uint32
	Err  error
}

func (e *Error) Error() string {
	switch {
	case e.Err != nil && e.Kind == Partial:
		return fmt.Sprintf("%d items rejected: %v", e.Rejected, e.Err)
	case e.Err != nil:
		return e.Err.Error()
	default:
		return e.Kind.String()
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanently wraps err in an Error of kind Permanent.
func Permanently(err error) error { return &Error{Kind: Permanent, Err: err} }

// Classify returns what err asks of the sender; nil for nil. An error without a
// kind, also that of an ended context, is Retryable: data that is sent twice is
// better than data that is lost.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && e.Kind >= Retryable && e.Kind <= Partial {
		return e
	}
	return &Error{Kind: Retryable, Err: err}
}
