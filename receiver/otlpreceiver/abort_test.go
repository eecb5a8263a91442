package otlpreceiver

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Clients that abort their requests: those that time out, and those that attack.

// h2Targets are the servers that speak HTTP/2, with a request of logs for each.
var h2Targets = []struct {
	name        string
	cfg         func(t *testing.T) Config
	addr        func(r *rig) net.Addr
	path, media string
}{
	{"grpc", func(*testing.T) Config { return testConfig() }, func(r *rig) net.Addr { return r.GRPCAddr() }, otlp.Logs.Spec().Method, "application/grpc"},
	{"grpc on one port", func(t *testing.T) Config { return onePortConfig("tcp", freePort(t), nil) }, func(r *rig) net.Addr { return r.GRPCAddr() }, otlp.Logs.Spec().Method, "application/grpc"},
	{"http", func(*testing.T) Config { return testConfig() }, func(r *rig) net.Addr { return r.HTTPAddr() }, "/v1/logs", "application/x-protobuf"},
}

// bodyFor returns a request as it is sent with a media type.
func bodyFor(media string, s otlp.Signal, items int) []byte {
	body := request(s, items)
	if media == "application/grpc" {
		return frame(0, len(body), body)
	}
	return body
}

// dialCounter is a client of HTTP/2 that counts its connections. It opens another
// only when the one it has is closed: a stream that it has reset counts until the
// server has answered a ping, and without strictness it would dial instead of wait.
func dialCounter(t *testing.T) (*http.Client, *atomic.Int64) {
	t.Helper()
	dials := new(atomic.Int64)
	tr := h2Client(t).Transport.(*http.Transport)
	tr.HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true}
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	return &http.Client{Transport: tr}, dials
}

// Requests that end while the backend is slow are not abuse, however many there are:
// by the client's timeout, which it may have announced or not.
func TestTimeoutsAreNotAbuse(t *testing.T) {
	t.Parallel()
	const concurrent, waves = 100, 7 // more than a connection may abort early
	for _, target := range h2Targets {
		for _, timeout := range []string{"", "300m", "8S"} {
			if timeout != "" && target.media != "application/grpc" {
				continue
			}
			t.Run(target.name+" "+timeout, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, target.cfg(t))
				var entered atomic.Int64
				r.sink.Respond(func(ctx context.Context, b *pipeline.Batch) error {
					if b.Signal() != otlp.Logs {
						return nil
					}
					entered.Add(1)
					<-ctx.Done()
					return ctx.Err()
				})
				web, dials := dialCounter(t)
				send := func(ctx context.Context, path string, body []byte) (*http.Response, error) {
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target.addr(r).String()+path, bytes.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					req.Header = http.Header{"Content-Type": {target.media}, "Te": {"trailers"}}
					if timeout != "" {
						req.Header.Set("Grpc-Timeout", timeout)
					}
					resp, err := web.Do(req)
					if err == nil {
						_ = resp.Body.Close()
					}
					return resp, err
				}
				good := func() {
					t.Helper()
					path := "/v1/traces"
					if target.media == "application/grpc" {
						path = otlp.Traces.Spec().Method
					}
					if resp, err := send(t.Context(), path, bodyFor(target.media, otlp.Traces, 1)); err != nil || resp.StatusCode != 200 {
						t.Fatalf("a request that is answered: %v", err)
					}
				}
				good()
				for wave := range waves {
					ctx, cancel := context.WithCancel(t.Context())
					var all sync.WaitGroup
					for range concurrent {
						all.Go(func() { _, _ = send(ctx, target.path, bodyFor(target.media, otlp.Logs, 1)) })
					}
					if timeout == "300m" { // the server may end them before the last has come
						all.Wait()
					} else {
						r.waitFor(func() bool { return entered.Load() == int64((wave+1)*concurrent) })
						time.Sleep(20 * time.Millisecond) // longer than an answer could take
					}
					cancel()
					all.Wait()
				}
				good()
				// A connection that the receiver closes is counted, whatever the reason. That the
				// client dialled again says less: it does so for reasons of its own, too.
				if n := r.metric("otelcol_receiver_refused_connections"); n > 0 {
					t.Errorf("%d connections were closed, the client needed %d: %s", n, dials.Load(), r.logs.String())
				}
			})
		}
	}
}

// Requests that are reset as soon as they were sent are abuse, also with a body
// that is complete and with a short timeout that the client announces.
func TestRapidResetsOfCompleteRequests(t *testing.T) {
	t.Parallel()
	const most = 20_000 // net/http does not start most of them
	for _, target := range h2Targets {
		for _, timeout := range []string{"", "1m"} {
			if timeout != "" && target.media != "application/grpc" {
				continue
			}
			t.Run(target.name+" "+timeout, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, target.cfg(t))
				r.sink.Respond(func(ctx context.Context, _ *pipeline.Batch) error {
					<-ctx.Done()
					return ctx.Err()
				})
				h := newRawH2(t, target.addr(r))
				if timeout != "" {
					h.more = [][2]string{{"grpc-timeout", timeout}}
				}
				_ = h.SetDeadline(time.Now().Add(20 * time.Second))
				body, err := bodyFor(target.media, otlp.Logs, 1), error(nil)
				for h.next < 2*most && err == nil {
					id := h.next
					if err = h.post(target.path, target.media, body); err == nil {
						err = h.fr.WriteRSTStream(id, http2.ErrCodeCancel)
					}
				}
				for err == nil { // the end of the connection is behind what was answered
					_, err = h.fr.ReadFrame()
				}
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Errorf("after %d requests: %v, want the connection closed", h.next/2, err)
				}
				r.waitFor(func() bool { return r.inFlight.Count() == 0 })
			})
		}
	}
}
