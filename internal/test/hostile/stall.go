package hostile

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// dialZeroWindow forbids the server to send a body: SETTINGS_INITIAL_WINDOW_SIZE
// is 0. Everything else is read and answered.
func dialZeroWindow(ctx context.Context, t Target, p Port, from string) (*offender, error) {
	return openHTTP2(ctx, t, p, from, setting(http2.SettingInitialWindowSize, 0))
}

// runZeroWindow sends requests whose answers cannot be sent. Over HTTP the answer
// must have a body, so the request is one that is refused.
func runZeroWindow(ctx context.Context, o *offender, p Port, opt Options) int {
	return flood(ctx, o, opt.Frames, func(i int) []byte { return o.request(p, i) })
}

// request returns one good request: HEADERS and DATA.
func (o *offender) request(p Port, i int) []byte {
	body := Request(1)
	if p == GRPC {
		body = message(body)
	} else {
		body = []byte("not protobuf") // so that the answer has a body
	}
	b := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream(i), o.block(p))
	return append(b, frame(http2.FrameData, http2.FlagDataEndStream, stream(i), body)...)
}

// dialDeaf opens a connection with a small receive buffer, and reads nothing but
// the TLS handshake.
func dialDeaf(ctx context.Context, t Target, p Port, from string) (*offender, error) {
	c, err := dial(ctx, t, p, from, "h2")
	if err != nil {
		return nil, err
	}
	if err := deafen(c); err != nil {
		return nil, err
	}
	return hello(ctx, c, setting(http2.SettingInitialWindowSize, 1<<30))
}

func dialDeafHTTP1(ctx context.Context, t Target, p Port, from string) (*offender, error) {
	c, err := dial(ctx, t, p, from, "http/1.1")
	if err != nil {
		return nil, err
	}
	if err := deafen(c); err != nil {
		return nil, err
	}
	return newOffender(c), nil
}

// deafBytes is the receive buffer of a client that reads nothing.
const deafBytes = 64 << 10

func deafen(c net.Conn) error {
	if inner, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = inner.NetConn()
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("shrink the receive buffer of a %T: expected a TCP connection", c)
	}
	return tcp.SetReadBuffer(deafBytes)
}

// stuck is how long a write may hang before a client that reads nothing assumes
// that the server has stopped reading too.
const stuck = 2 * time.Second

// runNeverReadHTTP2 requests long unknown paths, which the answers repeat, and reads
// no answer, until the server reads no more.
func runNeverReadHTTP2(ctx context.Context, o *offender, p Port, opt Options) int {
	name := strings.Repeat("no-such-service/", 50)
	return untilStuck(ctx, o, opt.Frames, func(i int) []byte {
		path := fmt.Sprintf("/%d-%s", i, name)
		return frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream(i), o.blockFor(p, path))
	})
}

// runNeverReadHTTP1 is the same over HTTP/1, with pipelined requests.
func runNeverReadHTTP1(ctx context.Context, o *offender, _ Port, opt Options) int {
	body := Request(1)
	one := append([]byte(httpHead+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...)
	return untilStuck(ctx, o, opt.Frames, func(int) []byte { return one })
}

// atOnce is how many units a client that reads nothing writes at a time, and pause
// is the time that the server has to answer them: requests beyond the limit of
// streams have shorter answers.
const (
	atOnce = 32
	pause  = time.Millisecond
)

// untilStuck is flood for a client that reads nothing: it ends when a write hangs,
// and leaves the connection open.
func untilStuck(ctx context.Context, o *offender, n int, next func(i int) []byte) int {
	for i := 0; i < n; i += atOnce {
		if ctx.Err() != nil {
			return i
		}
		var burst []byte
		for j := range atOnce {
			burst = append(burst, next(i+j)...)
		}
		_ = o.SetWriteDeadline(time.Now().Add(stuck))
		if _, err := o.Write(burst); err != nil {
			o.ifServer(ctx, err) // a deadline is not
			return i
		}
		time.Sleep(pause)
	}
	return n
}
