package otlpreceiver

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/metadata"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// The consumer sees the client's bytes, whatever carried them.
func TestBytesArriveAsSent(t *testing.T) {
	t.Parallel()
	for _, via := range testTransports {
		for _, s := range otlp.Signals() {
			for _, encoding := range []string{"", "gzip", "zstd"} {
				t.Run(via.name+"/"+s.String()+"/"+encoding, func(t *testing.T) {
					t.Parallel()
					r := newRig(t, testConfig())
					items := 0
					for _, n := range []int{1, 10, 20_000} { // one frame, one frame, many frames and a grown buffer
						before := time.Now()
						body := request(s, n)
						if a := via.send(r, s, encoding, body); !a.ok() || len(a.body) != 0 {
							t.Fatalf("%d items: answer %+v, want an empty success", n, a)
						}
						items += n
						seen := r.sink.All()
						got := seen[len(seen)-1]
						if got.Signal != s || got.Items != n || !bytes.Equal(got.Bytes, body) {
							t.Errorf("sent %d %s in %d bytes, consumer saw %d %s in %d bytes (equal: %v)", n, s, len(body),
								got.Items, got.Signal, len(got.Bytes), bytes.Equal(got.Bytes, body))
						}
						c := got.Client
						if host, _, err := net.SplitHostPort(c.Addr); err != nil || host != "127.0.0.1" ||
							c.Transport != via.name || c.Format != "protobuf" || c.Metadata != nil ||
							c.Received.Before(before) || c.Received.After(time.Now()) {
							t.Errorf("client %+v", c)
						}
					}
					if got := r.counts(s, via.name); got != [3]int64{int64(items), 0, 0} {
						t.Errorf("accepted, refused, failed = %v, want %d accepted", got, items)
					}
				})
			}
		}
	}
}

// The clients that the protocol's own modules generate understand the answers.
func TestGeneratedClients(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	ctx := t.Context()
	tr, err := coltraces.NewTraceServiceClient(r.conn).Export(ctx, message(otlp.Traces, 1).(*coltraces.ExportTraceServiceRequest))
	if err != nil || tr.GetPartialSuccess() != nil {
		t.Errorf("traces: %v %v", tr, err)
	}
	me, err := colmetrics.NewMetricsServiceClient(r.conn).Export(ctx, message(otlp.Metrics, 1).(*colmetrics.ExportMetricsServiceRequest))
	if err != nil || me.GetPartialSuccess() != nil {
		t.Errorf("metrics: %v %v", me, err)
	}
	lo, err := collogs.NewLogsServiceClient(r.conn).Export(ctx, message(otlp.Logs, 1).(*collogs.ExportLogsServiceRequest))
	if err != nil || lo.GetPartialSuccess() != nil {
		t.Errorf("logs: %v %v", lo, err)
	}
	pr, err := colprofiles.NewProfilesServiceClient(r.conn).Export(ctx, message(otlp.Profiles, 1).(*colprofiles.ExportProfilesServiceRequest))
	if err != nil || pr.GetPartialSuccess() != nil {
		t.Errorf("profiles: %v %v", pr, err)
	}
	if n := r.sink.Calls(); n != 4 {
		t.Errorf("%d batches arrived, want 4", n)
	}
}

// Requests without items carry resources or a dictionary and are handed on;
// requests without bytes carry nothing.
func TestRequestsWithoutItems(t *testing.T) {
	t.Parallel()
	for _, via := range testTransports {
		t.Run(via.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testConfig())
			for i, s := range otlp.Signals() {
				if a := via.send(r, s, "", nil); !a.ok() {
					t.Errorf("%s: empty request: %v", s, a)
				}
				if n := r.sink.Calls(); n != i {
					t.Errorf("%s: an empty request reached the consumer", s)
				}
				if got := r.counts(s, via.name); got != [3]int64{} {
					t.Errorf("%s: counted %v, want three series at 0", s, got)
				}
				body := request(s, 0)
				if a := via.send(r, s, "", body); !a.ok() {
					t.Errorf("%s: request without items: %v", s, a)
				}
				seen := r.sink.All()
				if len(seen) != i+1 || !bytes.Equal(seen[i].Bytes, body) || seen[i].Items != 0 {
					t.Errorf("%s: a request without items did not reach the consumer as sent", s)
				}
			}
		})
	}
}

func TestHTTPPathsAndTypes(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	h := new(*cfg.Protocols.HTTP)
	h.LogsURLPath = "http://ignored/in/logs?x=1"
	cfg.Protocols.HTTP = h
	r := newRig(t, cfg)
	for path, s := range map[string]otlp.Signal{
		"/v1/traces": otlp.Traces, "/v1/metrics": otlp.Metrics, "/in/logs": otlp.Logs,
		"/v1development/profiles": otlp.Profiles, "/v1/profiles": otlp.Profiles,
	} {
		for _, ct := range []string{"application/x-protobuf", "Application/X-Protobuf", "application/x-protobuf; charset=utf-8"} {
			a := r.request(http.MethodPost, path, http.Header{"Content-Type": {ct}}, request(s, 1))
			if a.http != http.StatusOK || a.header.Get("Content-Type") != "application/x-protobuf" || len(a.body) != 0 {
				t.Errorf("%s as %s: %+v", path, ct, a)
			}
			if seen := r.sink.All(); seen[len(seen)-1].Signal != s {
				t.Errorf("%s led to %s, want %s", path, seen[len(seen)-1].Signal, s)
			}
		}
	}
	if a := r.request(http.MethodPost, "/v1/logs", http.Header{"Content-Type": {"application/x-protobuf"}}, nil); a.http != http.StatusNotFound {
		t.Errorf("the default path of a signal that has another: %d, want 404", a.http)
	}
}

func TestSignalsWithoutPipeline(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), otlp.Logs)
	for _, s := range otlp.Signals() {
		for _, via := range testTransports {
			a := via.send(r, s, "", request(s, 1))
			if s == otlp.Logs {
				if !a.ok() {
					t.Errorf("%s/%s: %v", via.name, s, a)
				}
				continue
			}
			if a.ok() || a.status.Code != 12 || a.http != 0 && a.http != http.StatusNotFound {
				t.Errorf("%s/%s: %+v, want Unimplemented or 404", via.name, s, a)
			}
		}
	}
	if n := r.sink.Calls(); n != 2 {
		t.Errorf("%d batches arrived, want 2", n)
	}
}

func TestIncludeMetadata(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
	g.IncludeMetadata.All, h.IncludeMetadata.All = true, true
	cfg.Protocols.GRPC, cfg.Protocols.HTTP = g, h
	r := newRig(t, cfg)

	ctx := metadata.AppendToOutgoingContext(t.Context(), "X-Tenant", "a", "X-Tenant", "b")
	if _, err := collogs.NewLogsServiceClient(r.conn).Export(ctx, message(otlp.Logs, 1).(*collogs.ExportLogsServiceRequest)); err != nil {
		t.Fatal(err)
	}
	r.request(http.MethodPost, "/v1/logs", http.Header{"Content-Type": {"application/x-protobuf"}, "X-Tenant": {"a", "b"}}, request(otlp.Logs, 1))
	addrs := []string{r.GRPCAddr().String(), r.HTTPAddr().String()}
	for i, b := range r.sink.All() {
		md := b.Client.Metadata
		if !reflect.DeepEqual(md["x-tenant"], []string{"a", "b"}) || !reflect.DeepEqual(md["host"], addrs[i:i+1]) {
			t.Errorf("%s: metadata %v", b.Client.Transport, md)
		}
		for k := range md {
			if k != strings.ToLower(k) {
				t.Errorf("%s: key %q is not in lower case", b.Client.Transport, k)
			}
		}
	}
}

// filler returns a valid request of n bytes without items: one unknown field.
func filler(n int) []byte {
	const head = 2 + 4 // tag, length in 4 bytes
	l := n - head
	b := make([]byte, n)
	copy(b, []byte{0xfa, 0x3f, byte(l) | 0x80, byte(l>>7) | 0x80, byte(l>>14) | 0x80, byte(l >> 21)})
	return b
}

// The limit is on what a request decompresses to, and exact.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	cfg := testConfig()
	g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
	g.MaxRecvMsgSizeMiB, h.MaxRequestBodySize = 1, limit
	cfg.Protocols.GRPC, cfg.Protocols.HTTP = g, h
	r := newRig(t, cfg)
	for _, via := range testTransports {
		for _, encoding := range []string{"", "gzip", "zstd"} {
			if a := via.send(r, otlp.Traces, encoding, filler(limit)); !a.ok() {
				t.Errorf("%s %s: %d bytes: %v", via.name, encoding, limit, a.status)
			}
			a := via.send(r, otlp.Traces, encoding, filler(limit+1))
			if a.ok() || a.status.Code != 8 || len(a.status.Details) != 0 || a.http != 0 && a.http != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s: %d bytes: %+v, want ResourceExhausted without RetryInfo, 413", via.name, encoding, limit+1, a)
			}
		}
	}
	// Without a Content-Length the limit is found on the way, on both sides of the decompressor.
	for encoding, body := range map[string][]byte{
		"": filler(limit + 1), "gzip": bytes.Repeat(compressed("gzip", nil), limit/10),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.HTTPAddr().String()+"/v1/traces",
			struct{ *bytes.Reader }{bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {encoding}}
		resp, err := r.web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if a := readAnswer(t, resp); a.http != http.StatusRequestEntityTooLarge {
			t.Errorf("chunked %s: %+v, want 413", encoding, a)
		}
	}
}

// A client's deadline reaches the consumer.
func TestGRPCDeadlineReachesConsumer(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	got := make(chan time.Time, 1)
	r.sink.Respond(func(ctx context.Context, _ *pipeline.Batch) error {
		d, _ := ctx.Deadline()
		got <- d
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := collogs.NewLogsServiceClient(r.conn).Export(ctx, message(otlp.Logs, 1).(*collogs.ExportLogsServiceRequest)); err != nil {
		t.Fatal(err)
	}
	want, _ := ctx.Deadline()
	if d := <-got; d.IsZero() || d.After(want.Add(time.Second)) {
		t.Errorf("the consumer's deadline is %v, the client's %v", d, want)
	}
}
