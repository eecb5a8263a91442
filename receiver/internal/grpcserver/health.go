package grpcserver

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
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
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: healthService,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "Check", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				return checkHealth(stream, o)
			}},
			{StreamName: "Watch", ServerStreams: true, Handler: func(any, grpc.ServerStream) error {
				return errNoWatch
			}},
		},
	}, nil)
}

var errNoWatch = status.Error(codes.Unimplemented, "Watch is not served, only Check")

// checkHealth answers a HealthCheckRequest.
func checkHealth(stream grpc.ServerStream, o *Options) error {
	s, ok := grpc.ServerTransportStreamFromContext(stream.Context()).(messageStream)
	if !ok {
		return errNoMessageStream
	}
	late := time.AfterFunc(healthTimeout, func() { _ = s.WriteStatus(status.New(codes.DeadlineExceeded, "the request did not come in time")) })
	defer late.Stop()
	if err := readHealthCheck(s.ReadMessageHeader, o); err != nil {
		return err
	}
	return stream.SendMsg(serving)
}

// readHealthCheck reads a HealthCheckRequest, whose first field is the name of a
// service. Its error has a status. fill reads as many bytes as its argument has.
func readHealthCheck(fill func([]byte) error, o *Options) error {
	var header [5]byte
	if err := fill(header[:]); err != nil {
		return status.Error(codes.InvalidArgument, "no request message")
	}
	n := binary.BigEndian.Uint32(header[1:])
	if n > maxHealthBytes || header[0] != 0 {
		return status.Errorf(codes.InvalidArgument, "expected a request of at most %d bytes, not compressed", maxHealthBytes)
	}
	request := make([]byte, n)
	if n > 0 && fill(request) != nil {
		return status.Error(codes.InvalidArgument, "the request message is cut short")
	}
	if name := string(wire.LastBytes(request, 1)); !o.serves(name) {
		return status.Errorf(codes.NotFound, "service %.200q is not known", name)
	}
	return nil
}

// serves reports whether the server has methods of a service; the empty name is the
// server itself.
func (o *Options) serves(service string) bool {
	for name := range o.Methods {
		if own, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/"); own == service {
			return true
		}
	}
	return service == ""
}

// health answers a call of the health service over net/http, and reports whether it is
// one.
func (h *OverHTTP) health(c *httpCall) bool {
	method, found := strings.CutPrefix(c.Path, "/"+healthService+"/")
	var err error
	switch {
	case found && method == "Check":
		err = h.checkHealth(c)
	case found && method == "Watch":
		err = errNoWatch
	default:
		return false
	}
	if err == nil {
		c.send(serving, nil)
		return true
	}
	s := status.Convert(err)
	c.send(nil, &frontend.Refusal{Code: s.Code(), Message: s.Message()})
	return true
}

func (h *OverHTTP) checkHealth(c *httpCall) error {
	if err := http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(healthTimeout)); err != nil {
		return status.Error(codes.Internal, "set the time limit of the request: "+err.Error())
	}
	return readHealthCheck(func(p []byte) error {
		_, err := io.ReadFull(c.r.Body, p)
		return err
	}, &h.Options)
}
