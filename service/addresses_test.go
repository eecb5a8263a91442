package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
)

// Every listener of a configuration is listed, of each kind of component, with the
// port that it got.
func TestAddressesListsEveryListener(t *testing.T) {
	t.Parallel()
	r := start(t, `
receivers:
  otlp/2: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}
  collectionagent: {endpoint: "localhost:0"}
extensions:
  health_check: {endpoint: "localhost:0"}
  pprof: {endpoint: "localhost:0"}
  zpages: {endpoint: "localhost:0"}
exporters: {nop: }
service:
  extensions: [health_check, pprof, zpages]
  pipelines:
    traces: {receivers: [otlp/2], exporters: [nop]}
    profiles: {receivers: [otlp/2, collectionagent], exporters: [nop]}
`)
	var got [][4]string
	for _, a := range r.Addresses() {
		if a.Address == "" || a.Address[len(a.Address)-2:] == ":0" {
			t.Errorf("%s %s: address %q", a.Kind, a.ID, a.Address)
		}
		got = append(got, [4]string{string(a.Kind), a.ID, a.Protocol, a.Signals})
	}
	receiver, extension := string(component.KindReceiver), string(component.KindExtension)
	want := [][4]string{
		{receiver, "otlp/2", "OTLP/gRPC", "traces, profiles"}, {receiver, "otlp/2", "OTLP/HTTP", "traces, profiles"},
		{receiver, "collectionagent", "collection agent/gRPC", "profiles"},
		{extension, "health_check", "HTTP", ""}, {extension, "pprof", "HTTP", ""}, {extension, "zpages", "HTTP", ""},
		{"", "", "metrics", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A listener with TLS has a URL that says so.
func TestAddressesOfTLS(t *testing.T) {
	t.Parallel()
	cert, key := tlstest.New(t).Pair("localhost")
	files := fmt.Sprintf("{cert_file: %s, key_file: %s}", tlstest.File(t, "cert.pem", cert), tlstest.File(t, "key.pem", key))
	r := start(t, `
receivers:
  otlp: {protocols: {http: {endpoint: "localhost:0", tls: `+files+`}}}
extensions:
  zpages: {endpoint: "localhost:0", tls: `+files+`}
  health_check: {endpoint: "localhost:0"}
exporters: {nop: }
service:
  extensions: [zpages, health_check]
  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}
`)
	want := map[string]string{"otlp": "https://", "zpages": "https://", "health_check": "http://"}
	for _, a := range r.Addresses() {
		if !strings.HasPrefix(a.Address, want[a.ID]) {
			t.Errorf("%s listens at %s, want %s", a.ID, a.Address, want[a.ID])
		}
	}
}
