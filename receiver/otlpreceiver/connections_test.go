package otlpreceiver

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// How many connections there may be, for how long, and on which sockets.

// connect opens a connection that lives until it is closed, and reports whether it
// was accepted.
func connect(t *testing.T, addr net.Addr, transport string) (net.Conn, bool) {
	t.Helper()
	conn := dialRaw(t, addr, nil, "")
	says := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	if transport == "grpc" {
		says = http2.ClientPreface + string(h2frame(http2.FrameSettings, 0, nil))
	}
	_, _ = io.WriteString(conn, says)
	_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second))
	_, err := conn.Read(make([]byte, 1))
	if err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatal("neither accepted nor closed")
	}
	return conn, err == nil
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, onePortConfig("tcp", "127.0.0.1:0", func(s *ServerConfig) { s.MaxConnections = 2 }))
	_ = r.conn.Close() // it has not connected yet
	for transport, addr := range map[string]net.Addr{"grpc": r.GRPCAddr(), "http": r.HTTPAddr()} {
		open := []net.Conn{}
		for range 2 {
			conn, ok := connect(t, addr, transport)
			if !ok {
				t.Fatalf("%s: a connection within the limit was closed", transport)
			}
			open = append(open, conn)
		}
		for range 3 {
			if _, ok := connect(t, addr, transport); ok {
				t.Errorf("%s: a connection above the limit was accepted", transport)
			}
		}
		if n := r.metric("otelcol_receiver_refused_connections", "transport="+transport, "reason=limit"); n != 3 {
			t.Errorf("%s: %d connections were counted as refused, want 3", transport, n)
		}
		if n := r.metric("otelcol_receiver_active_connections", "transport="+transport); n != 2 {
			t.Errorf("%s: %d connections are counted as open, want 2", transport, n)
		}
		for _, conn := range open { // they live
			says := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
			if transport == "grpc" {
				says = string(h2frame(http2.FramePing, 0, make([]byte, 8)))
			}
			_, _ = io.WriteString(conn, says)
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Errorf("%s: a connection within the limit: %v", transport, err)
			}
		}
		_ = open[0].Close()
		r.waitFor(func() bool { return r.metric("otelcol_receiver_active_connections", "transport="+transport) == 1 })
		if _, ok := connect(t, addr, transport); !ok {
			t.Errorf("%s: after one was closed the next was not accepted", transport)
		}
	}
}

// A connection of HTTP/1 that has been open for long is closed with an answer.
func TestMaxConnectionAge(t *testing.T) {
	t.Parallel()
	const age = 200 * time.Millisecond
	r := httpRig(t, func(h *HTTPConfig) { h.MaxConnectionAge = age })
	post := "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	conn := dialRaw(t, r.HTTPAddr(), nil, "")
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	began, answers := time.Now(), bufio.NewReader(conn)
	for {
		_, _ = io.WriteString(conn, post)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("after %s: %v %v", time.Since(began), resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.Close {
			if d := time.Since(began); d < age*9/10-time.Millisecond {
				t.Errorf("asked to go after %s, want %s give or take a tenth", d, age)
			}
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("after the last answer: %v, want the end", err)
	}
}

// A connection of HTTP/2 gets a GOAWAY, and its requests in progress finish.
func TestMaxConnectionAgeOfHTTP2(t *testing.T) {
	t.Parallel()
	const age = 100 * time.Millisecond
	cfg := onePortConfig("tcp", freePort(t), nil)
	web := new(*cfg.Protocols.HTTP)
	web.MaxConnectionAge = age
	cfg.Protocols.HTTP = web
	r := newRig(t, cfg)
	proceed := make(chan struct{})
	var first atomic.Bool
	r.sink.Respond(func(context.Context, *pipeline.Batch) error {
		if first.CompareAndSwap(false, true) {
			<-proceed
		}
		return nil
	})
	body := request(otlp.Logs, 1)
	h := newRawH2(t, r.HTTPAddr())
	_ = h.SetDeadline(time.Now().Add(10 * time.Second))
	if err := h.post("/v1/logs", "application/x-protobuf", body); err != nil {
		t.Fatal(err)
	}
	r.waitFor(func() bool { return r.sink.Calls() == 1 })
	time.Sleep(age * 12 / 10)
	if err := h.post(otlp.Logs.Spec().Method, "application/grpc", frame(0, len(body), body)); err != nil {
		t.Fatal(err)
	}
	ended, goAway := map[uint32]bool{}, false
	for len(ended) < 2 || !goAway {
		f, err := h.fr.ReadFrame()
		if err != nil {
			t.Fatalf("%v before all was answered: %v, told to go: %v", err, ended, goAway)
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			if goAway = true; g.ErrCode != http2.ErrCodeNo {
				t.Errorf("told to go with %s", g.ErrCode)
			}
			if ended[1] {
				t.Error("the first request was answered already, which tests nothing")
			}
			close(proceed)
		}
		if e, ok := f.(interface{ StreamEnded() bool }); ok && e.StreamEnded() {
			ended[f.Header().StreamID] = true
		}
	}
	for {
		if _, err := h.fr.ReadFrame(); err != nil {
			if strings.Contains(err.Error(), "timeout") {
				t.Error("the connection stays open")
			}
			break
		}
	}
}

// A socket that remains of a killed process is taken over; one that is in use
// is not.
func TestStaleSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "otlp.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	cfg := onePortConfig("unix", path, nil)
	r := newRig(t, cfg)
	second := makeRig(t, cfg, setup{})
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), path) {
		t.Errorf("a socket in use: %v", err)
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first one's socket: %v", err)
	}
	_ = conn.Close()
	if err := r.shutdownIn(10 * time.Second); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket remains: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	third := makeRig(t, cfg, setup{})
	if err := third.Start(t.Context()); err == nil {
		t.Error("a file was replaced by a socket")
	}
	_ = third.Shutdown(t.Context())
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

// The same configuration, and the same port, serve one receiver after another.
func TestRestartOnTheSamePort(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		onePortConfig("tcp", freePort(t), nil),
		{Protocols: Protocols{GRPC: onePortConfig("tcp", freePort(t), nil).Protocols.GRPC}},
	} {
		g := cfg.Protocols.GRPC
		for _, limit := range []int{1, 8, 1} {
			g.MaxRecvMsgSizeMiB = limit
			c := cfg
			c.Protocols.GRPC = g
			r := newRig(t, c)
			a := r.sendGRPC(otlp.Traces, "", request(otlp.Traces, 50_000)) // 2.5 MB
			if a.ok() != (limit == 8) {
				t.Errorf("a limit of %d MiB: %v", limit, a.status)
			}
			if r.HTTPAddr() != nil && !r.tryHTTP(request(otlp.Logs, 1)) {
				t.Error("HTTP does not answer")
			}
			r.web.CloseIdleConnections()
			_ = r.conn.Close()
			if err := r.shutdownIn(10 * time.Second); err != nil {
				t.Error(err)
			}
		}
	}
}

// Both protocols on a port want the same of it.
func TestOnePortMustAgree(t *testing.T) {
	t.Parallel()
	for key, change := range map[string]func(*ServerConfig){
		"auth":        func(s *ServerConfig) { s.Auth = &AuthConfig{Authenticator: "auth"} },
		"socket_mode": func(s *ServerConfig) { s.SocketMode = 0o600 },
	} {
		cfg := onePortConfig("unix", filepath.Join(t.TempDir(), "s"), nil)
		web := new(*cfg.Protocols.HTTP)
		change(&web.ServerConfig)
		cfg.Protocols.HTTP = web
		if _, err := New(cfg, component.Settings{ID: "otlp"}); err == nil || !strings.Contains(err.Error(), key+" must be the same in both") {
			t.Errorf("%s differs: %v", key, err)
		}
		web.Endpoint += "2"
		cfg.Protocols.HTTP = web
		if _, err := New(cfg, component.Settings{ID: "otlp"}); err != nil {
			t.Errorf("%s differs on two sockets: %v", key, err)
		}
	}
}

// A read_timeout is of the whole request, however patient the receiver is.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	r := httpRig(t, func(h *HTTPConfig) { h.ReadTimeout = 300 * time.Millisecond })
	a := h2Do(t, nil, r.HTTPAddr(), "/v1/logs", http.Header{"Content-Type": {"application/x-protobuf"}}, &trickle{[]byte("x"), t.Context()})
	if a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("HTTP/2: %d", a.StatusCode)
	}
	conn := dialRaw(t, r.HTTPAddr(), nil, "")
	_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second)) // below the grace period
	_, _ = io.WriteString(conn, "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 50\r\n\r\nabc")
	if all, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(all, []byte("HTTP/1.1 503 ")) {
		t.Errorf("HTTP/1: %q %v, want 503 and the end", all, err)
	}
}
