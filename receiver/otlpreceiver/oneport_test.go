package otlpreceiver

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// freePort returns an address that was free a moment ago: two protocols cannot
// share port 0.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// onePortConfig has both protocols on one endpoint.
func onePortConfig(transport, endpoint string, change func(*ServerConfig)) Config {
	g, h := DefaultGRPCConfig(), DefaultHTTPConfig()
	for _, s := range []*ServerConfig{&g.ServerConfig, &h.ServerConfig} {
		s.Transport, s.Endpoint = transport, endpoint
		if change != nil {
			change(s)
		}
	}
	return Config{Protocols: Protocols{GRPC: g, HTTP: h}}
}

// On one port the same requests get the same answers as on two.
func TestOnePort(t *testing.T) {
	t.Parallel()
	r := newRig(t, onePortConfig("tcp", freePort(t), nil))
	if g, h := r.GRPCAddr().String(), r.HTTPAddr().String(); g != h {
		t.Fatalf("gRPC on %s, HTTP on %s, want one address", g, h)
	}
	for _, via := range testTransports {
		for _, s := range otlp.Signals() {
			for _, encoding := range []string{"", "gzip", "zstd"} {
				if a := via.send(r, s, encoding, request(s, 3)); !a.ok() {
					t.Errorf("%s %s %q: %v", via.name, s, encoding, a.status)
				}
			}
			if a := via.send(r, s, "", []byte{0xff}); a.ok() || a.status.Code != 3 || len(a.status.Details) != 1 {
				t.Errorf("%s %s, bad data: %v, want InvalidArgument with details", via.name, s, a.status)
			}
			if got := r.counts(s, via.name); got != [3]int64{9, 0, 0} {
				t.Errorf("%s %s: counted %v, want 9 accepted", via.name, s, got)
			}
		}
	}
	err := r.conn.Invoke(t.Context(), "/x.Y/Z", []byte{}, new([]byte), grpc.ForceCodecV2(clientCodec{}))
	if st := status.Convert(err); st.Code() != 12 || !strings.Contains(st.Message(), `"/x.Y/Z"`) {
		t.Errorf("an unknown method: %v", err)
	}
}

func TestTLSOnEveryListener(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	secure := func(s *ServerConfig) {
		s.TLS = &config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}
	}
	two := onePortConfig("tcp", "127.0.0.1:0", secure)
	for name, cfg := range map[string]Config{"two ports": two, "one port": onePortConfig("tcp", freePort(t), secure)} {
		r := newRig(t, cfg)
		roots := ca.Pool()
		for _, alpn := range [][]string{{"h2"}, {"http/1.1"}} {
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, NextProtos: alpn}, ForceAttemptHTTP2: alpn[0] == "h2"}
			resp, err := (&http.Client{Transport: tr}).Post("https://"+r.HTTPAddr().String()+"/v1/logs", "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Errorf("%s, %s: %v", name, alpn, err)
				continue
			}
			if a := readAnswer(t, resp); !a.ok() || string(a.body) != "{}" || alpn[0] == "h2" != (resp.ProtoMajor == 2) {
				t.Errorf("%s, %s: %s %v %q", name, alpn, resp.Proto, a.status, a.body)
			}
			tr.CloseIdleConnections()
		}
		cc, err := grpc.NewClient(r.GRPCAddr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := cc.Invoke(t.Context(), otlp.Traces.Spec().Method, request(otlp.Traces, 1000), new([]byte), grpc.ForceCodecV2(clientCodec{})); err != nil {
				t.Errorf("%s, gRPC: %v", name, err)
			}
		}
		_ = cc.Close()
	}
}

func TestUnixSocketMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	cfg := onePortConfig("unix", path, func(s *ServerConfig) { s.SocketMode = 0o660 })
	r := newRig(t, cfg)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v, %v, want mode 0660", info.Mode(), err)
	}
	cc, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if err := cc.Invoke(t.Context(), otlp.Logs.Spec().Method, request(otlp.Logs, 1), new([]byte), grpc.ForceCodecV2(clientCodec{})); err != nil {
		t.Error(err)
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Post("http://x/v1/logs", "application/x-protobuf", strings.NewReader(string(request(otlp.Logs, 1))))
	if err != nil {
		t.Fatal(err)
	}
	if a := readAnswer(t, resp); !a.ok() {
		t.Error(a.status)
	}
	if n := r.sink.Calls(); n != 2 {
		t.Errorf("%d requests arrived, want 2", n)
	}
}
