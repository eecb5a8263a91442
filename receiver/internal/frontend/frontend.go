// Package frontend is what all requests to a receiver pass through, whatever they
// come over:
//
//	Begin ─► Authenticate ─► Route ─► Expect ─► admit ─► Read ─► export ─► Answer ─► count
//	         by the header            by the     from the  the body,        to the client
//	                                  header     budget    unpacked
//
// The sequence and what each step means are here; a transport (grpcserver, the
// HTTP part of otlpreceiver) gives the header, the body and the answer. A request
// that does not get through has a Refusal, which says the same on every transport.
// Nothing of the body is read before the request is admitted; what HTTP/2 sends
// ahead is bounded by its windows.
//
// A client gets a success when the consumer has returned nil, not before.
//
// The one trap: the body is in a buffer of internal/bufpool, which has one owner
// at a time. It passes from the transport to the route's handler, and from there
// to the Batch.
package frontend

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

// A Transport is one request as it came in.
type Transport interface {
	// Header returns all values of one header, by its name in lower case, in order.
	// "host" is the authority.
	Header(name string) []string
	// Credential is Header for the authenticator, which may be shown more.
	Credential(name string) []string
	// Headers returns all headers, keys in lower case, for the caller to keep.
	Headers() map[string][]string
	// Route calls r.SetRoute as soon as the route is known, and refuses what is addressed to
	// nothing, in the order that the protocol demands.
	Route(r *Request) *Refusal
	// Expect refuses what the header of a body rules out.
	Expect(r *Request) *Refusal
	// Read returns the body, decompressed and as protobuf, in a buffer of bufpool
	// that belongs to the caller. It tells r how the body arrives: StartReading,
	// Begun, Arrived, DoneReading.
	Read(r *Request) (*[]byte, *Refusal)
	// Answer sends the response, or the refusal, and returns the status by which the
	// request is counted: the HTTP status or the gRPC code. A transport whose
	// refusals are sent when its handler returns sends none here, so that they are
	// counted before the client gets them.
	Answer(r *Request, response []byte, refused *Refusal) int
}

// Options are what a front end is made of.
type Options struct {
	// Transport is "grpc" or "http".
	Transport string
	Obs       *obsreport.Receiver
	// Rejections is the log of refused requests.
	Rejections *obsreport.Rejections
	// InFlight counts the requests that are being handled, of all front ends of a
	// receiver.
	InFlight *InFlight
	// Memory is the budget from which requests acquire bytes; nil means no
	// limit.
	Memory *admission.Budget
	// Auth decides who may send; nil is everybody.
	Auth pipeline.Authenticator
	// SenderHeader is the header by whose value requests share the budget, in lower
	// case; empty means by the authenticated name, else by the client's address.
	SenderHeader string
	// AllMetadata and Metadata select the headers that consumers see
	// (pipeline.Client.Metadata), names in lower case.
	AllMetadata bool
	Metadata    []string
	// Limits are those of the requests' content.
	Limits otlp.Limits
	// Inspect looks at each batch before its consumer does and returns the one to
	// go on with: b, or one in its place after a Release of b. If it fails, b stays
	// the caller's. nil inspects nothing.
	Inspect func(r *Request, b *pipeline.Batch) (*pipeline.Batch, error)
	// Tracer is the provider of the spans that obs makes: with the no-op one, the
	// sender's trace context is not read.
	Tracer trace.TracerProvider
	Log    *slog.Logger
}

// FrontEnd serves the requests of one transport of a receiver.
type FrontEnd struct {
	Options
	traced       bool
	unrecognized Once
}

// New returns a front end.
func New(o Options) *FrontEnd {
	_, noop := o.Tracer.(tracenoop.TracerProvider)
	return &FrontEnd{Options: o, traced: !noop}
}

// Serve handles the request r, which came over t from peer, and counts it. r has
// what the transport knows from the start: Format, Method, Path.
func (f *FrontEnd) Serve(ctx context.Context, r *Request, peer *conns.Peer, t Transport) {
	f.serve(ctx, r, peer, t, nil)
}

// Reject is Serve for a request that is refused in any case.
func (f *FrontEnd) Reject(ctx context.Context, r *Request, peer *conns.Peer, t Transport, refused *Refusal) {
	f.serve(ctx, r, peer, t, refused)
}

func (f *FrontEnd) serve(ctx context.Context, r *Request, peer *conns.Peer, t Transport, refused *Refusal) {
	r.front, r.Peer, r.Began = f, peer, time.Now()
	f.Obs.Begin()
	var response []byte
	switch {
	case !f.InFlight.Enter():
		refused = ShuttingDown()
	default:
		defer f.InFlight.Leave() // after the count: Shutdown waits for it and closes the instruments
		defer r.leaveConsumer()
		if refused == nil {
			response, refused = r.handle(ctx, t)
		}
	}
	r.count(ctx, refused, t.Answer(r, response, refused))
}

// handle takes a request from its header to the response.
func (r *Request) handle(ctx context.Context, t Transport) (response []byte, refused *Refusal) {
	defer r.recover(ctx, &refused)
	if refused := r.authenticate(ctx, t); refused != nil {
		return nil, refused
	}
	if refused := t.Route(r); refused != nil {
		return nil, refused
	}
	if refused := r.checkVersion(t); refused != nil {
		return nil, refused
	}
	if refused := t.Expect(r); refused != nil {
		return nil, refused
	}
	if refused := r.admit(ctx, t); refused != nil {
		return nil, refused
	}
	body, refused := t.Read(r)
	r.noteEnd(ctx)
	if refused != nil {
		return nil, refused
	}
	if h := r.Route.Handle; h != nil {
		return h(ctx, r, body)
	}
	r.Client.Metadata = r.front.metadata(t)
	return r.export(r.front.withRemoteParent(ctx, t), body)
}

// count measures a request that was answered with status.
func (r *Request) count(ctx context.Context, refused *Refusal, status int) {
	done := obsreport.Request{
		Format: r.Format, Began: r.Began, WireBytes: r.WireBytes, Bytes: r.Bytes, Status: status, Method: r.Method, Route: r.Path,
		Protocol: r.Protocol, TLS: r.TLS, Local: r.Peer.Local, ResponseBytes: r.ResponseBytes,
	}
	if r.Route != nil {
		done.Signal = r.Route.Signal
	}
	if refused != nil {
		done.Reason = refused.Reason
		r.front.Rejections.Note(r.Peer.Host, done.Signal, refused.Reason, refused.text(), r.items, max(r.Bytes, r.WireBytes))
	}
	r.front.Obs.Done(ctx, done)
}

// recover is deferred: it makes a refusal of a panic, which would end the process.
// The request's buffer is lost to the pool then. What is left of the ticket is
// given back before the answer, which a client may be slow to read.
func (r *Request) recover(ctx context.Context, refused **Refusal) {
	defer func() {
		r.ticket.Release()
		r.ticket = nil
	}()
	if p := recover(); p != nil {
		r.logPanic(ctx, p, debug.Stack())
		*refused = refusalFor(pipeline.Classify(errPanic), errPanic.Error())
	}
}

func (r *Request) logPanic(ctx context.Context, p any, stack []byte) {
	signal := ""
	if r.Route != nil && r.Route.Signal.Valid() {
		signal = r.Route.Signal.String()
	}
	r.front.Log.LogAttrs(ctx, slog.LevelError, "panic while a request was processed",
		slog.String("signal", signal), slog.Any("panic", p), slog.String("stack", string(stack)))
}

// errPanic is the error that a client gets after a panic. The details are
// logged.
var errPanic = pipeline.Permanently(errors.New("internal error while the request was processed"))

// withRemoteParent puts the sender's span into ctx (W3C Trace Context).
func (f *FrontEnd) withRemoteParent(ctx context.Context, t Transport) context.Context {
	if !f.traced {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, carrier{t})
}

// carrier reads a request's headers for the propagation of traces.
type carrier struct{ t Transport }

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	if values := c.t.Header(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set is not for servers.
func (carrier) Set(string, string) {}

// Keys is not asked for.
func (carrier) Keys() []string { return nil }
