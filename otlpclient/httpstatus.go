package otlpclient

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// statusCodes translates the HTTP statuses that have a gRPC equal; others are
// Unknown. Those that ask for a retry translate to a code that does.
var statusCodes = map[int]codes.Code{
	http.StatusBadRequest:            codes.InvalidArgument,
	http.StatusUnauthorized:          codes.Unauthenticated,
	http.StatusForbidden:             codes.PermissionDenied,
	http.StatusNotFound:              codes.Unimplemented,
	http.StatusRequestEntityTooLarge: codes.ResourceExhausted,
	http.StatusTooManyRequests:       codes.Unavailable,
	http.StatusInternalServerError:   codes.Internal,
	http.StatusNotImplemented:        codes.Unimplemented,
	http.StatusBadGateway:            codes.Unavailable,
	http.StatusServiceUnavailable:    codes.Unavailable,
	http.StatusGatewayTimeout:        codes.Unavailable,
}

// classifyHTTP returns what a status means (OTLP specification, "Retryable
// Response Codes" and "OTLP/HTTP Throttling"). 520 to 527 and 530 are those of a proxy
// of Cloudflare whose origin does not answer, which the specification does not know.
func classifyHTTP(status int, retryAfter string, now time.Time) *Error {
	e := &Error{HTTPStatus: status, Code: codes.Unknown}
	if code, ok := statusCodes[status]; ok {
		e.Code = code
	}
	switch status {
	case http.StatusTooManyRequests:
		e.Retryable, e.Throttled = true, true
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.Retryable = true
	default:
		if (status < 520 || status > 527) && status != 530 {
			return e
		}
		e.Retryable, e.Code = true, codes.Unavailable
	}
	if wait, ok := parseRetryAfter(retryAfter, now); ok {
		e.Throttled, e.RetryAfter = true, wait
	}
	return e
}

// parseRetryAfter reads a Retry-After header: seconds or a date (RFC 9110,
// section 10.2.3). Below 0 is 0, above an hour an hour.
func parseRetryAfter(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	seconds, err := strconv.ParseInt(s, 10, 64)
	// ParseInt stops at the digit that is too many, whatever follows.
	if err == nil || errors.Is(err, strconv.ErrRange) && strings.Trim(s[1:], "0123456789") == "" {
		seconds = min(max(seconds, 0), int64(maxRetryAfter/time.Second))
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	return clampRetryAfter(date.Sub(now)), true
}

// transportCode returns the gRPC code for an exchange without an answer.
func transportCode(err error) codes.Code {
	switch {
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	return codes.Unavailable
}
