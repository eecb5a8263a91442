// Package compress compresses OTLP requests that are sent, and reads the answers
// of gRPC servers that compress theirs.
//
//	a request ──► Compressor ──► a pooled buffer                 (HTTP)
//	          └─► GRPCCompressor ─► gRPC ─► GRPCDecompressor ─►  (gRPC, for one connection)
//
// gRPC also has a registry of encodings for the whole process. Nothing here
// writes to it but RegisterGRPC, which a program calls if it wants to.
//
// Package decompress reads requests. It is a package of its own because it has
// more dependencies, which a client does not need.
package compress
