package otlpexporter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// hangsAfter is when a test calls what has not happened a hang. Nothing waits
// for it to pass; it is long since the machine may be starved.
const hangsAfter = time.Minute

func TestMain(m *testing.M) { testkit.Main(m) }

type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(b mem.BufferSlice, v any) error {
	*v.(*[]byte) = b.Materialize()
	return nil
}

type arrival struct {
	method string
	body   []byte
}

// destination starts a grpc-go server that hands over what arrives.
func destination(t testing.TB, answer func(ctx context.Context) ([]byte, error)) (addr string, arrivals chan arrival) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrivals = make(chan arrival, 1000)
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(64<<20),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			var a arrival
			a.method, _ = grpc.MethodFromServerStream(s)
			if err := s.RecvMsg(&a.body); err != nil {
				return err
			}
			arrivals <- a
			b, err := answer(s.Context())
			if err != nil {
				return err
			}
			return s.SendMsg(b)
		}))
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(lis) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return lis.Addr().String(), arrivals
}

func thanks(context.Context) ([]byte, error) { return []byte{}, nil }

func fromYAML(t testing.TB, yaml string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, yaml, &cfg)
	return cfg, err
}

func start(t testing.TB, yaml string) *Exporter {
	t.Helper()
	cfg, err := fromYAML(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Timeout == DefaultConfig().Timeout { // the test is about something else
		cfg.Timeout = hangsAfter
	}
	e, err := New(cfg, component.Settings{ID: "otlp/2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// request is a valid request of any signal, of about n bytes, with a field that
// nobody knows.
func request(n int) []byte {
	unknown := protowire.AppendTag(nil, 9999, protowire.BytesType)
	return protowire.AppendBytes(unknown, bytes.Repeat([]byte("penstock "), n/9+1)[:n])
}

func TestDeliversBytes(t *testing.T) {
	t.Parallel()
	addr, arrivals := destination(t, thanks)
	for _, compression := range []string{"none", "gzip", "zstd"} {
		e := start(t, "{endpoint: "+addr+", tls: {insecure: true}, compression: "+compression+"}")
		for _, s := range otlp.Signals() {
			for _, n := range []int{0, 100, 500_000} {
				body := request(n)
				b := testkit.PooledBatch(t, s, body, nil)
				if err := e.Consume(t.Context(), b); err != nil {
					t.Fatalf("%s, %s: %v", s, compression, err)
				}
				b.Release()
				got := <-arrivals
				if !bytes.Equal(got.body, body) || got.method != s.Spec().Method {
					t.Errorf("%s, %s: %d other bytes arrived at %s", s, compression, len(got.body), got.method)
				}
			}
		}
	}
}

// Many at once, out of a pool that reuses its buffers: each arrives as it was.
func TestDeliversConcurrently(t *testing.T) {
	t.Parallel()
	addr, arrivals := destination(t, thanks)
	e := start(t, "{endpoint: "+addr+", tls: {insecure: true}, compression: none}")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				body := request(3000 + 1000*i)
				copy(body[20:], fmt.Sprintf("%d/%d", g, i))
				b := testkit.PooledBatch(t, otlp.Logs, body, nil)
				if err := e.Consume(t.Context(), b); err != nil {
					t.Error(err)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for range 160 {
		a := <-arrivals
		if _, err := otlp.Check(otlp.Logs, a.body); err != nil {
			t.Fatal(err)
		}
		seen[string(a.body[20:24])+fmt.Sprint(len(a.body))] = true
	}
	if len(seen) != 160 {
		t.Errorf("%d different requests arrived, want 160", len(seen))
	}
}

func TestTranslatesAnswers(t *testing.T) {
	t.Parallel()
	withInfo := func(code codes.Code) error {
		st, _ := status.New(code, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
		return st.Err()
	}
	rejecting := []byte{0x0a, 6, 0x08, 2, 0x12, 2, 'n', 'o'}
	for name, c := range map[string]struct {
		body []byte
		err  error
		want pipeline.Error
	}{
		"unavailable": {err: status.Error(codes.Unavailable, "x"), want: pipeline.Error{Kind: pipeline.Retryable, Code: 14}},
		"busy":        {err: withInfo(codes.ResourceExhausted), want: pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: 3 * time.Second, Code: 8}},
		"invalid":     {err: status.Error(codes.InvalidArgument, "x"), want: pipeline.Error{Kind: pipeline.Permanent, Code: 3}},
		"partial":     {body: rejecting, want: pipeline.Error{Kind: pipeline.Partial, Rejected: 2}},
	} {
		addr, _ := destination(t, func(context.Context) ([]byte, error) { return c.body, c.err })
		e := start(t, "{endpoint: "+addr+", tls: {insecure: true}}")
		b := testkit.PooledBatch(t, otlp.Traces, spans(5), nil)
		err := e.Consume(t.Context(), b)
		b.Release()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		got := *pipeline.Classify(err)
		got.Err = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func spans(n int) []byte {
	scope := bytes.Repeat([]byte{0x12, 0}, n)
	resource := protowire.AppendBytes([]byte{0x12}, scope)
	return protowire.AppendBytes([]byte{0x0a}, resource)
}

// A connection that breaks in the middle of a large request, and then a
// destination that is not there: send again. The batches are given back all the
// same.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	behind, _ := destination(t, thanks)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var broken sync.WaitGroup
	broken.Go(func() {
		defer lis.Close()
		for range 2 {
			breakAfter(lis, behind, 100_000)
		}
	})
	e := start(t, "{endpoint: "+lis.Addr().String()+", tls: {insecure: true}, compression: none}")
	for range 6 {
		b := testkit.PooledBatch(t, otlp.Metrics, request(5<<20), nil)
		err := e.Consume(t.Context(), b)
		b.Release()
		if err == nil || pipeline.Classify(err).Kind != pipeline.Retryable {
			t.Errorf("got %v, want a retryable error", err)
		}
	}
	lis.Close()
	broken.Wait()
}

// breakAfter takes one connection through to the destination, and cuts it after
// n bytes from the client.
func breakAfter(lis net.Listener, destination string, n int64) {
	client, err := lis.Accept()
	if err != nil {
		return
	}
	defer client.Close()
	server, err := net.Dial("tcp", destination)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { io.Copy(client, server) })
	io.CopyN(server, client, n)
	server.Close()
	client.Close()
	back.Wait()
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	addr, _ := destination(t, func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
	e := start(t, "{endpoint: "+addr+", tls: {insecure: true}, timeout: 50ms}")
	b := testkit.PooledBatch(t, otlp.Metrics, request(100), nil)
	defer b.Release()
	if err := pipeline.Classify(e.Consume(t.Context(), b)); err == nil || err.Kind != pipeline.Retryable || err.Code != uint32(codes.DeadlineExceeded) {
		t.Errorf("got %+v", err)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := DefaultConfig()
	if got.Timeout != 5*time.Second || got.Compression != config.Gzip || got.BalancerName != "round_robin" || got.WriteBufferSize != 512<<10 {
		t.Errorf("got %+v", got)
	}
}

// What the Collector's exporter has is understood, whatever it holds.
func TestCollectorConfig(t *testing.T) {
	t.Parallel()
	cfg, err := fromYAML(t, `
endpoint: otelcol2:4317
timeout: 10s
tls: {insecure: false, ca_file: /var/lib/mycert.pem}
headers: {"x": "1234"}
compression: gzip
balancer_name: pick_first
wait_for_ready: true
keepalive: {time: 20s, timeout: 30s, permit_without_stream: true}
auth: {authenticator: nop}
retry_on_failure: {enabled: true, initial_interval: 10s, max_interval: 1m, max_elapsed_time: 10m}
sending_queue: {enabled: true, num_consumers: 2, queue_size: 10, storage: file_storage/otc, batch: {flush_timeout: 1s}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Warnings(); len(got) != 0 {
		t.Errorf("warnings: %q", got)
	}
	want := []component.Need{{Key: "auth.authenticator", ID: "nop", Role: component.RoleClientAuthenticator}, {Key: "sending_queue.storage", ID: "file_storage/otc", Role: component.RoleStorage}}
	if got := cfg.Needs(); !slices.Equal(got, want) {
		t.Errorf("needs %+v", got)
	}
}

func TestRefusesConfig(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"timeout: 1s":                        "no endpoint is set: expected host:port",
		"endpoint: h:1\ntimeout: -1s":        ":2:10: timeout: timeout -1s is negative",
		"endpoint: h:1\ncompresion: gzip":    `:2:1: compresion: unknown key, did you mean "compression"`,
		"endpoint: h:1\ncompression: brotli": ":2:14: compression: unknown compression",
		"endpoint: h:1\ntls:\n  ca_fil: x":   `did you mean "ca_file"`,
	} {
		if _, err := fromYAML(t, yaml); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\ngot  %v\nwant %q, once", yaml, err, want)
		}
	}
	if _, err := New(DefaultConfig(), component.Settings{}); err == nil {
		t.Error("New takes a configuration without an endpoint")
	}
	cfg := DefaultConfig()
	cfg.Endpoint, cfg.TLS.CAFile = "h:1", "/gone"
	e, err := New(cfg, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "/gone") {
		t.Errorf("start with a missing file: %v", err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

var (
	_ pipeline.Consumer  = (*Exporter)(nil)
	_ pipeline.Component = (*Exporter)(nil)
	_ pipeline.Named     = (*Exporter)(nil)
)
