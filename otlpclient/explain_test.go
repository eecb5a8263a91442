package otlpclient

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
)

// The error of a destination that speaks something else says what is probably wrong.
func TestErrorsSayTheCause(t *testing.T) {
	t.Parallel()
	web := startHTTP(t, func(http.ResponseWriter, *http.Request) {})
	plain := strings.TrimPrefix(web.URL, "http://")
	h2 := listenWith(t, func(c net.Conn) {
		_, _ = c.Write([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00"))
	})
	closes := listenWith(t, func(c net.Conn) { _, _ = bufio.NewReader(c).ReadByte() })
	grpc := func(endpoint string, insecure bool) Sender {
		cfg := config.DefaultGRPCClient()
		cfg.Endpoint, cfg.TLS.Insecure = endpoint, insecure
		c, err := NewGRPC(cfg, 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for name, tt := range map[string]struct {
		sender Sender
		want   string
	}{
		"gRPC to HTTP/1":          {grpc(plain, true), "seems to speak HTTP/1 here"},
		"gRPC to a port with TLS": {grpc(closes, true), "seems to expect TLS"},
		"gRPC with TLS to plain":  {grpc(plain, false), "expected tls.insecure: true"},
		"gRPC to an unknown host": {grpc("nowhere.invalid:4317", true), "cannot be resolved"},
		"HTTP to gRPC":            {newHTTP(t, "http://"+h2, nil), "a port for gRPC needs an exporter for gRPC"},
		"HTTP with TLS to plain":  {newHTTP(t, "https://"+plain, nil), "http://"},
		"HTTP to an unknown host": {newHTTP(t, "http://nowhere.invalid:4318", nil), "nowhere.invalid"},
	} {
		_, err := send(t, tt.sender, otlp.Traces, text(100))
		if e := asError(t, err); !e.Retryable || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// listenWith serves connections with handle, which closes when it returns.
func listenWith(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// Statuses of a proxy whose origin does not answer are not final.
func TestProxyStatusesAreRetryable(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{500: false, 519: false, 520: true, 524: true, 527: true, 528: false, 529: false, 530: true, 531: false} {
		if e := classifyHTTP(status, "", time.Now()); e.Retryable != want {
			t.Errorf("%d: retryable is %t", status, e.Retryable)
		}
	}
}
