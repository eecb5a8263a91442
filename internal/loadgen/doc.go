// Package loadgen makes load: export requests of all four signals, sent at a
// constant rate or as fast as they are answered, and a report of what came of
// them.
//
//	Source: templates, patched ─┐
//	                            ├─► worker ×n ─► otlpclient ─► server
//	pacer: request n is due ────┘       │
//	                                    └─► tally ─► Progress, Report
//
// A Source builds a bounded pool of requests once, out of a seed. Sending one
// costs next to nothing: fields of fixed width are overwritten where they stand.
// These are
//
//   - the last 8 bytes of every trace, span and profile id, so that no two
//     requests of a run share one; ids that were equal stay equal, so a child
//     still has its parent;
//   - the times of spans, events, data points, exemplars, log records, profiles
//     and samples, all moved by the same distance to now. Start times of data
//     points stay: the counters are cumulative. A deterministic Source leaves all
//     times as they are.
//
// Nothing else changes: when all templates have been used, names and values come
// again.
//
// At a constant rate the model is open: each request has a time at which it is
// due, and its latency is counted from there, however late it was sent. A server
// that stalls is thus charged for all who had to wait (no coordinated omission).
// Without a rate there are as many requests under way as workers, and latency is
// counted from the sending.
//
// The one trap: the bytes that Source.Take lends are a template's own. They are
// the borrower's until Loan.Return, and only then somebody else's.
package loadgen
