// Package relay holds the test of compressed requests: from a client over an OTLP receiver
// and an exporter to a destination.
package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/exporter/otlpexporter"
	"github.com/penstock-telemetry/penstock/exporter/otlphttpexporter"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

func TestMain(m *testing.M) {
	testkit.RegisterGRPCEncodings()
	testkit.Main(m)
}

// message is a request as it is sent.
type message struct {
	encoding string // "" is not compressed
	body     []byte
}

// plain returns the request.
func (m message) plain(t testing.TB) []byte {
	t.Helper()
	b, err := decompress.DecompressBytes(m.encoding, nil, m.body, 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	return *b
}

// destination keeps requests as they arrive, without decompressing them.
type destination struct {
	grpc, http string

	mu  sync.Mutex
	got []message
}

func (d *destination) add(m message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, m)
}

// take returns what came since the last call.
func (d *destination) take() []message {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.got
	d.got = nil
	return got
}

// undecompressed is a decompressor that returns what it is given, behind the encoding.
type undecompressed string

func (u undecompressed) Type() string { return string(u) }
func (u undecompressed) Do(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(r)
	return append([]byte(u+"\x00"), b...), err
}

// rawCodec passes bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(b mem.BufferSlice, v any) error {
	*v.(*[]byte) = b.Materialize()
	return nil
}

// newDestination returns a destination whose gRPC server takes messages in an encoding and
// those that are not compressed.
func newDestination(t *testing.T, encoding string) *destination {
	t.Helper()
	d := &destination{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		d.add(message{r.Header.Get("Content-Encoding"), body})
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(web.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	handler := func(_ any, s grpc.ServerStream) error {
		var b []byte
		if err := s.RecvMsg(&b); err != nil {
			return err
		}
		m := message{body: b}
		if head, body, ok := bytes.Cut(b, []byte{0}); ok && string(head) == encoding {
			m = message{encoding, body}
		}
		d.add(m)
		return s.SendMsg([]byte(nil))
	}
	//lint:ignore SA1019 the way that does not decompress
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.RPCDecompressor(undecompressed(encoding)), grpc.UnknownServiceHandler(handler))
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Stop(); wg.Wait() })
	d.grpc, d.http = l.Addr().String(), web.URL
	return d
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exporter returns a started exporter to the destination.
func (r *relay) exporter(to *destination, transport, compression string, pass config.Passthrough) pipeline.Consumer {
	r.t.Helper()
	set := component.Settings{ID: transport + " " + compression, Memory: r.budget}
	var e component.Exporter
	var err error
	if transport == "grpc" {
		cfg := otlpexporter.DefaultConfig()
		cfg.Endpoint, cfg.TLS.Insecure = to.grpc, true
		cfg.Compression, cfg.Passthrough = config.Compression(compression), pass
		e, err = otlpexporter.New(cfg, set)
	} else {
		cfg := otlphttpexporter.DefaultConfig()
		cfg.Endpoint = to.http
		cfg.Compression, cfg.Passthrough = config.Compression(compression), pass
		if compression == "json" {
			cfg.Compression, cfg.Encoding = "gzip", "json"
		}
		e, err = otlphttpexporter.New(cfg, set)
	}
	noError(r.t, err)
	noError(r.t, e.Start(r.t.Context()))
	r.t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
	return e
}

// relay is a receiver whose consumer can be replaced.
type relay struct {
	t      *testing.T
	budget *admission.Budget
	to     *pipeline.Switch
	r      *otlpreceiver.Receiver
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	r := &relay{t: t, budget: admission.New(admission.Config{Bytes: 64 << 20})}
	r.to = pipeline.NewSwitch(pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return errors.New("not set") }))
	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC, cfg.Protocols.HTTP = otlpreceiver.DefaultGRPCConfig(), otlpreceiver.DefaultHTTPConfig()
	cfg.Protocols.GRPC.Endpoint, cfg.Protocols.HTTP.Endpoint = "127.0.0.1:0", "127.0.0.1:0"
	cfg.InvalidUTF8 = otlpreceiver.RepairText
	var err error
	r.r, err = otlpreceiver.New(cfg, component.Settings{Memory: r.budget})
	noError(t, err)
	noError(t, r.r.RegisterAll(r.to))
	noError(t, r.r.Start(t.Context()))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		_ = r.r.Shutdown(context.Background())
		if used := r.budget.Stats().Used; used != 0 {
			t.Errorf("%d bytes of the budget are in use at the end", used)
		}
	})
	return r
}

// sending is a compressor that sends bytes which are compressed already.
type sending struct {
	encoding string
	body     []byte
}

func (s sending) Type() string { return s.encoding }
func (s sending) Do(w io.Writer, _ []byte) error {
	_, err := w.Write(s.body)
	return err
}

// send sends a message to the receiver.
func (r *relay) send(transport string, s otlp.Signal, m message) error {
	if transport == "http" {
		return r.post(s, m, "application/x-protobuf")
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallSendMsgSize(64<<20))}
	if m.encoding != "" {
		//lint:ignore SA1019 the way that sends other bytes than those of a compressor
		options = append(options, grpc.WithCompressor(sending(m)))
	}
	conn, err := grpc.NewClient(r.r.GRPCAddr().String(), options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	var response []byte
	return conn.Invoke(context.Background(), s.Spec().Method, m.body, &response)
}

func (r *relay) post(s otlp.Signal, m message, contentType string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+r.r.HTTPAddr().String()+s.Spec().Path, bytes.NewReader(m.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	if m.encoding != "" {
		req.Header.Set("Content-Encoding", m.encoding)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// relayed sends a message through next and returns what the destination got.
func (r *relay) relayed(transport string, s otlp.Signal, m message, to *destination, next pipeline.Consumer) message {
	r.t.Helper()
	r.to.Turn(next)
	noError(r.t, r.send(transport, s, m))
	got := to.take()
	if len(got) != 1 {
		r.t.Fatalf("the destination got %d requests, want 1", len(got))
	}
	return got[0]
}

// randomRequest returns a request that compression makes shorter.
func randomRequest(rng *rand.Rand) (otlp.Signal, []byte) {
	all := otlp.Signals()
	s := all[rng.IntN(len(all))]
	request := testkit.Request(rng, s, 1+rng.IntN(20))
	for len(request) < 500 {
		request = append(request, testkit.Request(rng, s, 20)...)
	}
	return s, request
}
