package otlpclient

import (
	"bufio"
	"errors"
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
		"HTTP to gRPC":            {newHTTP(t, "http://"+h2, nil), "a port for gRPC needs an exporter for gRPC"},
		"HTTP with TLS to plain":  {newHTTP(t, "https://"+plain, nil), "http://"},
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

// The errors of gRPC for a host that cannot be resolved do not say so.
func TestUnresolvableHostIsExplained(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"no children to pick from", "name resolver error: produced zero addresses"} {
		cause := errors.New(text)
		if err := explained(cause); !errors.Is(err, cause) || !strings.Contains(err.Error(), "the name of the host cannot be resolved") {
			t.Error(err)
		}
	}
	if err := errors.New("something else"); explained(err) != err {
		t.Error("another error was changed")
	}
}
