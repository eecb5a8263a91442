package hostile

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
)

type dialer func(ctx context.Context, t Target, p Port, from string) (*offender, error)

// dialSilent opens a TCP connection and sends nothing, not even with TLS.
func dialSilent(ctx context.Context, t Target, p Port, from string) (*offender, error) {
	c, err := dialTCP(ctx, t.Addr(p), from)
	if err != nil {
		return nil, err
	}
	return newOffender(c), nil
}

func dialHTTP1(ctx context.Context, t Target, p Port, from string) (*offender, error) {
	c, err := dial(ctx, t, p, from, "http/1.1")
	if err != nil {
		return nil, err
	}
	return newOffender(c), nil
}

// dialHTTP2 opens an HTTP/2 connection as a good client does, with windows so large
// that they never stop the server.
func dialHTTP2(ctx context.Context, t Target, p Port, from string) (*offender, error) {
	return openHTTP2(ctx, t, p, from, setting(http2.SettingInitialWindowSize, 1<<30))
}

// dialPreface stops between the preface and SETTINGS.
func dialPreface(ctx context.Context, t Target, p Port, from string) (*offender, error) {
	c, err := dial(ctx, t, p, from, "h2")
	if err != nil {
		return nil, err
	}
	o := newOffender(c)
	o.quiet.Store(true) // an acknowledgement would be the SETTINGS that it withholds
	return o, o.send(ctx, []byte(http2.ClientPreface))
}

// openHTTP2 opens an HTTP/2 connection with these SETTINGS.
func openHTTP2(ctx context.Context, t Target, p Port, from string, settings []byte) (*offender, error) {
	c, err := dial(ctx, t, p, from, "h2")
	if err != nil {
		return nil, err
	}
	return hello(ctx, c, settings)
}

func hello(ctx context.Context, c net.Conn, settings []byte) (*offender, error) {
	o := newOffender(c)
	err := o.send(ctx, append([]byte(http2.ClientPreface), frame(http2.FrameSettings, 0, 0, settings)...))
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("open an HTTP/2 connection to %s: %w", c.RemoteAddr(), err)
	}
	return o, nil
}

func setting(id http2.SettingID, v uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, uint16(id)), v)
}

// trickle writes head, and then what drip returns in intervals of every, until it
// is cut off. It returns the number of drips.
func trickle(ctx context.Context, o *offender, every time.Duration, head []byte, drip func(i int) []byte) int {
	if o.send(ctx, head) != nil {
		return 0
	}
	tick := time.NewTicker(max(every, time.Millisecond))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return i
		case <-o.ended:
			return i
		case <-tick.C:
		}
		if o.send(ctx, drip(i)) != nil {
			return i
		}
	}
}

func runNothing(context.Context, *offender, Port, Options) int { return 0 }

// runHalfHello sends the beginning of a ClientHello: a handshake record that
// announces 512 bytes and has ten.
func runHalfHello(ctx context.Context, o *offender, _ Port, opt Options) int {
	return trickle(ctx, o, opt.Every, []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, func(int) []byte { return []byte{7} })
}

const httpHead = "POST /v1/logs HTTP/1.1\r\nHost: penstock.test\r\nContent-Type: application/x-protobuf\r\n"

func runHeaderTrickle(ctx context.Context, o *offender, _ Port, opt Options) int {
	return trickle(ctx, o, opt.Every, []byte(httpHead+"X-Slow: "), func(int) []byte { return []byte("x") })
}

func runBodyTrickle(ctx context.Context, o *offender, _ Port, opt Options) int {
	return trickle(ctx, o, opt.Every, []byte(httpHead+"Content-Length: 1000000\r\n\r\n"), func(int) []byte { return []byte{0} })
}

func runChunkTrickle(ctx context.Context, o *offender, _ Port, opt Options) int {
	return trickle(ctx, o, opt.Every, []byte(httpHead+"Transfer-Encoding: chunked\r\n\r\n"), func(int) []byte { return []byte("1\r\n\x00\r\n") })
}

// runHeaderStall starts a header block and never ends it.
func runHeaderStall(ctx context.Context, o *offender, p Port, _ Options) int {
	o.openBlock(ctx)
	_ = o.send(ctx, frame(http2.FrameHeaders, 0, 1, o.block(p)))
	return 1
}

// runContinuationTrickle keeps a header block open with empty pieces.
func runContinuationTrickle(ctx context.Context, o *offender, p Port, opt Options) int {
	o.openBlock(ctx)
	return trickle(ctx, o, opt.Every, frame(http2.FrameHeaders, 0, 1, o.block(p)),
		func(int) []byte { return frame(http2.FrameContinuation, 0, 1, nil) })
}

// announced is the length of a message that is never sent.
const announced = 1 << 20

// runBodySilence opens a stream and sends no message on it.
func runBodySilence(ctx context.Context, o *offender, p Port, _ Options) int {
	_ = o.send(ctx, frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, o.block(p)))
	return 1
}

// runH2BodyTrickle sends a message byte by byte.
func runH2BodyTrickle(ctx context.Context, o *offender, p Port, opt Options) int {
	head := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, o.block(p))
	if p == GRPC {
		prefix := binary.BigEndian.AppendUint32([]byte{0}, announced)
		head = append(head, frame(http2.FrameData, 0, 1, prefix)...)
	}
	return trickle(ctx, o, opt.Every, head, func(int) []byte { return frame(http2.FrameData, 0, 1, []byte{0}) })
}
