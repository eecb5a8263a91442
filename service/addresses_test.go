package service

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
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
