package pipeline

import (
	"context"
	"slices"
	"sync"
)

// A Piece is a batch for one of several consumers. The caller keeps its reference to it.
type Piece struct {
	To    Consumer
	Batch *Batch
	// Waits says that the consumer may wait long.
	Waits bool
}

// Deliver passes to several consumers what was made of one batch, or parts of it, and
// returns what the sender of whole is asked to do. It differs from Fanout, where each has
// all of it, in one case: if consumers refuse their pieces for good that others do not
// have, the answer is Partial, with the number of items in these.
//
// Pieces of one batch mark it shared. If more than one may wait, all are passed on at the
// same time.
func Deliver(ctx context.Context, whole *Batch, pieces ...Piece) error {
	switch len(pieces) {
	case 0:
		return nil
	case 1:
		return pieces[0].To.Consume(ctx, pieces[0].Batch)
	}
	d := &delivery{whole: whole, pieces: pieces}
	for i, p := range pieces {
		if slices.ContainsFunc(pieces[i+1:], func(other Piece) bool { return other.Batch == p.Batch }) {
			p.Batch.MarkShared()
		}
	}
	return d.settle(ctx, d.consume(ctx))
}

// delivery is a Deliver.
type delivery struct {
	whole  *Batch
	pieces []Piece
}

// consume passes all pieces on, and returns the error of each.
func (d *delivery) consume(ctx context.Context) []error {
	errs := make([]error, len(d.pieces))
	waiting := 0
	for _, p := range d.pieces {
		if p.Waits {
			waiting++
		}
	}
	if waiting < 2 {
		for _, waits := range [...]bool{false, true} { // those that may wait come last
			for i, p := range d.pieces {
				if p.Waits == waits {
					errs[i] = p.To.Consume(ctx, p.Batch)
				}
			}
		}
		return errs
	}
	var wg sync.WaitGroup
	for i, p := range d.pieces {
		wg.Go(func() { errs[i] = consume(ctx, p.To, p.Batch) })
	}
	wg.Wait()
	return errs
}

// settle returns the answer to the sender.
func (d *delivery) settle(ctx context.Context, errs []error) error {
	var failed []*BranchError
	for i, err := range errs {
		if err != nil {
			failed = append(failed, &BranchError{Index: i, Branch: branchName(d.pieces[i].To), Err: err})
		}
	}
	if failed == nil {
		return nil
	}
	e := joinBranches(failed, len(d.pieces))
	switch e.verdict.Kind {
	case Retryable, Overloaded:
		d.countRepeats(ctx, errs)
		return e
	}
	if len(failed) == len(d.pieces) && e.verdict.Kind == Permanent {
		return e
	}
	return d.partly(ctx, failed)
}

// countRepeats counts what is sent again and was kept.
func (d *delivery) countRepeats(ctx context.Context, errs []error) {
	for i, p := range d.pieces {
		counter, ok := p.To.(RepeatCounter)
		if ok && (errs[i] == nil || Classify(errs[i]).Kind == Partial) {
			counter.Repeated(ctx, p.Batch)
		}
	}
}

// partly returns the answer if pieces, or items of them, were refused for good, and are
// not among dead letters.
func (d *delivery) partly(ctx context.Context, failed []*BranchError) error {
	var left []*BranchError
	rejected := int64(0)
	for _, f := range failed {
		p := d.pieces[f.Index]
		refusal := Classify(f.Err)
		if refusal.Kind == Partial {
			rejected += refusal.Rejected
		} else if recorder, ok := p.To.(RefusalRecorder); ok && recorder.RecordRefused(ctx, p.Batch, f.Err) == nil {
			continue
		} else {
			rejected += int64(p.Batch.Items())
		}
		left = append(left, f)
	}
	if left == nil {
		return nil
	}
	e := joinBranches(left, len(d.pieces))
	e.verdict.Kind, e.verdict.Rejected = Partial, min(rejected, int64(d.whole.Items()))
	if e.verdict.Rejected == int64(d.whole.Items()) {
		e.verdict.Kind, e.verdict.Rejected = Permanent, 0
	}
	return e
}
