package frontend

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

// A Route is what requests are addressed to.
type Route struct {
	// Signal is the signal of the requests, 0 for those that are none of OTLP's.
	Signal otlp.Signal
	// Next is the signal's consumer, nil where there is no pipeline.
	Next pipeline.Consumer
	// Handle, if it is set, takes the requests in place of Next. body is a buffer of
	// bufpool that belongs to it; the ticket is the request's. It returns the body of
	// the response in protobuf.
	Handle func(ctx context.Context, r *Request, body *[]byte) ([]byte, *Refusal)
}

// Request is one request in a front end. A transport embeds it in the struct that
// it allocates for a request anyway. It is used by one goroutine.
type Request struct {
	front *FrontEnd

	// Began is when the header had been read.
	Began time.Time
	Peer  *conns.Peer
	// Format is "protobuf" or "json", empty if that is not known.
	Format string
	// Method and Path are HTTP's, for measurements.
	Method, Path string
	// Route is nil until it is known.
	Route *Route
	// Client is what consumers see of the sender.
	Client pipeline.Client

	// WireBytes is the size of the body as it came, and Bytes after decompression,
	// as far as it was read.
	WireBytes, Bytes int
	// BodyRead says that the body was read to its end.
	BodyRead bool

	ticket *admission.Ticket
	items  int // 0 until they are counted
}

const (
	// requestBytes is what a request costs beside its body: a goroutine and the
	// transport's state.
	requestBytes = 16 << 10
	// ReadAheadBytes is how much of a body a transport may have read before it is
	// asked for it.
	ReadAheadBytes = 64 << 10
	// openBytes is what a request costs until its body has been read.
	openBytes = requestBytes + ReadAheadBytes
)

// authenticate asks who sends.
func (r *Request) authenticate(ctx context.Context, t Transport) *Refusal {
	f := r.front
	r.Client = pipeline.Client{Addr: r.Peer.Addr, Transport: f.Transport, Format: r.Format}
	if f.Auth == nil {
		return nil
	}
	id, err := f.Auth.Authenticate(ctx, t.Credential)
	if err == nil {
		r.Client.Identity = id
		return nil
	}
	var e *pipeline.Error
	if errors.As(err, &e) && (e.Kind == pipeline.Retryable || e.Kind == pipeline.Overloaded) {
		refused := refusalFor(e)
		refused.Reason = obsreport.ReasonAuth
		return refused
	}
	return &Refusal{Code: codes.Unauthenticated, Message: err.Error(), Reason: obsreport.ReasonAuth}
}

// checkVersion checks the header by which both ends of a signal in development
// agree on its version: without the header it is the one that we speak.
func (r *Request) checkVersion(t Transport) *Refusal {
	if !r.Route.Signal.Valid() {
		return nil
	}
	spec := r.Route.Signal.Spec()
	if spec.Header == "" {
		return nil
	}
	if found := t.Header(spec.Header); len(found) > 0 && (len(found) > 1 || found[0] != spec.HeaderValue) {
		return &Refusal{Code: codes.InvalidArgument, Reason: obsreport.ReasonDecode, BadData: true, Field: spec.Header,
			Message: spec.Header + ": expected " + Quote(spec.HeaderValue) + ", found " + Quote(strings.Join(found, ", ")) +
				": sender and server speak different versions of OTLP " + spec.Name}
	}
	return nil
}

// admit takes a request's bytes from the budget, for buffers of n bytes at first.
func (r *Request) admit(ctx context.Context, n int) *Refusal {
	who := r.Peer.Share
	if id := r.Client.Identity; id != nil && id.Subject != "" {
		who = id.Subject
	}
	var err error
	if r.ticket, err = r.front.Memory.Acquire(ctx, who, openBytes+n); err != nil {
		return RefuseOverload(err)
	}
	return nil
}

// Reserve makes room in the budget for buffers of n bytes in all. It is
// decompress.Room.
func (r *Request) Reserve(n int) error { return r.ticket.Reserve(openBytes + n) }

// GetBuffer takes a buffer of n bytes from bufpool, with room for it in the budget,
// while others of beside bytes are in use.
func (r *Request) GetBuffer(beside, n int) (*[]byte, error) {
	class := bufpool.Class(n)
	if err := r.Reserve(beside + class); err != nil {
		return nil, err
	}
	buf := bufpool.Get(n)
	if more := cap(*buf); more > class { // an odd one of the pool
		if err := r.Reserve(beside + more); err != nil {
			bufpool.Put(buf)
			return nil, err
		}
	}
	return buf, nil
}

// TrimReading gives back to the budget what is above buffers of n bytes, while the
// body is being read.
func (r *Request) TrimReading(n int) { r.ticket.Shrink(openBytes + n) }

// Trim gives back to the budget what is above buffers of n bytes, when the body has
// been read.
func (r *Request) Trim(n int) { r.ticket.Shrink(requestBytes + n) }

// metadata returns the headers that consumers see; nil if they see none.
func (f *FrontEnd) metadata(t Transport) map[string][]string {
	switch {
	case f.AllMetadata:
		return t.Headers()
	case len(f.Metadata) == 0:
		return nil
	}
	picked := make(map[string][]string, len(f.Metadata))
	for _, name := range f.Metadata {
		if values := t.Header(name); len(values) > 0 {
			picked[name] = slices.Clone(values)
		}
	}
	return picked
}
