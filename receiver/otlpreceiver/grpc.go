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
	"github.com/penstock-telemetry/penstock/internal/decompress"
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
	Method() string
	// ReadMessageHeader reads len(p) bytes, with the errors of io.ReadFull. It is
	// made for the five bytes in front of a message, and takes any number without
	// keeping the frames that they came in.
	ReadMessageHeader(p []byte) error
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
	s, ok := grpc.ServerTransportStreamFromContext(ctx).(messageStream)
	if !ok {
		return status.Error(codes.Internal, errNoMessageStream.Error())
	}
	v, refused := h.enter(c, "protobuf")
	entered := refused == nil
	var response []byte
	if entered {
		v.in = h.in
		response, refused = h.take(ctx, &v, s)
	}
	method := s.Method()
	if refused != nil {
		if ctx.Err() == context.Canceled {
			c.aborted()
		}
		st := status.FromProto(refused.status())
		v.leave(ctx, refused, int(refused.code), "", method, entered) // counted before it is heard
		if !v.read {
			dismiss(s, st, &h.pace)
		}
		return st.Err()
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

func (h *grpcHandler) take(ctx context.Context, v *visit, s messageStream) (response []byte, refused *refusal) {
	defer v.rescue(ctx, &refused)
	get := func(name string) []string { return grpcHeader(ctx, name) }
	if refused := v.authenticate(ctx, get); refused != nil {
		return nil, refused
	}
	if refused := h.routed(s); refused != nil {
		return nil, refused
	}
	if refused := v.version(get); refused != nil {
		return nil, refused
	}
	if refused := v.admit(ctx, 0); refused != nil {
		return nil, refused
	}
	lent, refused := h.message(v, s)
	if refused != nil {
		return nil, refused
	}
	if h.metadata.wanted() {
		v.client.Metadata = h.metadata.pick(get, func() map[string][]string { return grpcMetadata(ctx) })
	}
	return v.export(h.remoteParent(ctx, grpcCarrier{ctx}), lent)
}

// routed says whether somebody takes the request.
func (h *grpcHandler) routed(s messageStream) *refusal {
	if h.in != nil && h.in.next != nil {
		return nil
	}
	if h.in != nil {
		return noPipeline(h.in.signal)
	}
	return unknownTarget("method", s.Method())
}

// message reads the one message of the request.
func (h *grpcHandler) message(v *visit, s messageStream) (*[]byte, *refusal) {
	slow := watch(s, &v.pace)
	m := grpcMessage{visit: v, most: h.maxRequestBytes, encoding: s.RecvCompress(), fill: slow.fill}
	lent, refused := m.compressed()
	slow.stop()
	if refused != nil {
		return nil, refused
	}
	return m.decompress(lent)
}

// grpcMessage is one message on its way in (gRPC over HTTP/2, "Length-Prefixed-
// Message").
type grpcMessage struct {
	visit    *visit
	most     int    // bytes, compressed and decompressed
	encoding string // of messages that are flagged as compressed
	// fill reads len(p) bytes, with the errors of io.ReadFull.
	fill func(p []byte) error
}

const (
	// trustedBytes is how much of an announced length is believed. What is longer
	// takes from the budget as it arrives: a client that only announces holds
	// nothing that others could use.
	trustedBytes = 1 << 20
	// pieceBytes is how much of a message is asked for at a time. gRPC grants the
	// client as much window.
	pieceBytes = 1 << 20
)

// compressed returns the message as it came, and sees that no other follows.
func (m *grpcMessage) compressed() (*[]byte, *refusal) {
	var header [5]byte
	if err := m.fill(header[:]); err != nil {
		if err == io.EOF {
			return nil, cardinality("no request message")
		}
		return nil, cutShort(err)
	}
	n := int(binary.BigEndian.Uint32(header[1:]))
	m.visit.wireBytes = n
	if refused := m.check(header[0], n); refused != nil {
		return nil, refused
	}
	lent, refused := m.body(n)
	if refused != nil {
		return nil, refused
	}
	err := m.fill(header[:])
	if err == io.EOF {
		m.visit.read = true
		return lent, nil
	}
	bufpool.Put(lent)
	if err == nil || err == io.ErrUnexpectedEOF {
		return nil, cardinality("more than one request message")
	}
	return nil, cutShort(err)
}

// check looks at the header of a message of n bytes.
func (m *grpcMessage) check(flag byte, n int) *refusal {
	if m.encoding == "identity" || flag == 0 {
		m.encoding = ""
	}
	switch {
	case flag > 1:
		return &refusal{code: codes.Internal, reason: obsreport.ReasonDecode, message: fmt.Sprintf("expected 0 or 1 for the compressed flag of a gRPC message, found %d", flag)}
	case flag == 1 && m.encoding == "":
		return &refusal{code: codes.Internal, reason: obsreport.ReasonDecode, message: "the message is flagged as compressed, and grpc-encoding does not say how"}
	case n > m.most:
		return refuseSize(m.most)
	}
	return nil
}

// body reads n bytes into a buffer that grows as they arrive.
func (m *grpcMessage) body(n int) (*[]byte, *refusal) {
	lent, err := m.visit.lend(0, min(n, trustedBytes))
	if err != nil {
		return nil, refuseOverload(err)
	}
	for got := 0; ; {
		to := min(n, len(*lent))
		for got < to {
			piece := min(to-got, pieceBytes)
			if err := m.fill((*lent)[got : got+piece]); err != nil {
				bufpool.Put(lent)
				return nil, cutShort(err)
			}
			got += piece
		}
		if got == n {
			return lent, nil
		}
		larger, err := m.visit.lend(cap(*lent), min(n, 2*cap(*lent)))
		if err != nil {
			bufpool.Put(lent)
			return nil, refuseOverload(err)
		}
		copy(*larger, *lent)
		bufpool.Put(lent)
		lent = larger
		m.visit.keep(cap(*lent))
	}
}

// decompress undoes the encoding. lent is no longer the caller's.
func (m *grpcMessage) decompress(lent *[]byte) (*[]byte, *refusal) {
	if m.encoding == "" {
		return lent, nil
	}
	defer bufpool.Put(lent)
	var dst *[]byte
	if n := unpacked(m.encoding, *lent, m.most); n > 0 {
		var err error
		if dst, err = m.visit.lend(cap(*lent), n); err != nil {
			return nil, refuseOverload(err)
		}
	}
	out, err := decompress.DecompressBytes(m.encoding, dst, *lent, m.most, m.visit)
	if err != nil {
		return nil, refuseBody(err, m.most)
	}
	return out, nil
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
	pace  *pace
	timer *time.Timer
	asked int // bytes

	mu      sync.Mutex
	stopped bool
	stream  messageStream
}

func watch(s messageStream, p *pace) *slowWatch {
	w := &slowWatch{began: time.Now(), stream: s, pace: p}
	w.timer = time.AfterFunc(p.patience, func() { w.end(status.New(codes.Unavailable, p.slowBody())) })
	return w
}

// fill reads len(p) bytes, in the time that they and those before may take.
func (w *slowWatch) fill(p []byte) error {
	if w.asked += len(p); w.asked >= w.pace.leastRateBytes {
		w.timer.Reset(time.Until(w.pace.bodyDeadline(w.began, w.asked)))
	}
	return w.stream.ReadMessageHeader(p)
}

// end writes the status. A read that waits returns with an error which says that
// the stream was cancelled; what the client hears is this.
func (w *slowWatch) end(st *status.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		_ = w.stream.WriteStatus(st) // it may have gone
	}
}

func (w *slowWatch) stop() {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
}

// dismiss reads what a client has already sent of a request that is refused
// unread, for a moment: some clients take an answer that comes before they have
// said all, and the reset of the stream behind it, for a fault of the server.
func dismiss(s messageStream, st *status.Status, p *pace) {
	w := &slowWatch{stream: s, pace: p}
	w.timer = time.AfterFunc(p.unread, func() { w.end(st) })
	defer w.stop()
	var scrap [512]byte
	if s.ReadMessageHeader(scrap[:5]) != nil {
		return
	}
	if n := binary.BigEndian.Uint32(scrap[1:]); n > streamWindowBytes {
		return // it cannot come whole without being asked for
	}
	for read := 0; read < streamWindowBytes; read += len(scrap) {
		if s.ReadMessageHeader(scrap[:]) != nil {
			return
		}
	}
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
