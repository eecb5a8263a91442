package otlpclient

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// discardCodec reads nothing of a request.
type discardCodec struct{ rawServerCodec }

func (discardCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// startDiscarding starts a server that throws requests away.
func startDiscarding(b testing.TB) string {
	b.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(discardCodec{}), grpc.MaxRecvMsgSize(64<<20),
		grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(1<<20),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			var body []byte
			if err := s.RecvMsg(&body); err != nil {
				return err
			}
			return s.SendMsg([]byte{})
		}))
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(lis) }()
	b.Cleanup(func() { server.Stop(); <-done })
	return lis.Addr().String()
}

var _ encoding.CodecV2 = discardCodec{}

func dialOptionsPlain() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawServerCodec{})),
	}
}
