// Package hostile has bad clients as an OTLP server on an open network meets them,
// and a good client to run beside them. It is for tests and for bench/hostile. It
// attacks only the address that it is given.
//
//	Attack ──Launch──► n connections ──► Fate of each: cut off? when? by what?
//	Bomb   ──Send────► one request   ──► Answer: status, hint to retry
//	Good   ──Run─────► a steady rate ──► Report: successes, latencies
//
// The one trap: an offender that reads nothing cannot see that it was cut off. The
// package looks into /proc/net/tcp instead, so such attacks need Linux and a server
// on the same machine.
package hostile

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// Target is the server under attack.
type Target struct {
	GRPC string // host:port; "" if there is none
	HTTP string
	TLS  *tls.Config // of a client; nil means plain text
}

// Port is one of a target's two listeners.
type Port string

// The two listeners.
const (
	GRPC Port = "grpc"
	HTTP Port = "http"
)

// Addr returns the listener's address.
func (t Target) Addr(p Port) string {
	if p == GRPC {
		return t.GRPC
	}
	return t.HTTP
}

const dialTimeout = 10 * time.Second

// dialTCP opens a connection, from the address from if it is not "": 127.0.0.7 is
// another client than 127.0.0.1, and has its own ports.
func dialTCP(ctx context.Context, addr, from string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(ctx, "tcp", addr)
}

// dial opens a connection, with a TLS handshake if the target has TLS. protocol is
// offered by ALPN: "h2" or "http/1.1".
func dial(ctx context.Context, t Target, p Port, from, protocol string) (net.Conn, error) {
	c, err := dialTCP(ctx, t.Addr(p), from)
	if err != nil || t.TLS == nil {
		return c, err
	}
	cfg := t.TLS.Clone()
	cfg.NextProtos = []string{protocol}
	tc := tls.Client(c, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", t.Addr(p), err)
	}
	if got := tc.ConnectionState().NegotiatedProtocol; got != protocol && (got != "" || protocol == "h2") {
		_ = tc.Close()
		return nil, fmt.Errorf("TLS handshake with %s: the server chose protocol %q, expected %q", t.Addr(p), got, protocol)
	}
	return tc, nil
}

// Source returns client address i of the loopback network.
func Source(i int) string { return fmt.Sprintf("127.0.%d.%d", i/250, i%250+2) }
