package pprofreceiver

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// A cause is why a fetch failed, as metrics and messages have it.
type cause string

const (
	causeRefused   cause = "refused"     // nothing listens there
	causeTimeout   cause = "timeout"     // too slow
	causeTransport cause = "transport"   // any other trouble on the way
	causeNotFound  cause = "not_found"   // 404
	causeDenied    cause = "denied"      // 401, 403
	causeBusy      cause = "busy"        // another CPU profile is being taken
	causeStatus    cause = "status"      // any other answer but 200
	causeRedirect  cause = "redirect"    // it leads elsewhere
	causeNotPprof  cause = "not_pprof"   // the response is not a profile
	causeTooLarge  cause = "too_large"   // more than max_profile_bytes
	causeMemory    cause = "memory"      // there is no room in the memory budget
	causeFile      cause = "file"        // a file cannot be read
	causeBaseline  cause = "no_room"     // max_baseline_bytes is spent
	causeSink      cause = "not_taken"   // the reporter refused
	causeStopped   cause = "interrupted" // by Shutdown
)

// failure is an error with its cause.
type failure struct {
	cause cause
	err   error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// asFailure gives err a cause, unless it has one.
func asFailure(why cause, err error) error {
	var has *failure
	if errors.As(err, &has) {
		return &failure{has.cause, err}
	}
	return &failure{why, err}
}

func causeOf(err error) cause {
	var f *failure
	if errors.As(err, &f) {
		return f.cause
	}
	return causeTransport
}

// transportFailure says what went wrong between us and a target.
func transportFailure(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(context.Cause(ctx), errStopped):
		return asFailure(causeStopped, errStopped)
	case errors.Is(err, syscall.ECONNREFUSED):
		return asFailure(causeRefused, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return asFailure(causeTimeout, err)
	}
	return asFailure(causeTransport, err)
}

var errStopped = errors.New("interrupted: the receiver is stopping")
