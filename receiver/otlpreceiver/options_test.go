package otlpreceiver

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Each key of the configuration that is passed to a server has its effect.

func grpcRig(t *testing.T, change func(*GRPCConfig)) *rig {
	t.Helper()
	cfg := testConfig()
	g := new(*cfg.Protocols.GRPC)
	change(g)
	return newRig(t, Config{Protocols: Protocols{GRPC: g}})
}

func httpRig(t *testing.T, change func(*HTTPConfig)) *rig {
	t.Helper()
	cfg := testConfig()
	h := new(*cfg.Protocols.HTTP)
	change(h)
	return newRig(t, Config{Protocols: Protocols{HTTP: h}})
}

func TestMaxConcurrentStreams(t *testing.T) {
	t.Parallel()
	r := grpcRig(t, func(g *GRPCConfig) { g.MaxConcurrentStreams = 1 })
	if a := r.sendGRPC(otlp.Logs, "", nil); !a.ok() { // the client has seen the settings
		t.Fatal(a.status)
	}
	proceed := make(chan struct{})
	r.sink.Respond(func(context.Context, *pipeline.Batch) error {
		<-proceed
		return nil
	})
	answers := make(chan answer)
	for range 2 {
		go func() { answers <- r.sendGRPC(otlp.Logs, "", request(otlp.Logs, 1)) }()
	}
	r.waitFor(func() bool { return r.sink.Calls() == 1 })
	time.Sleep(50 * time.Millisecond)
	if n := r.sink.Calls(); n != 1 {
		t.Errorf("%d requests at once on one connection, want 1", n)
	}
	close(proceed)
	for range 2 {
		if a := <-answers; !a.ok() {
			t.Error(a.status)
		}
	}
}

func TestMaxConnectionIdle(t *testing.T) {
	t.Parallel()
	r := grpcRig(t, func(g *GRPCConfig) {
		g.Keepalive = &KeepaliveConfig{ServerParameters: &KeepaliveParameters{MaxConnectionIdle: 50 * time.Millisecond}}
	})
	if a := r.sendGRPC(otlp.Logs, "", request(otlp.Logs, 1)); !a.ok() {
		t.Fatal(a.status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if !r.conn.WaitForStateChange(ctx, connectivity.Ready) {
		t.Error("the idle connection stayed open")
	}
}

func TestKeepAlivesEnabled(t *testing.T) {
	t.Parallel()
	for i, enabled := range []bool{true, false, false} {
		r := httpRig(t, func(h *HTTPConfig) {
			if i < 2 {
				h.KeepAlivesEnabled = enabled
			} else { // at its newer place
				h.Keepalive = nil
			}
		})
		resp, err := r.web.Post("http://"+r.HTTPAddr().String()+"/v1/logs", "application/x-protobuf", bytes.NewReader(request(otlp.Logs, 1)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Close == enabled {
			t.Errorf("keep_alives_enabled %v: status %d, close %v", enabled, resp.StatusCode, resp.Close)
		}
	}
}

// A connection on which nothing useful happens is closed by the timeout that is
// meant for it.
func TestHTTPTimeouts(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	head := "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n"
	for name, tt := range map[string]struct {
		set  func(*HTTPConfig)
		send string
	}{
		"read_header_timeout": {func(h *HTTPConfig) { h.ReadHeaderTimeout = short }, head},
		"idle_timeout":        {func(h *HTTPConfig) { h.IdleTimeout = short }, head + "\r\n"},
	} {
		r := httpRig(t, tt.set)
		conn, err := net.Dial("tcp", r.HTTPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, tt.send)
		_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second)) // below the defaults
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%s: %v, want the connection closed", name, err)
		}
		_ = conn.Close()
	}

	// write_timeout ends the connection of a request that takes too long.
	r := httpRig(t, func(h *HTTPConfig) { h.WriteTimeout = short })
	r.sink.Respond(func(context.Context, *pipeline.Batch) error {
		time.Sleep(4 * short)
		return nil
	})
	if r.tryHTTP(request(otlp.Logs, 1)) {
		t.Error("write_timeout: a response was written after it")
	}
}

// A listener that fails under a running receiver is an error in the log.
func TestListenerFailureIsLogged(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	_ = r.servers.Load().grpc.Listener().Close()
	_ = r.servers.Load().http.listener.Close()
	for _, text := range []string{"serve OTLP/GRPC on " + r.GRPCAddr().String(), "serve OTLP/HTTP on " + r.HTTPAddr().String()} {
		r.waitFor(func() bool { return strings.Contains(strings.ToUpper(r.logs.String()), strings.ToUpper(text)) })
	}
}
