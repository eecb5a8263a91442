// Package interop sends what real OpenTelemetry clients send through two
// penstocks and looks at what arrives. It is a module of its own so that the
// clients stay out of the product's dependencies.
//
//	client ──► tap ──► penstock A ──OTLP──► penstock B ──► files
//	            │records bytes        /metrics │            │
//	            └──────────── the same bytes, the same counts ┘
//
// The clients are the Go SDK, the JS SDK (in js, installed by npm), telemetrygen
// and payloads of an eBPF profiler. What a client sends as JSON cannot arrive to
// the byte: there the Collector's pdata reads both ends and has to read the same.
//
// Package differential compares verdicts instead, on generated requests. Package
// embed holds programs that use penstock as a library, and runs them.
package interop
