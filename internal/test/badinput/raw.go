package badinput

import (
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// sendRaw sends the case's bytes on a new connection.
func sendRaw(c *Case, address string, raw []byte, timeout time.Duration) (*answer, error) {
	conn, err := dialH1(address, timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if c.shut {
		_ = conn.SetDeadline(time.Now().Add(timeout))
		if _, err := conn.Write(raw); err == nil {
			_ = conn.Conn.(*net.TCPConn).CloseWrite()
		}
		raw = nil
	}
	if c.Transport == overRawHTTP {
		method, _, _ := strings.Cut(string(raw[:min(len(raw), 10)]), " ")
		return conn.exchange(raw, method), nil
	}
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err := conn.Write(raw); err != nil {
		return failed(err), nil
	}
	return readH2(conn), nil
}

// settleFor is how long after the answer to a PING a stream may still be
// answered.
const settleFor = 100 * time.Millisecond

// readH2 reads the answer of a server on the gRPC port to raw bytes, until it is
// clear how it ends.
func readH2(conn *h1Conn) *answer {
	first, err := conn.in.Peek(5)
	if err != nil {
		return failed(err)
	}
	if string(first) == "HTTP/" {
		return conn.read("POST")
	}
	framer := http2.NewFramer(nil, conn.in)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s, alive := &stream{}, false
	for {
		f, err := framer.ReadFrame()
		if alive && errors.Is(err, os.ErrDeadlineExceeded) {
			return &answer{outcome: "ignored"}
		}
		if err != nil {
			return failed(err)
		}
		switch f := f.(type) {
		case *http2.PingFrame:
			if f.IsAck() {
				alive = true
				_ = conn.SetReadDeadline(time.Now().Add(settleFor))
			}
		case *http2.GoAwayFrame:
			return &answer{outcome: "goaway", detail: f.ErrCode.String(), closed: true}
		case *http2.RSTStreamFrame:
			return &answer{outcome: "rst", detail: f.ErrCode.String()}
		case *http2.MetaHeadersFrame:
			if s.headers(f); s.ended {
				return (&h2Conn{asGRPC: true}).answer(s, nil)
			}
		}
	}
}
