// Package otlpclient is the sending side of OTLP: an export request's bytes go
// out as they are, over gRPC or HTTP, and the destination's answer comes back as one
// of three things.
//
//	                 ┌─ GRPC ─► raw codec ──────────► destination
//	Request{bytes} ──┤                                    │
//	                 └─ HTTP ─► (gzip, zstd) ─► POST ─────┤
//	                                                      ▼
//	Answer: kept, kept all but n  ◄── or ──►  *Error: send again (when) / give up
//
// In a pipeline NewConsumer sends batches with a Sender; pipeline.Classify understands
// an Error as it is.
//
// What is to be sent again, and when, is the OTLP specification's (sections
// "Failures" of OTLP/gRPC and of OTLP/HTTP). Nothing is sent again here, except by a
// transport that knows that the destination has not seen it.
//
// The bytes of a request must not change until Request.Done is called, which may be
// after Send has returned: the transport may still be writing a request that Send gave
// up on.
package otlpclient

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxResponseBytes is the most that an answer may have (OTLP specification,
// "OTLP/HTTP Response").
const maxResponseBytes = 4 << 20

// maxHeaderBytes bounds the headers and trailers of an answer.
const maxHeaderBytes = 256 << 10

// maxRetryAfter is the longest that a destination can make a sender wait.
const maxRetryAfter = time.Hour

// Sender is what GRPC and HTTP are. It is safe for concurrent use.
type Sender interface {
	// Send sends one request and waits for the answer, the timeout of the
	// settings or the end of ctx. A nil error means that the destination has
	// taken the request; every other is an *Error.
	Send(ctx context.Context, r Request) (Answer, error)
	// Close closes the connections. Requests in progress fail.
	Close() error
}

// Request is one export request.
type Request struct {
	Signal otlp.Signal
	// Bytes is the request in protobuf. It is only read, until Done is called.
	Bytes []byte
	// Headers go with this request, beside those of the settings. Names are in
	// lower case.
	Headers map[string]string
	// Done, if not nil, is called once, from any goroutine, when Bytes are not read any
	// more. That is mostly before Send returns. It is later if Send gave up while the
	// connection was still sending; a connection that does not get on with it is closed
	// after 2 seconds.
	Done func()
	// Batch, if not nil, is the batch that Bytes belong to: copies that are made of them,
	// such as compressed ones, are charged to its admission ticket, and the request is
	// refused if there is no room. It must not be released before Done is called.
	Batch *pipeline.Batch
}

// done calls Done where no transport has the bytes.
func (r Request) done() {
	if r.Done != nil {
		r.Done()
	}
}

// Answer is the answer of a destination that took the request.
type Answer struct {
	// Rejected is the number of items that it did not take, and will not.
	Rejected int64
	// Message says why, or is a warning if nothing was rejected.
	Message string
	// Warning is why the answer could not be read whole. The request was taken all
	// the same.
	Warning error
}

// Error is why a request was not taken, as far as known.
type Error struct {
	// Retryable: the same request may be sent again. Otherwise that is pointless.
	Retryable bool
	// Throttled: the destination asks for a pause, of RetryAfter if that is not 0.
	Throttled  bool
	RetryAfter time.Duration
	// Code is the gRPC status, or for HTTP the one that says the same.
	Code codes.Code
	// HTTPStatus is 0 over gRPC, and where no answer came.
	HTTPStatus int
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// failed adds to every error of Send what was being done.
func failed(s otlp.Signal, target string, err error) error {
	return fmt.Errorf("send %s to %s: %w", s, target, explained(err))
}

func clampRetryAfter(d time.Duration) time.Duration { return min(max(d, 0), maxRetryAfter) }
