package load

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// telemetryOf loads a configuration with this service.telemetry.
func telemetryOf(t *testing.T, telemetry string) *Config {
	t.Helper()
	kind := func(k component.Kind) component.Descriptor {
		return component.Descriptor{Kind: k, Type: "x", Stability: component.Stability{otlp.Logs: "x"}, DefaultConfig: func() any { return &struct{}{} }}
	}
	in, out := kind(component.KindReceiver), kind(component.KindExporter)
	in.Receiver = func(any, component.Settings) (component.Receiver, error) { return nil, nil }
	out.Exporter = func(any, component.Settings) (component.Exporter, error) { return nil, nil }
	cfg, err := Load(Sources{URIs: []string{"yaml:{receivers: {x: }, exporters: {x: }, service: {pipelines: {logs: {receivers: [x], exporters: [x]}}, telemetry: " + telemetry + "}}"}},
		[]component.Descriptor{in, out})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Defaults are included; secrets are hidden, and keys without an effect and positions have
// no difference.
func TestTelemetryDifferences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, after string
		want          []string
	}{
		{"{}", "{   }", nil},
		{"{}", "{logs: {level: info, output_paths: [stderr]}}", nil},
		{"{}", "{metrics: {views: [{x: 1}]}}", nil},
		{"{}", "{logs: {level: debug, output_paths: [stdout, /x]}, metrics: {level: detailed}}", []string{
			"service.telemetry.logs.level: info -> debug", "service.telemetry.logs.output_paths: [stderr] -> [stdout, /x]",
			"service.telemetry.metrics.level: normal -> detailed",
		}},
		{"{logs: {sampling: {initial: 1}}}", "{logs: {sampling: {enabled: false}}}", []string{
			"service.telemetry.logs.sampling.initial: 1 -> none", "service.telemetry.logs.sampling.thereafter: 100 -> none", "service.telemetry.logs.sampling.tick: 10s -> none",
		}},
		{"{resource: {a: b}}", "{resource: {a: c}}", []string{"service.telemetry.resource.a: b -> c"}},
		{
			"{metrics: {level: none}, logs: {processors: [{simple: {exporter: {otlp: {protocol: grpc, endpoint: 'http://x:4317', headers_list: a=b}}}}]}}",
			"{metrics: {level: none}, logs: {processors: [{simple: {exporter: {otlp: {protocol: grpc, endpoint: 'http://x:4317', headers_list: a=c}}}}]}}",
			[]string{"service.telemetry.logs: a hidden value changed"},
		},
	} {
		all, err := telemetryOf(t, c.before).TelemetryDifferences(telemetryOf(t, c.after))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range all {
			got = append(got, d.Text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", c.before, c.after, diff)
		}
	}
}
