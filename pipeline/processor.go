package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Processor changes batches, one at a time, and passes nothing on itself: Chain
// does. One that holds batches, or sends them later, is a Consumer instead. It
// must be safe for concurrent use.
type Processor interface {
	// Process borrows b until it returns. It returns
	//
	//   - b itself, if nothing changes, or if it edited in place what Batch.Edit
	//     granted;
	//   - a new batch of the same signal, the one reference to which is the
	//     caller's (Batch.Derive);
	//   - nil, if it dropped all items: the sender gets success.
	//
	// An error refuses the whole batch; Classify says what it asks of the sender. A
	// batch returned with an error is released and otherwise ignored.
	Process(ctx context.Context, b *Batch) (*Batch, error)
}

// A processor that calls Batch.Edit has the method Capabilities of a Consumer
// and says so there. One without the method never edits in place.

// Step is one processor of a chain.
type Step struct {
	// Name is the processor's id in the configuration: "resource/2". Errors carry
	// it.
	Name      string
	Processor Processor
	// Observer is called with what the processor did; nil: none.
	Observer Observer
}

// Observer measures one processor. It must be safe for concurrent use.
type Observer interface {
	// Timed reports whether Processed needs the duration, which costs two
	// readings of the clock. It is called once, when the chain is created.
	Timed() bool
	// Processed is called once for each batch that the processor was given: of
	// signal s, with in items, of which it passed on out. out is 0 for a batch
	// that was dropped or refused. took is 0 unless Timed.
	Processed(ctx context.Context, s otlp.Signal, in, out int, took time.Duration)
}

// PanicError is the error of a panic in a processor or connector. It is Permanent: the same
// batch would cause it again. The component that answers the sender logs Value and
// Stack and sends neither.
type PanicError struct {
	Processor string // its name; empty: the panic was in another consumer
	Connector string // its name; empty: it was in none
	Value     any    // what it panicked with
	Stack     []byte // of the goroutine, as runtime/debug.Stack has it
}

func (e *PanicError) Error() string {
	switch {
	case e.Connector != "":
		return fmt.Sprintf("internal error in connector %q", e.Connector)
	case e.Processor == "":
		return "internal error in a consumer"
	}
	return fmt.Sprintf("internal error in processor %q", e.Processor)
}
