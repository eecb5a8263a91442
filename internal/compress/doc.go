// Package compress compresses outgoing OTLP requests, and decompresses the
// responses of gRPC servers.
//
//	a request ──► Compressor ──► a pooled buffer                 (HTTP)
//	          └─► GRPCCompressor ─► gRPC ─► GRPCDecompressor ─►  (gRPC, for one connection)
//
// gRPC also has a registry of encodings for the whole process. Only
// RegisterGRPC writes to it, and only programs call it.
//
// Package decompress decompresses requests. It is a separate package because it
// has more dependencies, which a client does not need.
package compress
