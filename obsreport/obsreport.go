// Package obsreport tells what components did: counters and spans for their
// items, counters and histograms for the requests of a receiver, its
// connections, and a log of what it refused. Names are the Collector's where it
// has one; docs/metrics.md lists them all.
//
//	connection ─ConnOpened─────────────────────────ConnClosed─► active_connections, refused_connections
//	request    ──Begin──────────────────────────────Done──────► active_requests, requests, refused_requests,
//	                     │                        │              duration and size (http.server.*, rpc.server.*)
//	items                └─Start─ consumer ─ End ─┘           ─► accepted, refused, failed, and a span
//	refusal    ──Rejections.Note──────────────────────────────► the log, at most once in 10 s for a client and reason
//
// Every instrument is a row of the table in instruments.go, and every attribute
// has a bounded number of values: what a client can choose freely never becomes
// one. Attribute sets are made once, so a request costs what the SDK costs and
// no more; where nobody measures, it costs nothing.
//
// Only the OpenTelemetry API is used here; who embeds penstock brings the
// providers.
//
// The one trap: a series exists only after its first Add, and an alert on the
// growth of one that begins at 1 misses the first event. So all counters of a
// signal and format begin with the first request, at 0.
package obsreport

//go:generate go test -run ^TestMetricsPage$ -update .

// scope names the meter of all instruments made here.
const scope = "github.com/penstock-telemetry/penstock/obsreport"
