package pipeline

import "context"

// Charge puts n bytes on the admission ticket of the batch: memory that is made of the
// batch and is not a Buffer's. Call it before the memory is allocated, and Discharge
// with the same n once the memory is not used any more, before the batch is released.
// The error is an *Error, as that of NewBuffer.
func (b *Batch) Charge(ctx context.Context, n int) error {
	if b.payer().ticket == nil {
		return nil
	}
	if err := b.charge(ctx, n); err != nil {
		return err
	}
	b.loose.Add(int64(n))
	return nil
}

// Discharge takes n bytes that Charge put on the ticket off it.
func (b *Batch) Discharge(n int) {
	if b.payer().ticket == nil {
		return
	}
	b.loose.Add(-int64(n))
	b.discharge(n)
}
