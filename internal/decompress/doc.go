// Package decompress decompresses the bodies of OTLP requests.
//
//	a body ──► Decompress, DecompressBytes ──► a pooled buffer of at most maxBytes
//	               │ reserve memory first          (HTTP, gRPC)
//	               ▼
//	             Reserver: the memory budget of the request
//
// memory.go counts the memory and allocates every buffer for a body. Decompress
// documents what a body may consist of; each encoding has its file. Codings are
// the encodings that a server's configuration allows.
//
// Package compress is the opposite direction.
package decompress
