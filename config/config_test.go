package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/penstock-telemetry/penstock/config"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock-telemetry/penstock/internal/conf"
)

func decode(t *testing.T, yaml string, into any) error {
	t.Helper()
	tree, err := conf.Load(conf.Options{Sources: []string{"yaml:" + yaml}})
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root().Decode(into)
}

func TestParseGRPCTarget(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]GRPCTarget{
		"host:4317":                {Address: "dns:///host:4317"},
		"127.0.0.1:4317":           {Address: "dns:///127.0.0.1:4317"},
		"[::1]:4317":               {Address: "dns:///[::1]:4317"},
		"http://host:4317":         {Address: "dns:///host:4317", Plaintext: true},
		"http://host:4317/":        {Address: "dns:///host:4317", Plaintext: true},
		"HTTPS://host:4317":        {Address: "dns:///host:4317", Encrypted: true},
		"dns:///host:4317":         {Address: "dns:///host:4317"},
		"dns://1.1.1.1/host:4317":  {Address: "dns://1.1.1.1/host:4317"},
		"unix:///run/otel.sock":    {Address: "unix:///run/otel.sock"},
		"unix:otel.sock":           {Address: "unix:otel.sock"},
		"unix-abstract:otel":       {Address: "unix-abstract:otel"},
		"passthrough:///host:4317": {Address: "passthrough:///host:4317"},
		"dns:4317":                 {Address: "dns:///dns:4317"}, // a host with that name
		":4317":                    {Address: "dns:///localhost:4317"},
		"http://:4317":             {Address: "dns:///localhost:4317", Plaintext: true},
	} {
		if got, err := ParseGRPCTarget(endpoint); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", endpoint, got, err, want)
		}
	}
	for endpoint, want := range map[string]string{
		"":                      "expected host:port",
		"host":                  "the port is missing",
		"http://host":           "the port is missing",
		":":                     "the host is missing",
		":0":                    `invalid port "0"`,
		"host:":                 `invalid port ""`,
		"host:otlp":             `invalid port "otlp"`,
		"host:70000":            `invalid port "70000"`,
		"host:0":                `invalid port "0"`,
		"host:00":               `invalid port "00"`,
		"a host:4317":           `invalid host "a host"`,
		"http://host?:4317":     `invalid host "host?"`,
		"http://u:p@host:4317":  "contains a user",
		"::1:4317":              "in brackets",
		"ftp://host:4317":       `unknown scheme "ftp"`,
		"http://host:4317/v1":   "has no path",
		"host:4318/v1/traces":   "has no path",
		"http://host:4317/a/b/": "has no path",
	} {
		if got, err := ParseGRPCTarget(endpoint); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want %q", endpoint, got, err, want)
		}
	}
}

func TestParseHTTPEndpoint(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://host:4318", "https://host", "https://user:secret@host/base/?tenant=1", "http://[::1]:4318"} {
		if u, err := ParseHTTPEndpoint(endpoint); err != nil || u.String() != endpoint {
			t.Errorf("%s: got %v, %v", endpoint, u, err)
		}
	}
	if u, err := ParseHTTPEndpoint("http://:4318/base"); err != nil || u.String() != "http://localhost:4318/base" {
		t.Errorf("without a host: got %v, %v", u, err)
	}
	for endpoint, want := range map[string]string{
		"":                              "no endpoint is set",
		"host:4318":                     "is not a URL",
		"/v1/traces":                    "is not a URL",
		"http://":                       "the host is missing",
		"http://:0":                     "the host is missing",
		"grpc://host:4317":              `unknown scheme "grpc"`,
		"http://host:99999":             `invalid port "99999"`,
		"http://host:0":                 `invalid port "0"`,
		"http://host#frag":              "fragment",
		"http://u:secret@host:x":        "is not a URL",
		"ftp://u:secret@host":           "unknown scheme",
		"http://u:secret@host:4318/%zz": "is not a URL",
	} {
		_, err := ParseHTTPEndpoint(endpoint)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", endpoint, err, want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error contains the password: %v", endpoint, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	want := Headers{{"X-Tenant", "a"}, {"authorization", "Bearer s3cret"}}
	for _, yaml := range []string{
		"{X-Tenant: a, authorization: Bearer s3cret}",
		"[{name: X-Tenant, value: a}, {name: authorization, value: Bearer s3cret}]",
	} {
		var got struct{ Headers Headers }
		if err := decode(t, "headers: "+yaml, &got); err != nil {
			t.Errorf("%s: %v", yaml, err)
		} else if diff := cmp.Diff(want, got.Headers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", yaml, diff)
		}
		if s := fmt.Sprintf("%v %+v %#v", got, got, got.Headers); strings.Contains(s, "s3cret") {
			t.Errorf("the headers print their values: %s", s)
		}
	}
	for yaml, want := range map[string]string{
		"{X-Tenant: a, x-tenant: b}":   `duplicate header "x-tenant"`,
		"{'bad name': a}":              "the name may contain",
		`{x: "a\nb"}`:                  "control character",
		"a":                            "expected a map",
		"[{name: x, valeu: y}]":        `did you mean "value"`,
		"[{name: '', value: y}]":       "the name may contain",
		`{":authority": "elsewhere"}`:  "the name may contain",
		"{content-length: ['a', 'b']}": "expected",
	} {
		var got struct{ Headers Headers }
		if err := decode(t, "headers: "+yaml, &got); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", yaml, err, want)
		}
	}
	if got := want.Get("x-TENANT"); got != "a" {
		t.Errorf("Get without case: %q", got)
	}
}

// Every key of the Collector's gRPC client is accepted.
func TestGRPCClientYAML(t *testing.T) {
	t.Parallel()
	got := DefaultGRPCClient()
	err := decode(t, `
endpoint: https://host:4317
tls: {ca_pem: x, cert_file: c, key_file: k, min_version: "1.2", max_version: "1.3", reload_interval: 1h,
      cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519, P256],
      include_system_ca_certs_pool: true, include_insecure_cipher_suites: true,
      insecure: true, insecure_skip_verify: true, server_name_override: other}
compression: zstd
headers: {x: "y"}
keepalive: {time: 30s, timeout: 5s, permit_without_stream: true}
balancer_name: pick_first
wait_for_ready: true
read_buffer_size: 1
write_buffer_size: 2
authority: a
auth: {authenticator: basicauth}
middlewares: [{id: x}]
`, &got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Auth == nil || got.Auth.Authenticator != "basicauth" {
		t.Errorf("auth: %+v", got.Auth)
	}
	if diff := cmp.Diff([]string{"middlewares"}, got.IgnoredKeys()); diff != "" {
		t.Error(diff)
	}
	if k := got.Keepalive; k == nil || *k != (GRPCKeepalive{30 * time.Second, 5 * time.Second, true}) {
		t.Errorf("keepalive: %+v", k)
	}
	if !got.TLS.InsecureSkipVerify || got.TLS.ServerName != "other" || got.TLS.CAPem != "x" || got.Compression != Zstd {
		t.Errorf("got %+v", got)
	}
}

// Every key of the Collector's HTTP client is accepted.
func TestHTTPClientYAML(t *testing.T) {
	t.Parallel()
	got := DefaultHTTPClient()
	err := decode(t, `
endpoint: https://host:4318/base
proxy_url: http://proxy:3128
tls: {insecure: true}
timeout: 1s
headers: {x: "y"}
compression: gzip
compression_params: {level: 9}
read_buffer_size: 1
write_buffer_size: 2
max_conns_per_host: 3
max_idle_conns: 4
max_idle_conns_per_host: 5
idle_conn_timeout: 6s
disable_keep_alives: true
keepalive: {enabled: true, max_idle_conns: 7, max_idle_conns_per_host: 8, idle_conn_timeout: 9s}
force_attempt_http2: false
http2_read_idle_timeout: 10s
http2_ping_timeout: 11s
cookies: {enabled: true}
auth: {authenticator: basicauth}
middlewares: [{id: x}]
`, &got)
	if err != nil {
		t.Fatal(err)
	}
	f := got.Folded()
	if f.DisableKeepAlives || f.MaxIdleConns != 7 || f.MaxIdleConnsPerHost != 8 || f.IdleConnTimeout != 9*time.Second {
		t.Errorf("keepalive does not override: %+v", f)
	}
	if got.Cookies == nil || got.ForceAttemptHTTP2 || got.CompressionParams.Level != 9 {
		t.Errorf("got %+v", got)
	}
}

// An exporter has one host, which may use all idle connections.
func TestHTTPClientIdleConnections(t *testing.T) {
	t.Parallel()
	c := DefaultHTTPClient()
	if got := c.Folded().MaxIdleConnsPerHost; got != 100 {
		t.Errorf("by default %d idle connections to the host, want 100", got)
	}
	c.MaxIdleConns = 0
	if got := c.Folded().MaxIdleConnsPerHost; got < 1<<30 {
		t.Errorf("without a limit %d idle connections to the host", got)
	}
}

// An error is reported at its own line.
func TestClientsValidate(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"endpoint: host":                                               `:1: endpoint: endpoint "host": the port is missing`,
		"endpoint: h:1\ncompression: lz4":                              ":2: compression: unknown compression",
		"endpoint: h:1\nheaders:\n  grpc-timeout: 1":                   "gRPC's own",
		"endpoint: h:1\nbalancer_name: random":                         `:2: balancer_name: unknown balancer "random"`,
		"endpoint: h:1\nwrite_buffer_size: -1":                         ":2: write_buffer_size: write_buffer_size -1 is negative",
		"endpoint: h:1\nkeepalive: {time: -1s}":                        ":2: keepalive: ",
		"endpoint: h:1\ntls:\n  ca_file: a\n  ca_pem: b":               ":4: tls.ca_pem: ",
		"endpoint: h:1\ntls:\n  cert_file: a":                          "a certificate needs its key",
		"endpoint: h:1\ntls:\n  min_version: '1.4'":                    ":3: tls.min_version: unknown TLS version",
		"endpoint: h:1\ntls: {min_version: '1.3', max_version: '1.2'}": "is lower than min_version",
		"endpoint: h:1\ntls:\n  max_version: '1.1'":                    "is lower than min_version (TLS 1.2)",
		"endpoint: h:1\ntls:\n  cipher_suites: [RC4]":                  ":3: tls.cipher_suites: ",
		"endpoint: h:1\ntls:\n  curve_preferences: [P1]":               ":3: tls.curve_preferences: ",
		"endpoint: h:1\ntls:\n  reload_interval: -1s":                  ":3: tls.reload_interval: ",
		"endpoint: h:1\ncompression: zlib":                             `:2: compression: unknown compression "zlib": expected gzip, zstd, snappy or none`,
		"endpoint: h:1\ntls:\n  tpm:\n    enabled: true":               ":4: tls.tpm.enabled: a key in a TPM is not supported",
		"endpoint: h:1\ntls:\n  insecur: true":                         `did you mean "insecure"`,
	} {
		c := DefaultGRPCClient()
		checkError(t, yaml, decode(t, yaml, &c), want)
	}
	for yaml, want := range map[string]string{
		"endpoint: host:4318":             ":1: endpoint: the endpoint is not a URL",
		"proxy_url: proxy":                ":1: proxy_url: ",
		"proxy_url: ftp://u:secret@proxy": ":1: proxy_url: unknown scheme",
		"timeout: -1s":                    ":1: timeout: timeout -1s is negative",
		"max_idle_conns: -1":              ":1: max_idle_conns: ",
		"compression: brotli":             ":1: compression: unknown compression",
		"compression: gzip\ncompression_params:\n  level: 10": ":3: compression_params.level: ",
	} {
		c := DefaultHTTPClient()
		checkError(t, yaml, decode(t, yaml, &c), want)
	}
}

func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "\n", " "), want) && !positioned(err, want) {
		t.Errorf("%s\ngot  %v\nwant %q", what, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("%s\nthe error contains a secret: %v", what, err)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("%s\nreported more than once:\n%v", what, err)
	}
}

// positioned compares ":line: rest" with ":line:column: rest".
func positioned(err error, want string) bool {
	line, rest, _ := strings.Cut(strings.TrimPrefix(want, ":"), ":")
	_, after, ok := strings.Cut(err.Error(), ":"+line+":")
	_, after, _ = strings.Cut(after, ":")
	return ok && strings.HasPrefix(after, rest)
}
