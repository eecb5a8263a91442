package otlpreceiver

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// A configuration in which only the endpoints are set is the default one.
func TestZeroValuesAreTheDefaults(t *testing.T) {
	t.Parallel()
	g, h := DefaultGRPCConfig(), DefaultHTTPConfig()
	g.Endpoint, h.Endpoint = "localhost:0", "localhost:0"
	literal := Config{Protocols: Protocols{
		GRPC: &GRPCConfig{ServerConfig: ServerConfig{Endpoint: "localhost:0"}},
		HTTP: &HTTPConfig{ServerConfig: ServerConfig{Endpoint: "localhost:0"}},
	}}
	full := literal.completed()
	if diff := cmp.Diff(h, full.Protocols.HTTP, cmp.AllowUnexported(HTTPConfig{})); diff != "" {
		t.Errorf("HTTP: -default +literal:\n%s", diff)
	}
	if got := full.Protocols.GRPC; got.maxRequestBytes() != g.maxRequestBytes() || got.Transport != g.Transport {
		t.Errorf("gRPC: %+v", got)
	}
	if literal.Protocols.HTTP.complete || literal.Protocols.GRPC.Transport != "" {
		t.Error("the caller's configuration was changed")
	}
	if err := literal.check(); err != nil {
		t.Errorf("the literal is not valid: %v", err)
	}
	r, err := New(literal, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	sink := &testkit.Sink{}
	for _, s := range otlp.Signals() {
		if err := r.Register(s, sink); err != nil {
			t.Fatal(err)
		}
	}
	rig := &rig{Receiver: r, t: t, sink: nil}
	rig.start()
	for _, s := range otlp.Signals() {
		for _, via := range testTransports {
			if a := via.send(rig, s, "", request(s, 3)); !a.ok() {
				t.Errorf("%s over %s: %v", s, via.name, a.status)
			}
		}
		if n := sink.Items(s); n != 6 {
			t.Errorf("%d of 6 %s arrived", n, s)
		}
	}
}

// What is zero on purpose stays so: in a configuration made by DefaultHTTPConfig, and
// in one from a file.
func TestZeroOnPurpose(t *testing.T) {
	t.Parallel()
	made := DefaultHTTPConfig()
	made.WriteTimeout, made.KeepAlivesEnabled = 0, false
	decoded, err := decode(t, "protocols: {http: {write_timeout: 0s, keep_alives_enabled: false}}")
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*HTTPConfig{"made": made, "decoded": decoded.Protocols.HTTP} {
		c := Config{Protocols: Protocols{HTTP: h}}
		got := c.completed().Protocols.HTTP
		if keep, _ := got.idle(); keep || got.WriteTimeout != 0 || got.ReadHeaderTimeout != 10*time.Second {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An address is that of the listener, and there is none before Start.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	two := makeRig(t, testConfig(), setup{})
	if found := two.Endpoints(); found != nil {
		t.Errorf("before Start: %v", found)
	}
	two.start()
	one := newRig(t, onePortConfig("tcp", freePort(t), nil))
	web := httpRig(t, func(*HTTPConfig) {})
	for _, tt := range []struct {
		r    *rig
		want []component.Endpoint
	}{
		{two, []component.Endpoint{{Protocol: "OTLP/gRPC", Addr: two.GRPCAddr()}, {Protocol: "OTLP/HTTP", Addr: two.HTTPAddr()}}},
		{one, []component.Endpoint{{Protocol: "OTLP/gRPC", Addr: one.HTTPAddr()}, {Protocol: "OTLP/HTTP", Addr: one.HTTPAddr()}}},
		{web, []component.Endpoint{{Protocol: "OTLP/HTTP", Addr: web.HTTPAddr()}}},
	} {
		if diff := cmp.Diff(tt.want, tt.r.Endpoints()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
