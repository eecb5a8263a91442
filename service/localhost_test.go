package service

import (
	"net"
	"strings"
	"testing"
)

// Each server at localhost answers at both loopback addresses.
func TestEveryServerIsAtBothLoopbacks(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6: %v", err)
	} else {
		l.Close()
	}
	r := start(t, `{extensions: {pprof: {endpoint: "localhost:0"}, zpages: {endpoint: "localhost:0"}, health_check: {endpoint: "localhost:0"}}, `+
		`receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}, collectionagent: {endpoint: "localhost:0"}}, `+
		`exporters: {nop: }, service: {extensions: [pprof, zpages, health_check], pipelines: {profiles: {receivers: [otlp, collectionagent], exporters: [nop]}}}}`)
	all := r.Addresses()
	if len(all) != 7 {
		t.Errorf("%d addresses, want 7: %v", len(all), all)
	}
	for _, a := range all {
		hostPort := strings.TrimPrefix(a.Address, "http://")
		hostPort, _, _ = strings.Cut(hostPort, "/")
		_, port, err := net.SplitHostPort(hostPort)
		if err != nil {
			t.Errorf("%s: %v", a.Address, err)
			continue
		}
		for _, host := range []string{"127.0.0.1", "::1"} {
			c, err := net.Dial("tcp", net.JoinHostPort(host, port))
			if err != nil {
				t.Errorf("%s: %v", a.Protocol, err)
				continue
			}
			c.Close()
		}
	}
}
