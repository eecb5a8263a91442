package otlpreceiver

import "github.com/penstock-telemetry/penstock/internal/compress"

// RegisterGRPCEncodings enters zstd and snappy into gRPC's registry of encodings,
// except those that are registered already. A receiver takes gzip over gRPC without
// it. zstd and snappy need it, since gRPC refuses an encoding that is not in its
// registry before the receiver gets the request.
//
// The registry belongs to the whole process: clients and other servers in it use
// these encodings too. gRPC allows writing to it only while the program initialises,
// so call it from an init function of package main.
func RegisterGRPCEncodings() { compress.RegisterGRPC("zstd", "snappy") }
