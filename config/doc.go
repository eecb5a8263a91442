// Package config holds the settings that components share: secrets, headers, TLS,
// clients of gRPC and HTTP, listeners, compression. A component's own
// configuration is a struct in its package that has these as fields.
//
//	Secret                     text that prints as [REDACTED]
//	Headers                    headers to send
//	TLS, ClientTLS, ServerTLS  files and PEM texts ──Load──► *tls.Config, certificates reloaded
//	GRPCClient, HTTPClient     settings of a client
//	ListenOptions ──Listen──►  net.Listener
//	Compression                how requests are compressed
//
// All of them are plain Go values. They can be read from YAML in the OpenTelemetry
// Collector's form; the package itself needs no YAML library. A type that can be
// written in several ways implements Decoder. Validate methods return errors of At
// and FieldError. Errors is what loading a configuration returns.
package config
