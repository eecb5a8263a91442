// Package decompress undoes the encodings of OTLP request bodies.
//
//	a body ──► Decompress, DecompressBytes ──► a pooled buffer of at most maxBytes
//	               │ reserves first                (HTTP, gRPC)
//	               ▼
//	             Room: the memory that the request may take
//
// How memory is counted is in room.go, and every buffer for a body is taken
// there. What a body may consist of is documented at Decompress; each encoding has
// its file. Codings is what a server's configuration allows.
//
// Package compress is the other direction.
package decompress
