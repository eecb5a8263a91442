package otlpclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const contentType = "application/x-protobuf"

// errNoSignalEndpoint is the answer for a signal without an endpoint.
var errNoSignalEndpoint = errors.New("no endpoint is set for this signal")

// Endpoints are whole URLs for single signals; one that is empty is the base
// URL and the signal's path.
type Endpoints map[otlp.Signal]string

// HTTP sends over HTTP/1.1, and HTTP/2 where TLS agrees on it.
type HTTP struct {
	// transport is used without an http.Client, which follows redirects anywhere: the
	// data and the secrets in the headers would be sent to a place that is not
	// configured. Send follows those within the host. (An http.Client that does not
	// follow redirects leaves a body open.)
	transport  *http.Transport
	conns      *connections
	jar        http.CookieJar     // nil: none
	compressor bodyCompressor     // nil: none
	key        pipeline.EncodeKey // of compressor; without a codec nothing is kept of it
	passes     pipeline.Capabilities
	encodings  map[pipeline.Codec]string
	timeout    time.Duration
	now        func() time.Time
	traffic    *Traffic                    // nil: bytes are not counted
	called     func(context.Context, Call) // nil: nothing is reported
	rows       [otlp.Profiles + 1]httpRow
	closed     context.Context
	close      context.CancelFunc
}

// httpRow is what a request of one signal starts from. Both are shared: they are
// copied before they are changed.
type httpRow struct {
	url    *url.URL // nil: the signal has no endpoint
	host   string   // the Host header, if it is not the URL's
	header http.Header
}

// NewHTTP returns a client that connects when the first request is sent.
func NewHTTP(cfg config.HTTPClient, endpoints Endpoints, opts ...Option) (*HTTP, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.Folded()
	chosen := gather(opts)
	c := &HTTP{timeout: cfg.Timeout, now: time.Now, traffic: chosen.traffic, called: chosen.called}
	c.closed, c.close = context.WithCancel(context.Background())
	var err error
	if c.compressor, err = chosen.bodyCompressor(cfg); err != nil {
		return nil, err
	}
	c.passes = HTTPCapabilities(cfg.Compression, chosen.passthrough)
	c.encodings = httpCodecs
	if z := c.compressor; z != nil {
		s := z.Settings()
		c.key = pipeline.EncodeKey{Codec: httpCodec(cfg.Compression), Level: s.Level, WindowBytes: s.WindowBytes}
		c.encodings = maps.Clone(httpCodecs)
		c.encodings[c.key.Codec] = z.Encoding()
	}
	header := staticHeader(cfg)
	for _, s := range otlp.Signals() {
		row := httpRow{header: header, host: cfg.Headers.Get("host")}
		if row.url, err = SignalURL(cfg.Endpoint, endpoints[s], s); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		if spec := s.Spec(); spec.Header != "" {
			row.header = header.Clone()
			row.header.Set(spec.Header, spec.HeaderValue)
		}
		c.rows[s] = row
	}
	if c.transport, err = cfg.Transport(); err != nil {
		return nil, err
	}
	c.transport.MaxResponseHeaderBytes = maxHeaderBytes
	c.conns = &connections{userTimeout: max(cfg.Timeout, deadPeerAfter)}
	c.transport.DialContext = c.dial
	if cfg.Cookies != nil {
		c.jar, _ = cookiejar.New(nil) // it has no error to return
	}
	return c, nil
}

// SignalURL returns where a signal's requests go: own if it is set, else the
// base URL with the signal's path; nil if neither is set.
func SignalURL(base, own string, s otlp.Signal) (*url.URL, error) {
	switch {
	case own != "":
		return config.ParseHTTPEndpoint(own)
	case base == "":
		return nil, nil
	}
	u, err := config.ParseHTTPEndpoint(base)
	if err != nil {
		return nil, err
	}
	if u.Path == "" {
		u.Path = "/" // else JoinPath makes a relative one
	}
	return u.JoinPath(s.Spec().Path), nil
}

func staticHeader(cfg config.HTTPClient) http.Header {
	h := http.Header{}
	for _, own := range cfg.Headers {
		h.Set(own.Name, string(own.Value))
	}
	h.Set("User-Agent", userAgent(cfg.Headers))
	h.Set("Content-Type", contentType)
	h.Del("Host")
	h.Del("Content-Length")
	h.Del("Content-Encoding") // each request has its own
	// Without values it is not sent. It tells net/http that it may send the same
	// again where the server closed an idle connection under it. OTLP is
	// delivered at least once, so that is allowed.
	h["Idempotency-Key"] = nil
	return h
}

// dial opens a connection.
func (c *HTTP) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c.conns.add(raw), nil
}

// Send implements Sender.
func (c *HTTP) Send(ctx context.Context, r Request) (Answer, error) {
	row := httpRow{}
	if r.Signal.Valid() {
		row = c.rows[r.Signal]
	}
	refuse := func(e *Error) (Answer, error) {
		r.done()
		e.Err = failed(r.Signal, row.target(), e.Err)
		return Answer{}, e
	}
	if row.url == nil {
		return refuse(&Error{Code: codes.Unimplemented, Err: errNoSignalEndpoint})
	}
	if e := c.conns.full(); e != nil {
		return refuse(e)
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	p, err := c.payload(ctx, r)
	if err != nil {
		return refuse(notCopied(ctx, err))
	}
	defer p.unref()
	defer func() {
		if ctx.Err() != nil {
			c.conns.gaveUp()
		}
	}()
	answer, e := c.send(ctx, row, r, p)
	if e != nil {
		e.Err = failed(r.Signal, row.target(), e.Err)
		return Answer{}, e
	}
	return answer, nil
}

// send makes one exchange.
func (c *HTTP) send(ctx context.Context, row httpRow, r Request, p *payload) (Answer, *Error) {
	sent, uncompressed := len(p.bytes), len(r.Bytes)
	ctx = c.traffic.watch(ctx, uncompressed, sent)
	resp, err := c.exchange(r.Signal, row.request(ctx, r.Headers, p))
	for hops := 0; err == nil; hops++ {
		to := redirect(resp)
		if to == nil || hops == maxRedirects {
			break
		}
		_ = resp.Body.Close()
		row.url, row.host = to, ""
		resp, err = c.exchange(r.Signal, row.request(ctx, r.Headers, p))
	}
	if err != nil {
		return Answer{}, &Error{Retryable: true, Code: transportCode(err), Err: err}
	}
	c.traffic.listen(resp)
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return readAnswer(resp)
	}
	e := classifyHTTP(resp.StatusCode, resp.Header.Get("Retry-After"), c.now())
	e.Err = refusal(resp)
	e.tooLargeHTTP(sent, uncompressed)
	return Answer{}, e
}

// bounded ends ctx also with the timeout, and when the client is closed.
func (c *HTTP) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	var cancel context.CancelFunc
	if c.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	unhook := context.AfterFunc(c.closed, cancel)
	return ctx, func() { unhook(); cancel() }
}

// payload returns what is sent for r, which takes over r.Done. After an error that is
// the caller's to call.
func (c *HTTP) payload(ctx context.Context, r Request) (*payload, error) {
	if e := r.encoded(c.passes); e.Codec != pipeline.CodecNone {
		return newPayload(ctx, r.Batch, e.Bytes, c.encodings[e.Codec], r.done)
	}
	if c.compressor == nil {
		return newPayload(ctx, r.Batch, r.Bytes, "", r.done)
	}
	if c.key.Codec != pipeline.CodecNone && r.sendsBatch() {
		z, err := r.compressOnce(ctx, c.key, c.compressor)
		if err != nil {
			return nil, err
		}
		return newPayload(ctx, r.Batch, z, c.compressor.Encoding(), r.done)
	}
	to := memory{ctx: ctx, batch: r.Batch}
	z, err := c.compressor.CompressTo(ctx, r.Bytes, to.grow)
	if err == nil {
		to.buf.Bytes = z
		var p *payload
		if p, err = newPayload(ctx, r.Batch, z, c.compressor.Encoding(), func() { to.release(); r.done() }); err == nil {
			return p, nil
		}
	}
	to.release()
	return nil, err
}

// target is where requests go, for errors.
func (row httpRow) target() string {
	if row.url == nil {
		return "no endpoint"
	}
	return config.RedactURL(row.url)
}

func (row httpRow) request(ctx context.Context, more map[string]string, p *payload) *http.Request {
	header := row.header.Clone()
	for name, value := range more {
		header.Set(name, value)
	}
	if p.encoding != "" {
		header.Set("Content-Encoding", p.encoding)
	}
	u := *row.url
	if user := u.User; user != nil && header.Get("Authorization") == "" {
		password, _ := user.Password()
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	req := &http.Request{
		Method: http.MethodPost, URL: &u, Host: row.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(p.bytes)),
		Body:          http.NoBody,
	}
	if len(p.bytes) > 0 {
		req.Body = p.body()
		req.GetBody = func() (io.ReadCloser, error) { return p.body(), nil }
	}
	return req.WithContext(ctx)
}

func (c *HTTP) exchange(s otlp.Signal, req *http.Request) (*http.Response, error) {
	if c.jar != nil {
		for _, cookie := range c.jar.Cookies(req.URL) {
			req.AddCookie(cookie)
		}
	}
	resp, err := c.roundTrip(s, req)
	if err == nil && c.jar != nil {
		c.jar.SetCookies(req.URL, resp.Cookies())
	}
	return resp, err
}

// roundTrip sends req and reports the call.
func (c *HTTP) roundTrip(s otlp.Signal, req *http.Request) (*http.Response, error) {
	if c.called == nil {
		return c.transport.RoundTrip(req)
	}
	call := Call{Signal: s, URL: req.URL, Protocol: req.Proto}
	var whole atomic.Bool // net/http calls WroteRequest in a goroutine of its own
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { whole.Store(false) }, // once for each attempt of net/http
		WroteRequest: func(info httptrace.WroteRequestInfo) { whole.Store(info.Err == nil) },
	}))
	began := time.Now()
	resp, err := c.transport.RoundTrip(req)
	call.Took, call.Err = time.Since(began), err
	if err == nil {
		call.HTTPStatus, call.Protocol = resp.StatusCode, resp.Proto
	}
	if whole.Load() || call.HTTPStatus/100 == 2 { // over HTTP/2 the response may be seen first
		call.RequestBytes = int(req.ContentLength)
	}
	c.called(req.Context(), call)
	return resp, err
}

// Capabilities returns the codecs of which it sends compressed bytes as they came.
func (c *HTTP) Capabilities() pipeline.Capabilities { return c.passes }

// Close implements Sender.
func (c *HTTP) Close() error {
	c.close()
	c.conns.close()
	c.transport.CloseIdleConnections()
	return nil
}
