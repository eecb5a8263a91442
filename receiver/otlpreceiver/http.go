package otlpreceiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/grpcserver"
)

// maxHeaderBytes limits the header of a request, of both transports.
const maxHeaderBytes = 64 << 10

// httpHandler serves OTLP/HTTP.
//
//	authentication ─► path ─► method ─► Content-Type ─► encoding, size ─► admission ─► body, decompressed ─► export
//	      401          404     405         415           400, 413            503            413, 400        by code
type httpHandler struct {
	*frontend.FrontEnd
	pace            *frontend.Pace
	formats         []*format
	routes          map[string]*frontend.Route // by path
	codings         decompress.Codings
	maxRequestBytes int
	maxAge          time.Duration // of a connection; 0: any
	retiring        atomic.Bool   // each response is the last one of its connection
	requestParams   []string
	cors            bool // pages of some origins may send
	// grpc takes the gRPC requests where the port is shared; else nil.
	grpc *grpcserver.OverHTTP
}

// httpHandler makes the handler of a configuration with its paths.
func (r *Receiver) httpHandler(c *HTTPConfig, f *frontend.FrontEnd, paths map[string]otlp.Signal) (*httpHandler, error) {
	codings, err := decompress.ParseCodings(c.CompressionAlgorithms)
	if err != nil {
		return nil, err
	}
	pace := c.paceOf(&r.pace)
	pace.Request = c.ReadTimeout
	h := &httpHandler{
		FrontEnd: f, pace: pace, formats: formats(f.Limits), routes: map[string]*frontend.Route{}, codings: codings,
		maxRequestBytes: defaultMaxRequestBytes, maxAge: c.MaxConnectionAge,
	}
	for path, s := range paths {
		h.routes[path] = r.route(s)
	}
	h.cors = c.CORS != nil && len(c.CORS.AllowedOrigins) > 0
	if a := c.Auth; a != nil {
		h.requestParams = a.RequestParams
	}
	if c.MaxRequestBodySize > 0 {
		h.maxRequestBytes = int(c.MaxRequestBodySize)
	}
	return h, nil
}

func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn := connOf(r.Context())
	if h.retiring.Load() || h.maxAge > 0 && conn.AgedOut(h.maxAge) {
		w.Header().Set("Connection", "close") // of HTTP/2: net/http sends GOAWAY
	}
	switch isGRPC := grpcserver.IsCall(r); {
	case isGRPC && h.grpc != nil:
		h.grpc.Serve(w, r, conn)
		return
	case isGRPC && r.Method == http.MethodPost:
		grpcserver.RejectOverHTTP(h.FrontEnd, w, r, conn, &frontend.Refusal{Code: codes.Unimplemented, Reason: obsreport.ReasonNotFound,
			Message: "this is the OTLP/HTTP port: send OTLP/gRPC to the gRPC port, by default 4317, or give both protocols the same endpoint"})
		return
	}
	q := &httpRequest{h: h, w: w, r: r, conn: conn}
	q.Method, q.Path, q.Protocol, q.TLS = r.Method, r.URL.Path, r.Proto, r.TLS != nil
	if q.format, q.known = formatFor(h.formats, r.Header.Get("Content-Type")); q.known {
		q.Format = q.format.name
	}
	switch {
	case q.isProbe():
		q.answerProbe()
	case isPreflight(r):
		q.preflight()
	default:
		h.Serve(r.Context(), &q.Request, &conn.Peer, q)
	}
}

// httpRequest is one request. It is a frontend.Transport.
type httpRequest struct {
	frontend.Request
	h    *httpHandler
	w    http.ResponseWriter
	r    *http.Request
	conn *conns.Conn

	format   *format // of the answer, and of the request if it is known
	known    bool
	encoding string
	body     frontend.HTTPBody
}

// Header implements frontend.Transport.
func (q *httpRequest) Header(name string) []string { return frontend.HTTPHeader(q.r, name) }

// Headers implements frontend.Transport.
func (q *httpRequest) Headers() map[string][]string { return frontend.HTTPHeaders(q.r) }

// Credential implements frontend.Transport: query parameters that the authenticator
// was promised, and headers.
func (q *httpRequest) Credential(name string) []string {
	if len(q.h.requestParams) > 0 {
		query := q.r.URL.Query()
		for _, p := range q.h.requestParams {
			if values := query[p]; strings.EqualFold(p, name) && len(values) > 0 {
				return values
			}
		}
	}
	return q.Header(name)
}

// cleanPath returns a path without empty elements, "." and "..": clients join a base
// URL that ends in a slash with a path that begins with one. A slash at the end stays.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// Route implements frontend.Transport.
func (q *httpRequest) Route(r *frontend.Request) *frontend.Refusal {
	route, ok := q.h.routes[r.Path]
	if !ok {
		clean := cleanPath(r.Path)
		if route, ok = q.h.routes[clean]; !ok {
			return frontend.UnknownTarget("path", r.Path, slices.Sorted(maps.Keys(q.h.routes))...)
		}
		r.Path = clean
	}
	if refused := r.SetRoute(route); refused != nil {
		return refused
	}
	switch {
	case r.Method != http.MethodPost:
		return &frontend.Refusal{Code: codes.Unimplemented, HTTP: http.StatusMethodNotAllowed, Reason: obsreport.ReasonMethod,
			Message: "method " + frontend.Quote(r.Method) + " is not allowed: expected POST"}
	case !q.known:
		return refuseFormat(q.h.formats, q.r.Header.Get("Content-Type"))
	}
	return nil
}

// Expect implements frontend.Transport.
func (q *httpRequest) Expect(*frontend.Request) *frontend.Refusal {
	h := q.h
	q.encoding = strings.Join(q.r.Header.Values("Content-Encoding"), ", ")
	switch {
	case h.codings.Off():
		q.encoding = ""
	case !h.codings.Allows(q.encoding):
		return frontend.Refuse(codes.InvalidArgument, obsreport.ReasonEncoding, "unsupported Content-Encoding %s: expected %s",
			frontend.Quote(q.encoding), h.codings)
	}
	if strings.EqualFold(q.encoding, "identity") {
		q.encoding = ""
	}
	if q.r.ContentLength > int64(h.maxRequestBytes) {
		return frontend.RefuseSize(h.maxRequestBytes)
	}
	return nil
}

// Read implements frontend.Transport.
func (q *httpRequest) Read(r *frontend.Request) (*[]byte, *frontend.Refusal) {
	body, refused := q.readBody(r)
	if refused != nil || q.format.toWire == nil {
		return body, refused
	}
	return q.format.toWire(q.r.Context(), r, body, q.h.maxRequestBytes)
}

// readBody returns the decompressed body in a buffer of bufpool.
func (q *httpRequest) readBody(r *frontend.Request) (*[]byte, *frontend.Refusal) {
	q.body = frontend.HTTPBody{
		From: q.r.Body, Deadlines: http.NewResponseController(q.w), Pace: q.h.pace, Began: r.Began,
		MaxBytes: int64(q.h.maxRequestBytes), Request: r,
	}
	r.StartReading(&q.body)
	body, refused := q.decompress(r, q.h.maxRequestBytes)
	if late := r.DoneReading(); late != nil {
		bufpool.Put(body)
		return nil, late
	}
	if refused != nil {
		return nil, refused
	}
	q.body.Done()
	r.BodyRead = true
	return body, nil
}

// decompress reads the body. Nothing is held for it until the first byte has come,
// unless it is small.
func (q *httpRequest) decompress(r *frontend.Request, limit int) (*[]byte, *frontend.Refusal) {
	if n := q.r.ContentLength; n < 0 || n > frontend.SmallBytes {
		q.body.Await()
	}
	r.Begun(q.r.ContentLength)
	first := int(min(max(q.r.ContentLength, 0), trustedBytes))
	var body, wire *[]byte
	var form decompress.Form
	var err error
	if q.encoding == "" {
		body, err = q.plain(r, first, limit)
	} else {
		body, wire, form, err = decompress.Collect(q.encoding, &q.body, first, limit, r)
	}
	r.WireBytes = int(q.body.Bytes)
	if err != nil {
		return nil, q.refuseBody(err, limit)
	}
	r.KeepEncoded(wire, form, len(*body))
	return body, nil
}

// plain reads a body that is not compressed.
func (q *httpRequest) plain(r *frontend.Request, first, limit int) (body *[]byte, err error) {
	if first > 0 {
		if body, err = r.GetBuffer(0, first); err != nil {
			return nil, err
		}
	}
	return decompress.Decompress("", body, &q.body, limit, r)
}

// trustedBytes is the most that is taken at once for the length that a body declares. So a
// client that only declares a length cannot use up the budget of others.
const trustedBytes = 1 << 20

func (q *httpRequest) refuseBody(err error, limit int) *frontend.Refusal {
	refused := frontend.RefuseBody(err, limit)
	if refused.Reason == obsreport.ReasonBrokenOff && badChunks(q.r, err) {
		refused = frontend.RefuseData(err)
	}
	return refused
}

// badChunks reports whether a body could not be read because its chunks are
// malformed (RFC 9112, section 7.1): the same bytes would fail again. net/http's
// errors for that have no type, while those of a connection that breaks or is too
// slow do.
func badChunks(r *http.Request, err error) bool {
	var network net.Error
	return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 && r.Context().Err() == nil &&
		!errors.As(err, &network) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// Answer implements frontend.Transport.
func (q *httpRequest) Answer(r *frontend.Request, response []byte, refused *frontend.Refusal) int {
	status := http.StatusOK
	if refused == nil {
		q.reply(status, q.format.response(r.Route.Signal, response))
	} else {
		if !r.BodyRead {
			q.discard()
		}
		status = q.refuse(refused)
	}
	if q.r.ProtoMajor == 2 && r.AbortedEarly(q.r.Context()) {
		q.conn.CountAborted()
	}
	return status
}

// discard reads the body of a request that is refused unread, if it is short and
// comes at once: the connection can then be used again, which costs both sides
// less than a new one. net/http would do the same in smaller pieces.
func (q *httpRequest) discard() {
	r := q.r
	_ = http.NewResponseController(q.w).SetReadDeadline(time.Now().Add(q.h.pace.Unread))
	if r.ProtoMajor > 1 || r.ContentLength <= 0 || r.ContentLength > discardedBytes || r.Header.Get("Expect") != "" {
		return
	}
	scrap := bufpool.Get(discardPieceBytes)
	defer bufpool.Put(scrap)
	for {
		if _, err := r.Body.Read(*scrap); err != nil {
			return
		}
	}
}

const (
	discardedBytes    = 1 << 20
	discardPieceBytes = 16 << 10
)

// refuse answers with a google.rpc.Status and returns the HTTP status.
func (q *httpRequest) refuse(r *frontend.Refusal) int {
	code := r.HTTPStatus()
	header := q.w.Header()
	if r.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(r.RetryAfterSeconds(), 10))
	}
	if code == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if code == http.StatusUnauthorized {
		if c, ok := q.h.Auth.(pipeline.Challenger); ok && c.Challenge() != "" {
			header.Set("WWW-Authenticate", c.Challenge())
		}
	}
	body, err := q.format.marshal(r.Status())
	if err != nil { // status holds valid UTF-8 and known details only
		panic(fmt.Sprintf("otlpreceiver: write a status: %v", err))
	}
	q.reply(code, body)
	return code
}

func (q *httpRequest) reply(code int, body []byte) {
	header := q.w.Header()
	header.Set("Content-Type", q.format.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if q.h.retiring.Load() { // perhaps since the request came
		header.Set("Connection", "close")
	}
	q.w.WriteHeader(code)
	q.ResponseBytes, _ = q.w.Write(body) // the client may be gone
}

// connKey finds the connection in a request's context.
type connKey struct{}

func connOf(ctx context.Context) *conns.Conn {
	c, _ := ctx.Value(connKey{}).(*conns.Conn)
	return c
}
