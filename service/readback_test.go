package service

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const withSecrets = `yaml:
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0", include_metadata: true}}}
  zipkin:
exporters:
  otlp: {endpoint: "localhost:4319", tls: {insecure: true}, headers: {X-Static: s}, user_agent: a/1, auth: {authenticator: headers_setter}}
  otlphttp: {endpoint: "http://localhost:4318", encoding: json, auth: {authenticator: oauth2client}}
  logging: {loglevel: debug}
extensions:
  basicauth: {client_auth: {username: ann, password: s3cret}}
  bearertokenauth: {token: abc}
  oauth2client: {client_id: me, client_secret: s3cret, token_url: "http://u:s3cret@localhost:1/t", scopes: [a, b], endpoint_params: {audience: all}}
  headers_setter: {additional_auth: bearertokenauth, headers: [{key: X, from_context: X-Tenant, default_value: s3cret}, {key: Y, value: s3cret}]}
service:
  extensions: [headers_setter, basicauth, bearertokenauth, oauth2client]
  telemetry:
    metrics: {readers: [{periodic: {exporter: {otlp: {protocol: grpc, endpoint: "localhost:4317", headers: {a: s3cret}, headers_list: "b=s3cret"}}}}]}
    logs: {encoding: json, sampling: {initial: 3}, processors: [{batch: {exporter: {console: }}}]}
    traces: {processors: [{simple: {exporter: {otlp: {endpoint: "http://localhost:4318"}}}}], sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.5}}}}}
  pipelines: {traces: {receivers: [otlp], exporters: [otlp, otlphttp, logging]}}
`

// A printed configuration with credentials and with own telemetry can be loaded, means
// the same, and has no secret.
func TestSecretsAndTelemetryAreReadBack(t *testing.T) {
	t.Parallel()
	printed := ""
	for range 2 {
		source := withSecrets
		if printed != "" {
			source = "yaml:" + printed
		}
		cfg, err := loadAll(source)
		if err != nil {
			t.Fatalf("%v\nfrom\n%s", err, source)
		}
		text, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "s3cret") {
			t.Errorf("a secret is printed:\n%s", text)
		}
		if diff := cmp.Diff(printed, string(text)); printed != "" && diff != "" {
			t.Errorf("the second time (-first +second):\n%s", diff)
		}
		printed = string(text)
	}
	for _, want := range []string{"name: b\n", "name: a\n"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing in\n%s", want, printed)
		}
	}
}
