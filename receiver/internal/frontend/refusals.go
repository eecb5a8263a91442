package frontend

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
)

// The refusals that all transports have, in the order in which a request can meet
// them.

// ShuttingDown is the refusal of a request that comes too late.
func ShuttingDown() *Refusal {
	return &Refusal{Code: codes.Unavailable, Message: "the receiver is shutting down", Reason: obsreport.ReasonShutdown}
}

// UnknownTarget is the refusal of a path or method ("path", "method") that nothing
// serves.
func UnknownTarget(kind, found string, served ...string) *Refusal {
	message := "nothing is served at " + kind + " " + Quote(found)
	if strings.Contains(found, "v1experimental") {
		message += ": this is OTLP profiles of an older wire format; expected " + otlp.Profiles.Spec().Service +
			" or " + otlp.Profiles.Spec().Path
	} else if len(served) > 0 {
		message += ", only at " + strings.Join(served, ", ")
	}
	return &Refusal{Code: codes.Unimplemented, Message: message, Reason: obsreport.ReasonNotFound}
}

// NoPipeline is the refusal of a signal without a consumer.
func NoPipeline(s otlp.Signal) *Refusal {
	return &Refusal{Code: codes.Unimplemented, Message: "no pipeline takes " + s.String(), Reason: obsreport.ReasonNotFound}
}

// RefuseOverload is the refusal of a request that the budget has no room for.
func RefuseOverload(err error) *Refusal {
	var o *admission.Overload
	switch {
	case !errors.As(err, &o): // the client went away while it waited
		return &Refusal{Code: codes.Unavailable, Message: err.Error(), Reason: obsreport.ReasonBrokenOff}
	case o.TooLarge:
		return &Refusal{Code: codes.ResourceExhausted, Message: o.Error(), Reason: obsreport.ReasonTooLarge}
	}
	return &Refusal{Code: codes.Unavailable, Message: o.Error(), RetryAfter: o.RetryAfter, Reason: obsreport.ReasonAdmission}
}

// RefuseSize is the refusal of a body of more than maxBytes bytes.
func RefuseSize(maxBytes int) *Refusal {
	r := Refuse(codes.ResourceExhausted, obsreport.ReasonTooLarge, "the request is larger than the limit of %d bytes", maxBytes)
	r.HTTP = http.StatusRequestEntityTooLarge
	return r
}

// Interrupted is the refusal of a body that ended too early or came too slowly.
// The data may be fine.
func Interrupted(err error) *Refusal {
	return &Refusal{Code: codes.Unavailable, Reason: obsreport.ReasonBrokenOff, Message: "request body interrupted: " + err.Error()}
}

// RefuseBody says why a body of at most maxBytes bytes could not be read or
// decompressed. err is of package compress, or of what it read from.
func RefuseBody(err error, maxBytes int) *Refusal {
	var o *admission.Overload
	switch {
	case errors.Is(err, decompress.ErrTooLarge):
		return RefuseSize(maxBytes)
	case errors.Is(err, decompress.ErrUnknownEncoding):
		return &Refusal{Code: codes.InvalidArgument, Message: err.Error(), Reason: obsreport.ReasonEncoding}
	case errors.Is(err, decompress.ErrCorrupt):
		r := RefuseData(err)
		r.Reason = obsreport.ReasonDecompress
		return r
	case errors.As(err, &o):
		return RefuseOverload(err)
	}
	return Interrupted(err)
}

// RefuseData is the refusal of bytes that are not a valid request.
func RefuseData(err error) *Refusal {
	r := &Refusal{Code: codes.InvalidArgument, Message: err.Error(), BadData: true, Reason: obsreport.ReasonDecode}
	var ce *otlp.CheckError
	var je *otlp.JSONError
	var de *otlp.DepthError
	if errors.As(err, &de) {
		r.Message += "; the receiver's key max_value_depth sets the limit, which should be that of all destinations"
	}
	switch {
	case errors.As(err, &ce):
		r.Field = ce.Path
	case errors.As(err, &je):
		r.Field = je.Path
	}
	return r
}

// Quote puts a client's text into a message.
func Quote(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
