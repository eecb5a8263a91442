package pprofconv

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Named is a profile and where it comes from.
type Named struct {
	Profile *profile.Profile
	// Name is the resource in a few words, "checkout (pid 17)"; it may be empty.
	Name string
	// Scope and ScopeVersion are the profiler.
	Scope, ScopeVersion string

	resource []label
}

// maxReferences bounds what a request can make of itself: how often its samples
// refer to frames, labels and values together. A request can say "this stack of a
// million frames" in three bytes; pprof writes out each frame.
const maxReferences = 1 << 26

// ErrTooLarge says that a request refers to its dictionary more than 67,108,864
// times.
var ErrTooLarge = errors.New("pprofconv: the request unfolds to more than 67,108,864 frames, labels and values")

// ToPprof makes pprof profiles of a request that otlp.Check has taken, in the
// order in which they begin. What it returns is valid (profile.CheckValid) and
// shares no memory with the request. The only error is ErrTooLarge.
func ToPprof(request []byte) ([]Named, error) {
	c := &converter{
		dict: otlp.DictionaryOf(otlp.Profiles, request), left: maxReferences,
		strings: map[int32]string{}, labels: map[int32]*label{}, latest: map[profileKey]*building{},
	}
	for g := range otlp.Groups(request) {
		c.group(&g)
		if c.left < 0 {
			return nil, ErrTooLarge
		}
	}
	list := make([]Named, 0, len(c.all))
	for _, b := range c.all {
		b.finish()
		if c.left < 0 {
			return nil, ErrTooLarge
		}
		list = append(list, b.named)
	}
	return list, nil
}

// converter is one call of ToPprof.
type converter struct {
	dict    *otlp.Dictionary
	left    int // references that may still be made; negative: too many
	strings map[int32]string
	labels  map[int32]*label // nil: an attribute that makes none
	all     []*building
	// resource is the wire form of the resource being read, labels what it
	// becomes.
	resource       string
	resourceLabels []label
	// latest is the profile that others of its key go into, as long as their
	// sample types are not there yet.
	latest map[profileKey]*building
}

// profileKey is what the Profiles of one pprof profile agree in.
type profileKey struct {
	resource, scope        string // wire bytes
	time, duration         uint64
	period                 int64
	periodType, periodUnit string
	attributes             string
}

// spend notes n more references, and says whether they may be made.
func (c *converter) spend(n int) bool {
	c.left -= min(n, maxReferences+1)
	return c.left >= 0
}

// text returns entry i of the string table, once.
func (c *converter) text(i int32) string {
	s, ok := c.strings[i]
	if !ok {
		s = string(c.dict.String(i))
		c.strings[i] = s
	}
	return s
}

func (c *converter) valueType(v otlp.ValueType) (t profile.ValueType) {
	f := v.Decode()
	return profile.ValueType{Type: c.text(f.TypeStrindex), Unit: c.text(f.UnitStrindex)}
}

func (c *converter) group(g *otlp.Group) {
	if !c.spend(1 + len(g.Scope)/bytesPerReference) {
		return
	}
	if g.First {
		c.setResource(g.Resource)
	}
	key := profileKey{resource: c.resource, scope: string(g.Scope)}
	scope := c.scopeHeaders(g.Scope)
	i := 0
	for item := range g.Items.All() {
		p := otlp.Profile(item).Decode()
		h := scope
		h.order = -1
		if i < len(scope.orders) {
			h.order = scope.orders[i]
		}
		i++
		if !c.spend(perProfile+len(g.Scope)/bytesPerReference) || !c.add(g, key, h, &p) {
			return
		}
	}
}

const (
	// perProfile is what an empty profile counts for.
	perProfile = 256
	// bytesPerReference is how many bytes that are copied count for one.
	bytesPerReference = 64
)

func (c *converter) setResource(r otlp.Resource) {
	c.resource, c.resourceLabels = string(r), nil
	for k, v := range otlp.Attributes(r.Attributes(), c.dict) {
		if l, ok := labelOf(string(k), "", v); ok {
			c.resourceLabels = append(c.resourceLabels, l)
		}
	}
}

// add puts one Profile in its place. It returns false if the request is too large.
func (c *converter) add(g *otlp.Group, key profileKey, h headers, p *otlp.ProfileFields) bool {
	attributes := c.profileHeaders(&h, p.AttributeIndices)
	period := c.valueType(p.PeriodType)
	key.time, key.duration, key.period = p.TimeUnixNano, p.DurationNano, p.Period
	key.periodType, key.periodUnit = period.Type, period.Unit
	key.attributes = attributes
	col := column{c.valueType(p.SampleType), h.order}
	b := c.latest[key]
	if b == nil || b.has[col.id()] {
		b = newBuilding(c, g)
		b.headers(&h, p, period)
		c.latest[key], c.all = b, append(c.all, b)
	}
	return b.samples(col, p.Samples)
}

// building is a pprof profile that is being put together.
type building struct {
	c     *converter
	named Named
	p     *profile.Profile
	tables

	columns []column
	has     map[columnID]bool
	rows    map[string]*profile.Sample // by stack, link and attributes
	scratch []int32
	key     []byte
}

// column is a sample type, with its place in the file that it once came from;
// -1 is unknown.
type column struct {
	profile.ValueType
	order int
}

type columnID struct {
	typ, unit string
	order     int
}

func (c *column) id() columnID { return columnID{c.Type, c.Unit, c.order} }

func newBuilding(c *converter, g *otlp.Group) *building {
	b := &building{c: c, p: &profile.Profile{}, has: map[columnID]bool{}, rows: map[string]*profile.Sample{}}
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

// nanos: pprof counts signed, and 0 is unknown.
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
	b.has[col.id()] = true
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

// valueOf adds up a sample (profiles.proto, Sample): its values, or if there are
// timestamps alone, one for each. ok is false if there is neither.
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

// row returns the sample of this identity; nil if the request is too large.
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

// label gives a sample its labels.
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

// finish brings the columns into their order and fills up the rows.
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
	}
	b.tables.finish(b.named.resource)
}
