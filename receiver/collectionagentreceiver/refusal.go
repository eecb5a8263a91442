package collectionagentreceiver

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/obsreport"
)

// maxMessageBytes caps what a refusal says: it travels in a header.
const maxMessageBytes = 1 << 10

// refusal is an answer other than OK (collectionagent.proto, "Answers beside
// OK").
type refusal struct {
	code    codes.Code
	message string
	// retryAfter is how long the reporter should wait, 0: as it likes.
	retryAfter time.Duration
	// field is the part of the request that is at fault, if that is so.
	field string
	// reason is what metrics and logs call it.
	reason obsreport.Reason
}

func refuse(code codes.Code, reason obsreport.Reason, format string, args ...any) *refusal {
	return &refusal{code: code, reason: reason, message: fmt.Sprintf(format, args...)}
}

// status returns the refusal as gRPC's error.
func (r *refusal) status() error {
	text := r.message
	if len(text) > maxMessageBytes {
		text = text[:maxMessageBytes]
	}
	text = strings.ToValidUTF8(text, "?")
	st := status.New(r.code, text)
	var details []protoadapt.MessageV1
	if r.field != "" {
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: r.field, Description: text}}})
	}
	if r.retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.retryAfter)})
	}
	if detailed, err := st.WithDetails(details...); err == nil {
		st = detailed
	}
	return st.Err()
}

// refuseOverload is the refusal of a request that the budget has no room for.
func refuseOverload(err error) *refusal {
	var o *admission.Overload
	switch {
	case !errors.As(err, &o): // the client went away while it waited
		return refuse(codes.Unavailable, obsreport.ReasonBrokenOff, "%v", err)
	case o.TooLarge:
		return refuse(codes.ResourceExhausted, obsreport.ReasonTooLarge, "%v", o)
	}
	r := refuse(codes.Unavailable, obsreport.ReasonAdmission, "%v", o)
	r.retryAfter = o.RetryAfter
	return r
}
