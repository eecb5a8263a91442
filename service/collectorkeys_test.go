package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/exporter/otlpexporter"
	"github.com/penstock-telemetry/penstock/processor/resourceprocessor"
)

// Keys and values that the Collector accepts are accepted, with a warning where they
// have no effect.
func TestCollectorKeysAreAccepted(t *testing.T) {
	t.Parallel()
	const noGC = "garbage_collector has no effect: penstock does not force garbage collections; the Go runtime collects according to GOMEMLIMIT"
	const short = "keepalive has no effect: this server only answers short requests, within its own limits"
	for _, c := range []struct{ set, warning string }{
		{"receivers.otlp.protocols.grpc.endpoint=", ""},
		{"receivers.otlp.protocols.http.endpoint=''", ""},
		{"exporters.otlp.endpoint=':4317'", ""},
		{"exporters.otlp.user_agent=mine/1", ""},
		{"exporters.otlp.dialer_middleware=[{id: x}]", "exporters.otlp: dialer_middleware has no effect yet: requests are sent without it"},
		{"exporters.otlphttp.encoding=json", ""},
		{"exporters.otlphttp.endpoint='http://:4318'", ""},
		{"exporters.debug.verbosity=", ""},
		{"service.telemetry.logs.level=warning", ""},
		{"service.telemetry.logs.level=", ""},
		{"service.telemetry.logs.level=''", ""},
		{"processors.memory_limiter.garbage_collector={min_interval_when_soft_limited: 1s}", "processors.memory_limiter: " + noGC},
		{"extensions.memory_limiter.garbage_collector={min_interval_when_soft_limited: 1s}", "extensions.memory_limiter: " + noGC},
		{"extensions.health_check.keepalive={idle_timeout: 1s}", "extensions.health_check: " + short},
		{"extensions.file_storage.timeout=10s", "extensions.file_storage: timeout has no effect: a directory that another process uses is an error immediately"},
		{"extensions.file_storage.compaction={on_start: true, directory: /tmp}", "extensions.file_storage: compaction has no effect: files whose records were delivered are removed"},
		{"exporters.file.flush_interval=1s", "exporters.file: flush_interval has no effect with acknowledge: written: a request is acknowledged when it is written, and requests do not wait for others"},
		{"extensions.zpages.keepalive={enabled: false}", "extensions.zpages: " + short},
	} {
		cfg, err := LoadFrom(builtins(), Sources{URIs: []string{everyKey}, Set: []string{c.set}})
		if err != nil {
			t.Errorf("%s: %v", c.set, err)
			continue
		}
		var want []string
		if c.warning != "" {
			want = []string{c.warning}
		}
		var got []string
		for _, w := range cfg.Warnings() {
			_, text, _ := strings.Cut(w, ": ")
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.set, diff)
		}
		if _, err := New(cfg, builtins()); err != nil {
			t.Errorf("%s: %v", c.set, err)
		}
	}
}

const everyKey = `yaml:
receivers: {otlp: {protocols: {grpc: , http: }}, nop: }
processors: {memory_limiter: {check_interval: 1s, limit_mib: 1000}}
exporters: {otlp: {endpoint: "localhost:4319"}, otlphttp: {endpoint: "http://localhost:4320"}, debug: , file: {path: x.json}}
extensions: {file_storage: , health_check: , zpages: , memory_limiter: {check_interval: 1s, limit_mib: 1000}}
service:
  extensions: [file_storage, health_check, zpages, memory_limiter]
  pipelines: {traces: {receivers: [otlp, nop], processors: [memory_limiter], exporters: [otlp, otlphttp, debug, file]}}
`

// An endpoint without a value is the default of its protocol.
func TestEndpointWithoutAValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "''"} {
		cfg, err := loadAll(fmt.Sprintf(`yaml:
receivers: {otlp: {protocols: {grpc: {endpoint: %s}, http: {endpoint: %[1]s}}}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}`, value))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		text, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"endpoint: localhost:4317\n", "endpoint: localhost:4318\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%q: %q is missing in\n%s", value, want, text)
			}
		}
	}
}

// What a variable contains reaches a component as it is: the value of an attribute as
// text if it is in quotes, and a header with all its dollars.
func TestVariablesReachComponents(t *testing.T) {
	for content, unquoted := range map[string]any{
		"0123": 83, "1.10": 1.1, "fe80::1": "fe80::1", "a: 1": map[string]any{"a": 1}, "2024-01-31": "2024-01-31", "a$$b": "a$$b",
	} {
		t.Setenv("V", content)
		cfg, err := loadAll(`yaml:
receivers: {nop: }
processors:
  resource:
    attributes:
      - key: a
        action: insert
        value: ${env:V}
      - key: b
        action: insert
        value: "${env:V}"
exporters:
  otlp:
    endpoint: localhost:4319
    headers: {a: "${env:V}"}
service:
  pipelines: {traces: {receivers: [nop], processors: [resource], exporters: [otlp]}}
`)
		if err != nil {
			t.Errorf("%s: %v", content, err)
			continue
		}
		all := cfg.loaded.Components
		attributes := all[1].Config.(*resourceprocessor.Config).Attributes
		header := string(all[2].Config.(*otlpexporter.Config).Headers[0].Value)
		if diff := cmp.Diff([]any{unquoted, content, content}, []any{attributes[0].Value, attributes[1].Value, header}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", content, diff)
		}
	}
}
