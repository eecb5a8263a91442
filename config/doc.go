// Package config holds the settings that components share: secrets, headers, TLS,
// clients of gRPC and HTTP, listeners, compression. A component's own
// configuration is a struct beside its code that embeds or names these.
//
//	Secret                     text that prints as [REDACTED]
//	Headers                    headers to send
//	TLS, ClientTLS, ServerTLS  files and PEM texts ──Load──► *tls.Config, certificates read anew
//	GRPCClient, HTTPClient     what a client is made from
//	ListenOptions ──Listen──►  net.Listener
//	Compression                how requests are compressed
//
// All of them are plain Go values. They can be read from YAML in the
// OpenTelemetry Collector's form; the package itself needs no YAML library. How a
// value that can be written in several ways reads itself is defined by Decoder,
// what Validate returns by At and FieldError, and what a reader of a configuration
// gets to see by Errors.
package config
