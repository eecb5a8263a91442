// Command discard is the reference for comparison: a grpc-go server with
// default settings that receives export requests as raw bytes, frees the
// buffers and returns success, and an HTTP server that does the same. It prints the
// addresses of both and serves until its input ends. Compressed requests are not
// decompressed.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/otlp"
)

// rawCodec does not encode or decode; it discards requests.
type rawCodec struct{}

func (rawCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawCodec) Name() string                         { return "proto" }

// compressed accepts messages in an encoding, and discards them.
type compressed string

func (c compressed) Name() string                               { return string(c) }
func (compressed) Decompress(io.Reader) (io.Reader, error)      { return strings.NewReader(""), nil }
func (compressed) Compress(w io.Writer) (io.WriteCloser, error) { return plain{w}, nil }

// plain is a response, which is empty.
type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// serveHTTP discards a request.
func serveHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func export(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	return nil, dec(nil)
}

func main() {
	encoding.RegisterCompressor(compressed("gzip"))
	encoding.RegisterCompressor(compressed("zstd"))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(64<<20))
	for _, s := range otlp.Signals() {
		srv.RegisterService(&grpc.ServiceDesc{
			ServiceName: s.Spec().Service,
			HandlerType: (*any)(nil),
			Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: export}},
		}, nil)
	}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(web, http.HandlerFunc(serveHTTP))) }()
	fmt.Println(lis.Addr(), web.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		srv.Stop()
	}()
	if err := srv.Serve(lis); err != nil {
		log.Fatal(err)
	}
}
