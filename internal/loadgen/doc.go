// Package loadgen generates load: it sends export requests of all four signals, at a
// constant rate or as fast as possible, and reports the results.
//
//	Source: patched templates ──┐
//	                            ├─► worker ×n ─► otlpclient ─► server
//	pacer: request n is due ────┘       │
//	                                    └─► tally ─► Progress, Report
//
// A Source builds a bounded pool of template requests once, from a seed. Before a request
// is sent, fields of fixed width are overwritten in place, which costs very little. These
// are
//
//   - the last 8 bytes of every trace, span and profile id, so that no two requests of a
//     signal have the same ids. Equal ids within a round (a request of each signal)
//     stay equal, so that spans still have their parents, and logs their spans;
//   - the times of spans, events, data points, exemplars, log records, profiles and
//     samples, all moved by the same amount, to the present. Start times of data points
//     do not change if they are cumulative. A deterministic Source does not change times;
//   - the values of cumulative counters and histograms, which grow each time that their
//     template is used again.
//
// Everything else is unchanged: names and values repeat after all templates were used.
// The templates with one index of all signals have one scene: instances of services, and
// the spans of their requests.
//
// At a constant rate the model is open: each request has a time at which it is due, and
// its latency is measured from this time, even if it is sent later. Thus the latency
// includes the time that requests wait for a server that stalls (no coordinated
// omission). Without a rate, each worker has one request in flight, and latency is
// measured from the time of sending.
//
// The bytes that Source.Take returns belong to a template. The caller can use them until
// Request.Return.
package loadgen
