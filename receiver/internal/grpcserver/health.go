package grpcserver

import (
	"encoding/binary"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

const (
	healthService = "grpc.health.v1.Health"
	// maxHealthBytes is more than the name of any service.
	maxHealthBytes = 1 << 10
	// healthTimeout is how long a probe may take to send its request.
	healthTimeout = 10 * time.Second
)

// serving is a HealthCheckResponse with the status SERVING.
var serving = Response{1<<3 | byte(wire.TypeVarint), 1}

// registerHealth serves the gRPC health checking protocol
// (https://github.com/grpc/grpc/blob/master/doc/health-checking.md) without Watch, for
// which clients have to expect Unimplemented. Probes need no credentials, take nothing
// of the budget, and are not counted. A server that stops refuses connections.
func registerHealth(s *grpc.Server, o *Options) {
	services := map[string]bool{"": true}
	for name := range o.Methods {
		service, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		services[service] = true
	}
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: healthService,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "Check", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				return checkHealth(stream, services)
			}},
			{StreamName: "Watch", ServerStreams: true, Handler: func(any, grpc.ServerStream) error {
				return status.Error(codes.Unimplemented, "Watch is not served, only Check")
			}},
		},
	}, nil)
}

// checkHealth answers a HealthCheckRequest, whose first field is the name of a service.
func checkHealth(stream grpc.ServerStream, services map[string]bool) error {
	s, ok := grpc.ServerTransportStreamFromContext(stream.Context()).(messageStream)
	if !ok {
		return errNoMessageStream
	}
	late := time.AfterFunc(healthTimeout, func() { _ = s.WriteStatus(status.New(codes.DeadlineExceeded, "the request did not come in time")) })
	defer late.Stop()
	var header [5]byte
	if err := s.ReadMessageHeader(header[:]); err != nil {
		return status.Error(codes.InvalidArgument, "no request message")
	}
	n := binary.BigEndian.Uint32(header[1:])
	if n > maxHealthBytes || header[0] != 0 {
		return status.Errorf(codes.InvalidArgument, "expected a request of at most %d bytes, not compressed", maxHealthBytes)
	}
	request := make([]byte, n)
	if err := s.ReadMessageHeader(request); n > 0 && err != nil {
		return status.Error(codes.InvalidArgument, "the request message is cut short")
	}
	if name := wire.LastBytes(request, 1); !services[string(name)] {
		return status.Errorf(codes.NotFound, "service %.200q is not known", name)
	}
	return stream.SendMsg(serving)
}
