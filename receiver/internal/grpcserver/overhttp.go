package grpcserver

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// OverHTTP serves unary calls on net/http's HTTP/2, for a port that gRPC shares with
// HTTP (gRPC over HTTP/2, "PROTOCOL-HTTP2"). It costs about twice the CPU of gRPC's
// own server. Of the options it uses FrontEnd, Pace, Methods and MaxRequestBytes.
type OverHTTP struct{ Options }

// IsCall reports whether r claims to be a call: a request over HTTP/2 whose media
// type begins with that of gRPC. Serve checks the rest.
func IsCall(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), mediaType)
}

// mediaType is that of calls.
const mediaType = "application/grpc"

// Serve answers one call, which came over conn.
func (h *OverHTTP) Serve(w http.ResponseWriter, r *http.Request, conn *conns.Conn) {
	c := newHTTPCall(w, r, conn)
	c.opts = &h.Options
	refused := malformed(r)
	timeout, err := timeoutOf(r.Header["Grpc-Timeout"])
	if refused == nil && err != nil {
		refused = frontend.Refuse(codes.Internal, obsreport.ReasonDecode, "malformed grpc-timeout: %v", err)
		refused.HTTP = http.StatusBadRequest
	}
	if refused != nil {
		c.status = refused.HTTP
		h.FrontEnd.Reject(c.ctx, &c.Request, &conn.Peer, c, refused)
		return
	}
	if timeout == 0 {
		h.FrontEnd.Reject(c.ctx, &c.Request, &conn.Peer, c,
			frontend.Refuse(codes.DeadlineExceeded, obsreport.ReasonBrokenOff, "the client's grpc-timeout is 0"))
		return
	}
	if h.health(c) {
		return
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		c.ctx, cancel = context.WithTimeout(c.ctx, timeout)
		defer cancel()
	}
	h.FrontEnd.Serve(c.ctx, &c.Request, &conn.Peer, c)
}

// malformed refuses what gRPC's own server refuses before it looks at the method
// (gRPC over HTTP/2, "Requests"), with the same HTTP status.
func malformed(r *http.Request) *frontend.Refusal {
	if r.Method != http.MethodPost {
		refused := frontend.Refuse(codes.Internal, obsreport.ReasonMethod, "method %s is not allowed: expected POST", frontend.Quote(r.Method))
		refused.HTTP = http.StatusMethodNotAllowed
		return refused
	}
	t := r.Header.Get("Content-Type")
	subtype, _, _ := strings.Cut(t[len(mediaType):], ";") // IsCall has seen to the rest
	if subtype = strings.TrimSpace(subtype); subtype != "" && subtype != "+" && subtype != "+proto" {
		refused := frontend.Refuse(codes.InvalidArgument, obsreport.ReasonMediaType, "unsupported Content-Type %s: expected %s", frontend.Quote(t), mediaType)
		refused.HTTP = http.StatusUnsupportedMediaType
		return refused
	}
	return nil
}

// RejectOverHTTP refuses a call on a port without gRPC. f counts it as a request of
// HTTP's, which it is there.
func RejectOverHTTP(f *frontend.FrontEnd, w http.ResponseWriter, r *http.Request, conn *conns.Conn, refused *frontend.Refusal) {
	c := &rejectedCall{*newHTTPCall(w, r, conn)}
	c.Method = r.Method
	f.Reject(r.Context(), &c.Request, &conn.Peer, c, refused)
}

// httpCall is one request over net/http. It is a frontend.Transport.
type httpCall struct {
	frontend.Request
	message
	opts *Options
	ctx  context.Context // r's, with the client's timeout
	w    http.ResponseWriter
	r    *http.Request
	conn *conns.Conn
	body frontend.HTTPBody
	// status is the HTTP status of a refusal, if it is not that of calls.
	status int
}

// newHTTPCall returns the call that is r. A method is named by the whole of its
// path, without decoding and with what looks like a query.
func newHTTPCall(w http.ResponseWriter, r *http.Request, conn *conns.Conn) *httpCall {
	c := &httpCall{ctx: r.Context(), w: w, r: r, conn: conn}
	c.Format, c.Path = "protobuf", r.RequestURI
	return c
}

// Header implements frontend.Transport.
func (c *httpCall) Header(name string) []string { return frontend.HTTPHeader(c.r, name) }

// Credential implements frontend.Transport.
func (c *httpCall) Credential(name string) []string { return frontend.HTTPHeader(c.r, name) }

// Headers implements frontend.Transport.
func (c *httpCall) Headers() map[string][]string { return frontend.HTTPHeaders(c.r) }

// Route implements frontend.Transport.
func (c *httpCall) Route(r *frontend.Request) *frontend.Refusal {
	return route(r, c.opts.Methods[r.Path])
}

// Expect implements frontend.Transport: the length comes with the message.
func (c *httpCall) Expect(*frontend.Request) *frontend.Refusal {
	encoding := c.r.Header.Get("Grpc-Encoding")
	if known := config.GRPCEncodings(); encoding != "" && encoding != "identity" && !slices.Contains(known, encoding) {
		return frontend.Refuse(codes.Unimplemented, obsreport.ReasonEncoding, "unsupported grpc-encoding %s: expected %s",
			frontend.Quote(encoding), strings.Join(known, ", "))
	}
	return nil
}

// Read implements frontend.Transport.
func (c *httpCall) Read(r *frontend.Request) (*[]byte, *frontend.Refusal) {
	const prefixBytes = 5 // of this message, and of one too many
	c.body = frontend.HTTPBody{
		From: c.r.Body, Deadlines: http.NewResponseController(c.w), Pace: c.opts.Pace, Began: r.Began,
		MaxBytes: int64(c.opts.MaxRequestBytes) + 2*prefixBytes, Request: r,
	}
	body, refused := c.message.read(r, c.opts, c.r.Header.Get("Grpc-Encoding"), c)
	c.body.Done()
	if refused != nil {
		return nil, refused
	}
	return c.message.decompress(r, body)
}

func (c *httpCall) fill(p []byte) error {
	_, err := io.ReadFull(&c.body, p)
	return err
}

// Interrupt implements admission.Source.
func (c *httpCall) Interrupt(o *admission.Overload) { c.body.Interrupt(o) }

// Answer implements frontend.Transport.
func (c *httpCall) Answer(_ *frontend.Request, response []byte, refused *frontend.Refusal) int {
	c.send(response, refused)
	if c.AbortedEarly(c.ctx) {
		c.conn.CountAborted()
	}
	if refused != nil {
		return int(refused.Code)
	}
	return int(codes.OK)
}

// send writes a response or a refusal as gRPC has them.
func (c *httpCall) send(response []byte, refused *frontend.Refusal) {
	header := c.w.Header()
	header.Set("Content-Type", "application/grpc")
	if refused != nil { // "Trailers-Only"
		writeStatus(header, refused)
		if c.status == http.StatusMethodNotAllowed {
			header.Set("Allow", http.MethodPost)
		}
		c.w.WriteHeader(cmp.Or(c.status, http.StatusOK))
		return
	}
	header.Set("Trailer", "Grpc-Status")
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(response)))
	_, _ = c.w.Write(append(frame, response...)) // the client may be gone
	header.Set("Grpc-Status", "0")
}

// rejectedCall is counted by its HTTP status.
type rejectedCall struct{ httpCall }

// Answer implements frontend.Transport.
func (c *rejectedCall) Answer(r *frontend.Request, response []byte, refused *frontend.Refusal) int {
	c.httpCall.Answer(r, response, refused)
	return http.StatusOK
}

func writeStatus(header http.Header, r *frontend.Refusal) {
	s := r.Status()
	header.Set("Grpc-Status", strconv.Itoa(int(s.Code)))
	header.Set("Grpc-Message", percentEncode(s.Message))
	if len(s.Details) == 0 {
		return
	}
	b, err := proto.Marshal(s)
	if err != nil { // status holds valid UTF-8 and known details only
		panic("grpcserver: write a status: " + err.Error())
	}
	header.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(b))
}

// percentEncode is how grpc-message is written: all but printable ASCII, and the
// percent sign, as %XX.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// timeoutOf returns the timeout that a client announces (gRPC over HTTP/2,
// "Timeout"), -1 if it announces none. Of several the last one applies.
func timeoutOf(texts []string) (timeout time.Duration, err error) {
	timeout = -1
	for _, text := range texts {
		if timeout, err = parseTimeout(text); err != nil {
			return 0, err
		}
	}
	return timeout, nil
}

// parseTimeout reads one to eight digits and a unit, such as "10S".
func parseTimeout(text string) (time.Duration, error) {
	const mostDigits = 8
	last := len(text) - 1
	if last < 1 || last > mostDigits {
		return 0, fmt.Errorf("expected one to eight digits and a unit, found %s", frontend.Quote(text))
	}
	unit := timeoutUnit(text[last])
	if unit == 0 {
		return 0, fmt.Errorf("expected one of the units H, M, S, m, u and n, found %s", frontend.Quote(text))
	}
	n, err := strconv.ParseUint(text[:last], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("expected one to eight digits and a unit, found %s", frontend.Quote(text))
	}
	return min(time.Duration(n), maxTimeout/unit) * unit, nil
}

func timeoutUnit(letter byte) time.Duration {
	switch letter {
	case 'H':
		return time.Hour
	case 'M':
		return time.Minute
	case 'S':
		return time.Second
	case 'm':
		return time.Millisecond
	case 'u':
		return time.Microsecond
	case 'n':
		return time.Nanosecond
	}
	return 0
}

// maxTimeout bounds the timeouts that clients announce.
const maxTimeout = 24 * time.Hour
