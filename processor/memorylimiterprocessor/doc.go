// Package memorylimiterprocessor is the Collector's `memory_limiter`: its
// configuration, which bounds the memory of the process, and its place in a
// pipeline, where it only counts.
//
//	processors:
//	  memory_limiter:
//	    check_interval: 1s
//	    limit_mib: 400
//	    spike_limit_mib: 80
//
// The Collector samples its heap, and refuses requests in the pipeline, when they
// are already in memory. Here the service creates a budget of bytes from the same
// settings, and receivers acquire bytes from it before they read:
//
//	limit_mib ──────────────┐
//	   − spike_limit_mib ───┴─► soft limit ──► GOMEMLIMIT
//	                                    └────► budget of requests in flight
//	client ──► receiver ──► budget? ──► body is read ──► pipeline ──► memory_limiter ──► ...
//	                          └─ no: 429, 503, UNAVAILABLE        passes all batches on
//
// The one trap: refused_* of this processor stays 0. A request that the receiver
// refuses has not been read, so its items are unknown; it is counted in
// otelcol_admission_refused_requests.
package memorylimiterprocessor
