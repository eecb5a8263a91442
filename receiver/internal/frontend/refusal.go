package frontend

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxMessageBytes caps what a refusal says. It travels in HTTP/2 headers, and
// clients log it once for each request.
const maxMessageBytes = 1 << 10

// Refusal is an answer other than success, the same on every transport.
type Refusal struct {
	Code codes.Code
	// HTTP is the HTTP status; 0 is the one that goes with Code.
	HTTP    int
	Message string
	// Detail is what the log has in place of Message; "" is Message. It can name what
	// clients do not need to know: destinations, users, files.
	Detail string
	// RetryAfter is how long the sender should wait; 0 means unspecified.
	RetryAfter time.Duration
	// BadData says that the request itself is at fault (OTLP specification, "Bad
	// Data"). Field is the part of it, if that is known.
	BadData bool
	Field   string
	// Reason is what metrics and logs call it.
	Reason obsreport.Reason
}

// Refuse returns a refusal whose message is formatted.
func Refuse(code codes.Code, reason obsreport.Reason, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func (r *Refusal) Error() string { return r.Message }

// text returns what the log says.
func (r *Refusal) text() string {
	if r.Detail != "" {
		return r.Detail
	}
	return r.Message
}

// clientText returns what the client gets to read of a consumer's error. Without
// authentication it is the kind: the error itself can have the URL of a destination,
// a user or a path.
func (r *Request) clientText(e *pipeline.Error) string {
	var memory *admission.Overload
	switch {
	case r.Client.Identity != nil, e == errPanic:
		return clip(e.Error())
	case errors.As(e, &memory): // about this request and its sender
		return memory.Error()
	case e.Kind == pipeline.Partial && e.Rejected <= 0:
		return "the pipeline accepted the data with a warning"
	case e.Kind == pipeline.Partial:
		return "the pipeline rejected some of the items"
	case e.Kind == pipeline.Permanent:
		return "the pipeline refused the data"
	case e.Kind == pipeline.Overloaded:
		return "the pipeline is overloaded"
	case errors.Is(e, context.DeadlineExceeded):
		return "the pipeline did not answer in time"
	}
	return "the pipeline is unavailable"
}

// refusalFor translates a consumer's error, of which the client gets to read text. It
// is not for those of kind Partial, which are answered with success.
func refusalFor(e *pipeline.Error, text string) *Refusal {
	r := &Refusal{Code: codes.Unavailable, Message: text, Detail: e.Error(), RetryAfter: e.RetryAfter, Reason: obsreport.ReasonPipeline}
	if e == errPanic {
		r.Reason = obsreport.ReasonInternal
	}
	switch e.Kind {
	case pipeline.Permanent:
		r.Code, r.RetryAfter = codes.Internal, 0
		if c := codes.Code(e.Code); isPermanent(c) {
			r.Code = c
		}
	case pipeline.Overloaded:
		if r.RetryAfter <= 0 {
			r.RetryAfter = time.Second
		}
	}
	return r
}

// isPermanent reports whether senders do not retry after c (OTLP specification,
// table of gRPC status codes). ResourceExhausted is retryable only with
// RetryInfo, which is not sent with it.
func isPermanent(c codes.Code) bool {
	switch c {
	case codes.Unknown, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.ResourceExhausted, codes.FailedPrecondition, codes.Unimplemented, codes.Internal, codes.Unauthenticated:
		return true
	}
	return false
}

// HTTPStatus returns the HTTP status. Those that the specification calls
// retryable (429, 502, 503, 504) come out for retryable codes only.
func (r *Refusal) HTTPStatus() int {
	if r.HTTP != 0 {
		return r.HTTP
	}
	switch r.Code {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unimplemented:
		return http.StatusNotFound
	case codes.ResourceExhausted:
		return http.StatusRequestEntityTooLarge
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// RetryAfterSeconds is the value of Retry-After: whole seconds, never less than
// was asked for, and so at least 1 if anything was.
func (r *Refusal) RetryAfterSeconds() int64 {
	return int64(math.Ceil(r.RetryAfter.Seconds()))
}

// Status returns the refusal as the message that both transports carry.
func (r *Refusal) Status() *spb.Status {
	message := clip(r.Message)
	s := &spb.Status{Code: int32(r.Code), Message: message}
	if r.BadData {
		s.Details = append(s.Details, detail(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: clip(r.Field), Description: message},
		}}))
	}
	if r.RetryAfter > 0 {
		s.Details = append(s.Details, detail(&errdetails.RetryInfo{RetryDelay: durationpb.New(r.RetryAfter)}))
	}
	return s
}

// detail packs m. Packing fails on text that is not UTF-8, which clip keeps out.
func detail(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic("receiver: pack a status detail: " + err.Error())
	}
	return a
}

// clip makes s fit to be sent: valid UTF-8, since protobuf and JSON want it, and
// at most maxMessageBytes bytes.
func clip(s string) string {
	const more = "…"
	if cut := len(s) > maxMessageBytes; cut {
		s = s[:maxMessageBytes-len(more)]
		for i := 0; i < utf8.UTFMax-1 && len(s) > 0; i++ { // not in the middle of a rune
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n > 1 {
				break
			}
			s = s[:len(s)-1]
		}
		s += more
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "?")
}
