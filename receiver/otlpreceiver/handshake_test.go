package otlpreceiver

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
)

// TLS handshakes that fail are counted and logged on both ports; connections that send
// nothing are neither.
func TestFailedHandshakes(t *testing.T) {
	t.Parallel()
	cert, key := tlstest.New(t).Pair("127.0.0.1")
	secure := &config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}
	cfg := testConfig()
	cfg.Protocols.GRPC.TLS, cfg.Protocols.HTTP.TLS = secure, secure
	r := newRig(t, cfg)
	for transport, addr := range map[string]net.Addr{"grpc": r.GRPCAddr(), "http": r.HTTPAddr()} {
		for range 3 {
			bare, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			_ = bare.Close()
		}
		if c, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: tlstest.New(t).Pool()}); err == nil { // another CA
			_ = c.Close()
			t.Error("the handshake did not fail")
		}
		plain, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(plain, "POST /v1/traces HTTP/1.1\r\n\r\n")
		_, _ = io.ReadAll(plain)
		_ = plain.Close()
		count := func() int64 {
			return r.metric("otelcol_receiver_refused_connections", "transport="+transport, "reason=handshake")
		}
		r.waitFor(func() bool { return count() >= 2 })
		if n := count(); n != 2 {
			t.Errorf("%s: %d handshakes are counted, want 2", transport, n)
		}
	}
	if n := strings.Count(r.logs.String(), "a TLS handshake failed"); n != 2 {
		t.Errorf("%d lines, want one for each port: %s", n, r.logs.String())
	}
}
