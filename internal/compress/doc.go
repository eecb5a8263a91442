// Package compress holds the compressors and decompressors of OTLP requests.
//
//	a body ──► Decompress, DecompressBytes ──► a pooled buffer of at most maxBytes
//	               │ reserves first                (HTTP in, gRPC in)
//	               ▼
//	             Room: the memory that the request may take
//
//	a request ──► Compressor ──► a pooled buffer     (HTTP out)
//	          └─► GRPCCompressor                     (gRPC out)
//
// How memory is counted is in room.go, and every buffer for a body is taken
// there. What a body may consist of is documented at Decompress; each encoding has
// its file.
package compress
