package badinput

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// h1Conn is a client of HTTP/1.1 that sends requests as they are.
type h1Conn struct {
	net.Conn
	in      *bufio.Reader
	timeout time.Duration
}

func dialH1(address string, timeout time.Duration) (*h1Conn, error) {
	conn, err := dial(address, timeout)
	if err != nil {
		return nil, err
	}
	return &h1Conn{conn, bufio.NewReader(conn), timeout}, nil
}

func (c *h1Conn) roundTrip(r *request) *answer {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.method, r.path)
	length := r.hasBody
	for _, h := range r.headers {
		name, _, _ := splitHeader(h)
		length = length && !strings.EqualFold(name, "content-length") && !strings.EqualFold(name, "transfer-encoding")
		b.WriteString(h + "\r\n")
	}
	if length {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n")
	return c.exchange(append([]byte(b.String()), r.body...), r.method)
}

// exchange writes bytes and reads a response concurrently, since a server may
// refuse before it has read everything.
func (c *h1Conn) exchange(raw []byte, method string) *answer {
	_ = c.SetDeadline(time.Now().Add(c.timeout))
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(raw)
		written <- err
	}()
	a := c.read(method)
	select {
	case err := <-written:
		a.closed = a.closed || err != nil
	case <-time.After(10 * time.Millisecond): // the server has answered and reads no more
		a.closed = true
		_ = c.SetDeadline(time.Now())
		<-written
	}
	return a
}

func (c *h1Conn) read(method string) *answer {
	if first, err := c.in.Peek(5); err != nil {
		return failed(err)
	} else if string(first) != "HTTP/" {
		if first[3] == 4 { // the type of a frame: SETTINGS come first
			return &answer{outcome: "h2"}
		}
		return &answer{outcome: "closed", detail: fmt.Sprintf("neither HTTP/1 nor HTTP/2: % x", first), closed: true}
	}
	for {
		resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err != nil {
			return failed(err)
		}
		if resp.StatusCode >= 200 {
			return httpAnswer(resp)
		}
	}
}
