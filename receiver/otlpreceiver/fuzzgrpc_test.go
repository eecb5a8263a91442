package otlpreceiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/grpcserver"
)

// fakeStream is a gRPC stream in memory: what came on it, and what was answered.
type fakeStream struct {
	ctx      context.Context
	method   string
	encoding string
	left     *bytes.Reader
	sent     []byte
	answered bool
}

func newFakeStream(ctx context.Context, c *conns.Conn, s otlp.Signal, encoding string, wire []byte) *fakeStream {
	f := &fakeStream{method: s.Spec().Method, encoding: encoding, left: bytes.NewReader(wire)}
	ctx = peer.NewContext(ctx, &peer.Peer{AuthInfo: &grpcserver.ConnInfo{Conn: c}})
	f.ctx = grpc.NewContextWithServerTransportStream(ctx, f)
	return f
}

// fakeCall is what the handler sees of it.
type fakeCall struct {
	grpc.ServerStream
	*fakeStream
}

func (c fakeCall) Context() context.Context        { return c.ctx }
func (c fakeCall) SetHeader(md metadata.MD) error  { return nil }
func (c fakeCall) SendHeader(md metadata.MD) error { return nil }
func (c fakeCall) SetTrailer(metadata.MD)          {}
func (c fakeCall) SendMsg(m any) error {
	c.sent, c.answered = m.(grpcserver.Response), true
	return nil
}

func (f *fakeStream) Method() string                   { return f.method }
func (f *fakeStream) SetHeader(metadata.MD) error      { return nil }
func (f *fakeStream) SendHeader(metadata.MD) error     { return nil }
func (f *fakeStream) SetTrailer(metadata.MD) error     { return nil }
func (f *fakeStream) RecvCompress() string             { return f.encoding }
func (f *fakeStream) WriteStatus(*status.Status) error { return nil }
func (f *fakeStream) ReadMessageHeader(h []byte) error { _, err := io.ReadFull(f.left, h); return err }
func (f *fakeStream) Read(n int) (mem.BufferSlice, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(f.left, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

// wantCode is how the documented rules answer a request: one length-prefixed
// message (gRPC over HTTP/2), then the coding, then Check.
func wantCode(s otlp.Signal, encoding string, wire []byte) codes.Code {
	if len(wire) < 5 || wire[0] > 1 {
		return codes.Internal
	}
	n, body := int(binary.BigEndian.Uint32(wire[1:])), wire[5:]
	packed := wire[0] == 1
	switch {
	case packed && (encoding == "" || encoding == "identity"):
		return codes.Internal
	case n > fuzzLimit:
		return codes.ResourceExhausted
	case len(body) != n:
		return codes.Internal
	}
	if packed {
		out, err := decompress.DecompressBytes(encoding, nil, body, fuzzLimit, nil)
		if errors.Is(err, decompress.ErrTooLarge) {
			return codes.ResourceExhausted
		} else if err != nil {
			return codes.InvalidArgument
		}
		defer bufpool.Put(out)
		body = *out
	}
	if _, err := otlp.Check(s, body); err != nil {
		return codes.InvalidArgument
	}
	return codes.OK
}

var fuzzGRPCEncodings = append([]string{"", "identity"}, config.GRPCEncodings()...)

// FuzzGRPCMessage sends any bytes as the messages of a gRPC request to any signal.
// The status is the one that the rules want, success means that the consumer saw
// the bytes, and nothing is held afterwards.
func FuzzGRPCMessage(f *testing.F) {
	signals := otlp.Signals()
	for i, s := range signals {
		body := request(s, 3)
		whole := frame(0, len(body), body)
		f.Add(uint8(i), uint8(0), whole)
		f.Add(uint8(i), uint8(1), append(bytes.Clone(whole), whole...))
		f.Add(uint8(i), uint8(0), whole[:len(whole)-1])
		f.Add(uint8(i), uint8(0), append(bytes.Clone(whole), 0, 0))
		for e, encoding := range fuzzGRPCEncodings {
			if encoding == "snappy" {
				encoding = "x-snappy-framed"
			}
			packed := compressed(encoding, body)
			f.Add(uint8(i), uint8(e), frame(1, len(packed), packed))
		}
	}
	for _, bad := range badData() {
		f.Add(uint8(bad.signal), uint8(0), frame(0, len(bad.body), bad.body))
	}
	f.Add(uint8(0), uint8(0), []byte(nil))
	f.Add(uint8(0), uint8(0), frame(0, 1<<32-1, nil))
	f.Add(uint8(0), uint8(0), frame(2, 0, nil))
	bomb := compressed("zstd", make([]byte, 2*fuzzLimit))
	f.Add(uint8(0), uint8(3), frame(1, len(bomb), bomb))
	r, front, sink := fuzzFrontEnd(f, "grpc")
	options := r.grpcOptions(DefaultGRPCConfig(), front)
	options.MaxRequestBytes = fuzzLimit
	conn := fuzzConn()
	f.Fuzz(func(t *testing.T, signal, encoding uint8, wire []byte) {
		s, e := signals[signal%4], fuzzGRPCEncodings[int(encoding)%len(fuzzGRPCEncodings)]
		sink.Reset()
		live := pipeline.Live()
		stream := newFakeStream(t.Context(), conn, s, e, wire)
		err := grpcserver.Handler(&options, options.Methods[s.Spec().Method])(nil, fakeCall{fakeStream: stream})
		if got, want := status.Code(err), wantCode(s, e, wire); got != want {
			t.Fatalf("%v, want %s", err, want)
		}
		if used := front.Memory.Stats().Used; used != 0 || front.InFlight.Count() != 0 || pipeline.Live() != live {
			t.Errorf("%d bytes are held, %d requests in flight, %d batches more", used, front.InFlight.Count(), pipeline.Live()-live)
		}
		if err != nil {
			if sink.Calls() != 0 || stream.answered || status.Convert(err).Message() == "" {
				t.Errorf("the consumer saw %d requests, answered %v, %v", sink.Calls(), stream.answered, err)
			}
			return
		}
		if !stream.answered || len(stream.sent) != 0 || sink.Calls() > 1 {
			t.Errorf("answered %v with %d bytes, the consumer saw %d requests", stream.answered, len(stream.sent), sink.Calls())
		}
		for _, b := range sink.All() {
			if n, err := otlp.Check(s, b.Bytes); err != nil || n != b.Items || wire[0] == 0 && !bytes.Equal(b.Bytes, wire[5:]) {
				t.Errorf("the consumer saw %d bytes, %d items; Check: %d, %v", len(b.Bytes), b.Items, n, err)
			}
		}
	})
}
