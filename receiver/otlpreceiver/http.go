package otlpreceiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
)

// maxHeaderBytes limits the header of a request, of both transports.
const maxHeaderBytes = 64 << 10

// httpHandler serves OTLP/HTTP.
//
//	authentication ─► path ─► method ─► Content-Type ─► admission ─► body, decompressed ─► export
//	      401          404     405         415             503            413, 400        by code
type httpHandler struct {
	*door
	formats         []*format
	routes          map[string]otlp.Signal
	codings         decompress.Codings
	maxRequestBytes int
	maxAge          time.Duration // of a connection; 0: any
	requestParams   []string
	// grpc takes the gRPC requests where the port is shared; else nil.
	grpc http.Handler
}

// newHTTPHandler joins paths with the intakes of their signals.
func newHTTPHandler(c *HTTPConfig, d *door, routes map[string]otlp.Signal) (*httpHandler, error) {
	codings, err := decompress.ParseCodings(c.CompressionAlgorithms)
	if err != nil {
		return nil, err
	}
	h := &httpHandler{
		door: d, formats: formats(), routes: routes, codings: codings,
		maxRequestBytes: defaultMaxRequestBytes, maxAge: c.MaxConnectionAge,
	}
	if a := c.Auth; a != nil {
		h.requestParams = a.RequestParams
	}
	if c.MaxRequestBodySize > 0 {
		h.maxRequestBytes = int(c.MaxRequestBodySize)
	}
	return h, nil
}

func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOfHTTP(r.Context())
	if h.maxAge > 0 && time.Since(c.since) > h.maxAge+c.jitter(h.maxAge) {
		w.Header().Set("Connection", "close")
	}
	if isGRPC(r) {
		h.overGRPC(w, r, c)
		return
	}
	f, known := formatFor(h.formats, r.Header.Get("Content-Type"))
	name := f.name
	if !known {
		name = ""
	}
	v, refused := h.enter(c, name)
	v.most = h.maxRequestBytes
	entered := refused == nil
	var response []byte
	if entered {
		response, refused = h.take(w, r, &v, f, known)
	}
	status := http.StatusOK
	if refused != nil {
		if !v.read {
			h.drain(w, r)
		}
		status = refuse(w, f, refused)
	} else {
		reply(w, f, status, f.response(v.in.signal, response))
	}
	if r.ProtoMajor == 2 && r.Context().Err() != nil {
		c.aborted()
	}
	v.leave(r.Context(), refused, status, r.Method, r.URL.Path, entered)
}

// drain reads the body of a request that is refused unread, if it is short and
// comes at once: the connection can then be used again, which costs both sides
// less than a new one. net/http would do the same in smaller pieces.
func (h *httpHandler) drain(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.pace.unread))
	if r.ProtoMajor > 1 || r.ContentLength <= 0 || r.ContentLength > drainedBytes || r.Header.Get("Expect") != "" {
		return
	}
	scrap := bufpool.Get(drainPieceBytes)
	defer bufpool.Put(scrap)
	for {
		if _, err := r.Body.Read(*scrap); err != nil {
			return
		}
	}
}

const (
	drainedBytes    = 1 << 20
	drainPieceBytes = 16 << 10
)

// jitter is up to a tenth of d either way, the same for each call, so that
// connections which began together do not end together.
func (c *conn) jitter(d time.Duration) time.Duration {
	return d / 10 * time.Duration(c.since.UnixNano()/1000%201-100) / 100
}

func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// overGRPC is for gRPC requests on the port of HTTP.
func (h *httpHandler) overGRPC(w http.ResponseWriter, r *http.Request, c *conn) {
	if h.grpc != nil {
		h.grpc.ServeHTTP(w, r)
		return
	}
	v, refused := h.enter(c, "protobuf")
	entered := refused == nil
	if entered {
		refused = &refusal{code: codes.Unimplemented, reason: obsreport.ReasonNotFound,
			message: "this is the OTLP/HTTP port: send OTLP/gRPC to the gRPC port, by default 4317, or give both protocols the same endpoint"}
	}
	answerGRPC(w, nil, refused)
	v.leave(r.Context(), refused, http.StatusOK, r.Method, r.URL.Path, entered)
}

// take is a request from its header on.
func (h *httpHandler) take(w http.ResponseWriter, r *http.Request, v *visit, f *format, known bool) (response []byte, refused *refusal) {
	ctx := r.Context()
	defer v.rescue(ctx, &refused)
	if refused := v.authenticate(ctx, h.credentials(r)); refused != nil {
		return nil, refused
	}
	if refused := h.route(r, v); refused != nil {
		return nil, refused
	}
	if !known {
		return nil, refuseFormat(h.formats, r.Header.Get("Content-Type"))
	}
	get := headerOf(r)
	if refused := v.version(get); refused != nil {
		return nil, refused
	}
	lent, refused := h.body(w, r, v)
	if refused != nil {
		return nil, refused
	}
	if f.toWire != nil {
		if lent, refused = f.toWire(v, lent); refused != nil {
			return nil, refused
		}
	}
	if h.metadata.wanted() {
		v.client.Metadata = h.metadata.pick(get, func() map[string][]string { return httpMetadata(r) })
	}
	return v.export(h.remoteParent(ctx, propagation.HeaderCarrier(r.Header)), lent)
}

// route finds whom the request is for.
func (h *httpHandler) route(r *http.Request, v *visit) *refusal {
	s, ok := h.routes[r.URL.Path]
	if !ok {
		return unknownTarget("path", r.URL.Path)
	}
	v.in = h.intakes[s]
	switch {
	case v.in.next == nil:
		return noPipeline(s)
	case r.Method != http.MethodPost:
		return &refusal{code: codes.Unimplemented, http: http.StatusMethodNotAllowed, reason: obsreport.ReasonMethod,
			message: "method " + quote(r.Method) + " is not allowed: expected POST"}
	}
	return nil
}

// noPipeline is the refusal of a signal that nobody takes.
func noPipeline(s otlp.Signal) *refusal {
	return &refusal{code: codes.Unimplemented, message: "no pipeline takes " + s.String(), reason: obsreport.ReasonNotFound}
}

// unknownTarget is the refusal of a path or method that nobody serves.
func unknownTarget(kind, found string) *refusal {
	message := "nothing is served at " + kind + " " + quote(found)
	if strings.Contains(found, "v1experimental") {
		message += ": this is OTLP profiles of an older wire format; expected " + otlp.Profiles.Spec().Service +
			" or " + otlp.Profiles.Spec().Path
	}
	return &refusal{code: codes.Unimplemented, message: message, reason: obsreport.ReasonNotFound}
}

// body returns the request's decompressed body in a buffer of bufpool. The
// request is admitted first.
func (h *httpHandler) body(w http.ResponseWriter, r *http.Request, v *visit) (*[]byte, *refusal) {
	limit := h.maxRequestBytes
	encoding := strings.Join(r.Header.Values("Content-Encoding"), ", ")
	switch {
	case h.codings.Off():
		encoding = ""
	case !h.codings.Allows(encoding):
		return nil, &refusal{code: codes.InvalidArgument, reason: obsreport.ReasonEncoding, message: fmt.Sprintf(
			"unsupported Content-Encoding %s: expected %s", quote(encoding), h.codings)}
	}
	if r.ContentLength > int64(limit) {
		return nil, refuseSize(limit)
	}
	plain := encoding == "" || strings.EqualFold(encoding, "identity")
	var dst *[]byte
	first := 0
	switch {
	case r.ContentLength <= 0:
	case plain:
		first = int(min(r.ContentLength, trustedBytes))
	case streams(encoding):
		first = int(min(r.ContentLength*usualRatio, trustedUnpackedBytes, int64(limit)))
	}
	if refused := v.admit(r.Context(), bufpool.Class(first)); refused != nil {
		return nil, refused
	}
	if first > 0 {
		var err error
		if dst, err = v.lend(0, first); err != nil {
			return nil, refuseOverload(err)
		}
	}
	src := &paced{r: r.Body, w: http.NewResponseController(w), visit: v, most: int64(limit)}
	lent, err := decompress.Decompress(encoding, dst, src, limit, v)
	v.wireBytes = int(src.n)
	if err != nil {
		refused := refuseBody(err, limit)
		if refused.reason == obsreport.ReasonBrokenOff && badChunks(r, err) {
			refused = refuseData(err)
		}
		return nil, refused
	}
	src.done()
	v.read = true
	return lent, nil
}

// refuseBody says why a body could not be read.
func refuseBody(err error, limit int) *refusal {
	switch {
	case errors.Is(err, decompress.ErrTooLarge), errors.Is(err, errWireTooLarge):
		return refuseSize(limit)
	case errors.Is(err, decompress.ErrUnknownEncoding):
		return &refusal{code: codes.InvalidArgument, message: err.Error(), reason: obsreport.ReasonEncoding}
	case errors.Is(err, decompress.ErrCorrupt):
		r := refuseData(err)
		r.reason = obsreport.ReasonDecompress
		return r
	case isOverload(err):
		return refuseOverload(err)
	}
	return brokenOff(err)
}

// badChunks says whether a body could not be read since its chunks are none (RFC
// 9112, section 7.1): the same bytes would fail again. net/http's errors for that
// have no type, while those of a connection that breaks or is too slow do.
func badChunks(r *http.Request, err error) bool {
	var network net.Error
	return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 && r.Context().Err() == nil &&
		!errors.As(err, &network) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// paced is a body that must come at leastRateBytes, and not be longer than most.
type paced struct {
	r     io.Reader
	w     *http.ResponseController
	visit *visit
	most  int64
	n     int64
	until time.Time // the read deadline
}

var errWireTooLarge = errors.New("the body is larger than the limit")

func (p *paced) Read(b []byte) (int, error) {
	pace := &p.visit.pace
	if by := pace.bodyDeadline(p.visit.began, int(p.n)); by.Sub(p.until) > pace.patience/10 {
		p.until = by
		_ = p.w.SetReadDeadline(by) // a server that cannot has no slow clients: tests
	}
	n, err := p.r.Read(b)
	if p.n += int64(n); p.n > p.most {
		return 0, errWireTooLarge
	}
	return n, err
}

// done takes the deadline away: net/http watches the connection while the
// request is worked on.
func (p *paced) done() { _ = p.w.SetReadDeadline(time.Time{}) }

// credentials are the headers that the authenticator sees, with the query
// parameters that it was promised.
func (h *httpHandler) credentials(r *http.Request) func(string) []string {
	if len(h.requestParams) == 0 {
		return headerOf(r)
	}
	query := r.URL.Query()
	return func(name string) []string {
		for _, p := range h.requestParams {
			if values := query[p]; strings.EqualFold(p, name) && len(values) > 0 {
				return values
			}
		}
		return headerOf(r)(name)
	}
}

// headerOf reads a request's headers. net/http keeps the host apart.
func headerOf(r *http.Request) func(string) []string {
	return func(name string) []string {
		if name == "host" {
			return []string{r.Host}
		}
		return r.Header.Values(name)
	}
}

// httpMetadata returns the request's headers with keys in lower case, and the
// host.
func httpMetadata(r *http.Request) map[string][]string {
	md := make(map[string][]string, len(r.Header)+1)
	for k, values := range r.Header {
		md[strings.ToLower(k)] = values
	}
	if _, ok := md["host"]; !ok && r.Host != "" {
		md["host"] = []string{r.Host}
	}
	return md
}

// refuse writes r as a google.rpc.Status in format f and returns the HTTP status.
func refuse(w http.ResponseWriter, f *format, r *refusal) int {
	code := r.httpStatus()
	header := w.Header()
	if r.retryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(r.retryAfterSeconds(), 10))
	}
	if code == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if code == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="OTLP", Basic realm="OTLP"`)
	}
	body, err := f.marshal(r.status())
	if err != nil { // status holds valid UTF-8 and known details only
		panic("otlpreceiver: write a status: " + err.Error())
	}
	reply(w, f, code, body)
	return code
}

func reply(w http.ResponseWriter, f *format, code int, body []byte) {
	header := w.Header()
	header.Set("Content-Type", f.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that has gone cannot be told
}

func refuseSize(limitBytes int) *refusal {
	return &refusal{code: codes.ResourceExhausted, http: http.StatusRequestEntityTooLarge, reason: obsreport.ReasonTooLarge,
		message: fmt.Sprintf("the request is larger than the limit of %d bytes", limitBytes)}
}

// quote puts a client's text into a message.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}

// connKey finds the connection in a request's context.
type connKey struct{}

func connOfHTTP(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}
