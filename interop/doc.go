// Package interop sends what real OpenTelemetry clients send through two
// penstocks and looks at what arrives. It is a module of its own so that the
// clients stay out of the product's dependencies.
//
//	client ──► tap ──► penstock A ──OTLP──► penstock B ──► files
//	            │records bytes        /metrics │            │
//	            └──────────── the same bytes, the same counts ┘
package interop
