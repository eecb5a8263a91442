package service

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/otlp"
)

// An invalid list of components is rejected before the configuration is read.
func TestInvalidComponents(t *testing.T) {
	t.Parallel()
	f := newFakes().descriptors()
	nameless, alone, twice := f[0], f[0], f[2]
	nameless.Type, alone.Receiver, twice.Type = "", nil, "outer"
	for want, list := range map[string][]component.Descriptor{
		"no components: expected a list such as components.Default()": nil,
		"receiver: the type is empty":                                 {nameless},
		`receiver "in": expected one constructor of a receiver`:       {alone},
		`two components are the exporter "outer"`:                     {f[2], twice},
	} {
		if _, err := Load(Options{Components: list}, "yaml:{}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, d := range components.Default() {
		if err := d.Validate(); err != nil {
			t.Error(err)
		}
		if (d.Stability == nil) != (d.Kind == component.KindExtension) {
			t.Errorf("%s %s: stability %v", d.Kind, d.Type, d.Stability)
		}
	}
}

func TestAliasesMeanTheSame(t *testing.T) {
	t.Parallel()
	for _, alias := range []string{"otlp_grpc", "otlp_http"} {
		_, err := loadAll("yaml:{receivers: {otlp: {protocols: {grpc: }}}, exporters: {" + alias + ": {endpoint: 'http://localhost:1'}}, " +
			"service: {pipelines: {traces: {receivers: [otlp], exporters: [" + alias + "]}}}}")
		if err != nil {
			t.Errorf("the exporter %s: %v", alias, err)
		}
	}
}

func TestUnsupportedSignals(t *testing.T) {
	t.Parallel()
	_, err := Load(newFakes().options(), `yaml:
receivers: {in: }
exporters: {tracesonly: , outer/2: }
service:
  pipelines:
    traces: {receivers: [in], exporters: [tracesonly, outer/2]}
    logs: {receivers: [in], exporters: [tracesonly]}
`)
	const want = `the exporter "tracesonly" does not support logs; it supports traces`
	if err == nil || !strings.HasSuffix(err.Error(), "7:41: service.pipelines.logs.exporters[0]: "+want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// A connector keeps signals apart: traces that go in do not come out as logs.
func TestConnectorKeepsSignalsApart(t *testing.T) {
	t.Parallel()
	f := newFakes()
	f.service(t, `
receivers: {in: }
exporters: {out: , out/2: }
connectors: {forward: }
service:
  pipelines:
    traces: {receivers: [in], exporters: [forward]}
    logs: {receivers: [in], exporters: [forward]}
    traces/2: {receivers: [forward], exporters: [out]}
    logs/2: {receivers: [forward], exporters: [out/2]}
`)
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Logs, otlp.Logs} {
		if err := f.send(t, "in", s); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(f.made["out"][0].batches, " ") + "; " + strings.Join(f.made["out/2"][0].batches, " "); got != "traces; logs logs" {
		t.Errorf("got %s", got)
	}
}
