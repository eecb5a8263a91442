// Package profile adds up samples and writes them as OTLP profiles requests.
//
//	Event, Count ─► shard: known sample? ─► log: (sample, time, value)      Store, per call
//	                        │ new
//	                        └► stack, meta, sample tables
//	                                   │ Take
//	Window ─► resolve stacks ─► dictionary ─► samples by resource and origin ─► requests
//
// A Store collects one window at a time. Reporting a sample that was seen before
// in this window is a hash, a lookup and an append, under the lock of one of 16
// shards. Everything else waits for Take, which only swaps the shards' tables, so
// that writing a window never keeps a reporter waiting.
//
// A stack is found by its hash and then compared, frame by frame; so is
// everything else that a sample is known by. A stack is in the shard that its hash
// names, whatever threads and processes it was seen in, and in the one beside it if
// threads met there; what is the same in several shards becomes one when the
// window is written.
//
// The one trap: a meta's Origin is kept and read when the window is written; who
// changes it after the call changes what was reported.
package profile
