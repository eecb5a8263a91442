// Package netcfg holds what the servers and the clients of OTLP share: where to
// listen and to connect, TLS, headers, compression, and the compressors
// themselves.
//
//	a body ──► Decompress, DecompressBytes ──► a pooled buffer of at most maxBytes
//	               │ asks first                    (HTTP in, gRPC in)
//	               ▼
//	             Room: the memory that the request may take
//
//	a request ──► Compressor ──► a pooled buffer     (HTTP out)
//	          └─► gRPC's registry, grpc.go           (gRPC out, and a client's gRPC in)
//
//	Listen ──► net.Listener      ServerTLS.Load ──► *tls.Config, certificates read anew
//	ParseGRPCTarget, ParseHTTPEndpoint, ClientTLS.Load: the same for clients
//
// How memory is counted is in room.go, and every buffer for a body is taken
// there. What a body may be made of is said at Decompress; each encoding has its
// file.
//
// The one trap: importing this package registers "gzip", "zstd" and "snappy" with
// gRPC. gRPC's registry is a global that may only be written while the program
// initialises, so this is the module's one init function. Do not import
// google.golang.org/grpc/encoding/gzip beside it: the later one wins.
package netcfg
