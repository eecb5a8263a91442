// Package push sends a service's own metrics, log lines and spans as OTLP.
//
//	reader of metrics ─► MetricsRequest ─┐
//	SDK of logs       ─► Logs.Export    ─┼─► Destination ─► OTLP over gRPC or HTTP, or stdout
//	SDK of traces     ─► Spans.Export   ─┘
//
// The OpenTelemetry SDKs aggregate, sample and batch. Their own OTLP exporters are not
// used: they register with gRPC for the whole process. Requests are written with the
// builders of package otlp, and sent with package otlpclient.
//
// The one trap: an error that an SDK gets from an exporter goes to the error handler of
// the whole process. So a Destination logs its failures, and returns none. The log must
// not be one that is pushed.
package push
