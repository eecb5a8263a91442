package testkit

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Answer is a Backend's answer to one request. The zero value accepts it.
type Answer struct {
	// Code refuses the request, unless it is OK. Over HTTP it becomes HTTPStatus.
	Code codes.Code
	// HTTPStatus is the status over HTTP if it is not the one that belongs to Code.
	HTTPStatus int
	// RetryAfter, if not 0, is part of a refusal: as RetryInfo, and over HTTP
	// also as Retry-After in whole seconds, rounded up.
	RetryAfter time.Duration
	// Rejected and Message make a success partial; Message is also the text of
	// a refusal.
	Rejected int64
	Message  string
	// Delay is how long the answer takes.
	Delay time.Duration
	// HangUp breaks the connection instead of answering.
	HangUp bool
}

// Kept reports whether the request counts as accepted.
func (a Answer) Kept() bool {
	return a.Code == codes.OK && !a.HangUp && (a.HTTPStatus == 0 || a.HTTPStatus/100 == 2)
}

// success is the body of an answer that is not a refusal.
func (a Answer) success() []byte { return otlp.AppendPartialSuccess(nil, a.Rejected, a.Message) }

// status is a refusal in gRPC's form.
func (a Answer) status() *status.Status {
	st := status.New(a.Code, a.Message)
	if a.RetryAfter == 0 || a.Code == codes.OK {
		return st
	}
	with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(a.RetryAfter)})
	if err != nil {
		return st
	}
	return with
}

// httpStatus follows the specification's mapping (OTLP/HTTP, "Failures"), as far
// as tests need it.
func (a Answer) httpStatus() int {
	if a.HTTPStatus != 0 {
		return a.HTTPStatus
	}
	switch a.Code {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unimplemented:
		return http.StatusNotFound
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// retryAfterHeader returns the value of Retry-After, or "".
func (a Answer) retryAfterHeader() string {
	if a.RetryAfter == 0 {
		return ""
	}
	return strconv.Itoa(int(math.Ceil(a.RetryAfter.Seconds())))
}
