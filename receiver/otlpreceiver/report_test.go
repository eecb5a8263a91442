package otlpreceiver

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Tests of metrics, spans and logs of requests, and of special cases of their
// contents.

// reasons is one request for each way to be refused.
var reasons = []struct {
	reason  string
	outcome string
	http    func(r *rig) answer
	grpc    func(r *rig) answer // nil: not over gRPC
}{
	{"not_found", "refused", httpCase("POST", "/v1/nothing", nil, nil), grpcCase("/x.Y/Export", "good", request(otlp.Logs, 1))},
	{"method", "refused", httpCase("PUT", "/v1/logs", nil, request(otlp.Logs, 1)), nil},
	{"media_type", "refused", httpCase("POST", "/v1/logs", http.Header{"Content-Type": {"text/plain"}}, nil), nil},
	{"encoding", "refused", httpCase("POST", "/v1/logs", http.Header{"Content-Encoding": {"br"}}, nil), nil},
	{"auth", "refused", httpCase("POST", "/v1/logs", http.Header{"Authorization": {"Bearer bad"}}, nil), grpcCase("", "bad", nil)},
	{"too_large", "refused", httpCase("POST", "/v1/logs", nil, make([]byte, badLimit+1)), grpcCase("", "good", make([]byte, badLimit+1))},
	{"decompress", "refused", httpCase("POST", "/v1/logs", http.Header{"Content-Encoding": {"gzip"}}, []byte("no gzip")), nil},
	{"decode", "refused", httpCase("POST", "/v1/logs", nil, []byte{0xff}), grpcCase("", "good", []byte{0xff})},
	{"pipeline", "refused", httpCase("POST", "/v1/logs", nil, request(otlp.Logs, 1)), grpcCase("", "good", request(otlp.Logs, 1))},
	{"internal", "failure", httpCase("POST", "/v1/logs", http.Header{"Authorization": {"Bearer panic"}}, nil), grpcCase("", "panic", nil)},
}

func httpCase(method, path string, h http.Header, body []byte) func(*rig) answer {
	return func(r *rig) answer {
		header := http.Header{"Content-Type": {"application/x-protobuf"}, "Authorization": {"Bearer good"}}
		for k, v := range h {
			header[k] = v
		}
		return r.request(method, path, header, body)
	}
}

func grpcCase(method, token string, body []byte) func(*rig) answer {
	if method == "" {
		method = otlp.Logs.Spec().Method
	}
	return func(r *rig) answer {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
		err := r.conn.Invoke(ctx, method, body, new([]byte), grpc.ForceCodecV2(clientCodec{}))
		return answer{status: status.Convert(err).Proto()}
	}
}

// Each request that is refused is counted once, under its reason, and logged.
func TestRefusalsAreReported(t *testing.T) {
	t.Parallel()
	for _, ports := range []string{"two ports", "one port"} {
		for _, tt := range reasons {
			t.Run(ports+"/"+tt.reason, func(t *testing.T) {
				t.Parallel()
				cfg := limitedConfig()
				g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
				withAuth()(&g.ServerConfig)
				withAuth()(&h.ServerConfig)
				if ports == "one port" {
					g.Endpoint = freePort(t)
					h.Endpoint = g.Endpoint
				}
				r := newRigWith(t, cfg, setup{auth: &bearer{}, budget: admission.New(admission.Config{Bytes: 64 << 20})})
				r.sink.Respond(func(context.Context, *pipeline.Batch) error { return errDown })
				for transport, send := range map[string]func(*rig) answer{"http": tt.http, "grpc": tt.grpc} {
					if send == nil {
						continue
					}
					if a := send(r); a.ok() {
						t.Fatalf("%s: success", transport)
					}
					r.waitFor(func() bool { return r.metric("otelcol_receiver_requests", "transport="+transport) > 0 })
					r.idle()
					via := "transport=" + transport
					for want, n := range map[int64][]int64{
						1: {r.metric("otelcol_receiver_requests", via), r.metric("otelcol_receiver_requests", via, "outcome="+tt.outcome),
							r.metric("otelcol_receiver_refused_requests", via), r.metric("otelcol_receiver_refused_requests", via, "reason="+tt.reason)},
						0: {r.metric("otelcol_receiver_active_requests", via)},
					} {
						for i, got := range n {
							if got != want {
								t.Errorf("%s: count %d is %d, want %d", transport, i, got, want)
							}
						}
					}
				}
				if text := r.logs.String(); !strings.Contains(text, "reason="+tt.reason) || !strings.Contains(text, "client=127.0.0.1") {
					t.Errorf("the log does not tell:\n%s", text)
				}
			})
		}
	}
}

// Served requests and open connections are counted, and no more when they end.
func TestActivityIsReported(t *testing.T) {
	t.Parallel()
	eachServer(t, nil, func(t *testing.T, cfg Config, ca *tlstest.Authority) {
		r := newRig(t, cfg)
		inside, proceed := make(chan struct{}), make(chan struct{})
		r.sink.Respond(func(context.Context, *pipeline.Batch) error {
			inside <- struct{}{}
			<-proceed
			return nil
		})
		for _, c := range allClients(t, r, ca) {
			via := "transport=http"
			if c.grpc {
				via = "transport=grpc"
			}
			before := r.metric("otelcol_receiver_requests", via, "outcome=success")
			answers := make(chan answer)
			go func() { answers <- c.send(t, c.target(otlp.Traces), "", request(otlp.Traces, 2)) }()
			<-inside
			if n := r.metric("otelcol_receiver_active_requests", via); n != 1 {
				t.Errorf("%s: %d active requests, want 1", c.name, n)
			}
			if n := r.metric("otelcol_receiver_active_connections"); n < 1 {
				t.Errorf("%s: %d connections", c.name, n)
			}
			proceed <- struct{}{}
			if a := <-answers; !a.ok() {
				t.Error(a.status)
			}
			r.waitFor(func() bool { return r.metric("otelcol_receiver_active_requests", via) == 0 })
			if n := r.metric("otelcol_receiver_requests", via, "outcome=success", "signal=traces", "format=protobuf"); n != before+1 {
				t.Errorf("%s: %d successes, before %d", c.name, n, before)
			}
		}
		if n := r.metric("otelcol_receiver_refused_requests"); n != 0 {
			t.Errorf("%d refusals", n)
		}
	})
}

// A shutdown is a refusal like any other, and a client that leaves is a failure.
func TestShutdownAndBreakOffAreReported(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, testConfig(), setup{budget: admission.New(admission.Config{Bytes: 64 << 20})})
	breakOff(t, r)
	if http, grpc := r.metric("otelcol_receiver_refused_requests", "reason=broken_off", "transport=http"),
		r.metric("otelcol_receiver_refused_requests", "reason=broken_off", "transport=grpc"); http != 2 || grpc != 1 {
		t.Errorf("%d and %d interrupted requests, want 2 and 1", http, grpc)
	}
	if n := r.metric("otelcol_receiver_requests", "outcome=failure"); n != 3 {
		t.Errorf("%d failures, want 3", n)
	}
	r.inFlight.Close()
	for _, via := range testTransports {
		if a := via.send(r, otlp.Logs, "", request(otlp.Logs, 1)); a.ok() {
			t.Error("success after the end")
		}
		r.waitFor(func() bool {
			return r.metric("otelcol_receiver_refused_requests", "reason=shutdown", "transport="+via.name) == 1
		})
	}
}

// A receiver whose listener fails is not healthy; a stopped one is.
func TestHealthy(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"gRPC", "HTTP"} {
		r := newRig(t, testConfig())
		if err := r.Healthy(); err != nil {
			t.Errorf("when it runs: %v", err)
		}
		if transport == "gRPC" {
			_ = r.servers.Load().grpc.Listener().Close()
		} else {
			_ = r.servers.Load().http.listener.Close()
		}
		r.waitFor(func() bool { return r.Healthy() != nil })
		if err := r.Healthy(); !strings.Contains(err.Error(), "serve OTLP/"+transport) {
			t.Error(err)
		}
	}
	r := newRig(t, testConfig())
	if err := r.shutdownIn(5 * time.Second); err != nil || r.Healthy() != nil {
		t.Errorf("after a stop: %v, %v", err, r.Healthy())
	}
}

// The sender's span is the parent of the receiver's.
func TestTraceparent(t *testing.T) {
	t.Parallel()
	eachServer(t, nil, func(t *testing.T, cfg Config, ca *tlstest.Authority) {
		r := newRig(t, cfg)
		got := make(chan oteltrace.SpanContext, 1)
		r.sink.Respond(func(ctx context.Context, _ *pipeline.Batch) error {
			got <- oteltrace.SpanContextFromContext(ctx)
			return nil
		})
		for i, c := range allClients(t, r, ca) {
			if a := c.send(t, c.target(otlp.Logs), "", request(otlp.Logs, 1)); !a.ok() {
				t.Fatal(a.status)
			}
			sc := <-got
			r.waitFor(func() bool { return len(r.spans.Ended()) == i+1 })
			span := r.spans.Ended()[i]
			if parent := span.Parent(); parent.TraceID().String() != testTraceparent[3:35] || parent.SpanID().String() != testTraceparent[36:52] || !parent.IsRemote() {
				t.Errorf("%s: the parent is %+v", c.name, parent)
			}
			if sc.SpanID() != span.SpanContext().SpanID() {
				t.Errorf("%s: the consumer is not inside the span", c.name)
			}
		}
	})
}

// Strings that are not UTF-8 are passed on, repaired or refused, as configured.
// Each client is logged once.
func TestInvalidUTF8(t *testing.T) {
	t.Parallel()
	good := request(otlp.Logs, 3)
	bad := bytes.ReplaceAll(good, []byte("INFO"), []byte("I\xffF\xfe"))
	repaired := message(otlp.Logs, 3).(*collogs.ExportLogsServiceRequest)
	for _, l := range repaired.ResourceLogs[0].ScopeLogs[0].LogRecords {
		l.SeverityText = "I\uFFFDF\uFFFD"
	}
	repaired.ProtoReflect().SetUnknown([]byte{0xfa, 0x3f, 3, 'n', 'e', 'w'}) // see request
	for policy, tt := range map[TextPolicy]struct {
		says string
		code codes.Code
	}{
		AcceptText: {"passing them on as they are", codes.OK}, "": {"passing them on as they are", codes.OK},
		RepairText: {"repairing them", codes.OK}, RejectText: {"refusing the requests", codes.InvalidArgument},
	} {
		for _, s := range testTransports {
			cfg := testConfig()
			cfg.InvalidUTF8 = policy
			r := newRigWith(t, cfg, setup{budget: admission.New(admission.Config{Bytes: 64 << 20})})
			for range 3 {
				for _, body := range [][]byte{bad, good} {
					a := s.send(r, otlp.Logs, "", body)
					if want := tt.code == codes.OK || bytes.Equal(body, good); a.ok() != want {
						t.Errorf("%s %s: %v", policy, s.name, a.status)
					}
					if a.ok() {
						continue
					}
					if codes.Code(a.status.Code) != codes.InvalidArgument || badRequest(a.status).GetField() == "" || a.http != 0 && a.http != 400 {
						t.Errorf("%s %s: %v", policy, s.name, a.status)
					}
				}
			}
			seen := r.sink.All()
			switch {
			case policy == RejectText:
				if len(seen) != 3 || !bytes.Equal(seen[0].Bytes, good) {
					t.Errorf("%s: %d requests arrived", policy, len(seen))
				}
			case policy == RepairText:
				m := emptyRequest(otlp.Logs)
				if err := proto.Unmarshal(seen[0].Bytes, m); err != nil || !proto.Equal(m, repaired) || seen[0].Items != 3 {
					t.Errorf("%s: %v %v, want %v", policy, m, err, repaired)
				}
				if len(seen) != 6 || !bytes.Equal(seen[1].Bytes, good) {
					t.Errorf("%s: %d requests arrived", policy, len(seen))
				}
			default:
				if len(seen) != 6 || !bytes.Equal(seen[0].Bytes, bad) || !bytes.Equal(seen[1].Bytes, good) {
					t.Errorf("%s: other bytes arrived", policy)
				}
			}
			want := int64(3)
			if policy == AcceptText || policy == "" {
				want = 1 // it looks at the first request of a connection, and then now and then
			}
			if n := r.metric("otelcol_receiver_invalid_utf8_requests", "signal=logs", "transport="+s.name); n != want {
				t.Errorf("%s %s: %d requests counted, want %d", policy, s.name, n, want)
			}
			if text := r.logs.String(); strings.Count(text, tt.says) != 1 || !strings.Contains(text, "client=127.0.0.1") {
				t.Errorf("%s %s: the log says\n%s", policy, s.name, text)
			}
		}
	}
}

// Both ends of a signal in development say which version they speak.
func TestProfilesVersion(t *testing.T) {
	t.Parallel()
	spec := otlp.Profiles.Spec()
	eachServer(t, nil, func(t *testing.T, cfg Config, ca *tlstest.Authority) {
		r := newRig(t, cfg)
		body := request(otlp.Profiles, 2)
		for _, target := range []struct {
			addr        string
			path, media string
			signal      otlp.Signal
		}{
			{"http", spec.Path, "application/x-protobuf", otlp.Profiles}, {"http", "/v1/profiles", "application/x-protobuf", otlp.Profiles},
			{"grpc", spec.Method, "application/grpc", otlp.Profiles}, {"http", "/v1/logs", "application/x-protobuf", otlp.Logs},
		} {
			for name, values := range map[string][]string{
				"absent": nil, "right": {spec.HeaderValue}, "wrong": {spec.HeaderValue + "9"}, "empty": {""}, "twice": {spec.HeaderValue, spec.HeaderValue},
			} {
				addr, sent := r.HTTPAddr(), body
				if target.signal != otlp.Profiles {
					sent = request(target.signal, 2)
				}
				if target.addr == "grpc" {
					addr, sent = r.GRPCAddr(), frame(0, len(sent), sent)
				}
				h := http.Header{"Content-Type": {target.media}, "Te": {"trailers"}}
				if values != nil {
					h[http.CanonicalHeaderKey(spec.Header)] = values
				}
				a := h2Do(t, ca, addr, target.path, h, bytes.NewReader(sent))
				ok := a.StatusCode == 200 && (target.addr == "http" || a.code() == codes.OK)
				refused := a.StatusCode == 400 || target.addr == "grpc" && a.code() == codes.InvalidArgument
				if want := name == "absent" || name == "right" || target.signal != otlp.Profiles; ok != want || refused == want {
					t.Errorf("%s, %s: %d %s", target.path, name, a.StatusCode, a.code())
				}
			}
		}
	})
}

// Profiles of an older format get an error that says so if the format can be
// recognised.
func TestOlderProfiles(t *testing.T) {
	t.Parallel()
	var profile []byte
	r := newRig(t, testConfig())
	text, err := os.ReadFile("../../otlp/testdata/oldprofiles.txt")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[1] != "usual" || f[0] == "v1.10" {
			continue
		}
		if profile, err = hex.DecodeString(f[2]); err != nil {
			t.Fatal(err)
		}
		tried++
		for _, via := range testTransports {
			a := via.send(r, otlp.Profiles, "", profile)
			if a.ok() || codes.Code(a.status.Code) != codes.InvalidArgument || !strings.HasPrefix(a.status.Message, "this looks like OTLP profiles of opentelemetry-proto ") ||
				!strings.Contains(a.status.Message, f[0]) || badRequest(a.status) == nil {
				t.Errorf("%s of %s: %v", via.name, f[0], a.status)
			}
		}
	}
	if tried < 4 {
		t.Errorf("%d requests of older versions", tried)
	}
	const hint = "this is OTLP profiles of an older wire format"
	a := r.request(http.MethodPost, "/v1experimental/profiles", http.Header{"Content-Type": {"application/x-protobuf"}}, profile)
	if a.http != 404 || !strings.Contains(a.status.GetMessage(), hint) || !strings.Contains(a.status.GetMessage(), otlp.Profiles.Spec().Path) {
		t.Errorf("the older path: %d %v", a.http, a.status)
	}
	err = r.conn.Invoke(t.Context(), "/opentelemetry.proto.collector.profiles.v1experimental.ProfilesService/Export", profile, new([]byte), grpc.ForceCodecV2(clientCodec{}))
	if st := status.Convert(err); st.Code() != codes.Unimplemented || !strings.Contains(st.Message(), hint) || !strings.Contains(st.Message(), otlp.Profiles.Spec().Service) {
		t.Errorf("the older service: %v", err)
	}
}

// Shutdown while bodies are being received returns at its deadline.
func TestShutdownMidBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, media string }{
		{"/v1/logs", "application/x-protobuf"}, {"/v1/logs", "application/json"}, {otlp.Logs.Spec().Method, "application/grpc"},
	} {
		for _, ports := range []string{"two ports", "one port"} {
			t.Run(fmt.Sprint(tt.media, " ", ports), func(t *testing.T) {
				t.Parallel()
				cfg := testConfig()
				if ports == "one port" {
					cfg = onePortConfig("tcp", freePort(t), nil)
				}
				r := newRigWith(t, cfg, setup{budget: admission.New(admission.Config{Bytes: 64 << 20})})
				addr := r.HTTPAddr()
				if tt.media == "application/grpc" {
					addr = r.GRPCAddr()
				}
				r.holdOpen(h2Client(t), addr, tt.path, http.Header{"Content-Type": {tt.media}, "Te": {"trailers"}})
				err := r.shutdownIn(100 * time.Millisecond)
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 unfinished requests were aborted") {
					t.Errorf("Shutdown: %v", err)
				}
				r.idle()
			})
		}
	}
}
