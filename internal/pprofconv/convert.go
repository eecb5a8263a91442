package pprofconv

import (
	"errors"

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
