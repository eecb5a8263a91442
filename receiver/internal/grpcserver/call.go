package grpcserver

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// rawCodec hands a response's bytes to gRPC as they are. It is the server's only
// codec; requests are not read through it.
type rawCodec struct{}

// Response is the body of a response in protobuf, as handlers send it.
type Response []byte

// Name is the content subtype that stands for protobuf.
func (rawCodec) Name() string { return "proto" }

// Marshal wraps the response's bytes.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	body := v.(Response)
	if len(body) == 0 {
		return nil, nil
	}
	return mem.BufferSlice{mem.SliceBuffer(body)}, nil
}

// Unmarshal is never called.
func (rawCodec) Unmarshal(mem.BufferSlice, any) error {
	return errors.New("grpcserver: requests are not read through the codec")
}

// messageStream is what gRPC's transport stream can do beyond its public face:
// it lets us see how long a message is before it is read, and read it piece by
// piece. gRPC's own way is to read, join and decompress a message before the
// handler is called.
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
var errNoMessageStream = status.Error(codes.Internal, "grpcserver: gRPC's stream cannot be read piece by piece")

// method serves one method, or those that are unknown.
type method struct {
	*Options
	route *frontend.Route // nil: unknown
}

// Handler returns what serves a method with that route; nil is for unknown methods.
func Handler(o *Options, to *frontend.Route) grpc.StreamHandler { return (&method{o, to}).serve }

// call is one request over grpc-go's server. It is a frontend.Transport.
type call struct {
	frontend.Request
	message
	*method
	ctx    context.Context
	conn   *conns.Conn
	stream grpc.ServerStream
	watch  watch

	refused *frontend.Refusal
	sent    error // of the response
}

// serve implements grpc.StreamHandler.
func (m *method) serve(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	conn := connOf(ctx)
	s, ok := grpc.ServerTransportStreamFromContext(ctx).(messageStream)
	if !ok || conn == nil {
		return errNoMessageStream
	}
	c := &call{method: m, ctx: ctx, conn: conn, stream: stream}
	c.watch.stream, c.watch.pace, c.watch.request = s, m.Pace, &c.Request
	c.Format, c.Path = "protobuf", s.Method()
	m.FrontEnd.Serve(ctx, &c.Request, &conn.Peer, c)
	if c.refused == nil {
		return c.sent
	}
	st := status.FromProto(c.refused.Status())
	if !c.BodyRead {
		discard(s, m.Pace, st)
	}
	return st.Err()
}

// connOf returns the connection of a request, nil if it did not come over ours.
func connOf(ctx context.Context) *conns.Conn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, _ := p.AuthInfo.(*ConnInfo)
	if info == nil {
		return nil
	}
	return info.Conn
}

// Header implements frontend.Transport. As for HTTP/1 the authority is the host.
func (c *call) Header(name string) []string {
	values := metadata.ValueFromIncomingContext(c.ctx, name)
	if name == "host" && len(values) == 0 {
		return metadata.ValueFromIncomingContext(c.ctx, ":authority")
	}
	return values
}

// Credential implements frontend.Transport.
func (c *call) Credential(name string) []string { return c.Header(name) }

// Headers implements frontend.Transport.
func (c *call) Headers() map[string][]string {
	md, _ := metadata.FromIncomingContext(c.ctx) // a copy
	if authority := md[":authority"]; len(authority) > 0 && len(md["host"]) == 0 {
		md["host"] = authority
	}
	return md
}

// Route implements frontend.Transport.
func (c *call) Route(r *frontend.Request) *frontend.Refusal {
	return route(r, c.route)
}

// route gives r its route, which may be nil.
func route(r *frontend.Request, to *frontend.Route) *frontend.Refusal {
	if to == nil {
		return frontend.UnknownTarget("method", r.Path)
	}
	return r.SetRoute(to)
}

// Expect implements frontend.Transport: the length comes with the message.
func (c *call) Expect(*frontend.Request) *frontend.Refusal { return nil }

// Read implements frontend.Transport.
func (c *call) Read(r *frontend.Request) (*[]byte, *frontend.Refusal) {
	c.watch.start()
	body, refused := c.message.read(r, c.Options, c.watch.stream.RecvCompress(), &c.watch)
	c.watch.stop()
	if refused != nil {
		return nil, refused
	}
	return c.message.decompress(r, body)
}

// Answer implements frontend.Transport. A refusal is sent by serve.
func (c *call) Answer(_ *frontend.Request, response []byte, refused *frontend.Refusal) int {
	c.refused = refused
	if refused == nil {
		c.sent = c.stream.SendMsg(Response(response))
	}
	if (refused != nil || c.sent != nil) && c.AbortedEarly(c.ctx) {
		c.conn.CountAborted()
	}
	if refused != nil {
		return int(refused.Code)
	}
	return int(status.Code(c.sent))
}
