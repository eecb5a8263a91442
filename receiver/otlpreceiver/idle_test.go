package otlpreceiver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Clients that announce a body and send none, or little of it.

// announce opens a stream with a body of a MiB, of which it sends what is given.
func (h *rawH2) announce(path, media string, body []byte) error {
	h.text.Reset()
	for _, f := range append([][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", path}, {"content-type", media}, {"te", "trailers"}}, h.more...) {
		_ = h.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	id := h.next
	h.next += 2
	err := h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.text.Bytes(), EndHeaders: true})
	if err == nil && len(body) > 0 {
		err = h.fr.WriteData(id, false, body)
	}
	return err
}

// idleStreams opens n requests, which stay open as long as the server lets them.
func idleStreams(t *testing.T, r *rig, kind string, n int) {
	t.Helper()
	const perConn = 200
	var h *rawH2
	for i := range n {
		if kind == "http/1" {
			conn := dialRaw(t, r.HTTPAddr(), nil, "")
			_, _ = io.WriteString(conn, "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000000\r\n\r\n")
			continue
		}
		target := h2Targets[map[string]int{"grpc": 0, "grpc on one port": 1, "http": 2}[kind]]
		if i%perConn == 0 {
			h = newRawH2(t, target.addr(r))
			conn := h.Conn
			go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
		}
		var prefix []byte
		if target.media == "application/grpc" {
			prefix = frame(0, 1_000_000, nil)
		} else {
			h.more = [][2]string{{"content-length", "1000000"}}
		}
		if err := h.announce(target.path, target.media, prefix); err != nil {
			t.Fatal(err)
		}
	}
}

// idleKinds are how requests can be idle.
var idleKinds = []string{"grpc", "grpc on one port", "http", "http/1"}

func idleConfig(t *testing.T, kind string) Config {
	if kind == "grpc on one port" {
		return onePortConfig("tcp", freePort(t), nil)
	}
	return testConfig()
}

// A client is served beside hundreds of requests that send nothing, at its own
// address: those hold little, and yield if that is too much.
func TestIdleRequestsDoNotStarveOthers(t *testing.T) {
	t.Parallel()
	for _, kind := range idleKinds {
		for _, n := range []int{200, 900} { // the second holds more than the budget
			t.Run(fmt.Sprintf("%s %d", kind, n), func(t *testing.T) {
				t.Parallel()
				budget := admission.New(admission.Config{Bytes: 8 << 20, MaxWait: 5 * time.Second})
				r := newRigWith(t, idleConfig(t, kind), setup{budget: budget})
				idleStreams(t, r, kind, n)
				r.waitFor(func() bool {
					s := budget.Stats()
					return n == 200 && s.Admitted == n || s.RefusedSlow > 0
				})
				body := request(otlp.Traces, 1_000)
				for i := range 88 {
					for _, via := range testTransports {
						if a := via.send(r, otlp.Traces, "", body); !a.ok() {
							t.Fatalf("request %d over %s: %v; %+v", i, via.name, a.status, budget.Stats())
						}
					}
				}
				if s := budget.Stats(); n == 200 && s.Refused() > 0 {
					t.Errorf("%d idle requests fit, and some were refused: %+v", n, s)
				}
			})
		}
	}
}

// The refusal of an idle request says when to try again, and its connection stays
// open.
func TestIdleRequestIsRefusedWithADelay(t *testing.T) {
	t.Parallel()
	for _, target := range h2Targets {
		for _, sends := range []int{0, 5, 1000} {
			t.Run(fmt.Sprintf("%s %d", target.name, sends), func(t *testing.T) {
				t.Parallel()
				budget := admission.New(admission.Config{Bytes: 1110 << 10, MaxWait: 8 * time.Second})
				r := newRigWith(t, target.cfg(t), setup{budget: budget})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				body, w := io.Pipe()
				defer w.Close()
				answer := make(chan h2Answer, 1)
				web, dials := dialCounter(t)
				send := func(body io.Reader) h2Answer {
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target.addr(r).String()+target.path, body)
					if err != nil {
						t.Fatal(err)
					}
					req.Header = http.Header{"Content-Type": {target.media}, "Te": {"trailers"}}
					resp, err := web.Do(req)
					if err != nil {
						t.Error(err)
						return h2Answer{Response: &http.Response{}}
					}
					defer resp.Body.Close()
					text, _ := io.ReadAll(resp.Body)
					return h2Answer{resp, text}
				}
				go func() { answer <- send(body) }()
				if sends > 0 {
					_, _ = w.Write(frame(0, 1_000_000, make([]byte, sends-5)))
				}
				r.waitFor(func() bool { return budget.Stats().Admitted == 1 })
				if a := r.sendHTTP(otlp.Logs, "", request(otlp.Logs, 40_000)); !a.ok() { // in a buffer of a MiB
					t.Errorf("the one that sends: %v", a.status)
				}
				a := <-answer
				if a.code() != codes.Unavailable || target.media != "application/grpc" && (a.StatusCode != 503 || a.Header.Get("Retry-After") == "") {
					t.Errorf("the idle one: %d %s %v %q", a.StatusCode, a.code(), a.Header, a.body)
				}
				if target.media == "application/grpc" && retryDelay(a.details(t)) < time.Second {
					t.Errorf("the refusal of the idle one has no delay: %v", a.details(t))
				}
				good := bodyFor(target.media, otlp.Logs, 1)
				if a := send(strings.NewReader(string(good))); a.StatusCode != 200 || target.media == "application/grpc" && a.code() != codes.OK {
					t.Errorf("the next request: %d %s", a.StatusCode, a.code())
				}
				if dials.Load() != 1 {
					t.Errorf("the connection of the idle one was closed")
				}
				r.idle()
				if n := r.metric("otelcol_receiver_refused_requests", "reason=admission"); n != 1 {
					t.Errorf("%d requests are counted as refused by admission, want the idle one", n)
				}
			})
		}
	}
}

// The value of a header says whose share a request is of, if it is configured.
func TestSenderHeader(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tcp", "unix"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			endpoint := freePort(t)
			if kind == "unix" {
				endpoint = t.TempDir() + "/s"
			}
			cfg := onePortConfig(kind, endpoint, func(s *ServerConfig) { s.SenderHeader = "X-Scope-OrgID" })
			budget := admission.New(admission.Config{Bytes: 8 << 20, MaxWait: 20 * time.Millisecond})
			r := newRigWith(t, cfg, setup{budget: budget})
			proceed := make(chan struct{})
			release := sync.OnceFunc(func() { close(proceed) })
			t.Cleanup(release)
			r.sink.Respond(func(_ context.Context, b *pipeline.Batch) error {
				if b.Items() > 1 {
					<-proceed
				}
				return nil
			})
			tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, kind, endpoint)
			}}
			t.Cleanup(tr.CloseIdleConnections)
			send := func(org string, items int) int {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/v1/logs", strings.NewReader(string(request(otlp.Logs, items))))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/x-protobuf")
				if org != "" {
					req.Header.Set("X-Scope-OrgID", org)
				}
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return 0
				}
				_ = resp.Body.Close()
				return resp.StatusCode
			}
			var noise sync.WaitGroup
			for range 200 {
				noise.Go(func() { send("noisy", 2_000) })
			}
			r.waitFor(func() bool { s := budget.Stats(); return int64(r.sink.Calls())+s.Refused() >= 200 })
			if budget.Stats().RefusedShare == 0 {
				t.Fatalf("the noisy one has not reached its share: %+v", budget.Stats())
			}
			for i := range 20 {
				if code := send("quiet", 1); code != 200 {
					t.Errorf("the quiet one's request %d: %d", i, code)
				}
				if code := send("", 1); code != 200 {
					t.Errorf("request %d without the header: %d", i, code)
				}
			}
			release()
			noise.Wait()
			r.idle()
		})
	}
}

func TestSenderHeaderIsChecked(t *testing.T) {
	t.Parallel()
	cfg := onePortConfig("tcp", "127.0.0.1:0", func(s *ServerConfig) { s.SenderHeader = "X Scope" })
	if err := cfg.check(); err == nil || !strings.Contains(err.Error(), "sender_header") {
		t.Errorf("%v, want an error about sender_header", err)
	}
}
