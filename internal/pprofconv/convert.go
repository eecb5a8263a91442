package pprofconv

import (
	"errors"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Named is a profile and its origin.
type Named struct {
	Profile *profile.Profile
	// Name is a short name of the resource, "checkout (pid 17)"; it can be empty.
	Name string
	// Scope and ScopeVersion are the name and version of the profiler.
	Scope, ScopeVersion string

	resource []label
	orders   []int // of the sample types in the pprof file; -1: unknown
}

// maxReferences bounds the size of the result: how often the samples of a request refer
// to frames, labels and values together. A request can refer to a stack of a million
// frames in three bytes, while pprof lists each frame.
const maxReferences = 1 << 26

// ErrTooLarge means that a request refers to its dictionary more than 67,108,864 times.
var ErrTooLarge = errors.New("convert to pprof: more than 67,108,864 frames, labels and values")

// ToPprof returns the pprof profiles of a request that otlp.Check accepted, in the order
// of their first Profile. They are valid (profile.CheckValid) and share no memory with
// the request. The only error is ErrTooLarge.
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
	left    int // the references that are still allowed; negative: too many
	strings map[int32]string
	labels  map[int32]*label // nil for an attribute that has none
	all     []*building
	// resource is the wire form of the current resource, resourceLabels its labels.
	resource       string
	resourceLabels []label
	// latest is the last profile of each key. Further Profiles of the key are added to
	// it as long as it does not have their sample types.
	latest map[profileKey]*building
}

// profileKey is what the Profiles of one pprof profile have in common.
type profileKey struct {
	resource, scope        string // wire bytes
	time, duration         uint64
	period                 int64
	periodType, periodUnit string
	attributes             string
}

// spend counts n more references, and reports whether they are allowed.
func (c *converter) spend(n int) bool {
	c.left -= min(n, maxReferences+1)
	return c.left >= 0
}

// text returns entry i of the string table, which it copies once.
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
	// perProfile is the cost of an empty profile in references.
	perProfile = 256
	// bytesPerReference is how many copied bytes cost one reference.
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

// add adds one Profile. It returns false if the request is too large.
func (c *converter) add(g *otlp.Group, key profileKey, h headers, p *otlp.ProfileFields) bool {
	attributes := c.profileHeaders(&h, p.AttributeIndices)
	period := c.valueType(p.PeriodType)
	key.time, key.duration, key.period = p.TimeUnixNano, p.DurationNano, p.Period
	key.periodType, key.periodUnit = period.Type, period.Unit
	key.attributes = attributes
	col := column{c.valueType(p.SampleType), h.order}
	b := c.latest[key]
	if b == nil || b.hasType(&col) {
		b = newBuilding(c, g)
		b.headers(&h, p, period)
		c.latest[key], c.all = b, append(c.all, b)
	}
	return b.samples(col, p.Samples)
}
