// Package plain is a process in which nothing is registered with gRPC: clients and
// receivers of penstock work together all the same.
package plain

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

const timeout = time.Minute

// spans is a request of n spans.
func spans(n int) []byte {
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	for range n {
		s := ss.AddSpans()
		s.SetName("GET /checkout")
		s.Close()
	}
	ss.Close()
	rs.Close()
	return e.Buf
}

func client(t *testing.T, endpoint string, c config.Compression) *otlpclient.GRPC {
	t.Helper()
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.Compression, cfg.TLS.Insecure = endpoint, c, true
	sender, err := otlpclient.NewGRPC(cfg, timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sender.Close() })
	return sender
}

func nothingRegistered(t *testing.T) {
	t.Helper()
	for _, name := range config.GRPCEncodings() {
		if c := encoding.GetCompressor(name); c != nil {
			t.Fatalf("the gRPC encoding %s is registered: %T", name, c)
		}
	}
}

// A receiver takes gzip, which it decompresses itself: gRPC's decompressor is a
// stub that fails. What gRPC has no entry for it refuses.
func TestReceiver(t *testing.T) {
	nothingRegistered(t)
	cfg := otlpreceiver.DefaultConfig()
	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
	cfg.Protocols.GRPC.Endpoint = "127.0.0.1:0"
	r, err := otlpreceiver.New(cfg, component.Settings{ID: "otlp"})
	if err != nil {
		t.Fatal(err)
	}
	next := &testkit.Sink{} // the answer to its rejection has something in it
	next.Fail(&pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errors.New("one is too old")})
	if err := r.Register(otlp.Traces, next); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Shutdown(context.Background())
	request := spans(1000)
	for i, c := range []config.Compression{config.NoCompression, config.Gzip} {
		a, err := client(t, r.GRPCAddr().String(), c).Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: request})
		if err != nil || a.Rejected != 1 || !strings.Contains(a.Message, "rejected some of the items") {
			t.Fatalf("%s: %+v, %v", c, a, err)
		}
		if got := next.Requests(otlp.Traces); len(got) != i+1 || !bytes.Equal(got[i], request) {
			t.Errorf("%s: %d requests arrived, the last has other bytes", c, len(got))
		}
	}
	for _, c := range []config.Compression{config.Zstd, config.Snappy} {
		_, err := client(t, r.GRPCAddr().String(), c).Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: request})
		var e *otlpclient.Error
		if !errors.As(err, &e) || e.Code != codes.Unimplemented || !strings.Contains(err.Error(), "not installed") {
			t.Errorf("%s: %v", c, err)
		}
	}
	nothingRegistered(t)
}

// A client sends each encoding, and reads answers in it, up to its limit.
func TestClient(t *testing.T) {
	nothingRegistered(t)
	for _, name := range config.GRPCEncodings() {
		t.Run(name, func(t *testing.T) {
			d := startDestination(t, name)
			c := client(t, d.addr, config.Compression(name))
			request := spans(1000)
			d.answer = otlp.AppendPartialSuccess(nil, 3, strings.Repeat("because ", 100))
			a, err := c.Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: request})
			if err != nil || a.Rejected != 3 || !strings.Contains(a.Message, "because") {
				t.Fatalf("%+v, %v", a, err)
			}
			if got := <-d.requests; !bytes.Equal(got, request) {
				t.Errorf("%d bytes arrived, %d were sent", len(got), len(request))
			}
			d.answer = make([]byte, 64<<20) // some KiB on the wire
			_, err = c.Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: request})
			<-d.requests
			var e *otlpclient.Error
			if !errors.As(err, &e) || e.Code != codes.ResourceExhausted {
				t.Errorf("an answer of 64 MiB: %v", err)
			}
		})
	}
	nothingRegistered(t)
}

// destination is a gRPC server that compresses its answers.
type destination struct {
	addr     string
	answer   []byte
	requests chan []byte
}

// rawCodec hands messages over as bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func startDestination(t *testing.T, encoding string) *destination {
	t.Helper()
	d := &destination{requests: make(chan []byte, 1)}
	z, u, err := compress.GRPC(encoding, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}),
		grpc.RPCCompressor(z), grpc.RPCDecompressor(u), //lint:ignore SA1019 for one server
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			var request []byte
			if err := s.RecvMsg(&request); err != nil {
				return err
			}
			d.requests <- request
			return s.SendMsg(d.answer)
		}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	return d
}
