// Package batchprocessor merges requests that are in flight at the same time. In a
// configuration it is called batch.
//
//	processors:
//	  batch: {send_batch_size: 8192, timeout: 200ms}
//
// Nothing is answered before it is kept: a request that waits for others is answered
// with what became of the merged one.
//
//	Consume ─┐                  nothing is being sent, or
//	Consume ─┼─► group ─► merge send_batch_size is reached, or ─► next ─┬─► answer
//	Consume ─┘                  timeout has passed                      ├─► answer
//	                                                                    └─► answer
//
// So a client that sends alone waits for nothing, and the requests of many clients are
// merged while the ones before them are being sent.
//
// As the last processor of a pipeline in front of exporters with a queue it does nothing
// itself: package service lets the queues merge (Config.Merging).
//
// A merged request that is refused for good is sent once more in its parts, so that only
// the senders of what is refused get the refusal.
package batchprocessor
