package decompress

import (
	"errors"
	"io"

	"google.golang.org/grpc"
)

// GRPCGzip makes a gRPC server call its handlers for requests that are compressed
// with gzip. Without a decompressor gRPC rejects a request before it calls a
// handler, and its registry of decompressors is shared by the whole process. The
// handlers read below the codec and decompress themselves, so the decompressor of
// this option is never called.
func GRPCGzip() grpc.ServerOption {
	//lint:ignore SA1019 the only way to accept an encoding without writing to gRPC's registry; supported throughout gRPC 1.x
	return grpc.RPCDecompressor(unused{})
}

type unused struct{}

func (unused) Type() string { return "gzip" }

func (unused) Do(io.Reader) ([]byte, error) {
	return nil, errors.New("the handler decompresses the message, not gRPC")
}
