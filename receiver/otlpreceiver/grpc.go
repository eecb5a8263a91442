package otlpreceiver

import (
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/grpcserver"
)

// workersPerProcessor is the number of goroutines that wait for requests. One
// that has served before has a stack of the right size: measured on requests
// of 10 spans, a tenth less CPU. If all are busy gRPC starts others.
const workersPerProcessor = 4

// grpcOptions are those of gRPC on a port of its own, and on that of HTTP.
func (r *Receiver) grpcOptions(c *GRPCConfig, f *frontend.FrontEnd) grpcserver.Options {
	methods := map[string]*frontend.Route{}
	for _, s := range otlp.Signals() {
		methods[s.Spec().Method] = r.route(s)
	}
	return grpcserver.Options{
		FrontEnd: f, Pace: c.paceOf(&r.pace), Methods: methods, MaxRequestBytes: c.maxRequestBytes(),
		Protocol: grpcProtocol, HTTPHint: "send OTLP/HTTP to the HTTP port, by default 4318",
	}
}

func (c *GRPCConfig) maxRequestBytes() int {
	if c.MaxRecvMsgSizeMiB == 0 {
		return defaultMaxRequestBytes
	}
	return c.MaxRecvMsgSizeMiB << 20
}

// serverOptions translates the configuration.
func (c *GRPCConfig) serverOptions() []grpc.ServerOption {
	streams := c.MaxConcurrentStreams
	if streams == 0 {
		streams = DefaultGRPCConfig().MaxConcurrentStreams
	}
	sp, ep := c.Keepalive.parts()
	opts := []grpc.ServerOption{
		grpc.NumStreamWorkers(uint32(workersPerProcessor * runtime.GOMAXPROCS(0))),
		grpc.MaxConcurrentStreams(streams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: sp.MaxConnectionIdle, MaxConnectionAge: sp.MaxConnectionAge,
			MaxConnectionAgeGrace: sp.MaxConnectionAgeGrace, Time: sp.Time, Timeout: sp.Timeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: ep.MinTime, PermitWithoutStream: ep.PermitWithoutStream,
		}),
	}
	if c.ReadBufferSize > 0 {
		opts = append(opts, grpc.ReadBufferSize(c.ReadBufferSize))
	}
	if c.WriteBufferSize > 0 {
		opts = append(opts, grpc.WriteBufferSize(c.WriteBufferSize))
	}
	return opts
}
