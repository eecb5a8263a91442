package webserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// serve starts a server that responds with "hello", unless opts has another
// handler, and shuts it down at the end of the test.
func serve(t *testing.T, opts Options) *Server {
	t.Helper()
	s := start(t, opts)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func start(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Config.Endpoint == "" {
		opts.Config.Endpoint = "localhost:0"
	}
	if opts.Config.Transport == "" {
		opts.Config.Transport = "tcp"
	}
	if opts.Handler == nil {
		opts.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	}
	opts.Log = component.Settings{}.OrDefaults().Logger
	s := New(opts)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// addr returns the address of s, nil if it is not running.
func addr(s *Server) net.Addr {
	for _, e := range s.Endpoints() {
		return e.Addr
	}
	return nil
}

// raw sends the bytes of a request and returns the status line, the headers and
// the body.
func raw(t *testing.T, at net.Addr, request string) string {
	t.Helper()
	c, err := net.Dial(at.Network(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// under requests the page with a host name.
func under(t *testing.T, s *Server, host string) (status string) {
	t.Helper()
	answer := raw(t, addr(s), "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	_, rest, _ := strings.Cut(answer, " ")
	return rest[:3]
}

func TestHostsOfALocalServer(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Config: config.WebServer{AllowedHosts: []string{"Pages.Example.com"}}})
	for host, want := range map[string]string{
		"localhost": "200", "localhost:1": "200", "LOCALHOST": "200", "localhost.": "200", "127.0.0.1": "200", "127.0.0.1:80": "200",
		"127.1.2.3": "200", "[::1]": "200", "[::1]:8080": "200", "pages.example.com": "200", "pages.example.com.:99": "200",
		"evil.com": "403", "evil.com:80": "403", "127.0.0.1.nip.io": "403", "localhost.evil.com": "403", "evil-localhost": "403",
		"10.0.0.1": "403", "[2001:db8::1]": "403", "": "403", ":80": "403", "[]": "403", "0.0.0.0": "403",
		"pages.example.com.evil.com": "403", "x.pages.example.com": "403",
	} {
		if got := under(t, s, host); got != want {
			t.Errorf("%q: got %s, want %s", host, got, want)
		}
	}
	if got := raw(t, addr(s), "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 403") {
		t.Errorf("without a Host: %s", got)
	}
	if got := raw(t, addr(s), "GET http://evil.com/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403") {
		t.Errorf("an absolute URI takes precedence over Host, but got %s", got)
	}
}

func TestHostsOfAPublicServer(t *testing.T) {
	t.Parallel()
	for open, name := range map[bool]string{false: "403", true: "200"} {
		s := serve(t, Options{Config: config.WebServer{Endpoint: "0.0.0.0:0"}, OpenWhenPublic: open})
		for host, want := range map[string]string{"10.0.0.1:80": "200", "[2001:db8::1]": "200", "localhost": "200", "collector:13133": name, "evil.com": name} {
			if got := under(t, s, host); got != want {
				t.Errorf("open %v, %q: got %s, want %s", open, host, got, want)
			}
		}
	}
	local := serve(t, Options{OpenWhenPublic: true})
	if got := under(t, local, "evil.com"); got != "403" {
		t.Errorf("a local server with OpenWhenPublic: %s", got)
	}
}

func TestSocketHasNoHost(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Config: config.WebServer{Transport: "unix", Endpoint: filepath.Join(t.TempDir(), "s")}})
	if got := under(t, s, "anything"); got != "200" {
		t.Errorf("got %s", got)
	}
}

func TestOnlyGetAndHead(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"} {
		got := raw(t, addr(s), method+" / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 405") || !strings.Contains(got, "\r\nAllow: GET, HEAD\r\n") {
			t.Errorf("%s: %s", method, got)
		}
	}
	got := raw(t, addr(s), "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 200", "X-Content-Type-Options: nosniff", "Cache-Control: no-store"} {
		if !strings.Contains(got, want) {
			t.Errorf("HEAD: %q is missing in %s", want, got)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })})
	c, err := net.Dial("tcp", addr(s).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The server may respond and close the connection before it has read
	// everything.
	long := strings.Repeat("x", maxHeaderBytes+8<<10) // net/http reads 4 KiB more than the limit
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+long+"\r\n\r\n")
	_, _ = io.ReadAll(c)
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := serve(t, Options{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	})})
	done := make(chan string)
	for range maxAtOnce {
		go func() { done <- under(t, s, "localhost") }()
		<-entered
	}
	if got := raw(t, addr(s), "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "Retry-After: 1") {
		t.Errorf("got %s", got)
	}
	close(leave)
	for range maxAtOnce {
		if got := <-done; got != "200" {
			t.Errorf("got %s", got)
		}
	}
}

// Shutdown cancels the context of a long request.
func TestShutdownCancelsRequests(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s := serve(t, Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		_, _ = io.WriteString(w, "partial")
	})})
	done := make(chan string)
	go func() { done <- raw(t, addr(s), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
	<-entered
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := <-done; !strings.HasSuffix(got, "partial") {
		t.Errorf("got %s", got)
	}
	if addr(s) != nil {
		t.Error("the server still has an address")
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("a second Start succeeded")
	}
}

func TestShutdownAbortsAtTheDeadline(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := start(t, Options{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})})
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw(t, addr(s), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("no error, although a request was aborted")
	}
	<-done
	close(leave)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	authority := tlstest.New(t)
	cert, key := authority.Pair("localhost")
	var settings config.ServerTLS
	settings.CertPem, settings.KeyPem = config.Secret(cert), config.Secret(key)
	s := serve(t, Options{Config: config.WebServer{TLS: &settings}})
	c, err := tls.Dial("tcp", addr(s).String(), &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestStartTwice(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{})
	if err := s.Start(t.Context()); err != nil {
		t.Error(err)
	}
	taken := New(Options{Config: config.WebServer{Endpoint: addr(s).String(), Transport: "tcp"}, Log: component.Settings{}.OrDefaults().Logger})
	for range 2 {
		if err := taken.Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a port in use: %v", err)
		}
	}
	if err := taken.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := New(Options{}).Shutdown(t.Context()); err != nil {
		t.Errorf("before Start: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{endpoint: ''}":                                         `endpoint: expected host:port such as localhost:13133, found ""`,
		"{endpoint: x}":                                          `endpoint: expected host:port`,
		"{endpoint: '', transport: unix}":                        "no endpoint is set: expected the path of a socket",
		"{transport: udp}":                                       `transport: expected one of tcp, tcp4, tcp6, unix, found "udp"`,
		"{allowed_hosts: ['a:80']}":                              `allowed_hosts: expected names without port, such as penstock.example.com, found "a:80"`,
		"{allowed_hosts: ['*']}":                                 `allowed_hosts: expected names`,
		"{allowed_hosts: ['']}":                                  `allowed_hosts: expected names`,
		"{auth: {authenticator: x}}":                             "auth: auth is not supported here",
		"{middlewares: [{id: x}]}":                               "middlewares: middlewares is not supported here",
		"{auth: , middlewares: , allowed_hosts: ['[::1]', a.b]}": "<nil>",
		"{tls: {cert_file: x}}":                                  "TLS configuration must include both certificate and key",
	} {
		cfg := config.WebServer{Endpoint: "localhost:1", Transport: "tcp"}
		if got := fmt.Sprint(testkit.Decode(t, yaml, &cfg)); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", yaml, got, want)
		}
	}
}

// Ignored keys cause warnings, and are printed as they were written.
func TestIgnoredKeys(t *testing.T) {
	t.Parallel()
	cfg := config.WebServer{Endpoint: "localhost:1", Transport: "tcp"}
	if err := testkit.Decode(t, "{cors: {allowed_origins: [a]}, read_timeout: 5s, write_timeout: }", &cfg); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(cfg.Warnings(), "; "); !strings.Contains(got, "cors has no effect") || !strings.Contains(got, "read_timeout has no effect") || strings.Contains(got, "write_timeout") {
		t.Errorf("got %s", got)
	}
	text, err := conf.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "cors:\n  allowed_origins:\n    - a\n") || !strings.Contains(string(text), "read_timeout: 5s") || strings.Contains(string(text), "auth") {
		t.Errorf("printed as\n%s", text)
	}
	if !cfg.CORS.Written() || cfg.WriteTimeout.Written() {
		t.Error("Written")
	}
}
