package badinput

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// request is what a client sends, with nothing added.
type request struct {
	method, path string
	headers      []string // "Name: value"
	body         []byte
	hasBody      bool
}

// client is one connection to the server under test. It is not safe for
// concurrent use.
type client interface {
	// roundTrip sends r and waits for the answer, within the client's timeout.
	roundTrip(r *request) *answer
	Close() error
}

// requestHeaders are the headers of the transport and the format, without those
// that the case leaves out or sets itself.
func (c *Case) requestHeaders() []string {
	media := map[string]string{"json": jsonType, "protobuf": protobufType}[c.format]
	var lines []string
	switch c.Transport {
	case overHTTP:
		lines = []string{"Host: localhost", "Content-Type: " + media}
	case overH2C:
		lines = []string{"content-type: " + media}
	case overGRPC:
		lines = []string{"content-type: application/grpc", "te: trailers"}
	default:
		return nil
	}
	if c.encoding != "" {
		name := "content-encoding"
		if c.Transport == overGRPC {
			name = "grpc-encoding"
		}
		lines = append(lines, name+": "+c.encoding)
	}
	defaults := len(lines)
	for _, h := range c.headers {
		name, leftOut := strings.CutPrefix(h, "-")
		if !leftOut {
			name, _, _ = splitHeader(h)
		}
		kept := slices.DeleteFunc(slices.Clone(lines[:defaults]), func(line string) bool {
			n, _, _ := splitHeader(line)
			return strings.EqualFold(n, name)
		})
		lines, defaults = append(kept, lines[defaults:]...), len(kept)
		if !leftOut {
			if c.Transport == overH2C { // HTTP/2 requires it; over gRPC a case may want it otherwise
				h = strings.ToLower(name) + h[len(name):]
			}
			lines = append(lines, h)
		}
	}
	return lines
}

// request builds the request to send.
func (c *Case) request(maxBytes int) (*request, error) {
	r := &request{method: c.method, path: c.path, headers: c.requestHeaders(), hasBody: c.body != nil}
	if c.body == nil {
		return r, nil
	}
	var err error
	r.body, err = c.body.eval(&env{signal: c.Signal, format: c.format, transport: c.Transport, encoding: c.encoding, maxBytes: maxBytes})
	if err == nil && c.framed {
		flag := byte(0)
		if c.encoding != "" && c.encoding != "identity" {
			flag = 1
		}
		r.body = prefixed(flag, uint32(len(r.body)), r.body)
	}
	return r, err
}

// failed is the answer when the connection ended or the time was over.
func failed(err error) *answer {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &answer{outcome: "timeout", detail: err.Error(), closed: true}
	}
	return &answer{outcome: "closed", detail: err.Error(), closed: true}
}

func dial(address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, timeout)
}
