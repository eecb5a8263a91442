package grpcserver

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
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// serverCredentials are gRPC's transport credentials for our listener: they do TLS
// where it is configured, read the client's preface, and tell the handler which
// connection a request came over.
type serverCredentials struct {
	*Options
	lines  lograte.Limiter // about clients that speak something else
	shakes frontend.Handshakes
}

// ConnInfo is how the peer of a request carries its connection.
type ConnInfo struct {
	credentials.CommonAuthInfo
	Conn *conns.Conn
}

// AuthType implements credentials.AuthInfo.
func (ConnInfo) AuthType() string { return "penstock" }

// ServerHandshake is called by gRPC under a deadline.
func (s *serverCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, ok := raw.(*conns.Conn)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of type %T did not come from our listener", raw)
	}
	h := &h2conn{Conn: c, raw: c, window: newSendWindow(c.TimeOut, s.Pace.WindowStall)}
	info := &ConnInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}, c}
	if s.TLS != nil {
		secure := tls.Server(c, s.TLS)
		if err := secure.Handshake(); err != nil {
			if !errors.Is(err, io.EOF) { // it has sent nothing
				s.shakes.Failed(c.Peer.Host, err.Error())
			}
			return nil, nil, fmt.Errorf("TLS handshake: %w", err)
		}
		h.Conn, h.secure = secure, true
		info.SecurityLevel = credentials.PrivacyAndIntegrity
	}
	if err := s.readPreface(h); err != nil {
		return nil, nil, err
	}
	return h, info, nil
}

// readPreface reads the client's preface (RFC 9113, section 3.4), which gRPC will
// read again. A client that uses HTTP/1 gets an error in HTTP/1.
func (s *serverCredentials) readPreface(h *h2conn) error {
	preface := h.preface[:]
	n := 0
	for n < len(preface) {
		got, err := h.Conn.Read(preface[n:])
		n += got
		if came := preface[:n]; !bytes.HasPrefix([]byte(http2.ClientPreface), came) {
			return s.refuse(h, came)
		}
		if err != nil {
			if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
				return io.EOF // a health check of a load balancer, which gRPC keeps quiet about
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.FrontEnd.Obs.ConnRefused(obsreport.ConnTimeout)
			}
			return err
		}
	}
	h.unread = preface
	return nil
}

// refuse ends a connection that began with other bytes than the preface.
func (s *serverCredentials) refuse(h *h2conn, came []byte) error {
	switch {
	case !h.secure && came[0] == 0x16:
		s.wrongProtocol(h.raw, "TLS client on a plaintext port: set tls on the receiver, or insecure on the client")
	case came[0] >= 'A' && came[0] <= 'Z':
		s.wrongProtocol(h.raw, "HTTP/1 client on the gRPC port: "+s.HTTPHint)
		text := "this is the " + s.Protocol + " port: " + s.HTTPHint + "\n"
		_, _ = fmt.Fprintf(h.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			len(text), text) // it is closed either way
		lingeringClose(h.Conn)
	default:
		s.wrongProtocol(h.raw, "it does not speak HTTP/2")
	}
	return errors.New("the client did not begin with the HTTP/2 preface")
}

// wrongProtocol counts a client that speaks something else, and logs one in a
// while.
func (s *serverCredentials) wrongProtocol(c *conns.Conn, why string) {
	s.FrontEnd.Obs.ConnRefused(obsreport.ConnProtocol)
	if times, ok := s.lines.Allow(wrongProtocolEvery); ok {
		s.FrontEnd.Log.LogAttrs(context.Background(), slog.LevelWarn, "refused a connection to the "+s.Protocol+" port: "+why,
			slog.String("client", c.Peer.Host), slog.Int64("connections", times))
	}
}

// wrongProtocolEvery is how often the log has a line about such clients.
const wrongProtocolEvery = 10 * time.Second

// lingeringClose lets the peer read what was written last: closing a socket that
// holds unread bytes resets the connection.
func lingeringClose(c net.Conn) {
	const most = 64 << 10
	if w, ok := c.(*conns.Conn); ok {
		if t, ok := w.Conn.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, c, most)
}

// ClientHandshake is not for servers.
func (*serverCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("grpcserver: these credentials are a server's")
}

// Clone implements credentials.TransportCredentials. There is nothing to change.
func (s *serverCredentials) Clone() credentials.TransportCredentials { return s }

// OverrideServerName is not for servers.
func (*serverCredentials) OverrideServerName(string) error { return nil }

// Info implements credentials.TransportCredentials.
func (s *serverCredentials) Info() credentials.ProtocolInfo {
	if s.TLS != nil {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

// h2conn is a gRPC connection above TLS. Reading waits without a buffer, and the
// frames are watched for a client that never lets an answer through.
type h2conn struct {
	net.Conn // *conns.Conn, or *tls.Conn over it
	raw      *conns.Conn
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
			buf, n, err = conns.ReadWaiting(h.Conn, size, pool)
		} else {
			buf, n, err = readInto(h.Conn, size, pool)
		}
	} else {
		buf, n, err = h.raw.ReadReady(size, pool)
	}
	if n > 0 {
		h.window.received((*buf)[:n])
	}
	return buf, n, err
}

// Write implements io.Writer. After a write error gRPC relies on the reader to
// end the connection, which would never happen.
func (h *h2conn) Write(p []byte) (int, error) {
	h.window.sent(p)
	n, err := h.Conn.Write(p)
	if err != nil {
		_ = h.raw.Close() // err is the more important error
	}
	return n, err
}

// Close closes the socket. TLS would wait for the peer to read the alert that ends it.
func (h *h2conn) Close() error {
	h.window.stop()
	return h.raw.Close()
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
