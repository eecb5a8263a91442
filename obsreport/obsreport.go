// Package obsreport records what components do: counters and spans for their
// items, counters and histograms for the requests and connections of a
// receiver, and a log of refused requests. Names are the Collector's where it
// has the metric; docs/metrics.md lists them all.
//
//	connection ─ConnOpened─────────────────────────ConnClosed─► active_connections, refused_connections
//	request    ──Begin──────────────────────────────Done──────► active_requests, requests, refused_requests,
//	                     │                        │              duration and size (http.server.*, rpc.server.*)
//	items                └─Start─ consumer ─ End ─┘           ─► accepted, refused, failed, and a span
//	refusal    ──Rejections.Note──────────────────────────────► the log, at most once in 10 s for a client and reason
//	export     ──Exporter.Begin ─ Sent ─ End──────────────────► in flight, attempts, sent, send_failed
//	attempt    ──Client.Called────────────────────────────────► duration and size (http.client.*, rpc.client.*)
//
// Every instrument is a row of the table in instruments.go, and every attribute
// has a bounded number of values: text that a client chooses is never a value.
// Attribute sets are created once, so a request costs no more than the SDK;
// with a meter that does nothing it costs nothing.
//
// The package uses only the OpenTelemetry API; the caller supplies the
// providers.
//
// The one trap: a series exists only after its first Add, and an alert on the
// increase of a series that begins at 1 misses the first event. Therefore all
// counters of a signal and format begin with the first request, at 0.
package obsreport

//go:generate go test -run ^TestMetricsPage$ -update .

// scope is the name of the meter.
const scope = "github.com/penstock-telemetry/penstock/obsreport"
