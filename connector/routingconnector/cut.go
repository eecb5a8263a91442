package routingconnector

import (
	"context"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// work is what divides one request at a time.
type work struct {
	*table
	decider *decider
	cutter  *cutter
	look    *pipeline.Pass
	cut     *pipeline.Pass
}

func newWork(t *table) *work {
	w := &work{table: t, decider: newDecider(t)}
	w.cutter = &cutter{decider: w.decider}
	w.look = pipeline.NewPass(otlpedit.Plan{Edits: t.level, Reads: t.reads, New: func() otlpedit.Editor { return w.decider }})
	w.cut = pipeline.NewPass(otlpedit.Plan{Edits: t.level, Drops: t.level, New: func() otlpedit.Editor { return w.cutter }})
	return w
}

// reset lets go of the request.
func (w *work) reset() { w.decider.end() }

// divide appends the pieces of a batch to a list, also if it returns an error or panics.
func (w *work) divide(ctx context.Context, b *pipeline.Batch, pieces *pieceList) error {
	if !w.decider.begin(ctx, b) {
		if _, err := w.look.Run(ctx, b); err != nil {
			return err
		}
		if err := w.decider.finish(); err != nil {
			return err
		}
	}
	for i := range w.destinations {
		p := piece{to: &w.destinations[i], batch: b}
		switch w.decider.shareOf(i) {
		case nothing:
			continue
		case part:
			var err error
			if p.batch, err = w.cutFor(ctx, b, i); err != nil {
				return err
			}
			p.owned = true
		}
		*pieces = append(*pieces, p)
		if err := (*pieces)[len(*pieces)-1].edit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cutFor returns what of a batch goes to a destination; nil if that is no item.
func (w *work) cutFor(ctx context.Context, b *pipeline.Batch, destination int) (*pipeline.Batch, error) {
	w.cutter.begin(destination)
	return w.cut.Run(ctx, b)
}

// edit applies the edits of the destination. A piece without items has no batch.
func (p *piece) edit(ctx context.Context) error {
	for _, e := range p.to.edits {
		if p.batch == nil {
			break
		}
		next, err := e.Process(ctx, p.batch)
		if err != nil {
			return err
		}
		if next == p.batch {
			continue
		}
		if p.owned {
			p.batch.Release()
		}
		p.batch, p.owned = next, true
	}
	return nil
}

// cutter is an editor that drops what does not go to a destination.
type cutter struct {
	*decider
	member []bool // of sets: whether the destination is in it
	place  place
}

// place is where the cutter is in the runs of the decider.
type place struct {
	run  int
	unit uint32 // of the run
}

func (c *cutter) begin(destination int) {
	c.place = place{}
	c.member = c.member[:0]
	for _, set := range c.sets {
		c.member = append(c.member, slices.Contains(set, destination))
	}
}

// next reports whether the next unit goes to the destination.
func (c *cutter) next() bool {
	r := c.runs[c.place.run]
	if c.place.unit++; c.place.unit == r.units {
		c.place = place{run: c.place.run + 1}
	}
	return c.member[r.set]
}

// End implements otlpedit.Editor.
func (c *cutter) End() {}

// Edit implements otlpedit.Editor.
func (c *cutter) Edit(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	if num, divisible := dataOf(m); c.points && divisible {
		if n := pointsOf(m, num); n > 0 {
			return c.cutPoints(m, num, n, w), nil
		}
	}
	return verdict(c.next()), nil
}

func verdict(goes bool) otlpedit.Verdict {
	if goes {
		return otlpedit.Keep
	}
	return otlpedit.Drop
}

// pointsOf returns how many data points a metric has, whose data is field num.
func pointsOf(metric []byte, num uint32) (n int) {
	for c := (wire.Cursor{Buf: wire.LastBytes(metric, num)}); c.Next(); {
		if c.Num == otlpfield.GaugeDataPoints && c.Type == wire.TypeBytes {
			n++
		}
	}
	return n
}

// cutPoints drops data points of a metric with n.
func (c *cutter) cutPoints(metric []byte, num uint32, n int, w *otlpedit.Writer) otlpedit.Verdict {
	begin, going := c.place, 0
	for range n {
		if c.next() {
			going++
		}
	}
	if going == 0 || going == n {
		return verdict(going > 0)
	}
	c.place = begin
	w.Each(metric, num, func(data []byte) otlpedit.Verdict {
		w.Each(data, otlpfield.GaugeDataPoints, func([]byte) otlpedit.Verdict { return verdict(c.next()) })
		return otlpedit.Replace
	})
	return otlpedit.Replace
}
