package pipeline

import "context"

// Reservation is memory that is charged to the admission ticket of a batch without
// being a Buffer: an index over the batch, or what a library allocates to process
// it. Reserve before it is allocated, and release when it is gone:
//
//	r, err := b.Reserve(ctx, size)
//	if err != nil {
//		return err // no room
//	}
//	defer r.Release()
//
// A Reservation has one owner and must be released before the batch is. The zero
// value reserves nothing.
type Reservation struct {
	batch *Batch
	bytes int
}

// Reserve charges n bytes. The error is an *Error: there is no room in the memory
// budget, or ctx ended while it waited.
func (b *Batch) Reserve(ctx context.Context, n int) (Reservation, error) {
	r := Reservation{batch: b}
	return r, r.Grow(ctx, n)
}

// Grow charges n bytes more. The error is as that of Reserve; what was reserved stays
// so.
func (r *Reservation) Grow(ctx context.Context, n int) error {
	if n <= 0 || r.batch.payer().ticket == nil {
		return nil
	}
	if err := r.batch.charge(ctx, n); err != nil {
		return err
	}
	r.bytes += n
	r.batch.loose.Add(int64(n))
	return nil
}

// Release gives back what is reserved. Further calls do nothing.
func (r *Reservation) Release() {
	if r.bytes == 0 {
		return
	}
	if r.batch.refs.Load() <= 0 {
		panic("pipeline: a reservation is in use after the batch that it was made for was released")
	}
	r.batch.loose.Add(-int64(r.bytes))
	r.batch.discharge(r.bytes)
	r.bytes = 0
}
