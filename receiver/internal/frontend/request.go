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
	// Consumers has the signal's consumer, if there is a pipeline.
	Consumers *Consumers
	// Handle, if it is set, takes the requests in place of a consumer. body is a buffer of
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
	// Method, Path, Protocol and TLS are HTTP's, for measurements, and ResponseBytes is
	// the size of the body of its response.
	Method, Path, Protocol string
	TLS                    bool
	ResponseBytes          int
	// Route is nil until it is known.
	Route *Route
	// Client is what consumers see of the sender.
	Client pipeline.Client

	// WireBytes is the size of the body as it came, and Bytes after decompression,
	// as far as it was read.
	WireBytes, Bytes int
	// BodyRead says that the body was read to its end.
	BodyRead bool
	// Notice returns what the client gets to read with the success of a request that
	// turns out to have no items; nil if there is nothing to say.
	Notice func() string

	encoded encoded
	next    *consumer // nil until it is known
	ticket  *admission.Ticket
	ahead   int // bytes that a transport may have read before it is asked for them
	items   int // 0 until they are counted
	// ended is how long after Began the request's context was found to have ended,
	// 0 as long as it has not.
	ended time.Duration
}

const (
	// requestBytes is what a request costs beside its body: a goroutine and the
	// transport's state.
	requestBytes = 16 << 10
	// SmallBytes is the length of a body up to which a request takes nothing more
	// than what it is admitted with: all that a request holds of which only the
	// header has come.
	SmallBytes = 2 << 10
	openBytes  = requestBytes + 2*SmallBytes
	// ReadAheadBytes is how much of a body a transport may have read before it is
	// asked for it.
	ReadAheadBytes = 64 << 10
)

// SetRoute gives the request its route, and refuses it if there is no pipeline. From then
// on it has its consumer.
func (r *Request) SetRoute(to *Route) *Refusal {
	r.Route = to
	if to.Handle != nil {
		return nil
	}
	if r.next = to.Consumers.begin(to.Signal); r.next == nil {
		return NoPipeline(to.Signal)
	}
	return nil
}

// leaveConsumer ends the use of the consumer.
func (r *Request) leaveConsumer() {
	if r.next != nil {
		r.next.requests.Leave()
	}
}

// authenticate finds out who the sender is.
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
	refused := &Refusal{Code: codes.Unauthenticated}
	var e *pipeline.Error
	if errors.As(err, &e) && (e.Kind == pipeline.Retryable || e.Kind == pipeline.Overloaded) {
		refused = refusalFor(e, e.Error())
	}
	refused.Message, refused.Detail, refused.Reason = err.Error(), "", obsreport.ReasonAuth
	var private interface{ ClientText() string }
	if errors.As(err, &private) {
		refused.Message, refused.Detail = private.ClientText(), err.Error()
	}
	return refused
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

// admit takes from the budget what a request costs with a small body.
func (r *Request) admit(ctx context.Context, t Transport) *Refusal {
	var err error
	if r.ticket, err = r.front.Memory.Acquire(ctx, r.sender(t), openBytes); err != nil {
		return RefuseOverload(err)
	}
	return nil
}

// sender returns whose share of the budget pays for the request: that of the
// configured header, of the authenticated name, or of the address. A header cannot
// name the share of an address or of another's name.
func (r *Request) sender(t Transport) string {
	const most = 256 // bytes of the header, which is held as long as the request
	if name := r.front.SenderHeader; name != "" {
		if values := t.Header(name); len(values) > 0 && values[0] != "" {
			return "header " + values[0][:min(len(values[0]), most)]
		}
	}
	return r.Sender()
}

// StartReading notes that the body is being read from s, until DoneReading. A
// request that receives too little while others wait for bytes is interrupted.
func (r *Request) StartReading(s admission.Source) { r.ticket.Reading(s) }

// Arrived counts n bytes of the body.
func (r *Request) Arrived(n int) { r.ticket.Arrived(n) }

// Begun notes that the first bytes of a body of n bytes have come; -1 is unknown.
// From now on Reserve counts what the transport may have read ahead of it.
func (r *Request) Begun(n int64) {
	r.ahead = ReadAheadBytes
	if n >= 0 {
		r.ahead = int(min(n, ReadAheadBytes))
	}
}

// DoneReading ends StartReading. It refuses a request that was interrupted.
func (r *Request) DoneReading() *Refusal {
	r.ahead = 0
	if err := r.ticket.DoneReading(); err != nil {
		r.encoded.drop()
		return RefuseOverload(err)
	}
	return nil
}

// Reserve makes room in the budget for buffers of n bytes in all. It is
// decompress.Reserver.
func (r *Request) Reserve(n int) error { return r.ticket.Reserve(requestBytes + r.ahead + n) }

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

// Trim gives back to the budget what is above buffers of n bytes.
func (r *Request) Trim(n int) { r.ticket.Shrink(requestBytes + r.ahead + n) }

const (
	// soonestAnswer is the age from which a request that ends without its answer
	// may be one that timed out. A client that resets streams to make the server
	// work for nothing does it at once: if it waited, the limit of concurrent
	// streams would stop it.
	soonestAnswer = 10 * time.Millisecond
	// soonestUnread is soonestAnswer for a request that had not been read. Where the
	// processors are busy, it may have waited for one.
	soonestUnread = 100 * time.Millisecond
	// leastTimeout is the shortest timeout of a client that is taken seriously.
	leastTimeout = time.Millisecond
)

// noteEnd remembers when the request's context ended, if it has.
func (r *Request) noteEnd(ctx context.Context) {
	if r.ended == 0 && ctx.Err() != nil {
		r.ended = max(time.Since(r.Began), 1)
	}
}

// AbortedEarly reports whether the request ended sooner than it could be answered,
// by a reset of its stream or the end of its connection. ctx is the request's, with
// the timeout that the client announced, if any: it comes to us later than it began
// at the client, so from half of it on the end may be that timeout.
func (r *Request) AbortedEarly(ctx context.Context) bool {
	if r.noteEnd(ctx); r.ended == 0 {
		return false
	}
	soonest := soonestAnswer
	if !r.BodyRead {
		soonest = soonestUnread
	}
	if by, ok := ctx.Deadline(); ok {
		soonest = min(soonest, max(by.Sub(r.Began)/2, leastTimeout))
	}
	return r.ended < soonest
}

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
