package promises

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
	"github.com/penstock-telemetry/penstock/service"
)

// receiver counts how often the receiver in it is started and shut down.
type receiver struct {
	*otlpreceiver.Receiver
	starts, shutdowns int
}

func (r *receiver) Start(ctx context.Context) error { r.starts++; return r.Receiver.Start(ctx) }
func (r *receiver) Shutdown(ctx context.Context) error {
	r.shutdowns++
	return r.Receiver.Shutdown(ctx)
}

// configuration has both protocols on free ports.
func configuration() otlpreceiver.Config {
	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
	cfg.Protocols.GRPC.Endpoint = "127.0.0.1:0"
	cfg.Protocols.HTTP = otlpreceiver.DefaultHTTPConfig()
	cfg.Protocols.HTTP.Endpoint = "127.0.0.1:0"
	return cfg
}

// users are the four signals, each of which asks for a receiver of its own.
type users struct {
	all     pipeline.Shared[*otlpreceiver.Config, *receiver]
	handles []*pipeline.Handle[*otlpreceiver.Config, *receiver]
	made    int
}

// get asks for the receiver of cfg, once for each signal, and starts it each time.
func (u *users) get(t *testing.T, cfg *otlpreceiver.Config, next pipeline.Consumer) {
	u.handles = nil
	for _, s := range otlp.Signals() {
		h, err := u.all.Get(cfg, func() (*receiver, error) {
			u.made++
			r, err := otlpreceiver.New(*cfg, component.Settings{})
			return &receiver{Receiver: r}, err
		})
		noError(t, err)
		noError(t, h.Component().Register(s, next))
		u.handles = append(u.handles, h)
	}
	for _, h := range u.handles {
		noError(t, h.Start(t.Context()))
	}
}

func oneReceiver(t *testing.T) {
	var u users
	var sink testkit.Sink
	cfg := configuration()
	u.get(t, &cfg, &sink)
	r := u.handles[0].Component()
	for _, h := range u.handles {
		if h.Component() != r {
			t.Error("signals of one configuration have different receivers")
		}
	}
	if u.made != 1 || r.starts != 1 {
		t.Errorf("%d receivers were made and started %d times, want one, started once", u.made, r.starts)
	}
	for _, h := range u.handles {
		sendAll(t, senders(t, r))
		if r.shutdowns != 0 {
			t.Error("the receiver was shut down while it had users")
		}
		noError(t, h.Shutdown(t.Context()))
	}
	if r.shutdowns != 1 {
		t.Errorf("after the last user left, the receiver was shut down %d times", r.shutdowns)
	}
}

func oneReceiverInService(t *testing.T) {
	var sink testkit.Sink
	opts := service.Options{Components: []component.Descriptor{otlpreceiver.Component(), component.OfConsumer("sink", &sink)}, Stderr: io.Discard}
	cfg, err := service.Load(opts, `yaml:
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}
exporters:
  sink:
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [sink]}
    metrics: {receivers: [otlp], exporters: [sink]}
    logs: {receivers: [otlp], exporters: [sink]}
    profiles: {receivers: [otlp], exporters: [sink]}
`)
	noError(t, err)
	svc, err := service.New(cfg, opts)
	noError(t, err)
	noError(t, svc.Start(t.Context()))
	var listens, addresses []string
	for _, a := range svc.Addresses() {
		listens = append(listens, fmt.Sprint(a.ID, " ", a.Protocol, " ", a.Signals))
		addresses = append(addresses, a.Address)
	}
	const signals = "traces, metrics, logs, profiles"
	if want := []string{"otlp OTLP/gRPC " + signals, "otlp OTLP/HTTP " + signals}; !reflect.DeepEqual(listens, want) {
		t.Fatalf("the service listens as %q, want %q", listens, want)
	}
	sendAll(t, sendersTo(t, addresses[0], addresses[1]))
	for _, s := range otlp.Signals() {
		if n := sink.Items(s); n != 2 {
			t.Errorf("%d %s came to the exporter, want 2", n, s.Spec().Item)
		}
	}
	noError(t, svc.Shutdown(t.Context()))
}

func recreated(t *testing.T) {
	var u users
	var before, after testkit.Sink
	cfg := configuration()
	u.get(t, &cfg, &before)
	first := u.handles[0].Component()
	cfg.Protocols.GRPC.Endpoint = first.GRPCAddr().String() // so that the second must bind what the first had
	for _, h := range u.handles {
		noError(t, h.Shutdown(t.Context()))
	}
	u.get(t, &cfg, &after)
	second := u.handles[0].Component()
	if first == second || u.made != 2 {
		t.Error("the configuration got the receiver that was shut down")
	}
	if second.GRPCAddr().String() != cfg.Protocols.GRPC.Endpoint {
		t.Errorf("the second receiver listens at %s, want %s", second.GRPCAddr(), cfg.Protocols.GRPC.Endpoint)
	}
	sendAll(t, senders(t, second))
	for _, s := range otlp.Signals() {
		if after.Items(s) != 2 || before.Calls() != 0 {
			t.Errorf("%s: %d items for the second receiver, want 2; %d batches for the first", s, after.Items(s), before.Calls())
		}
	}
	for _, h := range u.handles {
		noError(t, h.Shutdown(t.Context()))
	}
}

// counted sends each signal over each transport a different number of items, once
// for each answer that a consumer can give.
func counted(t *testing.T) {
	var sink testkit.Sink
	meter := testkit.NewMeter()
	r, err := otlpreceiver.New(configuration(), component.Settings{ID: "otlp/promises", Meter: meter})
	noError(t, err)
	noError(t, r.RegisterAll(&sink))
	noError(t, r.Start(t.Context()))

	want := map[series]counts{}
	send := senders(t, &receiver{Receiver: r})
	for i, s := range otlp.Signals() {
		for j, transport := range []string{"grpc", "http"} {
			items := 2 + 2*i + j // differs from series to series
			for _, tt := range answersOf(int64(items)) {
				sink.Respond(tt.answer)
				answer, err := send[transport].Send(t.Context(), otlpclient.Request{Signal: s, Bytes: request(t, s, items)})
				if heard := verdict(answer, err); heard != tt.heard {
					t.Errorf("%s over %s: the consumer answers %q; the client gets %q (%v), want %q", s, transport, tt.name, heard, err, tt.heard)
				}
				want[series{s, transport}] = want[series{s, transport}].plus(tt.counts)
			}
		}
	}
	noError(t, r.Shutdown(t.Context()))
	for of, want := range want {
		sum := func(outcome string) int64 {
			return meter.Sum(t, "otelcol_receiver_"+outcome+"_"+of.signal.Spec().Item, "receiver=otlp/promises", "transport="+of.transport)
		}
		if got := (counts{sum("accepted"), sum("refused"), sum("failed")}); got != want {
			t.Errorf("%s over %s: counted %+v, want %+v", of.signal, of.transport, got, want)
		}
	}
}

type series struct {
	signal    otlp.Signal
	transport string
}

type counts struct{ accepted, refused, failed int64 }

func (c counts) plus(o counts) counts {
	return counts{c.accepted + o.accepted, c.refused + o.refused, c.failed + o.failed}
}

// answer is what a consumer can say to a request, the answer that the client gets, and
// how the items are counted.
type answer struct {
	name   string
	answer func(context.Context, *pipeline.Batch) error
	heard  string
	counts counts
}

func answersOf(items int64) []answer {
	always := func(err error) func(context.Context, *pipeline.Batch) error {
		return func(context.Context, *pipeline.Batch) error { return err }
	}
	retry, never := errors.New("disk is slow"), pipeline.Permanently(errors.New("no such tenant"))
	some := &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errors.New("too old")}
	inConsumer := func(context.Context, *pipeline.Batch) error { panic("a bug in a component") }
	inProcessor := pipeline.Chain(&testkit.Sink{}, pipeline.Step{Name: "broken", Processor: broken{}}).Consume
	return []answer{
		{"kept", always(nil), "kept", counts{accepted: items}},
		{"try again", always(retry), "try again", counts{refused: items}},
		{"give up", always(never), "give up", counts{refused: items}},
		{"kept but one", always(some), "1 rejected", counts{accepted: items - 1, refused: 1}},
		{"a panic", inConsumer, "give up", counts{failed: items}},
		{"a panic of a processor", inProcessor, "give up", counts{failed: items}},
	}
}

// broken is a processor that panics.
type broken struct{}

func (broken) Process(context.Context, *pipeline.Batch) (*pipeline.Batch, error) {
	panic("a bug in a processor")
}

// verdict is the answer that a client gets.
func verdict(a otlpclient.Answer, err error) string {
	var e *otlpclient.Error
	switch {
	case err == nil && a.Rejected == 0:
		return "kept"
	case err == nil:
		return fmt.Sprint(a.Rejected, " rejected")
	case errors.As(err, &e) && e.Retryable:
		return "try again"
	}
	return "give up"
}

// sendAll sends one item of each signal over each transport.
func sendAll(t *testing.T, senders map[string]otlpclient.Sender) {
	t.Helper()
	for transport, sender := range senders {
		for _, s := range otlp.Signals() {
			if _, err := sender.Send(t.Context(), otlpclient.Request{Signal: s, Bytes: request(t, s, 1)}); err != nil {
				t.Errorf("send %s over %s: %v", s, transport, err)
			}
		}
	}
}

// senders are clients of the receiver, by transport.
func senders(t *testing.T, r *receiver) map[string]otlpclient.Sender {
	t.Helper()
	return sendersTo(t, r.GRPCAddr().String(), "http://"+r.HTTPAddr().String())
}

func sendersTo(t *testing.T, grpcTarget, httpURL string) map[string]otlpclient.Sender {
	t.Helper()
	g := config.DefaultGRPCClient()
	g.Endpoint, g.TLS.Insecure = grpcTarget, true
	overGRPC, err := otlpclient.NewGRPC(g, 10*time.Second)
	noError(t, err)
	h := config.DefaultHTTPClient()
	h.Endpoint, h.Timeout = httpURL, 10*time.Second
	overHTTP, err := otlpclient.NewHTTP(h, nil)
	noError(t, err)
	t.Cleanup(func() { noError(t, errors.Join(overGRPC.Close(), overHTTP.Close())) })
	return map[string]otlpclient.Sender{"grpc": overGRPC, "http": overHTTP}
}
