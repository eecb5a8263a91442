package pipeline

import (
	"context"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/admission"
)

// account is what a batch knows of the admission ticket that pays for its
// memory. A request and all that is derived from it share one ticket:
//
//	request ◄──origin── derived ◄─ …    each with the bytes that it has on the ticket;
//	   │                    │           buffers count as their batch's
//	   └── ticket ◄─────────┘ members   released with the last of them
//
// So the ticket outlives the request's own bytes where an exporter retains what
// was derived from it, and holds what is alive at any time.
type account struct {
	origin *Batch // whose ticket it is; nil: its own

	ticket  *admission.Ticket // nil: memory is not charged
	members atomic.Int32      // batches with a share of ticket that are not released

	charged int          // bytes of the batch on the ticket
	loose   atomic.Int64 // bytes on the ticket of buffers made for the batch
}

// Hold ties a request's ticket to the batch, before the batch is shown to
// anybody. The ticket holds the bytes of the batch already, by the capacity of
// their memory, those that were attached (AttachEncoded), and MergeBytes. It is released
// when the batch and everything derived from it are. A nil ticket bounds nothing.
func (b *Batch) Hold(t *admission.Ticket) {
	switch {
	case t == nil:
		return
	case b.payer().ticket != nil:
		panic("pipeline: Hold of a batch that has a ticket")
	}
	b.forms.charged = cap(b.forms.encoded.Bytes)
	b.ticket, b.charged = t, cap(b.data)+b.forms.charged
	b.members.Store(1)
	b.trace.holds(b.charged)
}

// payer returns the batch that has the ticket.
func (b *Batch) payer() *Batch {
	if b.origin != nil {
		return b.origin
	}
	return b
}

// charge puts n bytes on the ticket. The error is an *Error.
func (b *Batch) charge(ctx context.Context, n int) error {
	if err := b.payer().ticket.Add(ctx, n); err != nil {
		return noRoom(n, err)
	}
	return nil
}

// discharge takes n bytes off the ticket.
func (b *Batch) discharge(n int) { b.payer().ticket.Sub(n) }

// join makes a new batch share the ticket of p, which charged bytes of it are on
// already.
func (b *Batch) join(p *Batch, charged int) {
	if p = p.payer(); p.ticket != nil {
		p.members.Add(1)
		b.origin, b.charged = p, charged
		if charged > 0 {
			b.trace.holds(cap(b.data))
		}
	}
}

// settle charges to the ticket of from what of a batch made of it is on no
// ticket yet.
func (b *Batch) settle(ctx context.Context, from *Batch) error {
	p := from.payer()
	if p.ticket == nil {
		return nil
	}
	if b.payer().ticket == nil { // made without Derive
		b.join(p, 0)
	}
	encoded := cap(b.forms.encoded.Bytes)
	more := cap(b.data) + encoded - b.charged
	if more <= 0 {
		return nil
	}
	if err := b.charge(ctx, more); err != nil {
		return err
	}
	b.charged += more
	b.forms.charged = encoded
	b.trace.holds(b.charged)
	return nil
}

// leave gives back the share of a released batch. What buffers still have is
// given back too: their owner was ended by a panic.
func (b *Batch) leave() {
	p := b.payer()
	if p.ticket == nil {
		return
	}
	if p.members.Load() > 1 { // else all goes back in one step
		p.ticket.Sub(b.charged + int(b.loose.Load()))
	}
	if p.members.Add(-1) == 0 {
		t := p.ticket
		p.ticket = nil
		t.Release()
	}
}
