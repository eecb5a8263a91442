package otlpreceiver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// bearer is an authenticator that knows four tokens.
type bearer struct{ calls atomic.Int64 }

// Challenge implements pipeline.Challenger.
func (b *bearer) Challenge() string { return `Bearer realm="x"` }

func (b *bearer) Authenticate(_ context.Context, header func(string) []string) (*pipeline.Identity, error) {
	b.calls.Add(1)
	token := ""
	if found := header("authorization"); len(found) == 1 {
		token = strings.TrimPrefix(found[0], "Bearer ")
	} else if found := header("token"); len(found) == 1 {
		token = found[0]
	}
	switch token {
	case "good":
		return &pipeline.Identity{Subject: "alice", Attributes: map[string]string{"team": "blue"}}, nil
	case "later":
		return nil, fmt.Errorf("look up: %w", &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: 1500 * time.Millisecond, Err: errors.New("no key server")})
	case "busy":
		return nil, &pipeline.Error{Kind: pipeline.Overloaded, Err: errors.New("too many keys to look up")}
	case "never":
		return nil, pipeline.Permanently(errors.New("the account is closed"))
	case "panic":
		panic("secret")
	}
	return nil, errors.New("no or wrong credentials: expected Bearer")
}

func withAuth(params ...string) func(*ServerConfig) {
	return func(s *ServerConfig) {
		s.Auth = &AuthConfig{Authenticator: "auth", RequestParams: params}
	}
}

// client sends to a rig in one of the ways that there are.
type client struct {
	name string
	grpc bool
	send func(t *testing.T, target, token string, body []byte) answer
}

// allClients speak plaintext, or TLS with the authority's certificates.
func allClients(t *testing.T, r *rig, ca *tlstest.Authority) (all []client) {
	scheme := "http"
	var secure *tls.Config
	if ca != nil {
		scheme, secure = "https", &tls.Config{RootCAs: ca.Pool()}
	}
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: secure.Clone()}
		tr.Protocols.SetHTTP1(version == "HTTP/1.1")
		tr.Protocols.SetHTTP2(version == "HTTP/2.0")
		tr.Protocols.SetUnencryptedHTTP2(version == "HTTP/2.0")
		t.Cleanup(tr.CloseIdleConnections)
		all = append(all, client{scheme + " " + version, false, func(t *testing.T, target, token string, body []byte) answer {
			t.Helper()
			req, err := http.NewRequest(http.MethodPost, scheme+"://"+r.HTTPAddr().String()+target, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Traceparent": {testTraceparent}, "X-Tenant": {"a", "b"}}
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := (&http.Client{Transport: tr}).Do(req)
			if err != nil {
				t.Error(err)
				return answer{http: -1, status: status.New(codes.Unknown, err.Error()).Proto()}
			}
			if resp.Proto != version {
				t.Errorf("it speaks %s", resp.Proto)
			}
			return readAnswer(t, resp)
		}})
	}
	cc := r.conn
	if ca != nil {
		cc = dialTLS(t, r.GRPCAddr(), secure)
	}
	return append(all, client{scheme + " gRPC", true, func(_ *testing.T, target, token string, body []byte) answer {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", testTraceparent, "x-tenant", "a", "x-tenant", "b")
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
		var a answer
		if err := cc.Invoke(ctx, target, body, &a.body, grpc.ForceCodecV2(clientCodec{})); err != nil {
			a.status = status.Convert(err).Proto()
		}
		return a
	}})
}

// target is where the client sends signal s.
func (c client) target(s otlp.Signal) string {
	if c.grpc {
		return s.Spec().Method
	}
	return s.Spec().Path
}

func dialTLS(t *testing.T, addr net.Addr, secure *tls.Config) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+addr.String(), grpc.WithTransportCredentials(credentials.NewTLS(secure.Clone())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

const testTraceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// eachServer runs f with every arrangement of ports, plaintext and TLS.
func eachServer(t *testing.T, change func(*ServerConfig), f func(t *testing.T, cfg Config, ca *tlstest.Authority)) {
	for _, secure := range []bool{false, true} {
		for _, ports := range []string{"two ports", "one port"} {
			name := ports + map[bool]string{false: " plaintext", true: " TLS"}[secure]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var ca *tlstest.Authority
				with := change
				if secure {
					ca = tlstest.New(t)
					cert, key := ca.Pair("127.0.0.1")
					with = func(s *ServerConfig) {
						if change != nil {
							change(s)
						}
						s.TLS = &config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}
					}
				}
				endpoint := "127.0.0.1:0"
				if ports == "one port" {
					endpoint = freePort(t)
				}
				f(t, onePortConfig("tcp", endpoint, with), ca)
			})
		}
	}
}

// A request without the right credentials is refused, on every listener and with every client.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	tests := []struct {
		token      string
		code       codes.Code
		http       int
		retry      time.Duration
		retryAfter string
		text       string
	}{
		{"good", codes.OK, 200, 0, "", ""},
		{"", codes.Unauthenticated, 401, -1, "", "no or wrong credentials: expected Bearer"},
		{"wrong", codes.Unauthenticated, 401, -1, "", "no or wrong credentials: expected Bearer"},
		{"never", codes.Unauthenticated, 401, -1, "", "the account is closed"},
		{"later", codes.Unavailable, 503, 1500 * time.Millisecond, "2", "no key server"},
		{"busy", codes.Unavailable, 503, time.Second, "1", "too many keys to look up"},
		{"panic", codes.Internal, 500, -1, "", "internal error while the request was processed"},
	}
	eachServer(t, withAuth(), func(t *testing.T, cfg Config, ca *tlstest.Authority) {
		budget := admission.New(admission.Config{Bytes: 16 << 20})
		r := newRigWith(t, cfg, setup{auth: &bearer{}, budget: budget})
		for _, c := range allClients(t, r, ca) {
			for _, tt := range tests {
				for _, s := range otlp.Signals() {
					before, taken := len(r.sink.All()), budget.Stats()
					a := c.send(t, c.target(s), tt.token, request(s, 3))
					what := fmt.Sprintf("%s %s, token %q", c.name, s, tt.token)
					if a.http != 0 && a.http != tt.http {
						t.Errorf("%s: %d, want %d", what, a.http, tt.http)
					}
					if challenge := a.header.Get("WWW-Authenticate"); (challenge == `Bearer realm="x"`) != (a.http == 401) {
						t.Errorf("%s: WWW-Authenticate %q", what, challenge)
					}
					seen := r.sink.All()[before:]
					if tt.code == codes.OK {
						if !a.ok() || len(seen) != 1 {
							t.Errorf("%s: %v, %d requests arrived", what, a.status, len(seen))
						} else if id := seen[0].Client.Identity; id == nil || id.Subject != "alice" || id.Attributes["team"] != "blue" {
							t.Errorf("%s: the consumer sees identity %+v", what, id)
						}
						continue
					}
					if a.ok() || codes.Code(a.status.Code) != tt.code || a.status.Message != tt.text && !strings.HasSuffix(a.status.Message, ": "+tt.text) {
						t.Errorf("%s: %v, want %s %q", what, a.status, tt.code, tt.text)
					} else if d := retryDelay(a.status); d != tt.retry || a.http != 0 && a.retryAfter != tt.retryAfter {
						t.Errorf("%s: RetryInfo %v, Retry-After %q, want %v, %q", what, d, a.retryAfter, tt.retry, tt.retryAfter)
					}
					if now := budget.Stats(); len(seen) != 0 || now.Peak != taken.Peak {
						t.Errorf("%s: %d requests arrived, the budget went to %d", what, len(seen), now.Peak)
					}
				}
			}
			// Without credentials a client does not learn what is served.
			for _, target := range []string{"/v9/nothing", "/x.Y/Export"} {
				if a := c.send(t, target, "wrong", nil); a.ok() || codes.Code(a.status.Code) != codes.Unauthenticated || a.http != 0 && a.http != 401 {
					t.Errorf("%s %s without credentials: %d %v, want 401", c.name, target, a.http, a.status)
				}
			}
		}
		for _, transport := range []string{"grpc", "http"} {
			if n := r.metric("otelcol_receiver_refused_requests", "reason=auth", "transport="+transport); n < 5*4 {
				t.Errorf("%s: %d refusals counted for the credentials", transport, n)
			}
		}
	})
}

// The authenticator is asked before the body comes, and the answer does not wait
// for it.
func TestAuthenticationBeforeTheBody(t *testing.T) {
	t.Parallel()
	eachServer(t, withAuth(), func(t *testing.T, cfg Config, ca *tlstest.Authority) {
		budget := admission.New(admission.Config{Bytes: 16 << 20})
		r := newRigWith(t, cfg, setup{auth: &bearer{}, budget: budget})
		for name, head := range map[string]string{
			"expect":      "Content-Length: 67108864\r\nExpect: 100-continue\r\n",
			"large":       "Content-Length: 60000000\r\n",
			"small":       "Content-Length: 1000\r\n",
			"chunked":     "Transfer-Encoding: chunked\r\n",
			"small, h1.0": "Content-Length: 1000\r\nConnection: close\r\n",
		} {
			conn := dialRaw(t, r.HTTPAddr(), ca, "http/1.1")
			_ = conn.SetDeadline(time.Now().Add(8 * time.Second)) // below the grace period
			_, _ = io.WriteString(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"+head+"\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("%s: %v, want an answer before the body", name, err)
				continue
			}
			resp.Request = &http.Request{Method: http.MethodPost}
			if a := readAnswer(t, resp); a.http != http.StatusUnauthorized {
				t.Errorf("%s: %d, want 401", name, a.http)
			}
			// The server does not wait for the rest.
			if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
				t.Errorf("%s: after the answer %d bytes, %v, want the end", name, n, err)
			}
			_ = conn.Close()
		}
		for _, target := range []struct {
			addr        net.Addr
			contentType string
			path        string
		}{
			{r.HTTPAddr(), "application/x-protobuf", "/v1/traces"},
			{r.GRPCAddr(), "application/grpc", otlp.Traces.Spec().Method},
		} {
			body, w := io.Pipe()
			a := h2Do(t, ca, target.addr, target.path, http.Header{"Content-Type": {target.contentType}, "Te": {"trailers"}}, body)
			if got := a.code(); got != codes.Unauthenticated {
				t.Errorf("%s: %v, want Unauthenticated", target.contentType, got)
			}
			_ = w.Close()
		}
		if peak := budget.Stats().Peak; peak != 0 {
			t.Errorf("%d bytes were taken from the budget without credentials", peak)
		}
		r.waitFor(func() bool { return r.inFlight.Count() == 0 })
	})
}

// dialRaw opens a connection, with TLS if there is an authority.
func dialRaw(t *testing.T, addr net.Addr, ca *tlstest.Authority, alpn string) net.Conn {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if ca == nil {
		return conn
	}
	return tls.Client(conn, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", NextProtos: []string{alpn}})
}

// h2Answer is an answer over HTTP/2, whether OTLP/HTTP's or gRPC's.
type h2Answer struct {
	*http.Response
	body []byte
}

func h2Do(t *testing.T, ca *tlstest.Authority, addr net.Addr, path string, header http.Header, body io.Reader) h2Answer {
	t.Helper()
	scheme, tr := "http", &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	if ca != nil {
		scheme = "https"
		tr.Protocols.SetHTTP2(true)
		tr.TLSClientConfig = &tls.Config{RootCAs: ca.Pool()}
	}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+"://"+addr.String()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := h2Answer{Response: resp}
	a.body, _ = io.ReadAll(resp.Body)
	return a
}

// code is what gRPC says, or what stands for the HTTP status.
func (a h2Answer) code() codes.Code {
	for _, h := range []http.Header{a.Header, a.Trailer} {
		if s := h.Get("Grpc-Status"); s != "" {
			var c codes.Code
			if c.UnmarshalJSON([]byte(s)) == nil {
				return c
			}
		}
	}
	switch a.StatusCode {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Unknown
}

// details is the status that gRPC's answer has in binary, if it has one.
func (a h2Answer) details(t *testing.T) *spb.Status {
	t.Helper()
	text := a.Header.Get("Grpc-Status-Details-Bin") + a.Trailer.Get("Grpc-Status-Details-Bin")
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	st := &spb.Status{}
	if err != nil || proto.Unmarshal(b, st) != nil {
		t.Errorf("the details are %q, %v", text, err)
	}
	return st
}

func TestAuthRequestParams(t *testing.T) {
	t.Parallel()
	cfg := onePortConfig("tcp", "127.0.0.1:0", withAuth("Token"))
	r := newRigWith(t, cfg, setup{auth: &bearer{}})
	header := http.Header{"Content-Type": {"application/x-protobuf"}}
	for path, want := range map[string]int{
		"/v1/logs?Token=good": 200, "/v1/logs?Token=bad": 401, "/v1/logs?other=good": 401, "/v1/logs?token=good": 401, "/v1/logs?Token=good&Token=good": 401,
	} {
		if a := r.request(http.MethodPost, path, header, request(otlp.Logs, 1)); a.http != want {
			t.Errorf("%s: %d, want %d", path, a.http, want)
		}
	}
	if a := r.request(http.MethodPost, "/v1/logs?Token=good", http.Header{"Content-Type": {"application/x-protobuf"}, "Token": {"bad"}}, nil); a.http != 200 {
		t.Errorf("the query does not win over the header: %d", a.http)
	}
	for _, line := range cfg.Warnings() {
		if strings.Contains(line, "protocols.grpc.auth.request_params") {
			return
		}
	}
	t.Errorf("no warning that gRPC has no query: %q", cfg.Warnings())
}

// Start fails with the Collector's words if the authenticator cannot be had, and
// leaves nothing behind.
func TestAuthenticatorNotThere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		auth any
		text string
	}{
		{"none", nil, `failed to resolve authenticator "auth": authenticator not found`},
		{"another kind", struct{}{}, `requested authenticator is not a server authenticator`},
	} {
		both := onePortConfig("tcp", "127.0.0.1:0", withAuth())
		for _, p := range []Protocols{{GRPC: both.Protocols.GRPC}, {HTTP: both.Protocols.HTTP}, onePortConfig("tcp", freePort(t), withAuth()).Protocols} {
			r := makeRig(t, Config{Protocols: p}, setup{auth: tt.auth})
			if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "protocols.") {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.text)
			}
			if r.GRPCAddr() != nil || r.HTTPAddr() != nil {
				t.Errorf("%s: something listens", tt.name)
			}
			if err := r.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
