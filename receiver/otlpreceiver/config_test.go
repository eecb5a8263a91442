package otlpreceiver

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func decode(t *testing.T, yaml string) (Config, error) {
	t.Helper()
	tree, err := conf.Load(conf.Options{Sources: []string{"yaml:" + yaml}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	return cfg, tree.Root().Decode(&cfg)
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
		g, h := cfg.Protocols.GRPC.Get(), cfg.Protocols.HTTP.Get()
		if (g != nil) != want.grpc || (h != nil) != want.http {
			t.Errorf("%s: grpc %v, http %v, want %v", yaml, g != nil, h != nil, want)
		}
		if g != nil && *g != DefaultGRPCConfig() {
			t.Errorf("%s: grpc is not the default: %+v", yaml, *g)
		}
		if h != nil && *h != DefaultHTTPConfig() {
			t.Errorf("%s: http is not the default: %+v", yaml, *h)
		}
	}
	g, h := DefaultGRPCConfig(), DefaultHTTPConfig()
	if g.Endpoint != "localhost:4317" || h.Endpoint != "localhost:4318" || g.MaxRecvMsgSizeMiB != 64 || h.MaxRequestBodySize != 64<<20 {
		t.Errorf("defaults %+v %+v", g, h)
	}
	if h.ReadTimeout == 0 || h.ReadHeaderTimeout == 0 || h.WriteTimeout == 0 || h.IdleTimeout == 0 {
		t.Errorf("a client may trickle: %+v", h)
	}
}

func TestConfigKeys(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, `
protocols:
  grpc:
    endpoint: 0.0.0.0:14317
    transport: tcp4
    max_recv_msg_size_mib: 32
    max_concurrent_streams: 16
    read_buffer_size: 1024
    write_buffer_size: 2048
    include_metadata: true
    keepalive:
      server_parameters: {max_connection_idle: 11s, max_connection_age: 12s, max_connection_age_grace: 13s, time: 30s, timeout: 5s}
      enforcement_policy: {min_time: 10s, permit_without_stream: true}
  http:
    endpoint: /run/otlp.sock
    transport: unix
    max_request_body_size: 1000
    include_metadata: true
    read_timeout: 1s
    read_header_timeout: 2s
    write_timeout: 3s
    idle_timeout: 4s
    keep_alives_enabled: false
    traces_url_path: traces
    metrics_url_path: /m
    logs_url_path: https://host/l?x=y
    profiles_url_path: /p
`)
	if err != nil {
		t.Fatal(err)
	}
	g := GRPCConfig{Endpoint: "0.0.0.0:14317", Transport: "tcp4", MaxRecvMsgSizeMiB: 32, MaxConcurrentStreams: 16,
		ReadBufferSize: 1024, WriteBufferSize: 2048, IncludeMetadata: true}
	sp, ep := &g.Keepalive.ServerParameters, &g.Keepalive.EnforcementPolicy
	sp.MaxConnectionIdle, sp.MaxConnectionAge, sp.MaxConnectionAgeGrace = 11*time.Second, 12*time.Second, 13*time.Second
	sp.Time, sp.Timeout, ep.MinTime, ep.PermitWithoutStream = 30*time.Second, 5*time.Second, 10*time.Second, true
	if diff := cmp.Diff(g, *cfg.Protocols.GRPC.Get()); diff != "" {
		t.Errorf("grpc (-want +got):\n%s", diff)
	}
	h := HTTPConfig{Endpoint: "/run/otlp.sock", Transport: "unix", MaxRequestBodySize: 1000, IncludeMetadata: true,
		ReadTimeout: time.Second, ReadHeaderTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second, IdleTimeout: 4 * time.Second,
		TracesURLPath: "traces", MetricsURLPath: "/m", LogsURLPath: "https://host/l?x=y", ProfilesURLPath: "/p"}
	if diff := cmp.Diff(h, *cfg.Protocols.HTTP.Get()); diff != "" {
		t.Errorf("http (-want +got):\n%s", diff)
	}
	routes, err := cfg.Protocols.HTTP.Get().routes()
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
		"protocols: {grpc: {tls: {cert_file: x}}}":                         "protocols.grpc.tls: tls is not supported yet in this release",
		"protocols: {grpc: {auth: {authenticator: x}}}":                    "protocols.grpc.auth: auth is not supported yet in this release",
		"protocols: {grpc: {middlewares: [{id: x}]}}":                      "protocols.grpc.middlewares: middlewares is not supported yet in this release",
		"protocols: {http: {tls: {}}}":                                     "protocols.http.tls: tls is not supported yet in this release",
		"protocols: {http: {cors: {allowed_origins: ['*']}}}":              "protocols.http.cors: cors is not supported yet in this release",
		"protocols: {http: {auth: {enabled: true}}}":                       "protocols.http.auth: auth is not supported yet in this release",
		"protocols: {http: {response_headers: {a: b}}}":                    "protocols.http.response_headers: response_headers is not supported yet",
		"protocols: {http: {compression_algorithms: []}}":                  "protocols.http.compression_algorithms: compression_algorithms is not supported yet",
		"protocols: {http: {middlewares: []}}":                             "protocols.http.middlewares: middlewares is not supported yet",
		"protocols: {grpc: {endpoint: localhost}}":                         `protocols.grpc.endpoint: expected host:port such as localhost:4317, found "localhost"`,
		"protocols: {http: {endpoint: ''}}":                                `protocols.http.endpoint: expected host:port`,
		"protocols: {http: {transport: unix, endpoint: ''}}":               "protocols.http.endpoint: expected the path of a socket",
		"protocols: {grpc: {transport: udp}}":                              `protocols.grpc.transport: expected one of tcp, tcp4, tcp6, unix, found "udp"`,
		"protocols: {grpc: {max_recv_msg_size_mib: -1}}":                   "protocols.grpc.max_recv_msg_size_mib: expected 0 to 2047, found -1",
		"protocols: {grpc: {max_recv_msg_size_mib: 2048}}":                 "protocols.grpc.max_recv_msg_size_mib: expected 0 to 2047, found 2048",
		"protocols: {grpc: {read_buffer_size: -1}}":                        "protocols.grpc.read_buffer_size: expected 0 to",
		"protocols: {grpc: {write_buffer_size: -1}}":                       "protocols.grpc.write_buffer_size: expected 0 to",
		"protocols: {grpc: {keepalive: {server_parameters: {time: -1s}}}}": "protocols.grpc.keepalive.server_parameters.time: expected 0 or more",
		"protocols: {http: {max_request_body_size: 3000000000}}":           "protocols.http.max_request_body_size: expected at most",
		"protocols: {http: {idle_timeout: -1s}}":                           "protocols.http.idle_timeout: expected 0 or more, found -1s",
		"protocols: {http: {traces_url_path: ':invalid'}}":                 `invalid HTTP URL path set for signal: parse ":invalid": missing protocol scheme`,
		"protocols: {http: {logs_url_path: v1/traces}}":                    `protocols.http.logs_url_path: traces and logs cannot have the same path "/v1/traces"`,
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
	if _, err := New(DefaultConfig(), pipeline.Settings{ID: "otlp"}); err == nil || !strings.Contains(err.Error(), "at least one protocol") {
		t.Errorf("nothing enabled: %v", err)
	}
	g, h := DefaultGRPCConfig(), DefaultHTTPConfig()
	g.Endpoint, h.IdleTimeout = "nowhere", -1
	_, err := New(Config{Protocols: Protocols{GRPC: conf.Some(g), HTTP: conf.Some(h)}}, pipeline.Settings{ID: "otlp"})
	for _, want := range []string{`receiver "otlp"`, "protocols.grpc: endpoint: expected host:port", "protocols.http: idle_timeout: expected 0 or more"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Limits left at zero are the documented ones, not gRPC's 4 MiB or none.
func TestZeroLimitsAreDefaults(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	g, h := *cfg.Protocols.GRPC.Get(), *cfg.Protocols.HTTP.Get()
	g.MaxRecvMsgSizeMiB, g.MaxConcurrentStreams, h.MaxRequestBodySize = 0, 0, -1
	r := newRig(t, Config{Protocols: Protocols{GRPC: conf.Some(g), HTTP: conf.Some(h)}})
	for _, via := range testTransports {
		for size, ok := range map[int]bool{64 << 20: true, 64<<20 + 1: false} {
			if a := via.send(r, 1, "zstd", filler(size)); a.ok() != ok {
				t.Errorf("%s: %d bytes: %v", via.name, size, a.status)
			}
		}
	}
}
