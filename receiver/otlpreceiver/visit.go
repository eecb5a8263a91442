package otlpreceiver

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// door is what all requests over one transport pass.
type door struct {
	transport  string
	gate       *gate
	pace       pace
	obs        *obsreport.Receiver
	rejections *obsreport.Rejections
	budget     *admission.Budget
	auth       pipeline.Authenticator // nil: everybody may come in
	text       *textCheck
	intakes    [otlp.Profiles + 1]*intake
	traced     bool // somebody looks at spans
	metadata   Metadata
	log        *slog.Logger
}

// visit is one request on its way through the door:
//
//	enter ─► authenticate ─► admit ─► body, decompressed ─► export ─► leave
//
// Nothing of the body has been asked for before it is admitted. What HTTP/2
// sends ahead of being asked is bounded by its windows.
type visit struct {
	*door
	began  time.Time
	conn   *conn
	in     *intake // nil until the signal is known
	format string
	client pipeline.Client
	ticket *admission.Ticket

	most             int  // bytes that it may have, 0 if that is not its visit's to know
	wireBytes, bytes int  // as it came, and decompressed
	read             bool // the body is no longer under way
	items            int  // 0 until they are counted
}

const (
	// visitBytes is what a request costs beside its body: a goroutine and the
	// transport's state.
	visitBytes = 16 << 10
	// openBytes is what it costs as long as its body is under way: gRPC has read
	// a part of that ahead.
	openBytes = visitBytes + streamWindowBytes
)

// enter begins a visit. Whether it may go on is the result; leave ends it either
// way.
func (d *door) enter(c *conn, format string) (visit, *refusal) {
	v := visit{door: d, began: time.Now(), conn: c, format: format}
	d.obs.Begin()
	if !d.gate.enter() {
		return v, errShuttingDown()
	}
	return v, nil
}

// leave ends a visit with the answer that was sent. entered is whether enter let
// it in.
func (v *visit) leave(ctx context.Context, r *refusal, status int, method, route string, entered bool) {
	if entered {
		defer v.gate.leave() // who waits for it ends the measurements
	}
	done := obsreport.Request{
		Format: v.format, Began: v.began, WireBytes: v.wireBytes, Bytes: v.bytes, Status: status, Method: method, Route: route,
	}
	if v.in != nil {
		done.Signal = v.in.signal
	}
	if r != nil {
		done.Reason = r.reason
		v.rejections.Note(v.conn.client, done.Signal, r.reason, r.message, v.items, max(v.bytes, v.wireBytes))
	}
	v.obs.Done(ctx, done)
}

// authenticate asks who sends, by the headers. get returns all values of one.
func (v *visit) authenticate(ctx context.Context, get func(name string) []string) *refusal {
	v.client = pipeline.Client{Addr: v.conn.addr, Transport: v.transport, Format: v.format}
	if v.auth == nil {
		return nil
	}
	id, err := v.auth.Authenticate(ctx, get)
	if err == nil {
		v.client.Identity = id
		return nil
	}
	var e *pipeline.Error
	if errors.As(err, &e) && (e.Kind == pipeline.Retryable || e.Kind == pipeline.Overloaded) {
		r := refusalFor(e)
		r.reason = obsreport.ReasonAuth
		return r
	}
	return &refusal{code: codes.Unauthenticated, message: err.Error(), reason: obsreport.ReasonAuth}
}

// version checks the header by which both ends of a signal in development agree
// on its version: absent is the one that we speak.
func (v *visit) version(get func(name string) []string) *refusal {
	spec := v.in.signal.Spec()
	if spec.Header == "" {
		return nil
	}
	if found := get(spec.Header); len(found) > 0 && (len(found) > 1 || found[0] != spec.HeaderValue) {
		return &refusal{code: codes.InvalidArgument, reason: obsreport.ReasonDecode, badData: true, field: spec.Header,
			message: spec.Header + ": expected " + quote(spec.HeaderValue) + ", found " + quote(strings.Join(found, ", ")) +
				": sender and server speak different versions of OTLP " + spec.Name}
	}
	return nil
}

// admit takes a request's bytes from the budget, for a body of n bytes, or of a
// length that will show.
func (v *visit) admit(ctx context.Context, n int) *refusal {
	who := v.conn.share
	if id := v.client.Identity; id != nil && id.Subject != "" {
		who = id.Subject
	}
	var err error
	if v.ticket, err = v.budget.Acquire(ctx, who, openBytes+n); err != nil {
		return refuseOverload(err)
	}
	return nil
}

// rescue is deferred: it makes a refusal of a panic, which would end the process.
// The buffer of the request is lost to the pool. What is left of the ticket goes
// back before the answer, which a client may be slow to take.
func (v *visit) rescue(ctx context.Context, refused **refusal) {
	defer func() {
		v.ticket.Release()
		v.ticket = nil
	}()
	if p := recover(); p != nil {
		v.tellOfPanic(ctx, p, debug.Stack())
		*refused = refusalFor(pipeline.Classify(errPanic))
	}
}

func (v *visit) tellOfPanic(ctx context.Context, p any, stack []byte) {
	signal := ""
	if v.in != nil {
		signal = v.in.signal.String()
	}
	v.log.LogAttrs(ctx, slog.LevelError, "panic while a request was processed",
		slog.String("signal", signal), slog.Any("panic", p), slog.String("stack", string(stack)))
}

// Reserve makes room for bodies of n bytes in all. It is compress.Room.
func (v *visit) Reserve(n int) error { return v.ticket.Reserve(openBytes + n) }

// lend takes a buffer of n bytes while others of beside bytes are in use.
func (v *visit) lend(beside, n int) (*[]byte, error) {
	class := bufpool.Class(n)
	if err := v.Reserve(beside + class); err != nil {
		return nil, err
	}
	lent := bufpool.Get(n)
	if more := cap(*lent); more > class { // an odd one of the pool
		if err := v.Reserve(beside + more); err != nil {
			bufpool.Put(lent)
			return nil, err
		}
	}
	return lent, nil
}

// keep gives back what the budget has lent beyond buffers of n bytes.
func (v *visit) keep(n int) { v.ticket.Shrink(openBytes + n) }

// remoteParent puts the sender's span into ctx (W3C Trace Context).
func (d *door) remoteParent(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	if !d.traced {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}

// refuseOverload is the refusal of a request that the budget has no room for.
func refuseOverload(err error) *refusal {
	var o *admission.Overload
	if !errors.As(err, &o) { // the client went away while it waited
		return &refusal{code: codes.Unavailable, message: err.Error(), reason: obsreport.ReasonBrokenOff}
	}
	r := &refusal{code: codes.Unavailable, message: o.Error(), retryAfter: o.RetryAfter, reason: obsreport.ReasonAdmission}
	if o.TooLarge {
		return &refusal{code: codes.ResourceExhausted, message: o.Error(), reason: obsreport.ReasonTooLarge}
	}
	return r
}
