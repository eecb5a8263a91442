package otlpreceiver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/obsreport"
)

// greetings are gRPC's transport credentials for our listener: they do TLS where
// it is configured, read what the client says first, and tell the handler which
// connection a request came over.
type greetings struct {
	tls *tls.Config // nil: plaintext
	obs *obsreport.Receiver
	log *slog.Logger
	// stalledFor is the pace's.
	stalledFor time.Duration

	wrongProtocol lograte.Limiter // log lines about clients that speak something else
}

// connInfo is what a request's peer carries.
type connInfo struct {
	credentials.CommonAuthInfo
	conn *conn
}

// AuthType implements credentials.AuthInfo.
func (connInfo) AuthType() string { return "penstock" }

// ServerHandshake is called by gRPC under a deadline.
func (g *greetings) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, ok := raw.(*conn)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of type %T did not come from our listener", raw)
	}
	h := &h2conn{Conn: c, raw: c, window: newSendWindow(c.cutOff, g.stalledFor)}
	info := &connInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}, c}
	if g.tls != nil {
		secure := tls.Server(c, g.tls)
		if err := secure.Handshake(); err != nil {
			g.obs.ConnRefused(obsreport.ConnHandshake)
			return nil, nil, fmt.Errorf("TLS handshake: %w", err)
		}
		h.Conn, h.secure = secure, true
		info.SecurityLevel = credentials.PrivacyAndIntegrity
	}
	if err := g.greet(h); err != nil {
		return nil, nil, err
	}
	return h, info, nil
}

// greet reads the client's preface (RFC 9113, section 3.4), which gRPC will read
// again. HTTP/1 is told in its own words where it went wrong.
func (g *greetings) greet(h *h2conn) error {
	preface := h.preface[:]
	n := 0
	for n < len(preface) {
		got, err := h.Conn.Read(preface[n:])
		n += got
		if said := preface[:n]; !bytes.HasPrefix([]byte(http2.ClientPreface), said) {
			return g.refuse(h, said)
		}
		if err != nil {
			if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
				return io.EOF // a health check of a load balancer, which gRPC keeps quiet about
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				g.obs.ConnRefused(obsreport.ConnTimeout)
			}
			return err
		}
	}
	h.unread = preface
	return nil
}

func (g *greetings) refuse(h *h2conn, said []byte) error {
	switch {
	case !h.secure && said[0] == 0x16:
		g.wrong(h.raw, "it speaks TLS to a port without: set tls on the receiver, or insecure on the client")
	case said[0] >= 'A' && said[0] <= 'Z':
		g.wrong(h.raw, "it speaks HTTP/1 to the gRPC port: OTLP/HTTP has a port of its own, by default 4318")
		const text = "this is the OTLP/gRPC port: send OTLP/HTTP to the HTTP port, by default 4318\n"
		_, _ = fmt.Fprintf(h.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			len(text), text) // it is closed either way
		lingeringClose(h.Conn)
	default:
		g.wrong(h.raw, "it does not speak HTTP/2")
	}
	return errors.New("the client did not begin with the HTTP/2 preface")
}

// wrong counts a client that speaks something else, and tells of it once in a
// while.
func (g *greetings) wrong(c *conn, why string) {
	g.obs.ConnRefused(obsreport.ConnProtocol)
	if times, tell := g.wrongProtocol.Allow(wrongEvery); tell {
		g.log.Warn("refused a connection to the OTLP/gRPC port: "+why, slog.String("client", c.client), slog.Int64("connections", times))
	}
}

// wrongEvery is how often the log tells of wrong clients.
const wrongEvery = 10 * time.Second

// lingeringClose lets the peer read what was written last: closing a socket that
// holds unread bytes resets the connection.
func lingeringClose(c net.Conn) {
	const most = 64 << 10
	if w, ok := c.(*conn); ok {
		if t, ok := w.Conn.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, c, most)
}

// ClientHandshake is not for servers.
func (*greetings) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("otlpreceiver: these credentials are a server's")
}

// Clone implements credentials.TransportCredentials. There is nothing to change.
func (g *greetings) Clone() credentials.TransportCredentials { return g }

// OverrideServerName is not for servers.
func (*greetings) OverrideServerName(string) error { return nil }

// Info implements credentials.TransportCredentials.
func (g *greetings) Info() credentials.ProtocolInfo {
	if g.tls != nil {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

// h2conn is a gRPC connection above TLS. Reading waits without a buffer, and the
// frames are watched for a client that never lets an answer through.
type h2conn struct {
	net.Conn // *conn, or *tls.Conn over it
	raw      *conn
	secure   bool
	window   *sendWindow

	preface [len(http2.ClientPreface)]byte
	unread  []byte // of preface
	halfway bool   // a byte of a frame has been read: more is sure to come
}

// Read implements io.Reader. gRPC reads the preface by it and nothing else.
func (h *h2conn) Read(p []byte) (int, error) {
	if len(h.unread) > 0 {
		n := copy(p, h.unread)
		h.unread = h.unread[n:]
		return n, nil
	}
	n, err := h.Conn.Read(p)
	h.window.received(p[:n])
	return n, err
}

// ReadOnReady is what gRPC calls for connections that can wait without a buffer.
func (h *h2conn) ReadOnReady(size int, pool mem.BufferPool) (buf *[]byte, n int, err error) {
	if h.secure {
		// TLS cannot wait without reading. A frame has nine bytes at least.
		if h.halfway = !h.halfway; h.halfway {
			buf, n, err = readWaiting(h.Conn, size, pool)
		} else {
			buf, n, err = readInto(h.Conn, size, pool)
		}
	} else {
		buf, n, err = h.raw.readReady(size, pool)
	}
	if n > 0 {
		h.window.received((*buf)[:n])
	}
	return buf, n, err
}

// Write implements io.Writer. gRPC leaves a connection that cannot be written to
// the reader to end, which would go on for ever.
func (h *h2conn) Write(p []byte) (int, error) {
	h.window.sent(p)
	n, err := h.Conn.Write(p)
	if err != nil {
		_ = h.raw.Close() // the error is told by this one
	}
	return n, err
}

// Close closes the socket. TLS would wait for the peer to take its farewell.
func (h *h2conn) Close() error {
	h.window.stop()
	return h.raw.Close()
}

// readWaiting reads one byte, and takes a buffer when it is there.
func readWaiting(r io.Reader, size int, pool mem.BufferPool) (*[]byte, int, error) {
	var first [1]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return nil, 0, err
	}
	buf := pool.Get(size)
	(*buf)[0] = first[0]
	return buf, 1, nil
}

func readInto(r io.Reader, size int, pool mem.BufferPool) (*[]byte, int, error) {
	buf := pool.Get(size)
	n, err := r.Read(*buf)
	if n > 0 {
		return buf, n, nil // the error will be there next time
	}
	pool.Put(buf)
	return nil, 0, err
}
