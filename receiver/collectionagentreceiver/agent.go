package collectionagentreceiver

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/grpcserver"
	"github.com/penstock-telemetry/penstock/receiver/internal/held"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

const (
	// maxStreams is how many requests a connection may have in progress. A
	// reporter has one or two.
	maxStreams = 16
	// maxHeaderBytes bounds a request's headers.
	maxHeaderBytes = 16 << 10
)

// agent is what Start makes.
type agent struct {
	server     *grpcserver.Server
	sessions   *sessions
	consumers  *frontend.Consumers
	inFlight   *frontend.InFlight
	obs        *obsreport.Receiver
	rejections *obsreport.Rejections
	held       *obsreport.HeldItems
	stackless  *obsreport.WithoutStack
	serving    sync.WaitGroup
}

// open makes an agent that does not serve yet.
func (r *Receiver) open(ctx context.Context, undo *lifecycle.Undo) (*agent, error) {
	a := &agent{
		consumers: &r.consumers, inFlight: frontend.NewInFlight(), rejections: obsreport.NewRejections(r.set.Logger),
	}
	var err error
	if a.obs, err = obsreport.NewReceiver(r.set.ID, "grpc", r.set.Tracer, r.set.Meter, r.set.MetricsLevel >= component.LevelDetailed); err != nil {
		return nil, err
	}
	undo.Add(a.obs.Close)
	a.sessions = newSessions(r.cfg, r.set, func() (pipeline.Consumer, bool) {
		to := newRoute(&r.consumers, a.obs)
		return &held.Consumer{Next: to, Budget: r.set.Memory, Client: "receiver " + r.set.ID}, to.next[otlp.Metrics] != nil
	})
	read := func(s otlp.Signal) obsreport.HeldStats {
		f := a.sessions.flow(s)
		return obsreport.HeldStatsOf(f.Acknowledged, f.Held, f.Dropped)
	}
	if a.held, err = obsreport.NewHeldItems(r.set.ID, r.set.Meter, read, otlp.Profiles, otlp.Metrics); err != nil {
		return nil, err
	}
	undo.Add(a.held.Close)
	if a.stackless, err = obsreport.NewWithoutStack(r.set.ID, r.set.Meter, a.sessions.withoutStack); err != nil {
		return nil, err
	}
	undo.Add(a.stackless.Close)
	return a, r.listen(ctx, a)
}

// listen makes the agent's server.
func (r *Receiver) listen(ctx context.Context, a *agent) error {
	o := frontend.Options{
		Transport: "grpc", Obs: a.obs, Rejections: a.rejections, InFlight: a.inFlight, Memory: r.set.Memory,
		Tracer: r.set.Tracer, Log: r.set.Logger,
	}
	if c := r.cfg.Auth; c != nil {
		var err error
		if o.Auth, err = frontend.Authenticator(r.set, c.Authenticator); err != nil {
			return err
		}
	}
	secure, err := frontend.LoadTLS(r.cfg.TLS, r.set.Logger)
	if err != nil {
		return err
	}
	if secure != nil {
		secure.NextProtos = []string{"h2"}
	}
	at := r.cfg.listenOptions()
	at.Key = "receivers." + r.set.ID + ".endpoint"
	l, err := config.Listen(ctx, at)
	if err != nil {
		return err
	}
	counted := conns.NewListener(l, conns.Options{Max: r.cfg.MaxConnections, WriteTimeout: r.pace.WriteStall, Obs: a.obs})
	a.server = grpcserver.New(counted, grpcserver.Options{
		FrontEnd: frontend.New(o), Pace: &r.pace, TLS: secure,
		Methods:         map[string]*frontend.Route{collectionagentv1.CollectionAgent_Report_FullMethodName: {Handle: a.report}},
		MaxRequestBytes: r.maxRequestBytes, LimitKey: "max_recv_msg_size_mib",
		NotCompressed: "requests to a collection agent are not compressed",
		Protocol:      protocol, HTTPHint: "a reporter speaks gRPC",
		GRPC: r.cfg.serverOptions(),
	})
	return nil
}

// serverOptions translates the configuration.
func (c *Config) serverOptions() []grpc.ServerOption {
	k := c.Keepalive
	if k == nil {
		k = &KeepaliveConfig{}
	}
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters(k.ServerParameters)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy(k.EnforcementPolicy)),
	}
}

// report takes one request. It is frontend.Route.Handle. The response is empty unless
// something is asked for.
func (a *agent) report(ctx context.Context, r *frontend.Request, body *[]byte) ([]byte, *frontend.Refusal) {
	defer bufpool.Put(body)
	r.Bytes = len(*body)
	if err := r.Reserve(cap(*body) + collectionagentv1.ScratchBytes(len(*body))); err != nil {
		return nil, frontend.RefuseOverload(err)
	}
	q, err := collectionagentv1.Parse(ctx, *body)
	if err != nil {
		return nil, refuseParse(err)
	}
	if err := r.Reserve(cap(*body) + collectionagentv1.ScratchBytes(len(*body)) + answerBytes(q)); err != nil {
		return nil, frontend.RefuseOverload(err)
	}
	if a.consumers.Get(otlp.Profiles) == nil && q.Len(collectionagentv1.Traces, collectionagentv1.Counts, collectionagentv1.Frames,
		collectionagentv1.Executables, collectionagentv1.Symbols) > 0 {
		return nil, frontend.Refuse(codes.Unimplemented, obsreport.ReasonNotFound, "no pipeline of profiles takes what this collection agent receives")
	}
	return a.sessions.take(ctx, r.Sender(), q)
}

// refuseParse is the refusal of a request that Parse does not take.
func refuseParse(err error) *frontend.Refusal {
	var f *collectionagentv1.Fault
	if errors.As(err, &f) {
		return refuseField(f.Field, "%v", f)
	}
	return frontend.Interrupted(err)
}

// refuseField is the refusal of a request for what is in one field
// (collectionagent.proto, "Answers beside OK").
func refuseField(field, format string, args ...any) *frontend.Refusal {
	r := frontend.Refuse(codes.InvalidArgument, obsreport.ReasonDecode, format, args...)
	r.BadData, r.Field = true, field
	return r
}

// refuseFor is the refusal of a request that may be sent again after some time.
func refuseFor(after time.Duration, format string, args ...any) *frontend.Refusal {
	r := frontend.Refuse(codes.Unavailable, obsreport.ReasonAdmission, format, args...)
	r.RetryAfter = after
	return r
}

// drain ends the server. It waits for every handler.
func (a *agent) drain(ctx context.Context) {
	within := maxDrain
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline)/2)
	}
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if !a.server.Drain(limited) {
		a.server.Abort()
	}
	<-a.server.Drained()
	<-a.inFlight.Close()
	a.serving.Wait()
}
