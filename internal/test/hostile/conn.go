package hostile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// offender is one connection of a bad client. Its owner writes; a goroutine reads
// and detects the end, if the attack reads at all.
type offender struct {
	net.Conn
	write sync.Mutex

	ended     chan struct{} // closed when the server has ended the connection, or the stream under attack
	once      sync.Once
	mu        sync.Mutex
	reason    string
	at        time.Time
	reading   sync.WaitGroup
	maxHeader uint32        // the server's SETTINGS_MAX_HEADER_LIST_SIZE, once settled is closed
	settled   chan struct{} // closed at the server's first SETTINGS
	resets    int
	quiet     atomic.Bool // answers nothing: a header block is open, or SETTINGS were not sent yet
	hpackBuf  bytes.Buffer
	hpack     *hpack.Encoder
}

func newOffender(c net.Conn) *offender {
	o := &offender{Conn: c, ended: make(chan struct{}), settled: make(chan struct{})}
	o.hpack = hpack.NewEncoder(&o.hpackBuf)
	return o
}

// end records that the server ended it.
func (o *offender) end(reason string) {
	o.once.Do(func() {
		o.mu.Lock()
		o.at = time.Now()
		if o.reason == "" {
			o.reason = reason
		}
		o.mu.Unlock()
		close(o.ended)
	})
}

// note keeps the first message of the server that may explain the end.
func (o *offender) note(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reason == "" {
		o.reason = reason
	}
}

// send writes all of b. A failure is the end, unless the attack caused it.
func (o *offender) send(ctx context.Context, b []byte) error {
	o.write.Lock()
	defer o.write.Unlock()
	_, err := o.Write(b)
	if err != nil {
		o.ifServer(ctx, err)
	}
	return err
}

// readHTTP1 reads until the server ends the connection.
func (o *offender) readHTTP1(ctx context.Context) {
	r := bufio.NewReader(o.Conn)
	if line, err := r.ReadString('\n'); err == nil {
		o.note(strings.TrimSpace(line))
	} else {
		o.ifServer(ctx, err)
		return
	}
	_, err := io.Copy(io.Discard, r)
	o.ifServer(ctx, err)
}

// ifServer records the end of reading, unless the attack caused it, as with
// deadlines.
func (o *offender) ifServer(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		o.end(ending(err))
	}
}

// readHTTP2 answers SETTINGS and PING and detects what ends the attack: the end of
// the connection or, if stream is not 0, of that stream.
func (o *offender) readHTTP2(ctx context.Context, stream uint32) {
	fr := http2.NewFramer(io.Discard, o.Conn)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			o.ifServer(ctx, err)
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() {
				continue
			}
			o.answer(ctx, frame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil))
			o.settle(f)
		case *http2.PingFrame:
			if !f.IsAck() {
				o.answer(ctx, frame(http2.FramePing, http2.FlagPingAck, 0, f.Data[:]))
			}
		case *http2.GoAwayFrame:
			o.note(strings.TrimSpace("GOAWAY " + f.ErrCode.String() + " " + string(f.DebugData())))
		case *http2.RSTStreamFrame:
			o.mu.Lock()
			o.resets++
			o.mu.Unlock()
			if f.StreamID == stream && stream != 0 {
				o.end("RST_STREAM " + f.ErrCode.String())
			}
		case *http2.HeadersFrame:
			if f.StreamID == stream && stream != 0 && f.StreamEnded() {
				o.end("answered")
			}
		case *http2.DataFrame:
			if f.StreamID == stream && stream != 0 && f.StreamEnded() {
				o.end("answered")
			}
		}
	}
}

// answer writes the answers that the protocol requires, unless they would end the
// attack.
func (o *offender) answer(ctx context.Context, b []byte) {
	if !o.quiet.Load() {
		_ = o.send(ctx, b)
	}
}

// openBlock waits until the server's SETTINGS are acknowledged, and answers nothing
// from then on: in a header block only CONTINUATION is allowed.
func (o *offender) openBlock(ctx context.Context) {
	o.headerLimit(ctx)
	o.quiet.Store(true)
}

func (o *offender) settle(f *http2.SettingsFrame) {
	select {
	case <-o.settled:
		return
	default:
	}
	if v, ok := f.Value(http2.SettingMaxHeaderListSize); ok {
		o.maxHeader = v
	}
	close(o.settled)
}

// headerLimit returns the server's limit of a header, 1 MiB if it announced none.
func (o *offender) headerLimit(ctx context.Context) int {
	select {
	case <-o.settled:
	case <-o.ended:
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.maxHeader > 0 {
		return int(o.maxHeader)
	}
	return 1 << 20
}

// watch waits for the end of a connection that the attack does not read.
func (o *offender) watch(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.ended:
			return
		case <-tick.C:
		}
		if gone, known := serverLetGo(o.Conn); gone && known {
			o.end("closed")
		}
	}
}

// ending names how a connection ended.
func ending(err error) string {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case strings.Contains(err.Error(), "connection reset"), strings.Contains(err.Error(), "broken pipe"):
		return "reset"
	}
	return err.Error()
}

// frame returns an HTTP/2 frame.
func frame(t http2.FrameType, flags http2.Flags, stream uint32, payload []byte) []byte {
	n := len(payload)
	b := make([]byte, 0, 9+n)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(t), byte(flags),
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
	return append(b, payload...)
}

// block returns the header block of an export request over port p with more
// fields after the usual ones.
func (o *offender) block(p Port, more ...hpack.HeaderField) []byte {
	if p == HTTP {
		return o.blockFor(p, httpPath, more...)
	}
	return o.blockFor(p, grpcPath, more...)
}

// blockFor is block for any path.
func (o *offender) blockFor(p Port, path string, more ...hpack.HeaderField) []byte {
	o.hpackBuf.Reset()
	contentType := "application/grpc"
	if p == HTTP {
		contentType = "application/x-protobuf"
	}
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path, Sensitive: true},
		{Name: ":authority", Value: "penstock.test"}, {Name: "content-type", Value: contentType}, {Name: "te", Value: "trailers"},
	}, more...) {
		if err := o.hpack.WriteField(f); err != nil {
			panic(fmt.Sprintf("hostile: encode header %s: %v", f.Name, err)) // a bytes.Buffer never fails
		}
	}
	return bytes.Clone(o.hpackBuf.Bytes())
}
