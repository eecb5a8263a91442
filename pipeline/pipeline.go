// Package pipeline is the contract between components: the data (Batch), the
// components that take it (Consumer) and change it (Processor), and the meaning of
// errors (Error).
//
//	receiver ─► Switch ─► Fanout ─┬─► Chain: Processor, Processor ─► Consumer   new bytes
//	                              └─► Consumer                                  same bytes
//
// A Batch is one OTLP export request as checked wire bytes. A consumer borrows
// it until Consume returns. To keep it longer, call Retain; each Retain is paired
// with one Release. nil from Consume means kept: delivered, or on disk.
//
// A Processor borrows a batch and returns what is to go on; Chain runs processors
// one after the other, or several in one pass (Planner). Memory for new bytes is a
// Buffer, which is charged to the admission ticket of the batch.
//
// The one trap: everything read from a Batch (views, keys, strings as []byte)
// points into its bytes and dies with the last Release.
package pipeline

import "context"

// Capabilities say how a consumer treats a batch.
type Capabilities struct {
	// MutatesData says that the consumer may call Batch.Edit. One that always
	// writes a new request and leaves the old alone need not say so.
	MutatesData bool
	// Codecs are those of which the consumer can use the compressed bytes that a batch came
	// in (Batch.Encoded), and Members those of which it can also if they have several
	// members or frames. A receiver keeps such bytes only if they can be used. Both may
	// change while the consumer runs.
	Codecs, Members CodecSet
}

// With returns the capabilities of a consumer that passes batches on, and has c itself, to
// others: with the codecs that they can use.
func (c Capabilities) With(others ...Capabilities) Capabilities {
	for _, o := range others {
		c.Codecs |= o.Codecs
		c.Members |= o.Members
	}
	return c
}

// Consumer takes batches. It must be safe for concurrent use.
type Consumer interface {
	Capabilities() Capabilities
	// Consume borrows b until it returns. nil means that b is kept: delivered,
	// or durable. Classify says what an error asks of the sender.
	Consume(ctx context.Context, b *Batch) error
}

// ConsumerFunc is a Consumer that only reads.
type ConsumerFunc func(ctx context.Context, b *Batch) error

// Capabilities: it changes nothing.
func (ConsumerFunc) Capabilities() Capabilities { return Capabilities{} }

// Consume calls f.
func (f ConsumerFunc) Consume(ctx context.Context, b *Batch) error { return f(ctx, b) }

// Component is what a service starts and stops. Both methods may be called
// twice. Start binds its addresses and files and returns; Shutdown stops
// accepting data, finishes requests in flight until ctx ends, and joins every
// goroutine that Start started.
type Component interface {
	Start(ctx context.Context) error
	Shutdown(ctx context.Context) error
}

// Named is implemented by consumers that have a name in the configuration; the
// fan-out puts it on the errors of that branch.
type Named interface{ Name() string }
