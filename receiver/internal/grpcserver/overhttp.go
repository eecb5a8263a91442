package grpcserver

import (
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

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// OverHTTP serves unary calls on net/http's HTTP/2, for a port that gRPC shares with
// HTTP (gRPC over HTTP/2, "PROTOCOL-HTTP2"). It costs about twice the CPU of gRPC's
// own server. Of the options it uses FrontEnd, Pace, Methods and MaxRequestBytes.
type OverHTTP struct{ Options }

// Serve answers one call, which came over conn.
func (h *OverHTTP) Serve(w http.ResponseWriter, r *http.Request, conn *conns.Conn) {
	ctx, cancel := withTimeout(r.Context(), r.Header.Get("Grpc-Timeout"))
	defer cancel()
	c := newHTTPCall(w, r, conn)
	c.opts = &h.Options
	h.FrontEnd.Serve(ctx, &c.Request, &conn.Peer, c)
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
	w    http.ResponseWriter
	r    *http.Request
	conn *conns.Conn
	body frontend.HTTPBody
}

func newHTTPCall(w http.ResponseWriter, r *http.Request, conn *conns.Conn) *httpCall {
	c := &httpCall{w: w, r: r, conn: conn}
	c.Format, c.Path = "protobuf", r.URL.Path
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
	if refused := route(r, c.opts.Methods[r.Path]); refused != nil {
		return refused
	}
	if t := c.r.Header.Get("Content-Type"); t != "application/grpc" && t != "application/grpc+proto" {
		return frontend.Refuse(codes.InvalidArgument, obsreport.ReasonMediaType, "unsupported Content-Type %s: expected application/grpc", frontend.Quote(t))
	}
	return nil
}

// Expect implements frontend.Transport: the length comes with the message.
func (c *httpCall) Expect(*frontend.Request) (int, *frontend.Refusal) {
	encoding := c.r.Header.Get("Grpc-Encoding")
	if known := config.GRPCEncodings(); encoding != "" && encoding != "identity" && !slices.Contains(known, encoding) {
		return 0, frontend.Refuse(codes.Unimplemented, obsreport.ReasonEncoding, "unsupported grpc-encoding %s: expected %s",
			frontend.Quote(encoding), strings.Join(known, ", "))
	}
	return 0, nil
}

// Read implements frontend.Transport.
func (c *httpCall) Read(r *frontend.Request) (*[]byte, *frontend.Refusal) {
	const prefixBytes = 5 // of this message, and of one too many
	c.body = frontend.HTTPBody{
		From: c.r.Body, Deadlines: http.NewResponseController(c.w), Pace: c.opts.Pace, Began: r.Began,
		MaxBytes: int64(c.opts.MaxRequestBytes) + 2*prefixBytes,
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

// Answer implements frontend.Transport.
func (c *httpCall) Answer(_ *frontend.Request, response []byte, refused *frontend.Refusal) int {
	c.send(response, refused)
	if c.r.Context().Err() != nil {
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
		c.w.WriteHeader(http.StatusOK)
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
func (c *rejectedCall) Answer(_ *frontend.Request, response []byte, refused *frontend.Refusal) int {
	c.send(response, refused)
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

// withTimeout gives ctx the deadline that the client has set ("Timeout"), as a text
// like "10S"; what is none is ignored.
func withTimeout(ctx context.Context, text string) (context.Context, context.CancelFunc) {
	const mostDigits = 8
	if len(text) < 2 || len(text) > mostDigits+1 {
		return ctx, func() {}
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	unit := units[text[len(text)-1]]
	if err != nil || unit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, min(time.Duration(n), maxTimeout/unit)*unit)
}

// maxTimeout is as good as none.
const maxTimeout = 24 * time.Hour
