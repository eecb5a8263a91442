package otlpreceiver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// ways are how a request of logs can come, each by its transport and format.
var ways = []struct {
	name string
	send func(r *rig, body []byte) answer
}{
	{"grpc", func(r *rig, body []byte) answer { return r.sendGRPC(otlp.Logs, "", body) }},
	{"grpc gzip", func(r *rig, body []byte) answer { return r.sendGRPC(otlp.Logs, "gzip", body) }},
	{"http", func(r *rig, body []byte) answer { return r.sendHTTP(otlp.Logs, "", body) }},
	{"http zstd", func(r *rig, body []byte) answer { return r.sendHTTP(otlp.Logs, "zstd", body) }},
	{"json", func(r *rig, body []byte) answer {
		return r.sendJSON(otlp.Logs, "", string(otlp.AppendJSON(nil, otlp.Logs, body)))
	}},
}

// idle waits until no request is in progress and nothing is held: a request ends after its
// answer was sent.
func (r *rig) idle() {
	r.t.Helper()
	r.waitFor(func() bool {
		s := r.budget.Stats()
		return r.inFlight.Count() == 0 && s.Used == 0 && s.Admitted == 0 && s.Waiting == 0 && s.Growing == 0
	})
}

// While held requests fill the budget, the next one waits, and then gets a
// retryable error.
func TestAdmissionRefuses(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			budget := admission.New(admission.Config{Bytes: 4 << 20, MaxWait: 30 * time.Millisecond})
			r := newRigWith(t, testConfig(), setup{budget: budget})
			proceed := make(chan struct{})
			release := sync.OnceFunc(func() { close(proceed) })
			t.Cleanup(release)
			r.sink.Respond(func(context.Context, *pipeline.Batch) error {
				<-proceed
				return nil
			})
			body := request(otlp.Logs, 2_000) // 40 KB, in a buffer of 64 KiB
			answers := make(chan answer, 1000)
			var senders sync.WaitGroup
			held := 0
			for refused := false; !refused; held++ { // fill it
				if held > 200 {
					t.Fatal("200 requests are held and none was refused")
				}
				senders.Go(func() { answers <- way.send(r, body) })
				r.waitFor(func() bool { refused = len(answers) > 0; return refused || r.sink.Calls() > held })
			}
			if held < 10 {
				t.Errorf("%d requests filled it", held)
			}
			full := budget.Stats()
			a := <-answers
			if a.ok() || codes.Code(a.status.Code) != codes.Unavailable || a.http != 0 && a.http != http.StatusServiceUnavailable {
				t.Errorf("%d %v, want Unavailable, 503", a.http, a.status)
			}
			if d := retryDelay(a.status); d < time.Second {
				t.Errorf("RetryInfo says %v, want a second at least", d)
			}
			if after, _ := strconv.Atoi(a.retryAfter); a.http != 0 && after < 1 {
				t.Errorf("Retry-After %q, want 1 at least", a.retryAfter)
			}
			if full.Used > full.Limit || full.RefusedFull+full.RefusedShare == 0 {
				t.Errorf("%+v", full)
			}
			transport, _, _ := strings.Cut(way.name, " ")
			if transport == "json" {
				transport = "http"
			}
			if n := r.metric("otelcol_receiver_refused_requests", "reason=admission", "transport="+transport, "signal=logs"); n != 1 {
				t.Errorf("%d refusals were counted as admission's, want 1", n)
			}
			release()
			senders.Wait()
			for range held - 1 {
				if a := <-answers; !a.ok() {
					t.Errorf("one that was in: %v", a.status)
				}
			}
			r.idle()
			if a := way.send(r, body); !a.ok() {
				t.Errorf("when there is room again: %v", a.status)
			}
			r.idle()
		})
	}
}

// One that waits comes in when another leaves.
func TestAdmissionWaits(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 1 << 20, MaxWait: 20 * time.Second})
	r := newRigWith(t, testConfig(), setup{budget: budget})
	proceed := make(chan struct{})
	r.sink.Respond(func(context.Context, *pipeline.Batch) error {
		<-proceed
		return nil
	})
	body := request(otlp.Logs, 20_000) // in a buffer of 512 KiB
	answers := make(chan answer)
	go func() { answers <- r.sendHTTP(otlp.Logs, "", body) }()
	r.waitFor(func() bool { return r.sink.Calls() == 1 })
	go func() { answers <- r.sendGRPC(otlp.Logs, "", body) }()
	r.waitFor(func() bool { s := budget.Stats(); return s.Waiting+s.Growing == 1 })
	proceed <- struct{}{}
	proceed <- struct{}{}
	for range 2 {
		if a := <-answers; !a.ok() {
			t.Error(a.status)
		}
	}
	r.idle()
}

// A request that is larger than the whole budget is refused permanently.
func TestLargerThanTheBudget(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, testConfig(), setup{budget: admission.New(admission.Config{Bytes: 512 << 10})})
	for _, way := range ways {
		a := way.send(r, request(otlp.Logs, 80_000))
		if a.ok() || codes.Code(a.status.Code) != codes.ResourceExhausted || len(a.status.Details) != 0 || a.retryAfter != "" ||
			a.http != 0 && a.http != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %v, want ResourceExhausted, 413, and no retry", way.name, a.http, a.status)
		}
		r.idle()
		if a := way.send(r, request(otlp.Logs, 10)); !a.ok() {
			t.Errorf("%s: a small one: %v", way.name, a.status)
		}
	}
	if n := r.metric("otelcol_receiver_refused_requests", "reason=too_large"); n != int64(len(ways)) {
		t.Errorf("%d were counted as too large, want %d", n, len(ways))
	}
}

// Whatever becomes of a request, its bytes go back.
func TestAdmissionGivesBack(t *testing.T) {
	t.Parallel()
	body := request(otlp.Logs, 100)
	bad := append(bytes.Clone(body), 0x0a, 0x7f)
	invalid := bytes.Replace(body, []byte("INFO"), []byte("IN\xffO"), -1)
	for _, policy := range []TextPolicy{AcceptText, RepairText, RejectText} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			for _, ports := range []string{"two ports", "one port"} {
				cfg := testConfig()
				if ports == "one port" {
					cfg = onePortConfig("tcp", freePort(t), nil)
				}
				cfg.InvalidUTF8 = policy
				r := newRigWith(t, cfg, setup{budget: admission.New(admission.Config{Bytes: 16 << 20})})
				for _, via := range testTransports {
					for _, encoding := range []string{"", "gzip", "zstd"} {
						for name, tt := range map[string]struct {
							body   []byte
							answer func(context.Context, *pipeline.Batch) error
							ok     bool
						}{
							"success":  {body, nil, true},
							"empty":    {nil, nil, true},
							"refusal":  {body, func(context.Context, *pipeline.Batch) error { return errDown }, false},
							"panic":    {body, func(context.Context, *pipeline.Batch) error { panic("secret") }, false},
							"bad data": {bad, nil, false},
							"not UTF-8": {invalid, func(_ context.Context, b *pipeline.Batch) error {
								if broken := bytes.Contains(b.Bytes(), []byte{'N', 0xff}); broken == (policy == RepairText) {
									return fmt.Errorf("broken text arrived: %v", broken)
								}
								return nil
							}, policy != RejectText},
						} {
							r.sink.Respond(tt.answer)
							if a := via.send(r, otlp.Logs, encoding, tt.body); a.ok() != tt.ok {
								t.Errorf("%s, %s %q, %s: %v", ports, via.name, encoding, name, a.status)
							}
							r.idle()
						}
						r.sink.Respond(nil)
						if encoding == "" {
							continue
						}
						damaged := flip(compressed(encoding, body), 12)
						if via.name == "http" {
							r.request(http.MethodPost, "/v1/logs", http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {encoding}}, damaged)
						} else if got := h2Do(t, nil, r.GRPCAddr(), otlp.Logs.Spec().Method,
							http.Header{"Content-Type": {"application/grpc"}, "Grpc-Encoding": {encoding}}, bytes.NewReader(frame(1, len(damaged), damaged))).code(); got != codes.InvalidArgument {
							t.Errorf("%s, damaged %s: %s", ports, encoding, got)
						}
						r.idle()
					}
				}
				breakOff(t, r)
				r.idle()
			}
		})
	}
}

// breakOff begins requests and leaves in the middle of their bodies.
func breakOff(t *testing.T, r *rig) {
	t.Helper()
	conn := dialRaw(t, r.HTTPAddr(), nil, "")
	_, _ = io.WriteString(conn, "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100000\r\n\r\nabc")
	r.waitFor(func() bool { return r.inFlight.Count() == 1 && r.budget.Stats().Used >= 100_000 })
	_ = conn.Close()
	r.waitFor(func() bool { return r.inFlight.Count() == 0 })
	for _, target := range []struct {
		addr        net.Addr
		path, media string
	}{{r.HTTPAddr(), "/v1/logs", "application/x-protobuf"}, {r.GRPCAddr(), otlp.Logs.Spec().Method, "application/grpc"}} {
		ctx, cancel := context.WithCancel(t.Context())
		body, w := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target.addr.String()+target.path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {target.media}, "Te": {"trailers"}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if resp, err := h2Client(t).Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
		_, _ = w.Write(frame(0, 100_000, make([]byte, 5000)))
		r.waitFor(func() bool { return r.inFlight.Count() == 1 && r.budget.Stats().Used > 0 })
		cancel()
		<-done
		_ = w.Close()
		r.waitFor(func() bool { return r.inFlight.Count() == 0 })
	}
}

// A consumer that keeps a batch keeps its share of the budget.
func TestRetainedBatchHoldsItsBytes(t *testing.T) {
	t.Parallel()
	for _, policy := range []TextPolicy{AcceptText, RepairText} { // which swaps the batch
		for _, way := range ways {
			cfg := testConfig()
			cfg.InvalidUTF8 = policy
			r := newRigWith(t, cfg, setup{budget: admission.New(admission.Config{Bytes: 16 << 20})})
			kept := make(chan *pipeline.Batch, 1)
			r.sink.Respond(func(_ context.Context, b *pipeline.Batch) error {
				kept <- b.Retain()
				return nil
			})
			body := bytes.ReplaceAll(request(otlp.Logs, 5_000), []byte("INFO"), []byte("INF\xc3"))
			if way.name == "json" { // which cannot have them
				body = request(otlp.Logs, 5_000)
			}
			if a := way.send(r, body); !a.ok() {
				t.Fatal(a.status)
			}
			r.waitFor(func() bool { return r.inFlight.Count() == 0 })
			most := 2 * bufpool.Class(len(body))
			if way.name == "json" { // in a buffer that the text would fit into
				most = 2 * bufpool.Class(len(otlp.AppendJSON(nil, otlp.Logs, body)))
			}
			if used := r.budget.Stats().Used; used < int64(len(body)) || used > int64(most) {
				t.Errorf("%s %s: %d bytes are held for a batch of %d", policy, way.name, used, len(body))
			}
			(<-kept).Release()
			r.idle()
		}
	}
}

// A stop in the middle of a body, and of a wait for room, leaves nothing held.
func TestShutdownGivesBack(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 1 << 20, MaxWait: time.Minute})
	r := newRigWith(t, testConfig(), setup{budget: budget})
	r.sink.Respond(func(ctx context.Context, _ *pipeline.Batch) error {
		<-ctx.Done()
		return ctx.Err()
	})
	body := request(otlp.Logs, 20_000)
	var senders sync.WaitGroup
	for _, try := range []func(*rig, []byte) bool{(*rig).tryGRPC, (*rig).tryHTTP, (*rig).tryGRPC} {
		senders.Go(func() { try(r, body) })
	}
	r.waitFor(func() bool { s := budget.Stats(); return r.sink.Calls() == 1 && s.Waiting+s.Growing == 2 })
	if err := r.shutdownIn(50 * time.Millisecond); err == nil {
		t.Error("Shutdown says that nothing was aborted")
	}
	senders.Wait()
	r.idle()
}

// bombs are 16 MiB of zeros, in each coding.
func bombs() map[string][]byte {
	zeros := make([]byte, 16<<20)
	all := map[string][]byte{}
	for _, coding := range config.Encodings() {
		all[coding] = compressed(coding, zeros)
	}
	return all
}

// Bombs blow up inside the budget, 64 at a time, and a healthy client is served
// beside them.
func TestBombsStayInTheBudget(t *testing.T) {
	t.Parallel()
	const limit = 2 << 20
	budget := admission.New(admission.Config{Bytes: limit, MaxWait: 20 * time.Millisecond})
	r := newRigWith(t, testConfig(), setup{budget: budget})
	web := h2Client(t)
	refusals := map[int]codes.Code{http.StatusRequestEntityTooLarge: codes.ResourceExhausted, http.StatusServiceUnavailable: codes.Unavailable}
	var odd atomic.Pointer[string]
	all := bombs()
	for coding, bomb := range all {
		var senders sync.WaitGroup
		for range 64 {
			senders.Go(func() {
				a := r.request(http.MethodPost, "/v1/logs", http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {coding}}, bomb)
				if c, ok := refusals[a.http]; !ok || codes.Code(a.status.Code) != c {
					s := fmt.Sprintf("%s: %d %v", coding, a.http, a.status)
					odd.Store(&s)
				}
			})
		}
		senders.Wait()
		r.idle()
	}
	for _, coding := range config.GRPCEncodings() {
		bomb := all[coding]
		if coding == "snappy" { // over gRPC it has frames
			bomb = all["x-snappy-framed"]
		}
		var senders sync.WaitGroup
		for range 64 {
			senders.Go(func() {
				req, _ := http.NewRequest(http.MethodPost, "http://"+r.GRPCAddr().String()+otlp.Logs.Spec().Method, bytes.NewReader(frame(1, len(bomb), bomb)))
				req.Header = http.Header{"Content-Type": {"application/grpc"}, "Grpc-Encoding": {coding}, "Te": {"trailers"}}
				resp, err := web.Do(req)
				if err != nil {
					s := err.Error()
					odd.Store(&s)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if c := (h2Answer{Response: resp}).code(); c != codes.ResourceExhausted && c != codes.Unavailable {
					s := coding + " over gRPC: " + c.String()
					odd.Store(&s)
				}
			})
		}
		senders.Wait()
		r.idle()
	}
	if s := odd.Load(); s != nil {
		t.Errorf("a bomb was answered with %s", *s)
	}
	if peak := budget.Stats().Peak; peak > limit || peak < limit/2 {
		t.Errorf("at most %d bytes were held, the limit is %d", peak, limit)
	}
	for _, way := range ways {
		if a := way.send(r, request(otlp.Logs, 10)); !a.ok() {
			t.Errorf("%s after the bombs: %v", way.name, a.status)
		}
	}
}

// names takes everybody by the name that they give.
type names struct{}

func (names) Authenticate(_ context.Context, header func(string) []string) (*pipeline.Identity, error) {
	return &pipeline.Identity{Subject: header("x-name")[0]}, nil
}

// A sender that acquires as many bytes as possible leaves enough for another.
// Senders are identified by authentication, not by address.
func TestAdmissionIsFair(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 8 << 20, MaxWait: 20 * time.Millisecond})
	r := newRigWith(t, onePortConfig("tcp", "127.0.0.1:0", withAuth()), setup{budget: budget, auth: names{}})
	proceed := make(chan struct{})
	release := sync.OnceFunc(func() { close(proceed) })
	t.Cleanup(release)
	r.sink.Respond(func(_ context.Context, b *pipeline.Batch) error {
		if b.Client().Identity.Subject == "noisy" {
			<-proceed
		}
		return nil
	})
	send := func(name string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-name", name)
		return r.conn.Invoke(ctx, otlp.Logs.Spec().Method, request(otlp.Logs, 2_000), new([]byte), grpc.ForceCodecV2(clientCodec{}))
	}
	var noise sync.WaitGroup
	var refused atomic.Int64
	for range 200 {
		noise.Go(func() {
			if err := send("noisy"); status.Code(err) == codes.Unavailable {
				refused.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	r.waitFor(func() bool { return int64(r.sink.Calls())+refused.Load() == 200 })
	if refused.Load() == 0 || budget.Stats().RefusedShare == 0 {
		t.Errorf("the noisy one was not refused for its share: %+v", budget.Stats())
	}
	for i := range 20 {
		if err := send("quiet"); err != nil {
			t.Errorf("the quiet one's request %d: %v", i, err)
		}
	}
	release()
	noise.Wait()
	r.idle()
}
