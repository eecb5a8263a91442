package otlpreceiver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/netcfg"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const (
	// trustedBytes is how much of a Content-Length is believed before the bytes
	// are there. Larger bodies grow their buffer as they arrive.
	trustedBytes = 1 << 20
	// maxHeaderBytes limits the header of a request, of both transports.
	maxHeaderBytes = 1 << 20
)

// httpHandler serves OTLP/HTTP.
//
//	path ─► method ─► Content-Type ─► body, decompressed and bounded ─► export
//	 404     405         415            413, 400                         by code
type httpHandler struct {
	formats         []*format
	routes          map[string]*intake // next is nil where no pipeline is
	gate            *gate
	maxRequestBytes int
	includeMetadata bool
}

// newHTTPHandler joins paths with the intakes of their signals.
func newHTTPHandler(c *HTTPConfig, paths map[string]otlp.Signal, intakes []*intake, g *gate) *httpHandler {
	h := &httpHandler{
		formats: formats(), routes: make(map[string]*intake, len(paths)), gate: g,
		maxRequestBytes: defaultMaxRequestBytes, includeMetadata: c.IncludeMetadata,
	}
	if c.MaxRequestBodySize > 0 {
		h.maxRequestBytes = int(c.MaxRequestBodySize)
	}
	for path, s := range paths {
		for _, in := range intakes {
			if in.signal == s {
				h.routes[path] = in
			}
		}
	}
	return h
}

func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	contentType := r.Header.Get("Content-Type")
	f, known := formatFor(h.formats, contentType)
	if !h.gate.enter() {
		refuse(w, f, errShuttingDown())
		return
	}
	defer h.gate.leave()

	in, refused := h.route(r)
	if refused == nil && f.toWire == nil {
		refused = refuseFormat(h.formats, f, known, contentType)
	}
	var response []byte
	if refused == nil {
		response, refused = h.take(w, r, in, f)
	}
	if refused != nil {
		refuse(w, f, refused)
		return
	}
	w.Header().Set("Content-Type", f.mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(response)))
	_, _ = w.Write(response) // a client that has gone cannot be told
}

// route finds whom the request is for.
func (h *httpHandler) route(r *http.Request) (*intake, *refusal) {
	in := h.routes[r.URL.Path]
	switch {
	case in == nil:
		return nil, &refusal{code: codes.Unimplemented, message: "nothing is served at path " + quote(r.URL.Path)}
	case in.next == nil:
		return nil, &refusal{code: codes.Unimplemented, message: "no pipeline takes " + in.signal.String()}
	case r.Method != http.MethodPost:
		return nil, &refusal{code: codes.Unimplemented, http: http.StatusMethodNotAllowed,
			message: "method " + quote(r.Method) + " is not allowed: expected POST"}
	}
	return in, nil
}

// take reads the body and exports it.
func (h *httpHandler) take(w http.ResponseWriter, r *http.Request, in *intake, f *format) ([]byte, *refusal) {
	body, refused := h.readBody(w, r)
	if refused != nil {
		return nil, refused
	}
	client := &pipeline.Client{Addr: r.RemoteAddr, Transport: "http", Format: f.name, Received: time.Now()}
	if h.includeMetadata {
		client.Metadata = httpMetadata(r)
	}
	lent, err := f.toWire(in.signal, body)
	if err != nil {
		return nil, refuseData(err)
	}
	return in.export(r.Context(), lent, client)
}

// readBody returns the decompressed body in a buffer of bufpool.
func (h *httpHandler) readBody(w http.ResponseWriter, r *http.Request) (*[]byte, *refusal) {
	limit := h.maxRequestBytes
	if r.ContentLength > int64(limit) {
		return nil, refuseSize(limit)
	}
	encoding := strings.Join(r.Header.Values("Content-Encoding"), ", ")
	var guess *[]byte
	if encoding == "" && r.ContentLength > 0 {
		guess = bufpool.Get(int(min(r.ContentLength, trustedBytes)))
	}
	lent, err := netcfg.Decompress(encoding, guess, http.MaxBytesReader(w, r.Body, int64(limit)), limit)
	var tooLong *http.MaxBytesError
	switch {
	case err == nil:
		return lent, nil
	case errors.Is(err, netcfg.ErrTooLarge), errors.As(err, &tooLong):
		return nil, refuseSize(limit)
	case errors.Is(err, netcfg.ErrUnknownEncoding):
		return nil, &refusal{code: codes.InvalidArgument, message: fmt.Sprintf("unsupported Content-Encoding %s: expected %s or none",
			quote(encoding), strings.Join(netcfg.Encodings(), ", "))}
	case errors.Is(err, netcfg.ErrCorrupt):
		return nil, refuseData(err)
	}
	// The connection broke or was too slow. The data may be fine.
	return nil, &refusal{code: codes.Unavailable, message: err.Error()}
}

// httpMetadata returns the request's headers with keys in lower case, and the
// Host, which net/http keeps apart.
func httpMetadata(r *http.Request) map[string][]string {
	md := make(map[string][]string, len(r.Header)+1)
	for k, v := range r.Header {
		md[strings.ToLower(k)] = v
	}
	if _, ok := md["host"]; !ok && r.Host != "" {
		md["host"] = []string{r.Host}
	}
	return md
}

// refuse writes r as a google.rpc.Status in format f.
func refuse(w http.ResponseWriter, f *format, r *refusal) {
	code := r.httpStatus()
	header := w.Header()
	if r.retryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(r.retryAfterSeconds(), 10))
	}
	if code == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	body, err := f.marshal(r.status())
	if err != nil { // status holds valid UTF-8 and known details only
		panic("otlpreceiver: write a status: " + err.Error())
	}
	header.Set("Content-Type", f.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that has gone cannot be told
}

func refuseSize(limitBytes int) *refusal {
	return &refusal{code: codes.ResourceExhausted, http: http.StatusRequestEntityTooLarge,
		message: fmt.Sprintf("the request is larger than the limit of %d bytes", limitBytes)}
}

func unsupportedMedia(message string) *refusal {
	return &refusal{code: codes.InvalidArgument, http: http.StatusUnsupportedMediaType, message: message}
}

// quote puts a client's text into a message.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
