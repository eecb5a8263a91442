package metricstransformprocessor

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// plan returns transforms that insert and update as a plan of edits.
func plan(transforms []*transform, log *problems) otlpedit.Plan {
	return otlpedit.Plan{Edits: otlpedit.Items, Drops: otlpedit.Items,
		New: func() otlpedit.Editor { return &editor{transforms: transforms, log: log} }}
}

// editor applies transforms to one metric after the other. What one of them inserts is an
// item of its own, to which those after it are applied.
type editor struct {
	transforms []*transform
	log        *problems
}

// End implements otlpedit.Editor.
func (*editor) End() {}

// Edit implements otlpedit.Editor.
func (e *editor) Edit(p *otlpedit.Pass, _ otlpedit.Levels, raw []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	first, _ := p.Added() // the transforms before are done
	for first < len(e.transforms) && !e.transforms[first].matchesName(nameIn(raw)) {
		first++
	}
	if first == len(e.transforms) {
		return otlpedit.Keep, nil
	}
	mem := p.Memory()
	m, err := parse(raw, mem)
	if err != nil {
		return otlpedit.Keep, err
	}
	for i := first; i < len(e.transforms); i++ {
		t := e.transforms[i]
		if !t.matches(&m) {
			continue
		}
		if t.action == actionInsert {
			if err := e.insert(p, t, m, i+1); err != nil {
				return otlpedit.Keep, err
			}
			continue
		}
		kept, err := t.apply(&m, mem)
		if err := e.log.ignore(err); err != nil {
			return otlpedit.Keep, err
		}
		if !kept {
			return otlpedit.Drop, nil
		}
	}
	if !m.changed {
		return otlpedit.Keep, nil
	}
	encoded := wire.Encoder{Buf: w.Room(m.size())}
	m.appendTo(&encoded)
	w.SetRoom(encoded.Buf)
	return otlpedit.Replace, nil
}

// insert adds a transformed copy of a metric, for the transforms from next on.
func (e *editor) insert(p *otlpedit.Pass, t *transform, m metric, next int) error {
	mem := p.Memory()
	m, ok, err := t.extracted(m, mem)
	if err != nil || !ok {
		return err
	}
	kept, err := t.apply(&m, mem)
	if err := e.log.ignore(err); err != nil || !kept {
		return err
	}
	item, err := m.encode(mem)
	if err != nil {
		return err
	}
	return p.AddItem(item, next)
}
