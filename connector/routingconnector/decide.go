package routingconnector

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// decider is an editor that changes nothing and notes where each unit of a request goes. A
// unit is a resource, an item or a data point.
type decider struct {
	*table
	tester *ottl.Tester

	ctx      context.Context
	batch    *pipeline.Batch
	memory   pipeline.Reservation // for runs
	requests []bool               // of the rules that are about the request, what holds
	resource []answer             // of the rules that are about the resource
	number   int                  // of that resource

	chosen []byte // destinations of the present unit, two bytes each
	sets   [][]int
	byText map[string]uint32 // index in sets, by chosen
	used   []bool            // of sets
	runs   []run             // of units, in the order of the request
}

// run is units next to each other that go to the same destinations.
type run struct{ set, units uint32 }

// answer is what a rule says about a resource, 0 if it was not asked.
type answer int8

const (
	yes answer = 1
	no  answer = -1
)

const (
	// keptRuns is how many runs are kept for the next request, and made without a
	// reservation.
	keptRuns = 8 << 10
	runBytes = 8
	// maxSets is how many sets are kept for the next request.
	maxSets = 1 << 10
)

func newDecider(t *table) *decider {
	return &decider{table: t, tester: ottl.NewTester(statements.ClientOf), requests: make([]bool, len(t.rules)),
		resource: make([]answer, len(t.rules)), byText: map[string]uint32{}}
}

// begin starts a request. It reports whether the rules about requests decide alone.
func (d *decider) begin(ctx context.Context, b *pipeline.Batch) (decided bool) {
	d.ctx, d.batch, d.number = ctx, b, 0
	d.memory, _ = b.Reserve(ctx, 0)
	clear(d.used)
	d.runs = d.runs[:0]
	for i := range d.rules {
		if request := d.rules[i].request; request != nil {
			d.requests[i] = request.matches(b.Client())
		}
	}
	d.chosen = d.chosen[:0]
	for i := range d.rules {
		r := &d.rules[i]
		switch {
		case r.request == nil:
			return false
		case d.requests[i]:
			d.choose(r.destination)
			if !r.copies {
				return d.note() == nil
			}
		}
	}
	d.chooseOtherwise()
	return d.note() == nil
}

// finish decides about a request without units.
func (d *decider) finish() error {
	if len(d.runs) > 0 {
		return nil
	}
	d.chosen = d.chosen[:0]
	d.chooseOtherwise()
	return d.note()
}

// end lets go of the request.
func (d *decider) end() {
	d.memory.Release()
	d.ctx, d.batch = nil, nil
	if cap(d.runs) > keptRuns {
		d.runs = nil
	}
	if len(d.sets) > maxSets {
		d.sets, d.used = nil, nil
		clear(d.byText)
	}
}

// End implements otlpedit.Editor.
func (d *decider) End() { d.tester.End() }

// Edit implements otlpedit.Editor.
func (d *decider) Edit(p *otlpedit.Pass, l otlpedit.Levels, m []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
	if number := p.Number(otlpedit.Resources); number != d.number {
		d.number = number
		clear(d.resource)
	}
	d.tester.At(p, l, m)
	if _, divisible := dataOf(m); d.points && divisible {
		parts := 0
		err := d.tester.Parts(func([]byte) error {
			parts++
			return d.decide(true)
		})
		if err != nil || parts > 0 {
			return otlpedit.Keep, err
		}
	}
	return otlpedit.Keep, d.decide(false)
}

// dataOf returns the field of a metric that its data points are in. A metric with several
// such fields goes one way as a whole.
func dataOf(metric []byte) (num uint32, ok bool) {
	for c := (wire.Cursor{Buf: metric}); c.Next(); {
		switch c.Num {
		case otlpfield.MetricGauge, otlpfield.MetricSum, otlpfield.MetricHistogram, otlpfield.MetricExponentialHistogram, otlpfield.MetricSummary:
			if num != 0 {
				return 0, false
			}
			num = c.Num
		}
	}
	return num, num != 0
}

// decide notes where the present unit goes. point: it is a data point.
func (d *decider) decide(point bool) error {
	d.chosen = d.chosen[:0]
	for i := range d.rules {
		r := &d.rules[i]
		ok, err := d.holds(i, point)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		d.choose(r.destination)
		if !r.copies {
			return d.note()
		}
	}
	d.chooseOtherwise()
	return d.note()
}

// holds reports whether a rule matches the present unit.
func (d *decider) holds(i int, point bool) (bool, error) {
	r := &d.rules[i]
	switch {
	case r.request != nil:
		return d.requests[i], nil
	case r.context.Name() == "datapoint" && !point:
		return false, nil
	case r.context.Name() != "resource":
		return d.test(r)
	case d.resource[i] == 0:
		ok, err := d.test(r)
		if err != nil {
			return false, err
		}
		d.resource[i] = no
		if ok {
			d.resource[i] = yes
		}
	}
	return d.resource[i] == yes, nil
}

// test evaluates the condition of a rule. One that fails does not match, or its error is
// returned.
func (d *decider) test(r *rule) (bool, error) {
	if r.condition == nil {
		return true, nil
	}
	ok, err := d.tester.Test(r.condition)
	switch {
	case err == nil:
		return ok, nil
	case d.tester.Err() != nil:
		return false, err
	case d.mode == ottl.Propagate:
		return false, pipeline.Permanently(err)
	case d.mode != ottl.Silent:
		d.report(err)
	}
	return false, nil
}

func (d *decider) chooseOtherwise() {
	if d.otherwise >= 0 {
		d.choose(d.otherwise)
	}
}

func (d *decider) choose(destination int) {
	d.chosen = binary.LittleEndian.AppendUint16(d.chosen, uint16(destination))
}

// note notes the chosen destinations of the present unit.
func (d *decider) note() error {
	set, ok := d.byText[string(d.chosen)]
	if !ok {
		var members []int
		for i := 0; i < len(d.chosen); i += 2 {
			members = append(members, int(binary.LittleEndian.Uint16(d.chosen[i:])))
		}
		set = uint32(len(d.sets))
		d.sets, d.used = append(d.sets, members), append(d.used, false)
		d.byText[string(d.chosen)] = set
	}
	d.used[set] = true
	if n := len(d.runs); n > 0 && d.runs[n-1].set == set {
		d.runs[n-1].units++
		return nil
	}
	if n := len(d.runs); n == cap(d.runs) && n >= keptRuns {
		if err := d.memory.Grow(d.ctx, n*2*runBytes); err != nil {
			return err
		}
	}
	d.runs = append(slices.Grow(d.runs, 1), run{set, 1})
	return nil
}

// share is how much of a request goes to a destination.
type share int

const (
	nothing share = iota
	part
	everything
)

// shareOf returns how much goes to a destination.
func (d *decider) shareOf(destination int) share {
	some, all := false, true
	for set, used := range d.used {
		if used {
			has := slices.Contains(d.sets[set], destination)
			some, all = some || has, all && has
		}
	}
	switch {
	case !some:
		return nothing
	case all:
		return everything
	}
	return part
}
