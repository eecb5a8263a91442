package frontend_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// request returns a request of n log records.
func request(n int) []byte { return testkit.Request(rand.New(rand.NewPCG(1, 1)), otlp.Logs, n) }

// rig is a front end with a sink behind it, and a transport that writes down what
// it is asked for.
type rig struct {
	*frontend.FrontEnd
	sink  testkit.Sink
	log   testkit.Log
	meter *testkit.Meter

	steps    []string
	refuseAt string // the step that refuses
	panicAt  string
	body     []byte
	header   map[string][]string
	route    *frontend.Route // nil: logs into the sink

	response []byte
	refused  *frontend.Refusal
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{meter: testkit.NewMeter(), body: request(3)}
	set := component.Settings{Meter: r.meter}.OrDefaults()
	obs, err := obsreport.NewReceiver("r", "grpc", set.Tracer, set.Meter, set.MetricsLevel >= component.LevelDetailed)
	if err != nil {
		t.Fatal(err)
	}
	o := frontend.Options{
		Transport: "grpc", Obs: obs, Rejections: obsreport.NewRejections(r.log.Logger()), InFlight: frontend.NewInFlight(),
		Memory: admission.New(admission.Config{Bytes: 1 << 20, MaxWait: -1}), Tracer: set.Tracer, Log: r.log.Logger(),
	}
	r.FrontEnd = frontend.New(o)
	t.Cleanup(func() {
		_ = obs.Close()
		if used := o.Memory.Stats().Used; used != 0 || o.InFlight.Count() != 0 {
			t.Errorf("%d bytes of the budget and %d requests are left", used, o.InFlight.Count())
		}
	})
	return r
}

// serve handles one request of the rig's.
func (r *rig) serve(ctx context.Context) {
	r.steps, r.response, r.refused = nil, nil, nil
	q := &frontend.Request{Format: "protobuf"}
	r.Serve(ctx, q, &conns.Peer{Host: "192.0.2.1", Share: "192.0.2.1", Addr: "192.0.2.1:5"}, r)
}

func (r *rig) step(name string) *frontend.Refusal {
	r.steps = append(r.steps, name)
	switch name {
	case r.panicAt:
		panic("secret")
	case r.refuseAt:
		return frontend.Refuse(codes.InvalidArgument, obsreport.ReasonDecode, "refused at %s", name)
	}
	return nil
}

func (r *rig) Header(name string) []string     { return r.header[name] }
func (r *rig) Credential(name string) []string { return r.header[name] }
func (r *rig) Headers() map[string][]string    { return r.header }

func (r *rig) Route(q *frontend.Request) *frontend.Refusal {
	to := r.route
	if to == nil {
		to = &frontend.Route{Signal: otlp.Logs, Consumers: &frontend.Consumers{}}
		to.Consumers.Set(otlp.Logs, &r.sink)
	}
	if refused := r.step("route"); refused != nil {
		return refused
	}
	return q.SetRoute(to)
}

func (r *rig) Expect(*frontend.Request) *frontend.Refusal { return r.step("expect") }

func (r *rig) Read(q *frontend.Request) (*[]byte, *frontend.Refusal) {
	if refused := r.step("read"); refused != nil {
		return nil, refused
	}
	buf, err := q.GetBuffer(0, len(r.body))
	if err != nil {
		return nil, frontend.RefuseOverload(err)
	}
	copy(*buf, r.body)
	return buf, nil
}

func (r *rig) Answer(_ *frontend.Request, response []byte, refused *frontend.Refusal) int {
	r.steps = append(r.steps, "answer")
	r.response, r.refused = response, refused
	if refused != nil {
		return int(refused.Code)
	}
	return 0
}

// Authenticate implements pipeline.Authenticator.
func (r *rig) Authenticate(_ context.Context, header func(string) []string) (*pipeline.Identity, error) {
	if refused := r.step("authenticate"); refused != nil {
		return nil, refused
	}
	return &pipeline.Identity{Subject: strings.Join(header("x-name"), "")}, nil
}

// The steps come in the order that the package promises, none after one that
// refuses or panics, and each request is answered and counted once.
func TestSequence(t *testing.T) {
	t.Parallel()
	order := []string{"authenticate", "route", "expect", "read", "answer"}
	for i, at := range order {
		for _, how := range []string{"refuses", "panics"} {
			t.Run(at+" "+how, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.Auth = r
				want, reason, code := append(slices.Clone(order[:i+1]), "answer"), "decode", codes.InvalidArgument
				switch {
				case at == "answer":
					want, reason, code = order, "", codes.OK
				case how == "panics":
					r.panicAt, reason, code = at, "internal", codes.Internal
				default:
					r.refuseAt = at
				}
				if at == "authenticate" && how == "refuses" {
					reason, code = "auth", codes.Unauthenticated
				}
				r.header = map[string][]string{"x-name": {"alice"}}
				r.serve(t.Context())
				if !slices.Equal(r.steps, want) {
					t.Errorf("the steps were %q, expected %q", r.steps, want)
				}
				got := codes.OK
				if r.refused != nil {
					got = r.refused.Code
				}
				if got != code {
					t.Errorf("answered %s, expected %s", got, code)
				}
				all, refused := r.meter.Sum(t, "otelcol_receiver_requests"), r.meter.Sum(t, "otelcol_receiver_refused_requests")
				if n := r.meter.Sum(t, "otelcol_receiver_refused_requests", "reason="+reason); all != 1 || refused != n || refused != int64(min(len(reason), 1)) {
					t.Errorf("%d requests were counted, %d as refused, %d as %q", all, refused, n, reason)
				}
				if logged := strings.Contains(r.log.String(), "secret"); logged != (r.panicAt != "") {
					t.Errorf("the panic is in the log: %v", logged)
				}
			})
		}
	}
}

// What consumers see of the sender.
func TestClient(t *testing.T) {
	t.Parallel()
	header := map[string][]string{"x-name": {"alice"}, "host": {"here"}, "other": {"1", "2"}}
	for name, tt := range map[string]struct {
		all   bool
		names []string
		want  string
	}{
		"none": {want: "map[]"}, "all": {all: true, want: fmt.Sprint(header)}, "some": {names: []string{"other", "absent"}, want: "map[other:[1 2]]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.AllMetadata, r.Metadata, r.Auth, r.header = tt.all, tt.names, r, header
			r.serve(t.Context())
			got := r.sink.Received(otlp.Logs)
			if len(got) != 1 || r.refused != nil {
				t.Fatalf("%d batches, %v", len(got), r.refused)
			}
			c := got[0].Client
			if fmt.Sprint(c.Metadata) != tt.want || c.Addr != "192.0.2.1:5" || c.Transport != "grpc" || c.Format != "protobuf" ||
				c.Identity.Subject != "alice" || time.Since(c.Received) > time.Minute {
				t.Errorf("the consumer sees %+v, expected the metadata %s", c, tt.want)
			}
		})
	}
}

// A request that finds no room is refused before its body is read.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold, err := r.Memory.Acquire(t.Context(), "another", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t.Context())
	hold.Release()
	if want := []string{"route", "expect", "answer"}; !slices.Equal(r.steps, want) || r.refused.Code != codes.Unavailable || r.refused.RetryAfter <= 0 {
		t.Errorf("the steps were %q, expected %q; refused with %+v", r.steps, want, r.refused)
	}
}

// Between the deadline of a shutdown and the end of a request that was in progress,
// the consumer is not called any more. Later requests are refused at once.
func TestClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Inspect = func(_ *frontend.Request, b *pipeline.Batch) (*pipeline.Batch, error) {
		r.InFlight.Close()
		return b, nil
	}
	for _, want := range [][]string{{"route", "expect", "read", "answer"}, {"answer"}} {
		r.serve(t.Context())
		if !slices.Equal(r.steps, want) || r.refused == nil || r.refused.Reason != obsreport.ReasonShutdown {
			t.Errorf("the steps were %q, expected %q; %+v", r.steps, want, r.refused)
		}
	}
	if n := r.sink.Calls(); n != 0 {
		t.Errorf("the consumer was called %d times", n)
	}
	<-r.InFlight.Close()
}

// A request that is rejected in any case is counted like any other.
func TestReject(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Reject(t.Context(), &frontend.Request{}, &conns.Peer{}, r, frontend.Refuse(codes.Unimplemented, obsreport.ReasonNotFound, "wrong port"))
	if !slices.Equal(r.steps, []string{"answer"}) || r.refused.Message != "wrong port" || r.meter.Sum(t, "otelcol_receiver_refused_requests", "reason=not_found") != 1 {
		t.Errorf("the steps were %q, %+v", r.steps, r.refused)
	}
}

// A route may handle requests itself.
func TestHandle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.route = &frontend.Route{Handle: func(_ context.Context, q *frontend.Request, body *[]byte) ([]byte, *frontend.Refusal) {
		defer bufpool.Put(body)
		return []byte(fmt.Sprint(len(*body), q.Client.Addr)), nil
	}}
	r.serve(t.Context())
	if want := fmt.Sprint(len(r.body), "192.0.2.1:5"); string(r.response) != want {
		t.Errorf("answered %q, expected %q", r.response, want)
	}
	r.route.Handle = func(context.Context, *frontend.Request, *[]byte) ([]byte, *frontend.Refusal) { panic("secret") }
	if r.serve(t.Context()); r.refused == nil || r.refused.Code != codes.Internal || !strings.Contains(r.log.String(), "secret") {
		t.Errorf("a panic: %+v", r.refused)
	}
}

// A batch that Inspect puts in the place of another is the one that is exported,
// and what the request holds of the budget is released with it.
func TestInspect(t *testing.T) {
	t.Parallel()
	other := request(1)
	r := newRig(t)
	r.Inspect = func(q *frontend.Request, b *pipeline.Batch) (*pipeline.Batch, error) {
		mem, err := q.GetBuffer(len(b.Bytes()), len(other))
		if err != nil {
			return b, frontend.RefuseOverload(err)
		}
		copy(*mem, other)
		buf := pipeline.BufferOf(mem)
		defer buf.Release()
		d := b.Derive(buf, 1)
		b.Release()
		q.Trim(cap(*mem))
		return d, nil
	}
	r.serve(t.Context())
	if got := r.sink.Received(otlp.Logs); len(got) != 1 || string(got[0].Bytes) != string(other) {
		t.Errorf("the consumer saw %d batches", len(got))
	}
}

// What a consumer's error means to the client. The panic of a processor is logged
// once, with its own stack.
func TestConsumerErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tt := range []struct {
		err  error
		code codes.Code
	}{
		{errors.New("down"), codes.Unavailable},
		{pipeline.Permanently(errors.New("bad")), codes.Internal},
		{&pipeline.Error{Kind: pipeline.Permanent, Err: &pipeline.PanicError{Processor: "p", Value: "secret", Stack: []byte("stack of p")}}, codes.Internal},
	} {
		r.sink.Fail(tt.err)
		if r.serve(t.Context()); r.refused == nil || r.refused.Code != tt.code || strings.Contains(r.refused.Message, "secret") {
			t.Errorf("%v: %+v, expected %s", tt.err, r.refused, tt.code)
		}
	}
	if n := strings.Count(r.log.String(), "stack of p"); n != 1 {
		t.Errorf("the stack of a panic is %d times in the log, expected once", n)
	}
	r.sink.Fail(&pipeline.Error{Kind: pipeline.Partial, Rejected: 2, Err: errors.New("two are bad")})
	if r.serve(t.Context()); r.refused != nil || len(r.response) == 0 {
		t.Errorf("partial success: %+v, %q", r.refused, r.response)
	}
}
