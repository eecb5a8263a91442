package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// pieceTaker is a pipeline with dead letters that answers err.
type pieceTaker struct {
	err            error
	records        bool
	repeated, dead int
	seen           int
	shared         bool
	meet           *sync.WaitGroup // all that wait are inside at the same time
}

func (p *pieceTaker) Capabilities() Capabilities { return Capabilities{} }

func (p *pieceTaker) Consume(_ context.Context, b *Batch) error {
	p.seen, p.shared = p.seen+b.Items(), b.Shared()
	if p.meet != nil {
		p.meet.Done()
		p.meet.Wait()
	}
	return p.err
}

func (p *pieceTaker) Repeated(_ context.Context, b *Batch) { p.repeated += b.Items() }

func (p *pieceTaker) RecordRefused(_ context.Context, b *Batch, _ error) error {
	if !p.records {
		return errors.New("no dead letters")
	}
	p.dead += b.Items()
	return nil
}

// spans makes a batch of n spans.
func spans(t *testing.T, n int) *Batch {
	t.Helper()
	var e otlp.Encoder
	scope := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	list := scope.AddScopeSpans()
	for range n {
		list.AddSpans().Close()
	}
	list.Close()
	scope.Close()
	b, err := NewBatch(otlp.Traces, e.Buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

// What pieces of 3 and 2 of 6 items become, by the answers of their pipelines.
func TestDeliver(t *testing.T) {
	t.Parallel()
	no, down, part := Permanently(errors.New("no")), errors.New("down"), &Error{Kind: Partial, Rejected: 1}
	for name, c := range map[string]struct {
		a, b     pieceTaker
		want     Kind
		rejected int64
		repeated int
		dead     int
	}{
		"all is kept":                 {},
		"one is down":                 {a: pieceTaker{err: down}, want: Retryable, repeated: 2},
		"one keeps a part, one down":  {a: pieceTaker{err: down}, b: pieceTaker{err: part}, want: Retryable, repeated: 2},
		"one refuses":                 {a: pieceTaker{err: no}, want: Partial, rejected: 3},
		"one refuses, has letters":    {a: pieceTaker{err: no, records: true}, dead: 3},
		"one refuses, one is partial": {a: pieceTaker{err: no}, b: pieceTaker{err: part}, want: Partial, rejected: 4},
		"all refuse":                  {a: pieceTaker{err: no, records: true}, b: pieceTaker{err: no}, want: Permanent},
		"partial":                     {b: pieceTaker{err: part}, want: Partial, rejected: 1},
	} {
		a, b := c.a, c.b
		err := Deliver(t.Context(), spans(t, 6), Piece{To: &a, Batch: spans(t, 3)}, Piece{To: &b, Batch: spans(t, 2)})
		var kind Kind
		var rejected int64
		if e := Classify(err); e != nil {
			kind, rejected = e.Kind, e.Rejected
		}
		if kind != c.want || rejected != c.rejected || a.repeated+b.repeated != c.repeated || a.dead+b.dead != c.dead || a.seen != 3 || b.seen != 2 {
			t.Errorf("%s: %v, %d rejected, %d repeated, %d dead letters; want %v, %d, %d, %d", name, kind, rejected,
				a.repeated+b.repeated, a.dead+b.dead, c.want, c.rejected, c.repeated, c.dead)
		}
	}
}

// A batch for several consumers is shared; one for one is as it was.
func TestDeliverShares(t *testing.T) {
	t.Parallel()
	var a, b, c pieceTaker
	whole, piece := spans(t, 2), spans(t, 1)
	if err := Deliver(t.Context(), whole, Piece{To: &a, Batch: whole}, Piece{To: &b, Batch: piece}, Piece{To: &c, Batch: whole}); err != nil {
		t.Fatal(err)
	}
	if !a.shared || b.shared || !c.shared {
		t.Errorf("shared: %v, %v, %v", a.shared, b.shared, c.shared)
	}
}

// Pieces that may wait are passed on at the same time.
func TestDeliverWaits(t *testing.T) {
	t.Parallel()
	var meet sync.WaitGroup
	meet.Add(2)
	a, b := pieceTaker{meet: &meet}, pieceTaker{meet: &meet}
	if err := Deliver(t.Context(), spans(t, 2), Piece{To: &a, Batch: spans(t, 1), Waits: true}, Piece{To: &b, Batch: spans(t, 1), Waits: true}); err != nil {
		t.Fatal(err)
	}
}
