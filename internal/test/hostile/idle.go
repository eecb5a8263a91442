package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Idle is a set of connections that have each made one request and now send
// nothing, like agents between two exports.
type Idle struct {
	held    []*offender
	reading sync.WaitGroup
	cancel  context.CancelFunc
}

// openAtOnce is how many connections are opened concurrently.
const openAtOnce = 64

// OpenIdle opens n connections to a port, from as many addresses as necessary.
// After an error none is open.
func OpenIdle(ctx context.Context, t Target, p Port, n int) (*Idle, error) {
	life, cancel := context.WithCancel(context.Background())
	crowd := &Idle{held: make([]*offender, n), cancel: cancel}
	ctx, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	room := make(chan struct{}, openAtOnce)
	var all sync.WaitGroup
	for i := range n {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if ctx.Err() != nil {
				return
			}
			o, err := crowd.open(ctx, life, t, p, Source(i/1000))
			if err != nil {
				failed(fmt.Errorf("open idle connection %d of %d: %w", i, n, err))
			}
			crowd.held[i] = o
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		crowd.Close()
		return nil, context.Cause(ctx)
	}
	return crowd, nil
}

// Lost returns how many connections the server has ended.
func (c *Idle) Lost() (n int) {
	for _, o := range c.held {
		select {
		case <-o.ended:
			n++
		default:
		}
	}
	return n
}

// Close closes all connections.
func (c *Idle) Close() {
	c.cancel()
	for _, o := range c.held {
		if o != nil {
			_ = o.Close()
		}
	}
	c.reading.Wait()
}

// open makes one request on a new connection and then only listens.
func (c *Idle) open(ctx, life context.Context, t Target, p Port, from string) (*offender, error) {
	protocol := "http/1.1"
	if p == GRPC {
		protocol = "h2"
	}
	conn, err := dial(ctx, t, p, from, protocol)
	if err != nil {
		return nil, err
	}
	o := newOffender(conn)
	_ = o.SetReadDeadline(time.Now().Add(dialTimeout))
	if p == GRPC {
		err = o.oneCall(ctx)
	} else {
		err = o.onePost(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = o.SetReadDeadline(time.Time{})
	c.reading.Go(func() {
		if p == GRPC {
			o.readHTTP2(life, 0)
		} else {
			o.readHTTP1(life)
		}
	})
	return o, nil
}

// oneCall makes a call over HTTP/2 and waits for its end.
func (o *offender) oneCall(ctx context.Context) error {
	hello := append([]byte(http2.ClientPreface), frame(http2.FrameSettings, 0, 0, nil)...)
	if err := o.send(ctx, append(hello, o.request(GRPC, 0)...)); err != nil {
		return err
	}
	fr := http2.NewFramer(io.Discard, o.Conn)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return fmt.Errorf("wait for the answer to a call: %w", err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = o.send(ctx, frame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil))
			}
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				return nil
			}
		case *http2.RSTStreamFrame:
			return fmt.Errorf("wait for the answer to a call: the server reset it: %s", f.ErrCode)
		}
	}
}

// onePost makes a request over HTTP/1 and reads the answer.
func (o *offender) onePost(ctx context.Context) error {
	body := Request(1)
	if err := o.send(ctx, append([]byte(httpHead+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(o.Conn, 512), nil)
	if err != nil {
		return fmt.Errorf("wait for the answer to a request: %w", err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
