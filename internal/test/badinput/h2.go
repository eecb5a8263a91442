package badinput

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Conn is a client of HTTP/2 without TLS, one request at a time, that sends
// requests as they are.
type h2Conn struct {
	net.Conn
	framer  *http2.Framer
	timeout time.Duration
	asGRPC  bool
	next    uint32 // stream id

	// The send windows in bytes: of the connection, and of a new stream.
	window, initial int64
	maxFrame        int
	goaway          *http2.GoAwayFrame
}

// stream is the one in progress.
type stream struct {
	id              uint32
	window          int64
	header, trailer http.Header
	body            []byte
	ended           bool
	reset           *http2.ErrCode
}

func dialH2(address string, timeout time.Duration, asGRPC bool) (*h2Conn, error) {
	conn, err := dial(address, timeout)
	if err != nil {
		return nil, err
	}
	c := &h2Conn{Conn: conn, timeout: timeout, asGRPC: asGRPC, next: 1, window: 65535, initial: 65535, maxFrame: 16384}
	c.framer = http2.NewFramer(conn, bufio.NewReader(conn))
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.AllowIllegalWrites = true
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err := io.WriteString(conn, http2.ClientPreface); err == nil {
		err = c.framer.WriteSettings()
		if err == nil {
			return c, nil
		}
	}
	_ = conn.Close()
	return nil, err
}

func (c *h2Conn) roundTrip(r *request) *answer {
	_ = c.SetDeadline(time.Now().Add(c.timeout))
	s := &stream{id: c.next, window: c.initial}
	c.next += 2
	var lines []string
	for _, p := range []struct{ name, value string }{
		{":method", r.method}, {":scheme", "http"}, {":path", r.path}, {":authority", "localhost"},
	} {
		if p.value != "-" {
			lines = append(lines, p.name+": "+p.value)
		}
	}
	block, err := headerBlock(append(lines, r.headers...))
	if err != nil {
		return failed(err)
	}
	err = c.writeHeaders(s.id, block, !r.hasBody)
	if err == nil && r.hasBody {
		err = c.writeBody(s, r.body)
	}
	for err == nil && !s.ended && s.reset == nil {
		err = c.readFrame(s)
	}
	return c.answer(s, err)
}

// writeHeaders splits a long block into CONTINUATION frames.
func (c *h2Conn) writeHeaders(id uint32, block []byte, end bool) error {
	first := block[:min(len(block), c.maxFrame)]
	block = block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		more := block[:min(len(block), c.maxFrame)]
		block = block[len(more):]
		err = c.framer.WriteContinuation(id, len(block) == 0, more)
	}
	return err
}

// writeBody sends as the windows allow, until the server has ended the stream.
func (c *h2Conn) writeBody(s *stream, body []byte) error {
	for !s.ended && s.reset == nil {
		n := int(min(int64(len(body)), s.window, c.window, int64(c.maxFrame)))
		if n == 0 && len(body) > 0 {
			if err := c.readFrame(s); err != nil {
				return err
			}
			continue
		}
		last := n == len(body)
		if err := c.framer.WriteData(s.id, last, body[:n]); err != nil {
			return err
		}
		s.window, c.window, body = s.window-int64(n), c.window-int64(n), body[n:]
		if last {
			return nil
		}
	}
	return c.framer.WriteRSTStream(s.id, http2.ErrCodeCancel)
}

var errGoAway = errors.New("the server sent GOAWAY")

// readFrame reads one frame and applies it.
func (c *h2Conn) readFrame(s *stream) error {
	f, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	mine := f.Header().StreamID == s.id
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return c.settings(s, f)
	case *http2.WindowUpdateFrame:
		if mine {
			s.window += int64(f.Increment)
		} else if f.StreamID == 0 {
			c.window += int64(f.Increment)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		c.goaway = &http2.GoAwayFrame{LastStreamID: f.LastStreamID, ErrCode: f.ErrCode}
		if s.id > f.LastStreamID || f.ErrCode != http2.ErrCodeNo {
			return errGoAway
		}
	case *http2.RSTStreamFrame:
		if mine {
			code := f.ErrCode
			s.reset = &code
		}
	case *http2.MetaHeadersFrame:
		if mine {
			s.headers(f)
		}
	case *http2.DataFrame:
		return c.data(s, f, mine)
	}
	return nil
}

func (c *h2Conn) settings(s *stream, f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		s.window += int64(v) - c.initial
		c.initial = int64(v)
	}
	if v, ok := f.Value(http2.SettingMaxFrameSize); ok {
		c.maxFrame = int(v)
	}
	return c.framer.WriteSettingsAck()
}

func (s *stream) headers(f *http2.MetaHeadersFrame) {
	h := http.Header{}
	for _, field := range f.Fields {
		h.Add(field.Name, field.Value)
	}
	if status := f.PseudoValue("status"); status != "" {
		h.Set(":status", status)
	}
	if s.header == nil {
		s.header = h
	} else {
		s.trailer = h
	}
	s.ended = s.ended || f.StreamEnded()
}

func (c *h2Conn) data(s *stream, f *http2.DataFrame, mine bool) error {
	if mine {
		if s.body = append(s.body, f.Data()...); len(s.body) > maxAnswerBytes {
			return errors.New("the answer is larger than 4 MiB")
		}
		s.ended = s.ended || f.StreamEnded()
	}
	if n := f.Header().Length; n > 0 && !s.ended {
		if err := c.framer.WriteWindowUpdate(s.id, n); err != nil {
			return err
		}
		return c.framer.WriteWindowUpdate(0, n)
	}
	return nil
}

// answer interprets what was read.
func (c *h2Conn) answer(s *stream, err error) *answer {
	status := 0
	if s.header != nil {
		status, _ = strconv.Atoi(s.header.Get(":status"))
	}
	var a *answer
	switch {
	case c.asGRPC && (s.trailer != nil || s.header != nil && s.ended):
		a = grpcAnswer(status, s.header, s.trailer)
	case !c.asGRPC && s.ended:
		a = &answer{outcome: strconv.Itoa(status), http: status, header: s.header, body: s.body}
		a.readStatus()
	case s.reset != nil:
		a = &answer{outcome: "rst", detail: s.reset.String()}
	case c.goaway != nil:
		a = &answer{outcome: "goaway", detail: c.goaway.ErrCode.String()}
	case err != nil:
		a = failed(err)
	default:
		a = failed(fmt.Errorf("no answer"))
	}
	a.closed = a.closed || c.goaway != nil || err != nil
	return a
}
