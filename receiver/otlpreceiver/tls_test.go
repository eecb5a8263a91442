package otlpreceiver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// tlsConfigs are two ports and one, with the same TLS.
func tlsConfigs(t *testing.T, s config.ServerTLS) map[string]Config {
	with := func(c *ServerConfig) { c.TLS = &s }
	return map[string]Config{
		"two ports": onePortConfig("tcp", "127.0.0.1:0", with), "one port": onePortConfig("tcp", freePort(t), with),
	}
}

// trySecure sends to both servers as a client with these settings, and returns
// what went wrong with each.
func trySecure(t *testing.T, r *rig, client *tls.Config) map[string]error {
	t.Helper()
	failed := map[string]error{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	body := request(otlp.Logs, 1)
	failed["grpc"] = dialTLS(t, r.GRPCAddr(), client).Invoke(ctx, otlp.Logs.Spec().Method, body, new([]byte), grpc.ForceCodecV2(clientCodec{}))
	for _, proto := range []string{"http/1.1", "h2"} {
		tr := &http.Transport{TLSClientConfig: client.Clone(), Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(proto == "http/1.1")
		tr.Protocols.SetHTTP2(proto == "h2")
		resp, err := (&http.Client{Transport: tr}).Post("https://"+r.HTTPAddr().String()+"/v1/logs", "application/x-protobuf", strings.NewReader(string(body)))
		if err == nil {
			if resp.StatusCode != 200 || (resp.ProtoMajor == 2) != (proto == "h2") {
				err = fmt.Errorf("%s over %s", resp.Status, resp.Proto)
			}
			_ = resp.Body.Close()
		}
		failed[proto] = err
		tr.CloseIdleConnections()
	}
	return failed
}

// Where a client CA is set, clients without a certificate of it are refused.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ca, other := tlstest.New(t), tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	pair := func(a *tlstest.Authority) []tls.Certificate {
		c, err := tls.X509KeyPair(a.Pair("client"))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	for _, reload := range []bool{false, true} {
		for name, cfg := range tlsConfigs(t, config.ServerTLS{
			TLS:          config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)},
			ClientCAFile: tlstest.File(t, "ca.pem", ca.PEM), ClientCAFileReload: reload,
		}) {
			r := newRig(t, cfg)
			for who, tt := range map[string]struct {
				certs []tls.Certificate
				ok    bool
			}{"a client of the CA": {pair(ca), true}, "a client without": {nil, false}, "a client of another": {pair(other), false}} {
				for protocol, err := range trySecure(t, r, &tls.Config{RootCAs: ca.Pool(), Certificates: tt.certs}) {
					if (err == nil) != tt.ok {
						t.Errorf("%s, reload %v, %s: %s: %v", name, reload, protocol, who, err)
					}
				}
			}
			if n := r.sink.Calls(); n != 3 {
				t.Errorf("%s: %d requests arrived, want 3", name, n)
			}
			if name == "two ports" {
				// The client may know of it before the server has counted it.
				r.waitFor(func() bool {
					return r.metric("otelcol_receiver_refused_connections", "transport=grpc", "reason=handshake") >= 2
				})
			}
		}
	}
}

func TestTLSMinVersion(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	for name, cfg := range tlsConfigs(t, config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key), MinVersion: "1.3"}}) {
		r := newRig(t, cfg)
		for version, ok := range map[uint16]bool{tls.VersionTLS12: false, tls.VersionTLS13: true} {
			for protocol, err := range trySecure(t, r, &tls.Config{RootCAs: ca.Pool(), MaxVersion: version}) {
				if (err == nil) != ok {
					t.Errorf("%s, %s, %s: %v", name, protocol, tls.VersionName(version), err)
				}
			}
		}
	}
}

// A client of gRPC that offers no protocol at all, as old ones do, is served.
func TestTLSWithoutALPN(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	r := newRig(t, tlsConfigs(t, config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}})["two ports"])
	for addr, want := range map[net.Addr]string{r.GRPCAddr(): "h2", r.HTTPAddr(): "h2"} {
		conn := dialRaw(t, addr, ca, "h2").(*tls.Conn)
		if err := conn.Handshake(); err != nil || conn.ConnectionState().NegotiatedProtocol != want {
			t.Errorf("%v, %q, want %s", err, conn.ConnectionState().NegotiatedProtocol, want)
		}
	}
	conn, err := tls.Dial("tcp", r.GRPCAddr().String(), &tls.Config{RootCAs: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second))
	if _, err := io.ReadFull(conn, make([]byte, 9)); err != nil {
		t.Errorf("no answer to the preface: %v", err)
	}
}

// The certificate changes many times while requests come over new connections,
// and none of them fails.
func TestTLSRotation(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	dir := t.TempDir()
	rotate := func() {
		cert, key := ca.Pair("127.0.0.1")
		for name, b := range map[string][]byte{"cert": cert, "key": key} { // not both at once, as anybody would
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file+".new", b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
	}
	rotate()
	r := newRig(t, tlsConfigs(t, config.ServerTLS{TLS: config.TLS{CertFile: dir + "/cert", KeyFile: dir + "/key", ReloadInterval: time.Millisecond}})["two ports"])
	var stop atomic.Bool
	var sent atomic.Int64
	var mu sync.Mutex
	serials := map[string]bool{}
	var senders sync.WaitGroup
	senders.Go(func() {
		for !stop.Load() {
			for protocol, err := range trySecure(t, r, &tls.Config{RootCAs: ca.Pool(), VerifyConnection: func(s tls.ConnectionState) error {
				mu.Lock()
				defer mu.Unlock()
				serials[s.PeerCertificates[0].SerialNumber.String()] = true
				return nil
			}}) {
				if err != nil {
					t.Errorf("%s: %v", protocol, err)
				}
				sent.Add(1)
			}
		}
	})
	for range 100 {
		rotate()
		before := sent.Load()
		r.waitFor(func() bool { return sent.Load() >= before+3 })
	}
	stop.Store(true)
	senders.Wait()
	if len(serials) < 10 {
		t.Errorf("%d certificates were seen, want many", len(serials))
	}
}

// Start says which file is missing, and opens nothing.
func TestTLSFilesNotThere(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	good := tlstest.File(t, "key.pem", key)
	for name, tt := range map[string]struct {
		tls  config.ServerTLS
		says []string
	}{
		"certificate": {config.ServerTLS{TLS: config.TLS{CertFile: "/nowhere/cert.pem", KeyFile: good}},
			[]string{"failed to load TLS config: failed to load TLS cert and key", "/nowhere/cert.pem"}},
		"client CA": {config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}, ClientCAFile: "/nowhere/ca.pem"},
			[]string{"failed to load client CA CertPool", "/nowhere/ca.pem"}},
	} {
		for _, cfg := range tlsConfigs(t, tt.tls) {
			r := makeRig(t, cfg, setup{})
			err := r.Start(t.Context())
			for _, want := range append(tt.says, "protocols.", `"otlp/test"`) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", name, err, want)
				}
			}
			if r.GRPCAddr() != nil || r.HTTPAddr() != nil {
				t.Errorf("%s: something listens", name)
			}
			if err := r.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// Clients that use TLS on a port without TLS, or the opposite, are refused; the
// first is logged.
func TestTLSAndPlaintextMixedUp(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	plain := newRig(t, testConfig())
	for range 3 {
		conn := dialRaw(t, plain.GRPCAddr(), ca, "h2").(*tls.Conn)
		if err := conn.Handshake(); err == nil {
			t.Error("a handshake with a port without TLS")
		}
	}
	const want = "TLS client on a plaintext port"
	plain.waitFor(func() bool {
		return plain.metric("otelcol_receiver_refused_connections", "reason=protocol", "transport=grpc") == 3
	})
	plain.waitFor(func() bool { return strings.Contains(plain.logs.String(), want) })
	if n := strings.Count(plain.logs.String(), want); n != 1 || !strings.Contains(plain.logs.String(), "127.0.0.1") {
		t.Errorf("the log tells %d times:\n%s", n, plain.logs)
	}

	cert, key := ca.Pair("127.0.0.1")
	for name, cfg := range tlsConfigs(t, config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}) {
		r := newRig(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := r.conn.Invoke(ctx, otlp.Logs.Spec().Method, request(otlp.Logs, 1), new([]byte), grpc.ForceCodecV2(clientCodec{}))
		if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			t.Errorf("%s: plaintext gRPC: %v", name, err)
		}
		resp, err := r.web.Post("http://"+r.HTTPAddr().String()+"/v1/logs", "application/x-protobuf", strings.NewReader(""))
		if err == nil {
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: plaintext HTTP: %s", name, resp.Status)
			}
			_ = resp.Body.Close()
		}
		for protocol, err := range trySecure(t, r, &tls.Config{RootCAs: ca.Pool()}) {
			if err != nil {
				t.Errorf("%s: afterwards: %s: %v", name, protocol, err)
			}
		}
		if n := r.sink.Calls(); n != 3 {
			t.Errorf("%s: %d requests arrived, want 3", name, n)
		}
	}
}
