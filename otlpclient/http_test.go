package otlpclient

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
)

func newHTTP(t testing.TB, base string, change func(*config.HTTPClient, Endpoints)) *HTTP {
	t.Helper()
	cfg, endpoints := config.DefaultHTTPClient(), Endpoints{}
	cfg.Endpoint, cfg.Compression, cfg.Timeout = base, config.NoCompression, hangsAfter
	if change != nil {
		change(&cfg, endpoints)
	}
	c, err := NewHTTP(cfg, endpoints)
	if err != nil {
		t.Fatal(err)
	}
	c.transport.TLSHandshakeTimeout = hangsAfter
	t.Cleanup(func() { c.Close() })
	return c
}

func startHTTP(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// seen is what an HTTP destination saw of one request.
type seen struct {
	r    *http.Request
	body []byte
}

func recorder(arrivals chan<- seen) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		wire, _ := io.ReadAll(r.Body)
		body, err := decompress.Decompress(r.Header.Get("Content-Encoding"), nil, bytes.NewReader(wire), 64<<20, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		arrivals <- seen{r, bytes.Clone(*body)}
		bufpool.Put(body)
		w.Header().Set("Content-Type", contentType)
	}
}

func TestHTTPDeliversBytes(t *testing.T) {
	t.Parallel()
	arrivals := make(chan seen, 1)
	h1 := startHTTP(t, recorder(arrivals))
	ca := tlstest.New(t)
	h2 := httptest.NewUnstartedServer(recorder(arrivals))
	h2.TLS, h2.EnableHTTP2 = ca.Server("127.0.0.1"), true
	h2.StartTLS()
	t.Cleanup(h2.Close)

	for _, server := range []*httptest.Server{h1, h2} {
		for _, compression := range []config.Compression{"", "none", "gzip", "zstd"} {
			c := newHTTP(t, server.URL, func(cfg *config.HTTPClient, _ Endpoints) {
				cfg.Compression = compression
				cfg.TLS.CAPem = config.Secret(ca.PEM)
				cfg.Headers = config.Headers{{Name: "X-Tenant", Value: "a"}, {Name: "Content-Encoding", Value: "br"}, {Name: "content-type", Value: "text/plain"}}
			})
			for _, s := range otlp.Signals() {
				for _, n := range []int{0, 1, 70_000, 600_000} {
					body := text(n)
					if a, err := send(t, c, s, body); err != nil || a != (Answer{}) {
						t.Fatalf("%s, %q, %d bytes: %+v, %v", s, compression, n, a, err)
					}
					got := <-arrivals
					if !bytes.Equal(got.body, body) {
						t.Errorf("%s, %q: %d bytes went out, %d others arrived", s, compression, n, len(got.body))
					}
					if got.r.Method != "POST" || got.r.URL.Path != s.Spec().Path || got.r.ProtoMajor != map[*httptest.Server]int{h1: 1, h2: 2}[server] {
						t.Errorf("%s: got %s %s %s", s, got.r.Method, got.r.URL, got.r.Proto)
					}
					want := map[string]string{
						"Content-Type": "application/x-protobuf", "X-Tenant": "a", "Content-Encoding": compression.Encoding(),
						"Otlp-Profiles-Development-Version": map[bool]string{true: "1"}[s == otlp.Profiles], "Idempotency-Key": "",
					}
					for name, w := range want {
						if v := got.r.Header.Values(name); strings.Join(v, "|") != w {
							t.Errorf("header %s: %q, want %q", name, v, w)
						}
					}
					if ua := got.r.UserAgent(); !strings.HasPrefix(ua, "penstock/") {
						t.Errorf("user agent %q", ua)
					}
				}
			}
		}
	}
}

func TestHTTPHeaders(t *testing.T) {
	t.Parallel()
	arrivals := make(chan seen, 1)
	s := startHTTP(t, recorder(arrivals))
	c := newHTTP(t, s.URL, func(cfg *config.HTTPClient, _ Endpoints) {
		cfg.Headers = config.Headers{{Name: "user-agent", Value: "mine/1"}, {Name: "host", Value: "backend.example"}, {Name: "a", Value: "static"}}
	})
	for _, more := range []map[string]string{{"a": "own"}, nil} { // the first must not stay
		if _, err := c.Send(t.Context(), Request{Signal: otlp.Logs, Bytes: []byte("x"), Headers: more}); err != nil {
			t.Fatal(err)
		}
		got, want := (<-arrivals).r, "static"
		if more != nil {
			want = "own"
		}
		if got.UserAgent() != "mine/1" || got.Host != "backend.example" || got.Header.Get("a") != want {
			t.Errorf("got %v, host %s", got.Header, got.Host)
		}
	}
}

// A name and password in the URL become a header, unless there is one.
func TestHTTPBasicAuth(t *testing.T) {
	t.Parallel()
	arrivals := make(chan seen, 1)
	s := startHTTP(t, recorder(arrivals))
	base := strings.Replace(s.URL, "//", "//user:s3cret@", 1)
	for want, headers := range map[string]config.Headers{
		"Basic dXNlcjpzM2NyZXQ=": nil, "Bearer x": {{Name: "authorization", Value: "Bearer x"}},
	} {
		c := newHTTP(t, base, func(cfg *config.HTTPClient, _ Endpoints) { cfg.Headers = headers })
		if _, err := send(t, c, otlp.Traces, text(10)); err != nil {
			t.Fatal(err)
		}
		if got := (<-arrivals).r.Header.Get("Authorization"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHTTPEndpoints(t *testing.T) {
	t.Parallel()
	arrivals := make(chan seen, 1)
	s := startHTTP(t, recorder(arrivals))
	for _, c := range []struct {
		base string
		own  Endpoints
		want map[otlp.Signal]string // "" is none
	}{
		{s.URL, nil, map[otlp.Signal]string{otlp.Metrics: "/v1/metrics"}},
		{s.URL + "/", nil, map[otlp.Signal]string{otlp.Traces: "/v1/traces", otlp.Profiles: "/v1development/profiles"}},
		{s.URL + "/base//x/?tenant=1", nil, map[otlp.Signal]string{otlp.Logs: "/base/x/v1/logs?tenant=1"}},
		{s.URL + "/base", Endpoints{otlp.Logs: s.URL + "/in?x=y"}, map[otlp.Signal]string{otlp.Logs: "/in?x=y", otlp.Metrics: "/base/v1/metrics"}},
		{"", Endpoints{otlp.Traces: s.URL}, map[otlp.Signal]string{otlp.Traces: "/", otlp.Metrics: "", otlp.Logs: "", otlp.Profiles: ""}},
	} {
		client := newHTTP(t, c.base, func(_ *config.HTTPClient, own Endpoints) {
			for signal, endpoint := range c.own {
				own[signal] = endpoint
			}
		})
		for signal, want := range c.want {
			_, err := send(t, client, signal, text(10))
			if want == "" {
				if e := asError(t, err); e.Retryable || !errors.Is(err, errNoSignalEndpoint) {
					t.Errorf("%s has no endpoint: %v", signal, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := (<-arrivals).r.RequestURI; got != want {
				t.Errorf("%s with base %q: %s, want %s", signal, c.base, got, want)
			}
		}
	}
}

// Every final status (OTLP specification, "OTLP/HTTP Response").
func TestHTTPStatuses(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(int(status.Load()))
	})
	c := newHTTP(t, s.URL, nil)
	for code := 200; code <= 599; code++ {
		status.Store(int32(code))
		_, err := send(t, c, otlp.Traces, []byte("x"))
		if code < 300 {
			if err != nil {
				t.Errorf("%d: %v, want none", code, err)
			}
			continue
		}
		e := asError(t, err)
		retryable := code == 429 || code == 502 || code == 503 || code == 504 || code >= 520 && code <= 527 || code == 530
		if e.Retryable != retryable || e.Throttled != (code == 429) || e.HTTPStatus != code || e.RetryAfter != 0 {
			t.Errorf("%d: %+v", code, e)
		}
		if retryable != retryableCodes[e.Code] {
			t.Errorf("%d: code %s contradicts it", code, e.Code)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("send traces to %s/v1/traces: HTTP status %d", s.URL, code)) {
			t.Errorf("the error does not say what was done: %v", err)
		}
	}
}

func TestHTTPRetryAfter(t *testing.T) {
	t.Parallel()
	for _, code := range []int{400, 429, 502, 503, 504} {
		for header, want := range map[string]time.Duration{"13": 13 * time.Second, "Sat, 21 Nov 2026 12:00:30 GMT": 30 * time.Second, "0": 0, "soon": -1} {
			s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(code)
			})
			c := newHTTP(t, s.URL, nil)
			c.now = func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }
			_, err := send(t, c, otlp.Traces, []byte("x"))
			e := asError(t, err)
			wantThrottled := code != 400 && want >= 0 || code == 429
			if code == 400 || want < 0 {
				want = 0
			}
			if e.Throttled != wantThrottled || e.RetryAfter != want {
				t.Errorf("%d with %q: throttled %t, %s, want %t, %s", code, header, e.Throttled, e.RetryAfter, wantThrottled, want)
			}
		}
	}
}

// The destination's own words reach the error, fit for a log.
func TestHTTPRefusalText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, body, want string }{
		{contentType, string(marshal(t, &spb.Status{Code: 3, Message: "bad \x1b[31mid"})), "HTTP status 400 Bad Request: bad  [31mid"},
		{contentType, "\xff\xff", "HTTP status 400 Bad Request"},
		{contentType, "", "HTTP status 400 Bad Request"},
		{"text/plain; charset=utf-8", "no such\ntenant\n", "HTTP status 400 Bad Request: no such tenant"},
		{"application/json", `{"message":"x"}`, `HTTP status 400 Bad Request: {"message":"x"}`},
		{"text/html", "<html>very long page</html>", "HTTP status 400 Bad Request"},
		{"text/plain", strings.Repeat("x", 1<<20), "HTTP status 400 Bad Request: " + strings.Repeat("x", maxMessageBytes)},
	} {
		s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, c.body)
		})
		_, err := send(t, newHTTP(t, s.URL, nil), otlp.Traces, []byte("x"))
		want := "send traces to " + s.URL + "/v1/traces: " + c.want
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.kind, diff)
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 6<<20))
	z.Close()
	for name, c := range map[string]struct {
		status     int
		kind, body string
		want       Answer
		warn       string
	}{
		"partial":     {200, contentType, string(partial(t, 3, "too old")), Answer{Rejected: 3, Message: "too old"}, ""},
		"accepted":    {202, contentType, string(partial(t, 3, "too old")), Answer{Rejected: 3, Message: "too old"}, ""},
		"warning":     {200, contentType + "; a=b", string(partial(t, 0, "deprecated")), Answer{Message: "deprecated"}, ""},
		"no content":  {204, "", "", Answer{}, ""},
		"text":        {200, "text/plain", "ok", Answer{}, `content type is "text/plain"`},
		"json":        {200, "application/json", "{}", Answer{}, "application/json"},
		"unreadable":  {200, contentType, "\xff\xff\xff", Answer{}, "the answer is not an OTLP response"},
		"a gzip bomb": {200, contentType, bomb.String(), Answer{}, "the answer is not an OTLP response"},
	} {
		s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", c.kind)
			if name == "a gzip bomb" {
				w.Header().Set("Content-Encoding", "gzip")
			}
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		got, err := send(t, newHTTP(t, s.URL, nil), otlp.Traces, text(100))
		if err != nil {
			t.Errorf("%s: %v, want success: the data was taken", name, err)
		}
		if c.warn == "" != (got.Warning == nil) || c.warn != "" && !strings.Contains(got.Warning.Error(), c.warn) {
			t.Errorf("%s: warning %v, want %q", name, got.Warning, c.warn)
		}
		got.Warning = nil
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// An answer that is too long is an error for good, although its status is success.
func TestHTTPAnswerTooLong(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		w.Write(make([]byte, maxResponseBytes+1))
	})
	_, err := send(t, newHTTP(t, s.URL, nil), otlp.Traces, text(100))
	var e *Error
	if !errors.As(err, &e) || e.Retryable || !strings.Contains(err.Error(), "longer than 4194304 bytes") {
		t.Errorf("%v", err)
	}
}

// A destination that never stops talking costs 4 MiB, and one that talks slowly
// the timeout.
func TestHTTPEndlessAnswers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 500, 503} {
		for _, slow := range []bool{false, true} {
			s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", contentType)
				w.Header().Set("Content-Length", fmt.Sprint(10<<30))
				w.WriteHeader(status)
				chunk := make([]byte, 1<<20)
				if slow {
					chunk = chunk[:1]
				}
				for r.Context().Err() == nil {
					if _, err := w.Write(chunk); err != nil {
						return
					}
					w.(http.Flusher).Flush()
					if slow {
						time.Sleep(5 * time.Millisecond)
					}
				}
			})
			timeout := hangsAfter
			if slow {
				timeout = 100 * time.Millisecond
			}
			got, err := sendWithin(t, s.URL, timeout)
			var e *Error
			for slow && errors.As(err, &e) && e.HTTPStatus == 0 && timeout < hangsAfter {
				timeout *= 2 // it was over before the status came
				got, err = sendWithin(t, s.URL, timeout)
			}
			switch {
			case status == 200 && slow && (err != nil || got.Warning == nil):
				t.Errorf("200, slowly: %+v, %v, want success with a warning", got, err)
			case status == 200 && !slow && asError(t, err).Retryable:
				t.Errorf("200: %+v, want an error for good", err)
			case status != 200 && asError(t, err).Retryable != (status == 503):
				t.Errorf("%d, slow %t: %+v", status, slow, err)
			}
			if err != nil && len(err.Error()) > 4*maxMessageBytes {
				t.Errorf("%d: an error of %d bytes", status, len(err.Error()))
			}
		}
	}
}

func sendWithin(t *testing.T, base string, timeout time.Duration) (Answer, error) {
	t.Helper()
	c := newHTTP(t, base, func(cfg *config.HTTPClient, _ Endpoints) { cfg.Timeout = timeout })
	return send(t, c, otlp.Traces, text(100))
}

func TestHTTPHugeHeader(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 10<<20))
	})
	_, err := send(t, newHTTP(t, s.URL, nil), otlp.Traces, text(100))
	if e := asError(t, err); !e.Retryable || len(e.Error()) > 4*maxMessageBytes {
		t.Errorf("got %+v", e)
	}
}

func TestHTTPRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	elsewhere := startHTTP(t, func(http.ResponseWriter, *http.Request) { stolen.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/x", status)
		})
		_, err := send(t, newHTTP(t, s.URL, nil), otlp.Traces, text(100))
		if e := asError(t, err); e.Retryable || !strings.Contains(e.Error(), "is not followed") || !strings.Contains(e.Error(), elsewhere.URL) {
			t.Errorf("%d: %+v", status, e)
		}
	}
	if stolen.Load() != 0 {
		t.Errorf("%d requests went elsewhere", stolen.Load())
	}
}

func TestHTTPUnreachable(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	lis.Close()
	for _, compression := range []config.Compression{"none", "gzip"} {
		c := newHTTP(t, "http://user:s3cret@"+addr, func(cfg *config.HTTPClient, _ Endpoints) { cfg.Compression = compression })
		_, err = send(t, c, otlp.Traces, text(5000))
		if e := asError(t, err); !e.Retryable || e.Code != codes.Unavailable || e.HTTPStatus != 0 {
			t.Errorf("got %+v", e)
		}
		if s := err.Error(); strings.Contains(s, "s3cret") || strings.Count(s, addr) > 2 {
			t.Errorf("the error tells the password, or repeats itself: %s", s)
		}
	}
}

func TestHTTPTLS(t *testing.T) {
	t.Parallel()
	ca, otherCA := tlstest.New(t), tlstest.New(t)
	quiet := func(w http.ResponseWriter, r *http.Request) {}
	start := func(host string) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(quiet))
		s.TLS = ca.Server(host)
		s.Config.ErrorLog = discardLog()
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL
	}
	good, named := start("127.0.0.1"), start("backend.example")
	trusting := config.TLS{CAPem: config.Secret(ca.PEM)}
	for name, c := range map[string]struct {
		url string
		tls config.ClientTLS
		ok  bool
	}{
		"trusted":                  {good, config.ClientTLS{TLS: trusting}, true},
		"wrong authority":          {good, config.ClientTLS{TLS: config.TLS{CAPem: config.Secret(otherCA.PEM)}}, false},
		"system's only":            {good, config.ClientTLS{}, false},
		"insecure_skip_verify":     {good, config.ClientTLS{InsecureSkipVerify: true}, true},
		"insecure changes nothing": {good, config.ClientTLS{Insecure: true, InsecureSkipVerify: true}, true},
		"wrong name":               {named, config.ClientTLS{TLS: trusting}, false},
		"server_name_override":     {named, config.ClientTLS{TLS: trusting, ServerName: "backend.example"}, true},
	} {
		_, err := send(t, newHTTP(t, c.url, func(cfg *config.HTTPClient, _ Endpoints) { cfg.TLS = c.tls }), otlp.Logs, text(2000))
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !asError(t, err).Retryable {
			t.Errorf("%s: a connection that fails is not the data's fault: %v", name, err)
		}
	}
}

func TestHTTPTimeoutAndCancel(t *testing.T) {
	t.Parallel()
	large := text(16 << 20) // more than the sockets hold
	for _, compression := range []config.Compression{"none", "zstd"} {
		entered, release := make(chan struct{}, 10), make(chan struct{})
		s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-release // reads nothing of the body
		})
		defer close(release)
		c := newHTTP(t, s.URL, func(cfg *config.HTTPClient, _ Endpoints) {
			cfg.Compression, cfg.Timeout = compression, 50*time.Millisecond
		})
		_, err := send(t, c, otlp.Traces, large)
		if e := asError(t, err); !e.Retryable || e.Code != codes.DeadlineExceeded {
			t.Errorf("timeout: %+v", e)
		}
		for len(entered) > 0 {
			<-entered
		}
		c = newHTTP(t, s.URL, func(cfg *config.HTTPClient, _ Endpoints) { cfg.Compression, cfg.Timeout = compression, 0 })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-entered; cancel() }()
		l := newCheckedBytes(text(20 << 20))
		_, err = c.Send(ctx, Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
		if e := asError(t, err); !e.Retryable || e.Code != codes.Canceled {
			t.Errorf("cancel: %+v", e)
		}
		l.mustBeDone(t)
		go func() { <-entered; c.Close() }()
		_, err = send(t, c, otlp.Traces, large)
		if e := asError(t, err); !e.Retryable {
			t.Errorf("close: %+v", e)
		}
	}
}

// A caller that leaves in the middle: releasing the bytes overwrites them, so a reader
// that is left is seen by the race detector.
func TestHTTPGivesUpAtAnyTime(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	drain := func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }
	h1, h2 := startHTTP(t, drain), httptest.NewUnstartedServer(http.HandlerFunc(drain))
	h2.TLS, h2.EnableHTTP2, h2.Config.ErrorLog = ca.Server("127.0.0.1"), true, discardLog()
	h2.StartTLS()
	t.Cleanup(h2.Close)
	body := text(4 << 20)
	for _, server := range []*httptest.Server{h1, h2} {
		c := newHTTP(t, server.URL, func(cfg *config.HTTPClient, _ Endpoints) { cfg.TLS.CAPem = config.Secret(ca.PEM) })
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
			l := newCheckedBytes(body)
			_, err := c.Send(ctx, Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
			cancel()
			if err != nil && !asError(t, err).Retryable {
				t.Fatal(err)
			}
			l.mustBeDone(t)
		}
	}
}

// A destination that refuses before it has read everything.
func TestHTTPRefusedEarly(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	c := newHTTP(t, s.URL, nil)
	for range 10 {
		l := newCheckedBytes(text(5 << 20))
		_, err := c.Send(t.Context(), Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
		// Whether the answer or the broken pipe is seen first is TCP's to decide.
		if e := asError(t, err); e.Retryable && e.HTTPStatus != 0 {
			t.Errorf("got %+v", e)
		}
		l.mustBeDone(t)
	}
}

// countConns counts the connections that a server takes.
func countConns(s *httptest.Server) *atomic.Int32 {
	n := new(atomic.Int32)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
	return n
}

// Connections are kept for the next burst, all of them: there is one host.
func TestHTTPKeepsConnections(t *testing.T) {
	t.Parallel()
	const burst = 12
	var inside sync.WaitGroup
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside.Done()
		inside.Wait() // all at the same time
	}))
	conns := countConns(s)
	s.Start()
	defer s.Close()
	c := newHTTP(t, s.URL, nil)
	for range 3 {
		inside.Add(burst)
		var all sync.WaitGroup
		for range burst {
			all.Go(func() { send(t, c, otlp.Traces, text(100)) })
		}
		all.Wait()
	}
	if n := conns.Load(); n != burst {
		t.Errorf("3 bursts of %d requests took %d connections", burst, n)
	}
}

// If a server closes idle connections, requests do not fail.
func TestHTTPStaleConnection(t *testing.T) {
	t.Parallel()
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	c := newHTTP(t, s.URL, nil)
	for range 30 {
		l := newCheckedBytes(text(500))
		if _, err := c.Send(t.Context(), Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release}); err != nil {
			t.Fatal(err)
		}
		l.mustBeDone(t)
		s.CloseClientConnections()
	}
}

func TestHTTPProxy(t *testing.T) {
	t.Parallel()
	asked := make(chan *url.URL, 1)
	proxy := startHTTP(t, func(w http.ResponseWriter, r *http.Request) { asked <- r.URL })
	c := newHTTP(t, "http://backend.invalid:4318", func(cfg *config.HTTPClient, _ Endpoints) { cfg.ProxyURL = proxy.URL })
	if _, err := send(t, c, otlp.Traces, text(100)); err != nil {
		t.Fatal(err)
	}
	if got := (<-asked).String(); got != "http://backend.invalid:4318/v1/traces" {
		t.Errorf("the proxy was asked for %s", got)
	}
}

func TestHTTPCookies(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Cookie")
		http.SetCookie(w, &http.Cookie{Name: "lb", Value: "7"})
	})
	for _, keep := range []bool{false, true} {
		c := newHTTP(t, s.URL, func(cfg *config.HTTPClient, _ Endpoints) {
			if keep {
				cfg.Cookies = &config.Cookies{}
			}
		})
		for i, want := range []string{"", map[bool]string{true: "lb=7"}[keep]} {
			if _, err := send(t, c, otlp.Traces, text(100)); err != nil {
				t.Fatal(err)
			}
			if cookie := <-got; cookie != want {
				t.Errorf("keep %t, request %d: cookie %q, want %q", keep, i, cookie, want)
			}
		}
	}
}

func TestHTTPRefusesConfig(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*config.HTTPClient, Endpoints){
		"the endpoint is not a URL": func(c *config.HTTPClient, _ Endpoints) { c.Endpoint = "host:4318" },
		"logs: the endpoint":        func(_ *config.HTTPClient, e Endpoints) { e[otlp.Logs] = "nowhere" },
		"no such file":              func(c *config.HTTPClient, _ Endpoints) { c.TLS.CAFile = "/gone" },
		"unknown compression":       func(c *config.HTTPClient, _ Endpoints) { c.Compression = "brotli" },
		`compression "lz4": not included in this program: supply it with otlpclient.WithCompressor`: func(c *config.HTTPClient, _ Endpoints) {
			c.Compression = "lz4"
		},
	} {
		cfg, endpoints := config.DefaultHTTPClient(), Endpoints{}
		cfg.Endpoint = "http://host:4318"
		change(&cfg, endpoints)
		if _, err := NewHTTP(cfg, endpoints); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func BenchmarkHTTPSend(b *testing.B) {
	s := startHTTP(b, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	for _, n := range []int{5800, 437_000} {
		body := text(n)
		for _, compression := range []config.Compression{"none", "gzip", "zstd"} {
			b.Run(fmt.Sprintf("%d/%s", n, compression), func(b *testing.B) {
				c := newHTTP(b, s.URL, func(cfg *config.HTTPClient, _ Endpoints) { cfg.Compression = compression })
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := c.Send(b.Context(), Request{Signal: otlp.Traces, Bytes: body}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
