package service

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/otlp"
)

// An unused component is not created, whatever it would need or whatever would fail.
func TestUnusedComponentsAreNotCreated(t *testing.T) {
	t.Parallel()
	f := newFakes()
	f.service(t, `
receivers: {in: {listen: "localhost:1"}, in/2: {listen: "localhost:1"}, in/3: {auth: missing}}
processors: {step: {fail_new: no}}
exporters: {out: , out/2: {fail_new: no}}
connectors: {forward: }
extensions: {ext: {fail_new: no}}
service: {pipelines: {traces: {receivers: [in], exporters: [out]}}}
`)
	var made []string
	for id := range f.made {
		made = append(made, id)
	}
	if len(made) != 2 || len(f.made["in"]) != 1 || len(f.made["out"]) != 1 {
		t.Errorf("created %v, want in and out", made)
	}
	if err := f.send(t, "in", otlp.Traces); err != nil {
		t.Error(err)
	}
}

// An overlay that replaces a list leaves what the list named before unused.
func TestOverlayReplacesAList(t *testing.T) {
	t.Parallel()
	cfg, err := loadAll(`yaml:
receivers: {otlp: {protocols: {grpc: }}}
processors: {resource: {attributes: [{key: a, value: b, action: insert}]}}
exporters: {otlp: {endpoint: "localhost:4319", tls: {insecure: true}}, nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [resource], exporters: [otlp]}}}`,
		`yaml:service: {pipelines: {traces: {processors: [], exporters: [nop]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"yaml::3:14: processors.resource: the processor is not used: no pipeline under service.pipelines names it",
		"yaml::4:13: exporters.otlp: the exporter is not used: no pipeline under service.pipelines names it",
	}
	if diff := cmp.Diff(want, cfg.Warnings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The printed configuration contains what is not used, in its place.
func TestUnusedComponentsArePrinted(t *testing.T) {
	t.Parallel()
	cfg, err := loadAll(`yaml:{receivers: {otlp: {protocols: {grpc: }}, zipkin: },
exporters: {nop/unused: , nop: },
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(printed); !strings.Contains(text, "exporters:\n  nop/unused: {}\n  nop: {}\n") || strings.Contains(text, "zipkin") {
		t.Errorf("got %s", text)
	}
}
