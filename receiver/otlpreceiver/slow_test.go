package otlpreceiver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// Slow and idle clients, and a receiver with shorter timeouts than by default.

func impatient(p *frontend.Pace) {
	p.Handshake, p.GracePeriod, p.MinRateBytes = 400*time.Millisecond, 400*time.Millisecond, 64<<10
	p.WriteStall, p.WindowStall = 400*time.Millisecond, 400*time.Millisecond
}

// trickle is an endless body of which a byte arrives from time to time.
type trickle struct {
	first []byte
	ctx   context.Context
}

func (b *trickle) Read(p []byte) (int, error) {
	if n := copy(p, b.first); n > 0 {
		b.first = b.first[n:]
		return n, nil
	}
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(20 * time.Millisecond):
		p[0] = 0
		return 1, nil
	}
}

// A body that trickles is cut off. What else comes over the connection is not.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{"two ports": testConfig(), "one port": onePortConfig("tcp", freePort(t), nil)} {
		for _, target := range []struct{ name, path, media, text string }{
			{"grpc", otlp.Logs.Spec().Method, "application/grpc", "the request came too slowly: expected at least 64 KiB/s on average after the first 400ms"},
			{"http", "/v1/logs", "application/x-protobuf", "request body interrupted: "},
		} {
			t.Run(name+"/"+target.name, func(t *testing.T) {
				t.Parallel()
				r := newRigWith(t, cfgOn(t, cfg), setup{pace: impatient, budget: admission.New(admission.Config{Bytes: 16 << 20})})
				addr := r.HTTPAddr()
				if target.name == "grpc" {
					addr = r.GRPCAddr()
				}
				web := h2Client(t)
				send := func(ctx context.Context, body io.Reader) h2Answer {
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr.String()+target.path, body)
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
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				first := []byte("\x0a")
				good := request(otlp.Logs, 1)
				if target.name == "grpc" {
					first, good = frame(0, 100_000, []byte{0x0a}), frame(0, len(good), good)
				}
				slow := make(chan h2Answer, 1)
				go func() { slow <- send(ctx, &trickle{first, ctx}) }()
				r.waitFor(func() bool { return r.inFlight.Count() == 1 })
				for done := false; !done; {
					select {
					case a := <-slow:
						done = true
						said := string(a.body) + a.Header.Get("Grpc-Message") + a.Trailer.Get("Grpc-Message")
						if a.code() != codes.Unavailable || name == "two ports" && !strings.Contains(said, target.text) {
							t.Errorf("the slow one: %d %s %q, want Unavailable", a.StatusCode, a.code(), said)
						}
					case <-time.After(5 * time.Millisecond):
						if a := send(ctx, bytes.NewReader(good)); a.StatusCode != 200 || target.name == "grpc" && a.code() != codes.OK {
							t.Errorf("beside it: %d %s", a.StatusCode, a.code())
						}
					}
				}
				r.idle() // the client may get the response before it is counted
				if n := r.metric("otelcol_receiver_refused_requests", "reason=broken_off", "transport="+target.name); n != 1 {
					t.Errorf("%d counted as interrupted, want 1", n)
				}
			})
		}
	}
}

// cfgOn gives one port a port of its own in each test.
func cfgOn(t *testing.T, cfg Config) Config {
	if cfg.OnePort() {
		return onePortConfig("tcp", freePort(t), nil)
	}
	return cfg
}

// A large body has the time that it takes at the least rate.
func TestSteadyBodyIsNotSlow(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, testConfig(), setup{pace: func(p *frontend.Pace) { p.GracePeriod, p.MinRateBytes = 300*time.Millisecond, 64<<10 }})
	good := request(otlp.Logs, 15_000) // 300 KB
	for _, target := range []struct{ path, media string }{{otlp.Logs.Spec().Method, "application/grpc"}, {"/v1/logs", "application/x-protobuf"}} {
		addr, body := r.HTTPAddr(), good
		if target.media == "application/grpc" {
			addr, body = r.GRPCAddr(), frame(0, len(good), good)
		}
		began := time.Now()
		a := h2Do(t, nil, addr, target.path, http.Header{"Content-Type": {target.media}, "Te": {"trailers"}}, &steady{bytes.NewReader(body)})
		if a.StatusCode != 200 || target.media == "application/grpc" && a.code() != codes.OK {
			t.Errorf("%s: %d %s %v %q", target.media, a.StatusCode, a.code(), a.Header, a.body)
		}
		if d := time.Since(began); d < 400*time.Millisecond {
			t.Errorf("%s: it was sent in %s, which tests nothing", target.media, d)
		}
	}
}

// The least rate is a setting. Without it a client with 30 KiB/s is fast enough.
func TestLeastBodyRate(t *testing.T) {
	t.Parallel()
	p := frontend.DefaultPace()
	const second = 30 << 10
	for rate, fast := range map[int]bool{0: true, 29: true, 64: false} {
		c := ServerConfig{MinBodyRateKiB: rate}
		own := c.paceOf(&p)
		began := time.Now()
		for s := 11; s < 600; s += 7 { // after so many seconds it has sent this much, and needs as long for the next second's
			arrived := began.Add(time.Duration(s) * time.Second)
			if late := arrived.After(own.BodyDeadline(began, s*second)); late && fast || s > 100 && !late && !fast {
				t.Errorf("min_body_rate_kib %d: after %d s late is %t", rate, s, late)
			}
		}
		if want := fmt.Sprint(max(rate, 16), " KiB/s"); !strings.Contains(own.SlowBody(), want) || rate == 0 && own.MinRateBytes != 16<<10 {
			t.Errorf("%s, want %s", own.SlowBody(), want)
		}
	}
}

// steady sends 20 KB in 50 ms, some 400 KB/s.
type steady struct{ r *bytes.Reader }

func (s *steady) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return s.r.Read(p[:min(len(p), 20_000)])
}

func TestSlowBodyOverHTTP1(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, testConfig(), setup{pace: impatient, budget: admission.New(admission.Config{Bytes: 16 << 20})})
	for name, head := range map[string]string{"length": "Content-Length: 100000\r\n", "chunked": "Transfer-Encoding: chunked\r\n"} {
		conn := dialRaw(t, r.HTTPAddr(), nil, "")
		_ = conn.SetDeadline(time.Now().Add(8 * time.Second))
		_, _ = io.WriteString(conn, "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+head+"\r\n")
		answered := make(chan struct{})
		go func() {
			for {
				piece := "x"
				if name == "chunked" {
					piece = "1\r\nx\r\n"
				}
				if _, err := io.WriteString(conn, piece); err != nil {
					return
				}
				select {
				case <-answered:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp.Request = &http.Request{Method: http.MethodPost}
		if a := readAnswer(t, resp); a.http != http.StatusServiceUnavailable || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v, want 503", name, a.http, a.header)
		}
		close(answered)
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection stays open", name)
		}
		r.idle()
	}
}

// A connection without a preface in time is closed.
func TestSilenceBeforeThePreface(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	secure := onePortConfig("tcp", "127.0.0.1:0", func(s *ServerConfig) {
		s.TLS = &config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}
	})
	for _, tt := range []struct {
		name string
		cfg  Config
		says string
	}{
		{"nothing", testConfig(), ""}, {"half a preface", testConfig(), http2.ClientPreface[:10]},
		{"a preface and nothing else", testConfig(), http2.ClientPreface},
		{"nothing to TLS", secure, ""}, {"half a handshake", secure, "\x16\x03\x01\x02\x00\x01"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			web := new(*tt.cfg.Protocols.HTTP)
			web.ReadHeaderTimeout = 400 * time.Millisecond
			r := newRigWith(t, Config{Protocols: Protocols{GRPC: tt.cfg.Protocols.GRPC, HTTP: web}}, setup{pace: impatient})
			addrs := []net.Addr{r.GRPCAddr(), r.HTTPAddr()}
			if strings.HasPrefix(tt.says, "PRI") || tt.says == "" && tt.name == "nothing" {
				addrs = addrs[:1] // over HTTP/1 silence is for idle_timeout
			}
			for _, addr := range addrs {
				conn := dialRaw(t, addr, nil, "")
				_, _ = io.WriteString(conn, tt.says)
				_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second))
				if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
					t.Errorf("%s: %v, want the connection closed", addr, err)
				}
			}
			r.waitFor(func() bool { return r.metric("otelcol_receiver_active_connections") == 0 })
		})
	}
}

// rawH2 is an HTTP/2 client that keeps to no rule but the format of frames.
type rawH2 struct {
	net.Conn
	fr   *http2.Framer
	text bytes.Buffer
	enc  *hpack.Encoder
	next uint32
	more [][2]string // fields of the header
}

func newRawH2(t *testing.T, addr net.Addr, set ...http2.Setting) *rawH2 {
	t.Helper()
	h := &rawH2{Conn: dialRaw(t, addr, nil, ""), next: 1}
	h.fr, h.enc = http2.NewFramer(h.Conn, h.Conn), hpack.NewEncoder(&h.text)
	_, _ = io.WriteString(h.Conn, http2.ClientPreface)
	if err := h.fr.WriteSettings(set...); err != nil {
		t.Fatal(err)
	}
	return h
}

// post sends a request in two frames.
func (h *rawH2) post(path, media string, body []byte) error {
	h.text.Reset()
	for _, f := range append([][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", path}, {"content-type", media}, {"te", "trailers"}}, h.more...) {
		_ = h.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	id := h.next
	h.next += 2
	if err := h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.text.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	return h.fr.WriteData(id, true, body)
}

// A client that never lets an answer through is cut off; one that does is not.
func TestClosedWindows(t *testing.T) {
	t.Parallel()
	body := request(otlp.Logs, 1)
	message := frame(0, len(body), body)
	for _, tt := range []struct {
		name    string
		initial uint32
		opens   bool // the connection's window, as it is used
		cut     bool
	}{
		{"no window for streams", 0, true, true},
		{"no window for the connection", 1 << 20, false, true},
		{"windows as they should be", 1 << 20, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRigWith(t, testConfig(), setup{pace: impatient})
			r.sink.Respond(func(context.Context, *pipeline.Batch) error {
				return &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errDown}
			})
			h := newRawH2(t, r.GRPCAddr(), http2.Setting{ID: http2.SettingInitialWindowSize, Val: tt.initial})
			_ = h.SetReadDeadline(time.Now().Add(30 * time.Second))
			answered, err := 0, error(nil)
			for range 10 {
				if err = h.post(otlp.Logs.Spec().Method, "application/grpc", message); err != nil {
					t.Fatal(err)
				}
			}
			for err == nil {
				var f http2.Frame
				if f, err = h.fr.ReadFrame(); err != nil {
					break
				}
				switch f := f.(type) {
				case *http2.SettingsFrame:
					if !f.IsAck() {
						err = h.fr.WriteSettingsAck()
					}
				case *http2.PingFrame:
					if !f.IsAck() {
						err = h.fr.WritePing(true, f.Data)
					}
				case *http2.DataFrame:
					if tt.opens && f.Length > 0 {
						err = h.fr.WriteWindowUpdate(0, f.Length)
					}
				case *http2.HeadersFrame:
					if f.StreamEnded() {
						answered++
						switch { // ten requests are in flight at a time
						case tt.cut && answered < 4000, !tt.cut && answered <= 490:
							err = h.post(otlp.Logs.Spec().Method, "application/grpc", message)
						case answered == 500: // then nothing happens for three times what it takes to be cut off
							_ = h.SetReadDeadline(time.Now().Add(1200 * time.Millisecond))
						}
					}
				}
			}
			timeout := strings.Contains(err.Error(), "timeout")
			if tt.cut == timeout {
				t.Errorf("after %d answers: %v, want it cut off: %v", answered, err, tt.cut)
			}
			if !tt.cut && answered < 500 {
				t.Errorf("%d of 500 requests were answered", answered)
			}
			if !tt.cut {
				return
			}
			r.waitFor(func() bool { return r.metric("otelcol_receiver_active_connections", "transport=grpc") == 0 })
			if n := r.metric("otelcol_receiver_refused_connections", "transport=grpc", "reason=timeout"); n != 1 {
				t.Errorf("%d connections were counted as cut off, want 1", n)
			}
			if a := r.sendGRPC(otlp.Logs, "", body); !a.ok() {
				t.Errorf("another client: %v", a.status)
			}
		})
	}
}

// A client that asks and asks and never reads from its socket is cut off.
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	for _, target := range []struct{ transport, path, media string }{
		{"grpc", otlp.Logs.Spec().Method, "application/grpc"}, {"http", "/v1/logs", "application/x-protobuf"},
	} {
		t.Run(target.transport, func(t *testing.T) {
			t.Parallel()
			r := newRigWith(t, testConfig(), setup{pace: func(p *frontend.Pace) { p.WriteStall, p.WindowStall = 400*time.Millisecond, time.Hour }})
			r.sink.Respond(func(context.Context, *pipeline.Batch) error {
				return &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errDown}
			})
			addr, body := r.HTTPAddr(), request(otlp.Logs, 1)
			if target.transport == "grpc" {
				addr, body = r.GRPCAddr(), frame(0, len(body), body)
			}
			h := newRawH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			_ = h.fr.WriteSettingsAck()
			_ = h.fr.WriteWindowUpdate(0, 1<<30)
			_ = h.SetDeadline(time.Now().Add(3 * time.Minute))
			for {
				err := h.post(target.path, target.media, body)
				if err == nil {
					continue
				}
				if strings.Contains(err.Error(), "timeout") {
					t.Errorf("after %d requests without reading: %v, want the connection closed", h.next/2, err)
				}
				break
			}
			r.waitFor(func() bool {
				return r.metric("otelcol_receiver_active_connections", "transport="+target.transport) == 0
			})
			r.waitFor(func() bool { return r.inFlight.Count() == 0 })
		})
	}
}
