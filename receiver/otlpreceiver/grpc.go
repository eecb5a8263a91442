package otlpreceiver

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// rawCodec hands a request's bytes to the handler as they are. It is the
// server's only codec.
type rawCodec struct{}

// rawRequest is what the handler asks gRPC to decode into.
type rawRequest struct{ lent *[]byte }

// rawResponse is the body of a response in protobuf.
type rawResponse []byte

// Name is the content subtype that stands for protobuf.
func (rawCodec) Name() string { return "proto" }

// Unmarshal copies the message into one buffer of bufpool. gRPC holds it in
// pieces, as the frames arrived.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r := v.(*rawRequest)
	bufpool.Put(r.lent) // of an earlier message: gRPC refuses two only after reading both
	r.lent = bufpool.Get(data.Len())
	data.CopyTo(*r.lent)
	return nil
}

// Marshal wraps the response's bytes.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	body := v.(rawResponse)
	if len(body) == 0 {
		return nil, nil
	}
	return mem.BufferSlice{mem.SliceBuffer(body)}, nil
}

// grpcHandler serves one signal over gRPC.
type grpcHandler struct {
	in              *intake
	includeMetadata bool
}

// export is a grpc.MethodHandler. gRPC calls it before the message is there.
func (h *grpcHandler) export(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if !h.in.gate.enter() {
		return nil, status.FromProto(errShuttingDown().status()).Err()
	}
	defer h.in.gate.leave()

	var request rawRequest
	if err := decode(&request); err != nil {
		bufpool.Put(request.lent)
		return nil, err // gRPC's own status: too large, broken off, corrupt compression
	}
	client := &pipeline.Client{Transport: "grpc", Format: "protobuf", Received: time.Now()}
	if p, ok := peer.FromContext(ctx); ok {
		client.Addr = p.Addr.String()
	}
	if h.includeMetadata {
		client.Metadata = grpcMetadata(ctx)
	}
	response, refused := h.in.export(ctx, request.lent, client)
	if refused != nil {
		return nil, status.FromProto(refused.status()).Err()
	}
	return rawResponse(response), nil
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
