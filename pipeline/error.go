package pipeline

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a refusal asks of the sender.
type Kind uint8

// The kinds of refusal.
const (
	// Retryable: nothing is wrong with the data; send the same again later.
	Retryable Kind = 1 + iota
	// Overloaded is Retryable with the plea for time: RetryAfter says how much.
	Overloaded
	// Permanent: sending the same again is pointless.
	Permanent
	// Partial: everything was kept but Rejected items, which must not be sent
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

// Error is a refusal that says what the sender should do.
type Error struct {
	Kind Kind
	// RetryAfter is how long the refuser asks to be left alone; 0 is no wish.
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

// Permanently wraps err as a refusal for good.
func Permanently(err error) error { return &Error{Kind: Permanent, Err: err} }

// Classify tells what err asks of the sender. nil stays nil. An error that says
// nothing, or nothing known, is Retryable: losing data to a guess is worse than
// sending it twice. That goes for an ended context too.
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
