package otlpreceiver

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// The gRPC port answers health checks, with a client of the official module.
func TestGRPCHealth(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{"two ports": testConfig(), "one port": onePortConfig("tcp", freePort(t), nil)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testHealth(t, newRig(t, cfg))
		})
	}
}

func testHealth(t *testing.T, r *rig) {
	conn, err := grpc.NewClient(r.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	for service, want := range map[string]codes.Code{
		"": codes.OK, "opentelemetry.proto.collector.trace.v1.TraceService": codes.OK, "nobody": codes.NotFound, strings.Repeat("x", 2000): codes.InvalidArgument,
	} {
		resp, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if status.Code(err) != want || want == codes.OK && resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%.20q: %v, %v", service, resp, err)
		}
	}
	stream, err := client.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("Watch: %v", err)
	}
	r.noRefusals()
}

// Probes of load balancers are neither counted as refused nor logged.
func TestProbes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	for _, addr := range []net.Addr{r.GRPCAddr(), r.HTTPAddr()} {
		for range 3 {
			c, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for path, want := range map[string]int{"/": 200, "/healthz": 404} {
			resp := r.do(method, path, http.Header{}, nil)
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s %s: %d", method, path, resp.StatusCode)
			}
		}
	}
	r.noRefusals()
}

// noRefusals checks that nothing was counted or logged.
func (r *rig) noRefusals() {
	r.t.Helper()
	if n := r.metric("otelcol_receiver_refused_requests") + r.metric("otelcol_receiver_refused_connections"); n != 0 {
		r.t.Errorf("%d requests or connections are counted as refused", n)
	}
	if log := r.logs.String(); strings.Contains(log, "WARN") || strings.Contains(log, "ERROR") {
		r.t.Errorf("logged: %s", log)
	}
}

// Preflights of pages that may not send are refused, counted and logged, with the key
// that would allow them; those of others are neither.
func TestPreflights(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cors            *CORSConfig
		origin, headers string
		status          int
		want            string
	}{
		"off":            {nil, "https://shop.example", "content-type", 403, "CORS is off, allow them in protocols.http.cors.allowed_origins"},
		"allowed":        {&CORSConfig{AllowedOrigins: []string{"https://shop.example"}}, "https://shop.example", "content-type", 204, ""},
		"content-type":   {&CORSConfig{AllowedOrigins: []string{"*"}, AllowedHeaders: []string{"X-Tenant"}}, "https://shop.example", "content-type,x-tenant", 204, ""},
		"another origin": {&CORSConfig{AllowedOrigins: []string{"https://shop.example"}}, "https://evil.example", "content-type", 403, `pages of \"https://evil.example\"`},
		"another header": {&CORSConfig{AllowedOrigins: []string{"*"}, AllowedHeaders: []string{"X-Tenant"}}, "https://shop.example", "x-other", 403, "x-other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			cfg.Protocols.HTTP.CORS = tt.cors
			r := newRig(t, cfg)
			resp := r.do(http.MethodOptions, "/v1/traces", http.Header{"Origin": {tt.origin},
				"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {tt.headers}}, nil)
			_ = resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Errorf("%d, want %d", resp.StatusCode, tt.status)
			}
			if tt.want == "" {
				r.noRefusals()
				return
			}
			if n := r.metric("otelcol_receiver_refused_requests", "reason=cors"); n != 1 || !strings.Contains(r.logs.String(), tt.want) {
				t.Errorf("%d are counted, logged: %s", n, r.logs.String())
			}
		})
	}
}
