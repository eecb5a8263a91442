package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const everything = `
receivers:
  otlp:
    protocols:
      http: {endpoint: "localhost:0"}
  otlp/2: {protocols: {grpc: {endpoint: "localhost:0"}, http: {enabled: false}}}
processors:
  resource: {attributes: [{key: a, value: "$${literal}", action: insert}]}
exporters:
  otlphttp:
    endpoint: http://localhost:1
    headers: {authorization: topsecret}
  otlp: {endpoint: "localhost:1", tls: {insecure: true}}
connectors:
  forward:
extensions:
  zpages: {endpoint: "localhost:0"}
service:
  extensions: [zpages]
  telemetry:
    logs: {level: WARN, encoding: json, initial_fields: {a: 1}, sampling: {enabled: false}}
    metrics:
      level: detailed
      readers:
        - pull: {exporter: {prometheus: {host: "::1", port: 0, with_resource_constant_labels: {included: ["*"]}}}}
        - periodic: {exporter: {otlp: {headers: {authorization: topsecret}}}}
    resource: {service.name: mine, service.version: }
  pipelines:
    traces/front: {receivers: [otlp, otlp/2], processors: [resource], exporters: [forward]}
    traces/back: {receivers: [forward], exporters: [otlp]}
    profiles: {receivers: [otlp], exporters: [otlphttp]}
`

// The printed configuration is equivalent to the original.
func TestYAMLIsReadBack(t *testing.T) {
	t.Parallel()
	var texts []string
	sources := []string{"yaml:" + everything}
	for range 2 {
		cfg, err := loadAll(sources...)
		if err != nil {
			t.Fatalf("%v\nfrom\n%s", err, strings.Join(texts, ""))
		}
		text, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
		file := filepath.Join(t.TempDir(), "printed.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		sources = []string{file}
	}
	if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
		t.Errorf("printed twice (-first +second):\n%s", diff)
	}
	for _, want := range []string{
		"        endpoint: localhost:0\n", "[REDACTED]", "$${literal}", "service.name: mine", "service.version: null", "host: ::1",
		"receivers: [otlp, otlp/2]\n      processors: [resource]\n      exporters: [forward]", "level: warn", "forward: {}",
	} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, bad := range []string{"topsecret", "grpc: null", "http: null", "ca_pem", "proxy_url"} {
		if strings.Contains(texts[0], bad) {
			t.Errorf("%q is printed", bad)
		}
	}
	if t.Failed() {
		t.Log(texts[0])
	}
}

func TestBuiltInConfigIsPrinted(t *testing.T) {
	t.Parallel()
	cfg, err := loadAll()
	if err != nil {
		t.Fatal(err)
	}
	text, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"grpc:\n        endpoint: localhost:4317\n", "http:\n        endpoint: localhost:4318\n", "  debug:",
		"    profiles:\n      receivers: [otlp]\n      exporters: [debug]\n", "port: 8888",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

// The user, the password and the keys in a URL are not shown, whichever setting it
// belongs to, and what is shown can be read back.
func TestSecretsInURLsAreNotPrinted(t *testing.T) {
	t.Parallel()
	const text = `
extensions:
  zpages: {endpoint: "localhost:0"}
receivers:
  otlp: {protocols: {http: {endpoint: "localhost:0"}}}
  pprof:
    targets: ["http://ann:s3cret@localhost:1", {endpoint: "https://s3cret@localhost:1/debug/pprof/heap?seconds=5&key=s3cret"}]
    proxy_url: http://ann:s3cret@localhost:3
processors:
  resource: {attributes: [{key: link, action: upsert, value: "see http://ann:s3cret@localhost/"}]}
exporters:
  otlphttp: {endpoint: "http://ann:s3cret@localhost:1", traces_endpoint: "http://ann:s3cret@localhost:1/v1/traces", proxy_url: "socks5://ann:s3cret@localhost:2"}
service:
  extensions: [zpages]
  telemetry: {resource: {from: "http://ann:s3cret@localhost"}}
  pipelines:
    traces: {receivers: [otlp], processors: [resource], exporters: [otlphttp]}
    profiles: {receivers: [pprof], exporters: [otlphttp]}
`
	r := start(t, text)
	code, page := fetch(t, r.extensionURL(t, "zpages")+"/debug/servicez")
	cfg, err := loadAll("yaml:" + text)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for where, shown := range map[string]string{"zpages": page, "print-config": string(printed)} {
		if strings.Contains(shown, "s3cret") || strings.Contains(shown, "ann") || strings.Count(shown, "REDACTED@localhost") != 8 {
			t.Errorf("%s (%d) shows\n%s", where, code, shown)
		}
	}
	if !strings.Contains(string(printed), "?seconds=5&key=REDACTED") {
		t.Errorf("printed as\n%s", printed)
	}
	if _, err := loadAll("yaml:" + string(printed)); err != nil {
		t.Errorf("what is printed cannot be read: %v", err)
	}
}
