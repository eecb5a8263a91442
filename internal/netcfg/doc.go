// Package netcfg holds what the servers and the clients of OTLP share: the
// settings for endpoint, TLS, headers and compression, and the compressors
// themselves.
//
//	"gzip" ─┬─ Decompress: a body of at most maxBytes, in a pooled buffer   (HTTP in)
//	"zstd"  ├─ Compressor: a pooled buffer with the compressed bytes        (HTTP out)
//	        └─ grpc.go:    the same two under gRPC's registry                (gRPC in and out)
//
// The one trap: importing this package registers "gzip" and "zstd" with gRPC.
// gRPC's registry is a global that may only be written while the program
// initialises, so this is the module's one init function. Do not import
// google.golang.org/grpc/encoding/gzip beside it: the later one wins.
package netcfg
