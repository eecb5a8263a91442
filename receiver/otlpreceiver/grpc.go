package otlpreceiver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/netcfg"
	"github.com/penstock-telemetry/penstock/obsreport"
)

// rawCodec hands a response's bytes to gRPC as they are. It is the server's only
// codec; requests are not read through it.
type rawCodec struct{}

// rawResponse is the body of a response in protobuf.
type rawResponse []byte

// Name is the content subtype that stands for protobuf.
func (rawCodec) Name() string { return "proto" }

// Marshal wraps the response's bytes.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	body := v.(rawResponse)
	if len(body) == 0 {
		return nil, nil
	}
	return mem.BufferSlice{mem.SliceBuffer(body)}, nil
}

// Unmarshal is never called.
func (rawCodec) Unmarshal(mem.BufferSlice, any) error {
	return errors.New("otlpreceiver: requests are not read through the codec")
}

// messageStream is what gRPC's transport stream can do beyond its public face:
// it lets us see how long a message is before it is read, and read it piece by
// piece. gRPC's own way is to read, join and decompress a message before anybody
// is asked.
type messageStream interface {
	// ReadMessageHeader reads the five bytes in front of a message.
	ReadMessageHeader(header []byte) error
	// Read waits for the next n bytes.
	Read(n int) (mem.BufferSlice, error)
	RecvCompress() string
	// WriteStatus ends the stream. A Read that waits returns.
	WriteStatus(*status.Status) error
}

// errNoMessageStream cannot happen with the version of gRPC that we are built
// with; a test sees to it.
var errNoMessageStream = errors.New("otlpreceiver: gRPC's stream cannot be read piece by piece")

// grpcHandler serves one signal over gRPC, or those that nobody serves.
type grpcHandler struct {
	*door
	in              *intake // nil: nobody
	maxRequestBytes int
}

// serve is a grpc.StreamHandler. Export is declared as a stream of requests,
// which is the same on the wire, so that gRPC calls before the message is there.
func (h *grpcHandler) serve(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	c := connOf(ctx)
	if c == nil {
		return status.Error(codes.Internal, errNoMessageStream.Error())
	}
	v, refused := h.enter(c, "protobuf")
	entered := refused == nil
	var response []byte
	if entered {
		v.in = h.in
		response, refused = h.take(ctx, &v, stream)
	}
	method, _ := grpc.MethodFromServerStream(stream)
	if refused != nil {
		v.leave(ctx, refused, int(refused.code), "", method, entered)
		return status.FromProto(refused.status()).Err()
	}
	err := stream.SendMsg(rawResponse(response))
	v.leave(ctx, nil, int(status.Code(err)), "", method, entered)
	return err
}

// connOf returns the connection of a request.
func connOf(ctx context.Context) *conn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, _ := p.AuthInfo.(*connInfo)
	if info == nil {
		return nil
	}
	return info.conn
}

func (h *grpcHandler) take(ctx context.Context, v *visit, stream grpc.ServerStream) (response []byte, refused *refusal) {
	defer v.rescue(ctx, &refused)
	get := func(name string) []string { return grpcHeader(ctx, name) }
	if refused := v.authenticate(ctx, get); refused != nil {
		return nil, refused
	}
	if refused := h.routed(stream); refused != nil {
		return nil, refused
	}
	if refused := v.version(get); refused != nil {
		return nil, refused
	}
	if refused := v.admit(ctx, streamWindowBytes); refused != nil {
		return nil, refused
	}
	s, ok := grpc.ServerTransportStreamFromContext(ctx).(messageStream)
	if !ok {
		return nil, &refusal{code: codes.Internal, message: errNoMessageStream.Error(), reason: obsreport.ReasonInternal}
	}
	m := grpcMessage{stream: s, visit: v, most: h.maxRequestBytes}
	lent, refused := m.read()
	if refused != nil {
		return nil, refused
	}
	if h.metadata.wanted() {
		v.client.Metadata = h.metadata.pick(get, func() map[string][]string { return grpcMetadata(ctx) })
	}
	return v.export(h.remoteParent(ctx, grpcCarrier{ctx}), lent)
}

// routed says whether somebody takes the request.
func (h *grpcHandler) routed(stream grpc.ServerStream) *refusal {
	if h.in != nil && h.in.next != nil {
		return nil
	}
	if h.in != nil {
		return &refusal{code: codes.Unimplemented, message: "no pipeline takes " + h.in.signal.String(), reason: obsreport.ReasonNotFound}
	}
	method, _ := grpc.MethodFromServerStream(stream)
	return unknownTarget("method", method)
}

// grpcMessage is one message on its way in (gRPC over HTTP/2, "Length-Prefixed-
// Message").
type grpcMessage struct {
	stream messageStream
	visit  *visit
	most   int // bytes, compressed and decompressed

	encoding string
}

// pieceBytes is how much of a message is asked for at a time. gRPC grants the
// client as much window.
const pieceBytes = 1 << 20

// read returns the message, decompressed.
func (m *grpcMessage) read() (*[]byte, *refusal) {
	slow := watch(m.stream, &m.visit.pace)
	defer slow.stop()
	lent, refused := m.compressed(slow)
	if refused != nil {
		return nil, refused
	}
	return m.decompress(lent)
}

// decompress undoes the encoding. lent is no longer the caller's.
func (m *grpcMessage) decompress(lent *[]byte) (*[]byte, *refusal) {
	if m.encoding == "" {
		return lent, nil
	}
	defer bufpool.Put(lent)
	out, err := netcfg.DecompressBytes(m.encoding, nil, *lent, m.most, m.visit)
	if err != nil {
		return nil, refuseBody(err, m.most)
	}
	return out, nil
}

// compressed returns the message as it came.
func (m *grpcMessage) compressed(slow *slowWatch) (*[]byte, *refusal) {
	var header [5]byte
	if err := m.stream.ReadMessageHeader(header[:]); err != nil {
		if err == io.EOF {
			return nil, cardinality("no request message")
		}
		return nil, cutShort(err)
	}
	n := int(binary.BigEndian.Uint32(header[1:]))
	m.visit.wireBytes = n
	if refused := m.check(header[0], n, m.stream.RecvCompress()); refused != nil {
		return nil, refused
	}
	if err := m.visit.Reserve(bufpool.Class(n)); err != nil {
		return nil, refuseOverload(err)
	}
	lent := bufpool.Get(n)
	if refused := m.fill(*lent, slow); refused != nil {
		bufpool.Put(lent)
		return nil, refused
	}
	return lent, nil
}

// check looks at the header of a message of n bytes, and at the encoding that
// the request has for those that are flagged.
func (m *grpcMessage) check(flag byte, n int, encoding string) *refusal {
	if encoding != "identity" {
		m.encoding = encoding
	}
	switch {
	case flag > 1:
		return &refusal{code: codes.Internal, reason: obsreport.ReasonDecode, message: fmt.Sprintf("expected 0 or 1 for the compressed flag of a gRPC message, found %d", flag)}
	case flag == 1 && m.encoding == "":
		return &refusal{code: codes.Internal, reason: obsreport.ReasonDecode, message: "the message is flagged as compressed, and grpc-encoding does not say how"}
	case n > m.most:
		return refuseSize(m.most)
	case flag == 0:
		m.encoding = ""
	}
	return nil
}

// fill reads a message of len(p) bytes and sees that no other follows.
func (m *grpcMessage) fill(p []byte, slow *slowWatch) *refusal {
	for got := 0; got < len(p); {
		n := min(len(p)-got, pieceBytes)
		slow.expect(got + n)
		piece, err := m.stream.Read(n)
		if err != nil {
			return cutShort(err)
		}
		got += piece.CopyTo(p[got:])
		piece.Free()
	}
	var next [5]byte
	switch err := m.stream.ReadMessageHeader(next[:]); err {
	case io.EOF:
		return nil
	case nil:
		return cardinality("more than one request message")
	default:
		return cutShort(err)
	}
}

func cardinality(found string) *refusal {
	return &refusal{code: codes.Internal, reason: obsreport.ReasonDecode, message: "expected one request message, found " + found}
}

// cutShort is the refusal of a gRPC message that could not be read. The client
// may have ended the stream as if that were all, or have gone.
func cutShort(err error) *refusal {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return cardinality("one that ends before its length")
	}
	return brokenOff(err)
}

// brokenOff is the refusal of a body that ended too early or came too slowly.
// The data may be fine.
func brokenOff(err error) *refusal {
	return &refusal{code: codes.Unavailable, reason: obsreport.ReasonBrokenOff, message: "the request broke off: " + err.Error()}
}

// slowWatch ends a stream whose message comes too slowly.
type slowWatch struct {
	began time.Time
	timer *time.Timer
	pace  *pace

	mu      sync.Mutex
	stopped bool
	stream  messageStream
}

func watch(s messageStream, p *pace) *slowWatch {
	w := &slowWatch{began: time.Now(), stream: s, pace: p}
	w.timer = time.AfterFunc(p.patience, w.end)
	return w
}

// expect gives the client the time that n bytes may take in all.
func (w *slowWatch) expect(n int) {
	if n >= w.pace.leastRateBytes {
		w.timer.Reset(time.Until(w.pace.bodyDeadline(w.began, n)))
	}
}

func (w *slowWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	// Read will return an error that says that the stream was cancelled. What the
	// client hears is this.
	_ = w.stream.WriteStatus(status.New(codes.Unavailable, w.pace.slowBody())) // it may have gone
}

func (w *slowWatch) stop() {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
}

// grpcHeader returns all values of one header. As for HTTP/1 the authority is the
// host.
func grpcHeader(ctx context.Context, name string) []string {
	values := metadata.ValueFromIncomingContext(ctx, name)
	if name == "host" && len(values) == 0 {
		return metadata.ValueFromIncomingContext(ctx, ":authority")
	}
	return values
}

// grpcMetadata returns the request's headers, keys in lower case as HTTP/2 has
// them, with the authority as "host" as well.
func grpcMetadata(ctx context.Context) map[string][]string {
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	if authority := md[":authority"]; len(authority) > 0 && len(md["host"]) == 0 {
		md["host"] = authority
	}
	return md
}

// grpcCarrier reads headers for the propagation of traces.
type grpcCarrier struct{ ctx context.Context }

// Get implements propagation.TextMapCarrier.
func (c grpcCarrier) Get(key string) string {
	if values := metadata.ValueFromIncomingContext(c.ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set is not for servers.
func (grpcCarrier) Set(string, string) {}

// Keys is not asked for.
func (grpcCarrier) Keys() []string { return nil }
