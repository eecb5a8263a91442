package otlpreceiver

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func decode(t *testing.T, yaml string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, yaml, &cfg)
	return cfg, err
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]struct{ grpc, http bool }{
		"protocols: {grpc: , http: }":                      {true, true},
		"protocols: {grpc: {}, http: {}}":                  {true, true},
		"protocols: {http: }":                              {false, true},
		"protocols: {grpc: {}}":                            {true, false},
		"protocols: {grpc: {enabled: false}, http: }":      {false, true},
		"protocols: {grpc: {enabled: true}}":               {true, false},
		"protocols: {grpc: {tls: }, http: {cors: }}":       {true, true},
		"protocols: {http: {tls: {enabled: false}}}":       {false, true},
		"protocols: {http: {traces_url_path: /v1/traces}}": {false, true},
	} {
		cfg, err := decode(t, yaml)
		if err != nil {
			t.Errorf("%s: %v", yaml, err)
			continue
		}
		g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
		if (g != nil) != want.grpc || (h != nil) != want.http {
			t.Errorf("%s: grpc %v, http %v, want %v", yaml, g != nil, h != nil, want)
		}
		if g != nil && !reflect.DeepEqual(g, DefaultGRPCConfig()) {
			t.Errorf("%s: grpc is not the default: %+v", yaml, *g)
		}
		if h != nil && !reflect.DeepEqual(h, DefaultHTTPConfig()) {
			t.Errorf("%s: http is not the default: %+v", yaml, *h)
		}
	}
	g, h := DefaultGRPCConfig(), DefaultHTTPConfig()
	if g.Endpoint != "localhost:4317" || h.Endpoint != "localhost:4318" || g.MaxRecvMsgSizeMiB != 64 || h.MaxRequestBodySize != 64<<20 {
		t.Errorf("defaults %+v %+v", g, h)
	}
	if h.ReadHeaderTimeout == 0 || h.WriteTimeout == 0 || h.IdleTimeout == 0 {
		t.Errorf("a client may trickle: %+v", h)
	}
}

func TestConfigKeys(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, `
invalid_utf8: repair
protocols:
  grpc:
    endpoint: 0.0.0.0:14317
    transport: tcp4
    max_recv_msg_size_mib: 32
    max_concurrent_streams: 16
    read_buffer_size: 1024
    write_buffer_size: 2048
    include_metadata: true
    max_connections: 7
    auth: {authenticator: basicauth}
    middlewares: [{id: memory_limiter}]
    keepalive:
      server_parameters: {max_connection_idle: 11s, max_connection_age: 12s, max_connection_age_grace: 13s, time: 30s, timeout: 5s}
      enforcement_policy: {min_time: 10s, permit_without_stream: true}
  http:
    endpoint: /run/otlp.sock
    transport: unix
    socket_mode: "0660"
    max_request_body_size: 1000
    max_connection_age: 5m
    include_metadata: [X-Tenant, host]
    auth: {authenticator: oidc/a, request_params: [token]}
    tls: {cert_file: c, key_file: k, min_version: "1.3", client_ca_file: ca}
    cors: {allowed_origins: ["https://*.example.com"], allowed_headers: [x-a], exposed_headers: [x-b], max_age: 7200}
    response_headers: {x-served-by: penstock}
    compression_algorithms: ["", gzip]
    read_timeout: 1s
    read_header_timeout: 2s
    write_timeout: 3s
    idle_timeout: 4s
    keep_alives_enabled: false
    keepalive: {idle_timeout: 9s}
    traces_url_path: traces
    metrics_url_path: /m
    logs_url_path: https://host/l?x=y
    profiles_url_path: /p
`)
	if err != nil {
		t.Fatal(err)
	}
	g := GRPCConfig{
		ServerConfig: ServerConfig{Endpoint: "0.0.0.0:14317", Transport: "tcp4", IncludeMetadata: Metadata{All: true}, MaxConnections: 7,
			Auth: &AuthConfig{Authenticator: "basicauth"}, Middlewares: []Middleware{{ID: "memory_limiter"}}},
		MaxRecvMsgSizeMiB: 32, MaxConcurrentStreams: 16, ReadBufferSize: 1024, WriteBufferSize: 2048,
		Keepalive: &KeepaliveConfig{
			ServerParameters: &KeepaliveParameters{MaxConnectionIdle: 11 * time.Second, MaxConnectionAge: 12 * time.Second,
				MaxConnectionAgeGrace: 13 * time.Second, Time: 30 * time.Second, Timeout: 5 * time.Second},
			EnforcementPolicy: &EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true},
		}}
	if got := cfg.Protocols.GRPC; !reflect.DeepEqual(&g, got) {
		t.Errorf("grpc:\nwant %+v\n got %+v", g, got)
	}
	h := HTTPConfig{complete: true, // it was decoded over the defaults
		ServerConfig: ServerConfig{Endpoint: "/run/otlp.sock", Transport: "unix", SocketMode: 0o660,
			IncludeMetadata: Metadata{Names: []string{"x-tenant", "host"}},
			Auth:            &AuthConfig{Authenticator: "oidc/a", RequestParams: []string{"token"}},
			TLS:             &config.ServerTLS{TLS: config.TLS{CertFile: "c", KeyFile: "k", MinVersion: "1.3"}, ClientCAFile: "ca"}},
		CORS: &CORSConfig{AllowedOrigins: []string{"https://*.example.com"}, AllowedHeaders: []string{"x-a"},
			ExposedHeaders: []string{"x-b"}, MaxAge: 7200},
		Keepalive:             &HTTPKeepalive{IdleTimeout: 9 * time.Second},
		ResponseHeaders:       config.Headers{{Name: "x-served-by", Value: "penstock"}},
		CompressionAlgorithms: []string{"", "gzip"},
		MaxRequestBodySize:    1000, MaxConnectionAge: 5 * time.Minute,
		ReadTimeout: time.Second, ReadHeaderTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second, IdleTimeout: 4 * time.Second,
		TracesURLPath: "traces", MetricsURLPath: "/m", LogsURLPath: "https://host/l?x=y", ProfilesURLPath: "/p"}
	if got := cfg.Protocols.HTTP; !reflect.DeepEqual(&h, got) {
		t.Errorf("http:\nwant %+v\n got %+v", h, got)
	}
	if keep, idle := cfg.Protocols.HTTP.idle(); keep || idle != 9*time.Second {
		t.Errorf("keep-alives %v, idle %s, want none and the newer key's 9s", keep, idle)
	}
	if cfg.InvalidUTF8 != RepairText {
		t.Errorf("invalid_utf8 is %q", cfg.InvalidUTF8)
	}
	routes, err := cfg.Protocols.HTTP.routes()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for path, s := range routes {
		got[path] = s.String()
	}
	if diff := cmp.Diff(map[string]string{"/traces": "traces", "/m": "metrics", "/l": "logs", "/p": "profiles", "/v1/profiles": "profiles"}, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{}":                    "must specify at least one protocol when using the OTLP receiver",
		"protocols: ":           "must specify at least one protocol when using the OTLP receiver",
		"protocols: {}":         "must specify at least one protocol when using the OTLP receiver",
		"protocols: {thrift: }": `protocols.thrift: unknown key`,
		"protocols: {htttp: }":  `protocols.htttp: unknown key, did you mean "http"?`,
		"protocols: {grpc: {tls: {cert_file: x}}}":                                                      "TLS configuration must include both certificate and key for server connections",
		"protocols: {http: {tls: {}}}":                                                                  "TLS configuration must include both certificate and key for server connections",
		"protocols: {grpc: {middlewares: [{id: x}]}}":                                                   `protocols.grpc.middlewares: entry 0: the extension "x" is not supported as a middleware`,
		"protocols: {http: {auth: {enabled: true}}}":                                                    "protocols.http.auth.authenticator: expected the id of an extension",
		"protocols: {http: {response_headers: {a b: c}}}":                                               `header "a b": the name may contain`,
		"protocols: {http: {compression_algorithms: [gzipp]}}":                                          `protocols.http.compression_algorithms: unknown compression "gzipp", did you mean "gzip"?`,
		"protocols: {http: {include_metadata: 5}}":                                                      "protocols.http.include_metadata",
		"protocols: {http: {socket_mode: '0660'}}":                                                      "protocols.http.socket_mode: only a unix socket has a mode",
		"protocols: {http: {transport: unix, endpoint: x, socket_mode: 9}}":                             `expected permissions in octal such as 0660, found "9"`,
		"{invalid_utf8: no, protocols: {http: }}":                                                       `invalid_utf8: expected accept, repair or reject, found "no"`,
		"protocols: {http: {max_connection_age: -1s}}":                                                  "protocols.http.max_connection_age: expected 0 or more",
		"protocols: {grpc: {endpoint: 'h:1', tls: {cert_pem: c, key_pem: k}}, http: {endpoint: 'h:1'}}": "grpc and http share the port h:1, so tls must be the same in both",
		"protocols: {grpc: {endpoint: localhost}}":                                                      `protocols.grpc.endpoint: endpoint "localhost": the port is missing: expected host:port`,
		"protocols: {http: {endpoint: '', transport: unix}}":                                            `protocols.http.endpoint: no endpoint is set: expected the path of a socket`,
		"protocols: {http: {transport: unix, endpoint: ''}}":                                            "protocols.http.endpoint: no endpoint is set: expected the path of a socket",
		"protocols: {grpc: {transport: udp}}":                                                           `protocols.grpc.transport: unknown transport "udp" (known: tcp, tcp4, tcp6, unix)`,
		"protocols: {grpc: {max_recv_msg_size_mib: -1}}":                                                "protocols.grpc.max_recv_msg_size_mib: expected 0 to 2047, found -1",
		"protocols: {grpc: {max_recv_msg_size_mib: 2048}}":                                              "protocols.grpc.max_recv_msg_size_mib: expected 0 to 2047, found 2048",
		"protocols: {grpc: {read_buffer_size: -1}}":                                                     "protocols.grpc.read_buffer_size: expected 0 to",
		"protocols: {grpc: {write_buffer_size: -1}}":                                                    "protocols.grpc.write_buffer_size: expected 0 to",
		"protocols: {grpc: {keepalive: {server_parameters: {time: -1s}}}}":                              "protocols.grpc.keepalive.server_parameters.time: expected 0 or more",
		"protocols: {http: {max_request_body_size: 3000000000}}":                                        "protocols.http.max_request_body_size: expected at most",
		"protocols: {http: {idle_timeout: -1s}}":                                                        "protocols.http.idle_timeout: expected 0 or more, found -1s",
		"protocols: {http: {traces_url_path: ':invalid'}}":                                              `invalid HTTP URL path set for signal: parse ":invalid": missing protocol scheme`,
		"protocols: {http: {logs_url_path: v1/traces}}":                                                 `protocols.http.logs_url_path: traces and logs cannot have the same path "/v1/traces"`,
	} {
		_, err := decode(t, yaml)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", yaml, err, want)
		}
	}
}

// An embedder's Config was not decoded; New checks it all the same.
func TestNewChecksConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(DefaultConfig(), component.Settings{ID: "otlp"}); err == nil || !strings.Contains(err.Error(), "at least one protocol") {
		t.Errorf("nothing enabled: %v", err)
	}
	g, h := DefaultGRPCConfig(), DefaultHTTPConfig()
	g.Endpoint, h.IdleTimeout = "nowhere", -1
	_, err := New(Config{Protocols: Protocols{GRPC: g, HTTP: h}}, component.Settings{ID: "otlp"})
	for _, want := range []string{`receiver "otlp"`, `protocols.grpc: endpoint: endpoint "nowhere": the port is missing`, "protocols.http: idle_timeout: expected 0 or more"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Limits left at zero are the documented ones, not gRPC's 4 MiB or none.
func TestZeroLimitsAreDefaults(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
	g.MaxRecvMsgSizeMiB, g.MaxConcurrentStreams, h.MaxRequestBodySize = 0, 0, -1
	r := newRig(t, Config{Protocols: Protocols{GRPC: g, HTTP: h}})
	for _, via := range testTransports {
		for size, ok := range map[int]bool{64 << 20: true, 64<<20 + 1: false} {
			if a := via.send(r, 1, "zstd", filler(size)); a.ok() != ok {
				t.Errorf("%s: %d bytes: %v", via.name, size, a.status)
			}
		}
	}
}
