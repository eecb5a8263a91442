package collectionagentreceiver

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// door is what all requests pass.
type door struct {
	maxBytes   int
	patience   time.Duration
	auth       pipeline.Authenticator // nil: everybody may come in
	budget     *admission.Budget
	obs        *obsreport.Receiver
	rejections *obsreport.Rejections
	sessions   *sessions
	profiles   bool // somebody takes them
	log        *slog.Logger
}

const (
	// visitBytes is what a request costs beside its body: a goroutine, the
	// transport's state, and what it has read ahead.
	visitBytes = 16<<10 + streamWindowBytes
	// treeFactor is how many times its size a request has with the messages that
	// are made of it.
	treeFactor = 4
)

// visit is one request on its way through the door.
type visit struct {
	*door
	ticket *admission.Ticket
	bytes  int
}

// serve takes one request.
func (d *door) serve(stream grpc.ServerStream) error {
	began := time.Now()
	d.obs.Begin()
	ctx := stream.Context()
	v := visit{door: d}
	refused := v.take(ctx)
	done := obsreport.Request{Format: "protobuf", Began: began, WireBytes: v.bytes, Bytes: v.bytes}
	if refused == nil {
		err := stream.SendMsg(&collectionagentv1.ReportResponse{})
		done.Status = int(status.Code(err))
		d.obs.Done(ctx, done)
		return err
	}
	done.Status, done.Reason = int(refused.code), refused.reason
	d.rejections.Note(hostOf(ctx), done.Signal, refused.reason, refused.message, 0, v.bytes)
	d.obs.Done(ctx, done)
	return refused.status()
}

func (v *visit) take(ctx context.Context) (refused *refusal) {
	defer func() {
		if p := recover(); p != nil {
			v.log.ErrorContext(ctx, "panic while a report was taken", "panic", p, "stack", string(debug.Stack()))
			refused = refuse(codes.Internal, obsreport.ReasonInternal, "internal error while the report was taken")
		}
		v.ticket.Release()
	}()
	who, refused := v.authenticate(ctx)
	if refused != nil {
		return refused
	}
	q, refused := v.read(ctx, who)
	if refused != nil {
		return refused
	}
	if refused := v.check(q); refused != nil {
		return refused
	}
	return v.sessions.take(q)
}

// authenticate returns who sends, for fair shares.
func (v *visit) authenticate(ctx context.Context) (string, *refusal) {
	host := hostOf(ctx)
	if v.auth == nil {
		return host, nil
	}
	id, err := v.auth.Authenticate(ctx, func(name string) []string { return metadata.ValueFromIncomingContext(ctx, name) })
	var e *pipeline.Error
	switch {
	case err == nil && id != nil && id.Subject != "":
		return id.Subject, nil
	case err == nil:
		return host, nil
	case errors.As(err, &e) && (e.Kind == pipeline.Retryable || e.Kind == pipeline.Overloaded):
		r := refuse(codes.Unavailable, obsreport.ReasonAuth, "%v", err)
		r.retryAfter = e.RetryAfter
		return "", r
	}
	return "", refuse(codes.Unauthenticated, obsreport.ReasonAuth, "%v", err)
}

// hostOf returns the peer's IP address. All peers of a unix socket are one.
func hostOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	if ap, err := netip.ParseAddrPort(p.Addr.String()); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	return p.Addr.Network()
}

// read takes room for the request and reads it.
func (v *visit) read(ctx context.Context, who string) (*collectionagentv1.ReportRequest, *refusal) {
	var err error
	if v.ticket, err = v.budget.Acquire(ctx, who, visitBytes); err != nil {
		return nil, refuseOverload(err)
	}
	m, refused := newMessage(ctx, v.patience)
	if refused != nil {
		return nil, refused
	}
	defer m.late.Stop()
	n, refused := m.length(v.maxBytes)
	if refused != nil {
		return nil, refused
	}
	v.bytes = n
	if err := v.ticket.Reserve(visitBytes + treeFactor*n); err != nil {
		return nil, refuseOverload(err)
	}
	body, refused := m.body(n, v.patience)
	if refused != nil {
		return nil, refused
	}
	q := &collectionagentv1.ReportRequest{}
	if err := proto.Unmarshal(body, q); err != nil {
		return nil, refuse(codes.InvalidArgument, obsreport.ReasonDecode, "the request cannot be decoded: %v", err)
	}
	return q, nil
}

// check refuses what breaks the rules, and what nobody here takes.
func (v *visit) check(q *collectionagentv1.ReportRequest) *refusal {
	if f := q.Check(); f != nil {
		r := refuse(codes.InvalidArgument, obsreport.ReasonDecode, "%v", f)
		r.field = f.Field
		return r
	}
	if !v.profiles && len(q.Traces)+len(q.Counts)+len(q.Frames)+len(q.Executables)+len(q.Symbols) > 0 {
		return refuse(codes.Unimplemented, obsreport.ReasonNotFound, "no pipeline of profiles takes what this collection agent receives")
	}
	return nil
}
