// Package decompress decompresses the bodies of OTLP requests.
//
//	a body ──► Collect, Decompress     (HTTP) ──► a pooled buffer of at most maxBytes,
//	       └─► Inspect, DecompressBytes (gRPC)    and the Form of the body
//	               │ reserve memory first
//	               ▼
//	             Reserver: the memory budget of the request
//
// A compressed body is read to its end and decoded in one piece, from memory to memory.
//
// memory.go counts the memory and allocates every buffer for a body. Decompress
// documents what a body may consist of; each encoding has its file. Codings are
// the encodings that a server's configuration allows.
//
// Package compress is the opposite direction.
package decompress
