package profile

import (
	"encoding/binary"
	"time"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// Options are how a window is written.
type Options struct {
	// MaxRequestBytes bounds a request.
	MaxRequestBytes int
	// ScopeName and ScopeVersion are the profiler's.
	ScopeName, ScopeVersion string
	// Base is on every resource, unless the resource itself says otherwise.
	Base libpf.Attributes
	// Resolve finds stacks that were counted by their hash.
	Resolve Resolve
	// MaxWait is how long a stack waits for its frames and symbols, from the window
	// on in which it was counted.
	MaxWait time.Duration
	// StringReferences writes strings of resources as references into the dictionary.
	StringReferences bool
	// Final says that there is no next window: nothing waits.
	Final bool
}

// Request is a finished ExportProfilesServiceRequest.
type Request struct {
	Bytes []byte
	// Events is how many reported events are in it.
	Events int64
	// Profiles is how many Profiles it has, Samples how many Samples those have.
	Profiles int64
	Samples  int
}

// Outcome counts the events of a window that were not written in the normal way.
type Outcome struct {
	// Carried wait in the next window for their frames.
	Carried int
	// TooLarge do not fit into a request alone.
	TooLarge int
	// WithoutStack were written, but with no stack: its frames never came.
	WithoutStack int
}

// schemaURL names the semantic conventions that the attributes follow.
const schemaURL = "https://opentelemetry.io/schemas/1.37.0"

// Write hands the window to emit as requests, and ends it. The bytes are emit's.
func (w *Window) Write(o Options, emit func(Request)) (out Outcome) {
	if w.events == 0 {
		w.release()
		return out
	}
	p := w.layout(&o)
	out.Carried = p.carry()
	out.WithoutStack = p.withoutStack()
	w.release() // the layout has what is needed, and the memory has other uses
	r := newRequests(&p.layout, &o, emit)
	for _, i := range p.order {
		r.add(i)
	}
	r.finish()
	out.TooLarge = r.tooLarge
	return out
}

// requests writes a layout as one request after another. Each has a dictionary of
// its own, with what its samples refer to and no more: an entry is written when
// the first of them needs it.
//
// Sizes are known at each moment, so that a sample that would make the request
// too large is taken back, and begins the next.
type requests struct {
	*layout
	o    *Options
	emit func(Request)

	tables   [numTables]otlp.Encoder // entries with their tags
	numbers  [numTables][]int32      // of a dictionary entry in this request; 0: it has none yet
	entries  [numTables]int32
	assigned []assignment // in order, to take them back

	body     otlp.Encoder
	resource int32 // whose messages are open; -1: none
	group    int32
	rp       otlp.ResourceProfilesBuilder
	sp       otlp.ScopeProfilesBuilder
	profile  otlp.ProfileBuilder

	events, profiles int64
	written          int // samples
	tooLarge         int
	scratch, setIDs  []int32
	repeats          []uint64
}

type assignment struct {
	table table
	entry int32
}

func newRequests(p *layout, o *Options, emit func(Request)) *requests {
	r := &requests{layout: p, o: o, emit: emit}
	d := p.dict
	for t, n := range [numTables]int{
		tableMapping: len(d.mappings.all), tableLocation: len(d.locations.all), tableFunction: len(d.functions.all),
		tableLink: len(d.links.all), tableString: len(d.strings.all), tableAttribute: len(d.attributes.all),
		tableStack: len(d.stacks.bound) - 1,
	} {
		r.numbers[t] = make([]int32, n)
	}
	indexBytes := wire.SizeVarint(uint64(len(d.locations.all)))
	r.tables[tableStack].Buf = make([]byte, 0, min(o.MaxRequestBytes, 4*len(d.stacks.bound)+indexBytes*len(d.stacks.ids)))
	r.tables[tableLocation].Buf = make([]byte, 0, min(o.MaxRequestBytes, 32*len(d.locations.all)))
	r.tables[tableString].Buf = make([]byte, 0, min(o.MaxRequestBytes, 3*len(d.strings.all)+d.textBytes))
	r.assigned = make([]assignment, 0, len(d.stacks.bound)+len(d.locations.all)+len(d.functions.all)+len(d.strings.all))
	r.reset()
	return r
}

// reset begins a request: tables with their zero entries alone.
func (r *requests) reset() {
	for _, a := range r.assigned {
		r.numbers[a.table][a.entry] = 0
	}
	r.assigned = r.assigned[:0]
	for t := range r.tables {
		r.tables[t].Buf = r.tables[t].Buf[:0]
		r.tables[t].Buf = wire.AppendBytes(r.tables[t].Buf, tableFields[t], "")
		r.entries[t] = 1
	}
	r.body.Buf = nil // the last one belongs to emit
	r.resource, r.group = -1, -1
	r.events, r.profiles, r.written = 0, 0, 0
}

// tableFields holds the field number of each table.
var tableFields = [numTables]uint32{
	tableMapping: otlpfield.ProfilesDictionaryMappingTable, tableLocation: otlpfield.ProfilesDictionaryLocationTable,
	tableFunction: otlpfield.ProfilesDictionaryFunctionTable, tableLink: otlpfield.ProfilesDictionaryLinkTable,
	tableString: otlpfield.ProfilesDictionaryStringTable, tableAttribute: otlpfield.ProfilesDictionaryAttributeTable,
	tableStack: otlpfield.ProfilesDictionaryStackTable,
}

// slack is what finishing can add: the lengths of the open messages and of the
// dictionary, and two schema URLs.
const slack = 3*4 + 6 + 2*(2+len(schemaURL))

// size is that of the request if it were finished now.
func (r *requests) size() int {
	n := len(r.body.Buf) + slack
	for t := range r.tables {
		n += len(r.tables[t].Buf)
	}
	return n
}

// add writes a sample, in as many requests as it needs.
func (r *requests) add(i int32) {
	for from, to := r.first[i], r.first[i+1]; from < to; {
		r.close(r.samples[i].group)
		// Times alone that are too many need not be tried.
		if r.groups[r.samples[i].group].shape == samples.Totals || 8*int(to-from) <= r.o.MaxRequestBytes {
			before := r.mark()
			r.sample(i, from, to)
			if r.size() <= r.o.MaxRequestBytes {
				r.events += int64(to - from)
				r.written++
				return
			}
			r.back(before)
		}
		if r.events > 0 {
			r.finish()
			continue
		}
		n := r.fitting(i, from, to)
		if n == 0 {
			r.tooLarge += int(to - from)
			return
		}
		r.sample(i, from, from+n)
		r.events += int64(n)
		r.written++
		from += n
		r.finish()
	}
}

// fitting returns how many of a sample's events fit into a request of their own.
func (r *requests) fitting(i int32, from, to uint32) uint32 {
	g := &r.groups[r.samples[i].group]
	if g.shape == samples.Totals {
		return 0 // all events are one number
	}
	before := r.mark()
	defer r.back(before)
	r.sample(i, from, from+1)
	room := r.o.MaxRequestBytes - r.size()
	if room < 0 {
		return 0
	}
	room = max(room-2*4, 0) // the lists' lengths grow
	each := 8
	switch {
	case g.shape == samples.TimestampsAndValues:
		each += binary.MaxVarintLen64
	case g.valued:
		each *= int(r.o.maxRepeats())
	}
	return min(to-from, 1+uint32(room/each))
}

// sample writes events [from, to) of sample i, and what of its Profile, resource
// and dictionary is not there yet.
func (r *requests) sample(i int32, from, to uint32) {
	s := r.samples[i]
	r.openGroup(s.group)
	g := &r.groups[s.group]
	b := r.profile.AddSamples()
	b.SetStackIndex(r.stack(s.stack))
	b.AddAttributeIndices(r.set(s.set)...)
	b.SetLinkIndex(r.link(s.link))
	switch times := r.times[from:to]; {
	case g.shape == samples.Totals:
		b.AddValues(r.total(from, to))
	case g.shape == samples.TimestampsAndValues:
		r.addValues(b, from, to)
		b.AddTimestampsUnixNano(times...)
	case g.valued:
		b.AddTimestampsUnixNano(r.repeated(from, to)...)
	default:
		b.AddTimestampsUnixNano(times...)
	}
	b.Close()
}

// total adds up events, each of which counts 1 if there are no values.
func (r *requests) total(from, to uint32) (sum int64) {
	if r.values == nil {
		return int64(to - from)
	}
	for _, v := range r.values[from:to] {
		sum += v
	}
	return sum
}

func (r *requests) addValues(b otlp.SampleBuilder, from, to uint32) {
	if r.values != nil {
		b.AddValues(r.values[from:to]...)
		return
	}
	ones := make([]int64, to-from)
	for i := range ones {
		ones[i] = 1
	}
	b.AddValues(ones...)
}

// repeated returns the time of each event as often as it counts.
func (r *requests) repeated(from, to uint32) []uint64 {
	list := r.repeats[:0]
	for i := from; i < to; i++ {
		for range r.values[i] {
			list = append(list, r.times[i])
		}
	}
	r.repeats = list
	return list
}

// openGroup begins the messages around a sample.
func (r *requests) openGroup(g int32) {
	if r.group == g {
		return
	}
	if r.body.Buf == nil {
		r.body.Buf = make([]byte, 0, r.estimate())
	}
	group := &r.groups[g]
	if r.resource != group.resource {
		r.rp = otlp.AppendExportProfilesServiceRequest(&r.body).AddResourceProfiles()
		res := r.rp.SetResource()
		for a := range r.resources[group.resource].whole(r.o.Base).All() {
			r.keyValue(res.AddAttributes(), a)
		}
		res.Close()
		r.sp = r.rp.AddScopeProfiles()
		scope := r.sp.SetScope()
		scope.SetName(r.o.ScopeName)
		scope.SetVersion(r.o.ScopeVersion)
		scope.Close()
	}
	r.profile = r.sp.AddProfiles()
	r.profiles++
	r.header(group)
	r.resource, r.group = group.resource, g
}

// keyValue writes an attribute of a resource.
func (r *requests) keyValue(b otlp.KeyValueBuilder, a libpf.Attribute) {
	text, isString := stringOf(a.Value)
	if r.o.StringReferences {
		b.SetKeyStrindex(r.string(r.dict.text(a.Key)))
	} else {
		b.SetKey(a.Key)
	}
	v := b.SetValue()
	if isString && r.o.StringReferences {
		v.SetStringValueStrindex(r.string(r.dict.text(text)))
	} else {
		v.Raw([]byte(a.Value))
	}
	v.Close()
	b.Close()
}

// header writes what a Profile says of all its samples.
func (r *requests) header(g *group) {
	b, o := r.profile, &g.origin
	r.valueType(b.SetSampleType(), o.SampleType)
	start, duration := g.time()
	b.SetTimeUnixNano(start)
	b.SetDurationNano(duration)
	r.valueType(b.SetPeriodType(), o.PeriodType) // also if it is empty: some backends refuse a Profile without
	b.SetPeriod(o.Period)
	b.AddAttributeIndices(r.set(r.dict.set(o.Attributes))...)
}

// time returns when a Profile begins and how long it is. Of Totals whose time is unknown
// the duration may be known: they end with the window.
func (g *group) time() (start, duration uint64) {
	o := &g.origin
	known := max(o.Duration, 0)
	switch {
	case o.Shape != samples.Totals:
	case !o.Start.IsZero() && o.Start.UnixNano() >= 0:
		return uint64(o.Start.UnixNano()), uint64(known)
	case known > 0 && uint64(known) < g.end:
		return g.end - uint64(known), uint64(known)
	}
	return g.start, g.end - g.start
}

func (r *requests) valueType(b otlp.ValueTypeBuilder, v samples.ValueType) {
	b.SetTypeStrindex(r.string(r.dict.text(v.Type)))
	b.SetUnitStrindex(r.string(r.dict.text(v.Unit)))
	b.Close()
}

// close ends the messages that a sample of group g does not belong to; -1 is
// all. What is ended cannot be taken back.
func (r *requests) close(g int32) {
	if r.group >= 0 && r.group != g {
		r.profile.Close()
		r.group = -1
	}
	if r.resource >= 0 && (g < 0 || r.groups[g].resource != r.resource) {
		r.sp.SetSchemaURL(schemaURL)
		r.sp.Close()
		r.rp.SetSchemaURL(schemaURL)
		r.rp.Close()
		r.resource = -1
	}
}

// finish hands the request over, if there is something in it, and begins another.
func (r *requests) finish() {
	if r.events == 0 {
		return
	}
	r.close(-1)
	d := otlp.AppendExportProfilesServiceRequest(&r.body).SetDictionary()
	for t := range r.tables {
		d.Raw(r.tables[t].Buf)
	}
	d.Close()
	request := r.body.Buf
	if cap(request) > len(request)+len(request)/4 {
		request = append(make([]byte, 0, len(request)), request...)
	}
	r.emit(Request{Bytes: request, Events: r.events, Profiles: r.profiles, Samples: r.written})
	r.reset()
}

// estimate is the room for what is left to write, about.
func (r *requests) estimate() int {
	d := r.dict
	n := 1024 + 8*len(r.times) + 20*len(r.samples) + 2*len(d.stacks.ids) + 4*len(d.stacks.bound) +
		32*len(d.locations.all) + 16*len(d.functions.all) + 4*len(d.strings.all) + d.textBytes
	if r.values != nil {
		n += 2 * len(r.values)
	}
	return min(n, r.o.MaxRequestBytes)
}

// mark is where a request stands, to go back to.
type mark struct {
	body     int
	tables   [numTables]int
	entries  [numTables]int32
	assigned int
	resource int32
	group    int32
	profiles int64
}

func (r *requests) mark() mark {
	m := mark{body: len(r.body.Buf), entries: r.entries, assigned: len(r.assigned), resource: r.resource, group: r.group, profiles: r.profiles}
	for t := range r.tables {
		m.tables[t] = len(r.tables[t].Buf)
	}
	return m
}

// back undoes what was written since m was marked. Nothing was closed since.
func (r *requests) back(m mark) {
	r.body.Buf = r.body.Buf[:m.body]
	for t := range r.tables {
		r.tables[t].Buf = r.tables[t].Buf[:m.tables[t]]
	}
	for _, a := range r.assigned[m.assigned:] {
		r.numbers[a.table][a.entry] = 0
	}
	r.assigned = r.assigned[:m.assigned]
	r.entries, r.resource, r.group, r.profiles = m.entries, m.resource, m.group, m.profiles
}
