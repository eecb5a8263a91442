package grpcserver

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// gRPC's stream can be read piece by piece. If this fails after an upgrade of
// gRPC, no request is taken any more.
func TestStreamIsReadPieceByPiece(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		_, ok := grpc.ServerTransportStreamFromContext(stream.Context()).(messageStream)
		got <- ok
		return nil
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.Invoke(t.Context(), "/a.B/C", Response(nil), nil, grpc.ForceCodecV2(rawCodec{})) // the answer is an error
	if !<-got {
		t.Error("gRPC's stream does not implement messageStream any more: see its type, internal/transport.ServerStream")
	}
}
