package otlpreceiver

import (
	"bytes"
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Requests that claim to be gRPC and are not get the same answer from gRPC's own
// server and from ours on the port of HTTP.
func TestMalformedCalls(t *testing.T) {
	t.Parallel()
	export, good := otlp.Logs.Spec().Method, bodyFor("application/grpc", otlp.Logs, 1)
	timeout := func(values ...string) http.Header { return http.Header{"Grpc-Timeout": values} }
	media := func(value string) http.Header { return http.Header{"Content-Type": {value}} }
	tests := []struct {
		name, method, path string
		header             http.Header
		http               int
		code               codes.Code
	}{
		{"good", "POST", export, nil, 200, codes.OK},
		{"no te", "POST", export, http.Header{"Te": nil}, 200, codes.OK},
		{"GET", "GET", export, nil, 405, codes.Internal},
		{"PUT", "PUT", export, nil, 405, codes.Internal},
		{"DELETE", "DELETE", export, nil, 405, codes.Internal},
		{"OPTIONS", "OPTIONS", export, nil, 405, codes.Internal},
		{"HEAD", "HEAD", export, nil, 405, codes.Internal},
		{"lower case", "post", export, nil, 405, codes.Internal},
		{"GET of a path of HTTP", "GET", "/v1/logs", nil, 405, codes.Internal},
		{"timeout", "POST", export, timeout("10S"), 200, codes.OK},
		{"long timeout", "POST", export, timeout("99999999H"), 200, codes.OK},
		{"timeout of 0", "POST", export, timeout("0n"), 200, codes.DeadlineExceeded},
		{"timeout without a unit", "POST", export, timeout("10"), 400, codes.Internal},
		{"timeout without digits", "POST", export, timeout("S"), 400, codes.Internal},
		{"timeout of nine digits", "POST", export, timeout("123456789S"), 400, codes.Internal},
		{"timeout in words", "POST", export, timeout("soon"), 400, codes.Internal},
		{"negative timeout", "POST", export, timeout("-1S"), 400, codes.Internal},
		{"empty timeout", "POST", export, timeout(""), 400, codes.Internal},
		{"two timeouts", "POST", export, timeout("10S", "20S"), 200, codes.OK},
		{"two timeouts, the first malformed", "POST", export, timeout("x", "20S"), 400, codes.Internal},
		{"media type with a parameter", "POST", export, media("application/grpc; charset=utf-8"), 200, codes.OK},
		{"media type with the codec", "POST", export, media("application/grpc+proto"), 200, codes.OK},
		{"media type of gRPC-Web", "POST", export, media("application/grpc-web"), 415, codes.InvalidArgument},
		{"media type that only begins like it", "POST", export, media("application/grpcfoo"), 415, codes.InvalidArgument},
		{"path without a service", "POST", "/Export", nil, 200, codes.Unimplemented},
		{"path of the service only", "POST", "/opentelemetry.proto.collector.logs.v1.LogsService", nil, 200, codes.Unimplemented},
		{"path of HTTP", "POST", "/v1/logs", nil, 200, codes.Unimplemented},
		{"the root", "POST", "/", nil, 200, codes.Unimplemented},
		{"path with a query", "POST", export + "?a=b", nil, 200, codes.Unimplemented},
		{"path with an escape", "POST", "/opentelemetry.proto.collector.logs.v1.LogsService/%45xport", nil, 200, codes.Unimplemented},
		{"path with an escaped slash", "POST", "/opentelemetry.proto.collector.logs.v1.LogsService%2FExport", nil, 200, codes.Unimplemented},
	}
	for ports, cfg := range map[string]Config{"two ports": testConfig(), "one port": onePortConfig("tcp", freePort(t), nil)} {
		r, web := newRig(t, cfg), h2Client(t)
		accepted := 0
		for _, tt := range tests {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+r.GRPCAddr().String()+tt.path, bytes.NewReader(good))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
			for name, values := range tt.header {
				req.Header[name] = values
			}
			resp, err := web.Do(req)
			if err != nil {
				t.Errorf("%s, %s: %v", ports, tt.name, err)
				continue
			}
			_, _ = bytes.NewBuffer(nil).ReadFrom(resp.Body) // the trailers come behind it
			_ = resp.Body.Close()
			if a := (h2Answer{Response: resp}); a.StatusCode != tt.http || a.code() != tt.code {
				t.Errorf("%s, %s: %d %s (%s), want %d %s", ports, tt.name, a.StatusCode, a.code(), a.Header.Get("Grpc-Message"), tt.http, tt.code)
			}
			if tt.code == codes.OK {
				accepted++
			}
		}
		if n := r.sink.Calls(); n != accepted {
			t.Errorf("%s: the consumer saw %d requests, want %d", ports, n, accepted)
		}
	}
}

// On a port without gRPC, a GET that claims to be gRPC is a request of HTTP.
func TestGETOnTheHTTPPortIsNoCall(t *testing.T) {
	t.Parallel()
	r, web := newRig(t, testConfig()), h2Client(t)
	for path, want := range map[string]int{"/v1/logs": http.StatusMethodNotAllowed, otlp.Logs.Spec().Method: http.StatusNotFound} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.HTTPAddr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
