package pprofconv

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/otlp"
)

// building is a pprof profile under construction.
type building struct {
	c     *converter
	named Named
	p     *profile.Profile
	tables

	columns []column
	rows    map[string]*profile.Sample // by stack, link and attributes
	scratch []int32
	key     []byte
}

// column is a sample type, with its position in the original file; -1 means unknown.
type column struct {
	profile.ValueType
	order int
}

// hasType reports whether a column is there already. A pprof file may have a sample
// type twice: its order tells them apart.
func (b *building) hasType(c *column) bool {
	return slices.ContainsFunc(b.columns, func(has column) bool {
		return has.ValueType == c.ValueType && (has.order == c.order || has.order < 0 || c.order < 0)
	})
}

func newBuilding(c *converter, g *otlp.Group) *building {
	b := &building{c: c, p: &profile.Profile{}, rows: map[string]*profile.Sample{}}
	b.tables = newTables(c, b.p)
	b.named = Named{
		Profile: b.p, Name: nameOf(c.resourceLabels), resource: c.resourceLabels,
		Scope: string(g.Scope.Name()), ScopeVersion: string(g.Scope.Version()),
	}
	return b
}

func (b *building) headers(h *headers, p *otlp.ProfileFields, period profile.ValueType) {
	b.p.TimeNanos, b.p.DurationNanos = nanos(p.TimeUnixNano), nanos(p.DurationNano)
	b.p.PeriodType, b.p.Period = &period, p.Period
	b.p.Comments, b.p.DocURL = h.comments, h.docURL
	b.p.DropFrames, b.p.KeepFrames = h.dropFrames, h.keepFrames
	b.p.DefaultSampleType = h.defaultSampleType
}

// nanos returns v, or 0 for unknown if it does not fit in the signed integers of pprof.
func nanos(v uint64) int64 {
	if v > math.MaxInt64 {
		return 0
	}
	return int64(v)
}

// samples adds a column.
func (b *building) samples(col column, list otlp.List[otlp.Sample]) bool {
	at := len(b.columns)
	b.columns = append(b.columns, col)
	for s := range list.All() {
		f := s.Decode()
		value, ok := valueOf(&f)
		if !ok {
			continue
		}
		row := b.row(&f)
		if row == nil {
			return false
		}
		for len(row.Value) <= at {
			row.Value = append(row.Value, 0)
		}
		row.Value[at] += value
	}
	return b.c.left >= 0
}

// valueOf returns the sum of the values of a sample, or if it has only timestamps, their
// number (profiles.proto, Sample). ok is false if it has neither.
func valueOf(f *otlp.SampleFields) (v int64, ok bool) {
	for n := range f.Values.All() {
		v, ok = v+n, true
	}
	if !ok {
		v = int64(f.TimestampsUnixNano.Len())
		ok = v > 0
	}
	return v, ok
}

// row returns the pprof sample for f, by stack, link and attributes; nil if the request
// is too large.
func (b *building) row(f *otlp.SampleFields) *profile.Sample {
	b.scratch = slices.AppendSeq(b.scratch[:0], f.AttributeIndices.All())
	slices.Sort(b.scratch)
	b.scratch = slices.Compact(b.scratch)
	key := binary.AppendVarint(b.key[:0], int64(f.StackIndex))
	key = binary.AppendVarint(key, int64(f.LinkIndex))
	for _, i := range b.scratch {
		key = binary.AppendVarint(key, int64(i))
	}
	b.key = key
	if row, ok := b.rows[string(key)]; ok {
		return row
	}
	row := &profile.Sample{Location: b.stack(f.StackIndex)}
	if !b.c.spend(1 + len(row.Location)) {
		return nil
	}
	b.label(row, f.LinkIndex, b.scratch)
	b.rows[string(key)] = row
	b.p.Sample = append(b.p.Sample, row)
	return row
}

// label adds the labels of a sample.
func (b *building) label(row *profile.Sample, link int32, attributes []int32) {
	for _, i := range attributes {
		l, ok := b.c.attribute(i)
		if ok && b.c.spend(len(l.texts)+len(l.numbers)) {
			l.addTo(row)
		}
	}
	for _, l := range linkLabels(b.c.dict.Link(link)) {
		l.addTo(row)
	}
}

// finish sorts the columns and adds missing values.
func (b *building) finish() {
	if !b.c.spend(len(b.columns) * len(b.p.Sample)) {
		return
	}
	order := make([]int, len(b.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int {
		return cmp.Compare(b.columns[x].order, b.columns[y].order)
	})
	values := make([]int64, 0, len(b.columns)*len(b.p.Sample))
	for _, row := range b.p.Sample {
		first := len(values)
		for _, i := range order {
			v := int64(0)
			if i < len(row.Value) {
				v = row.Value[i]
			}
			values = append(values, v)
		}
		row.Value = values[first:len(values):len(values)]
	}
	for _, i := range order {
		t := b.columns[i].ValueType
		b.p.SampleType = append(b.p.SampleType, &t)
		b.named.orders = append(b.named.orders, b.columns[i].order)
	}
	b.tables.finish(b.named.resource)
}
