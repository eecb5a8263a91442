package profile

import (
	"cmp"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// Window is what a Store collected between two calls of Take. It is written once.
type Window struct {
	store      *Store
	start, end int64 // Unix ns
	early      bool  // it ended because it was nearly full: nothing waits for the next
	events     int
	tables     [shards]*tables
}

// Events returns how many events were collected.
func (w *Window) Events() int { return w.events }

// Resolve returns the frames of a stack that was counted by its hash. final says
// that this is the last time to ask: else ok=false makes the stack wait for the
// next window. With final, ok=false means that there is no such stack.
type Resolve func(trace libpf.TraceHash, final bool) (frames libpf.Frames, ok bool)

// waitsSince returns when a stack without frames was first counted.
func (w *Window) waitsSince(e *stackEntry) int64 { return cmp.Or(e.since, w.start) }

// sample is one that will be written.
type sample struct {
	group, stack, set, link int32
}

// noStack marks stacks that wait.
const noStack = -1

// group is the samples that make one Profile.
type group struct {
	resource int32
	origin   samples.Origin
	valued   bool          // some event counts other than 1
	shape    samples.Shape // as it is written
	// start and end are the window, and all of the group's events; Unix ns.
	start, end uint64
}

// A Profile of Timestamps in which an event counts n has its time n times: some backends
// refuse a sample of several numbers. That is as large as if each had been reported by
// itself, so it is bounded: an event may count up to maxRepeats, and up to one of
// repeatsDivisor parts of a request; all of a Profile up to what a request has room for.
// Beyond that, and for an event that counts 0, the numbers are beside the times.
const (
	maxRepeats     = 4096
	repeatsDivisor = 128
)

func (o *Options) maxRepeats() int64 { return int64(min(maxRepeats, o.MaxRequestBytes/repeatsDivisor)) }

// settle sets how the samples of groups are written.
func (p *layoutBuilder) settle() {
	counts := make([]int64, len(p.groups))
	for i := range p.groups {
		p.groups[i].shape = p.groups[i].origin.Shape
	}
	if p.values == nil {
		return
	}
	for i, s := range p.samples {
		g := &p.groups[s.group]
		if g.shape != samples.Timestamps {
			continue
		}
		for _, v := range p.values[p.first[i]:p.first[i+1]] {
			counts[s.group] += v
			if v < 1 || v > p.o.maxRepeats() || counts[s.group] > int64(p.o.MaxRequestBytes/8) {
				g.shape = samples.TimestampsAndValues
				break
			}
		}
	}
}

// layout is a window in the order and the shape in which it will be written.
type layout struct {
	dict      *dictionary
	resources []resourceKey // without what all have, which may be large
	groups    []group
	samples   []sample
	order     []int32 // numbers of samples, by group
	// Events of sample i are at [first[i], first[i+1]) of times and of values.
	first  []uint32
	times  []uint64
	values []int64 // nil if all count 1
}

// layoutBuilder makes a layout of a window.
type layoutBuilder struct {
	layout
	w *Window
	o *Options

	resource map[resourceKey]int32
	group    map[groupKey]int32
	set      map[setKey]int32
	sample   index // of samples

	stackOf  [shards][]int32 // by the shard's stack
	metaOf   [shards][]metaIDs
	sampleOf [shards][]int32 // noStack: carried
	waiting  bool            // some sample is carried
	unknown  bool            // of some stack no frames came
}

type (
	resourceKey struct {
		pid                           int64
		processName, executablePath   string
		containerID, podName          string
		containerName, apmServiceName string
		env, more                     libpf.Attributes
	}
	groupKey struct {
		resource int32
		origin   samples.Origin
	}
	setKey struct {
		comm         string
		tid, cpu     int64
		noThread     bool
		labels, more libpf.Attributes
	}
	metaIDs struct{ group, set, link int32 }
)

func (w *Window) layout(o *Options) *layoutBuilder {
	p := &layoutBuilder{w: w, o: o,
		resource: map[resourceKey]int32{}, group: map[groupKey]int32{}, set: map[setKey]int32{}}
	nSamples, nStacks, nFrames := w.count()
	p.dict = newDictionary(nStacks, nFrames)
	p.sample.room(nSamples)
	p.samples = make([]sample, 0, nSamples)
	var scratch []int32
	for i, t := range w.tables {
		scratch = p.stacks(i, t, scratch)
		p.metas(i, t)
		p.merge(i, t)
	}
	p.sortEvents()
	p.settle()
	p.sortSamples()
	return p
}

// count returns how much there is in the window. Stacks that were counted by
// their hash bring frames that are not among these.
func (w *Window) count() (samples, stacks, frames int) {
	for _, t := range w.tables {
		samples += len(t.sample)
		stacks += len(t.stack)
		frames += t.frames
	}
	return samples, stacks, frames
}

// stacks gives the stacks of a shard their numbers in the dictionary.
func (p *layoutBuilder) stacks(shard int, t *tables, scratch []int32) []int32 {
	of := make([]int32, len(t.stack))
	for i := range t.stack {
		e := &t.stack[i]
		frames := e.frames
		e.frames = nil // they are not asked for again, and are most of a window
		if e.byHash {
			waited := p.w.end - p.w.waitsSince(e) // below 0: the clock was set back
			final := p.o.Final || p.w.early || waited < 0 || waited >= int64(p.o.MaxWait)
			var ok bool
			if frames, ok = p.o.Resolve(e.trace, final); !ok && !final {
				of[i] = noStack
				continue
			} else if !ok {
				e.unknown, p.unknown = true, true
			}
		}
		of[i], scratch = p.dict.stack(frames, scratch)
	}
	p.stackOf[shard] = of
	return scratch
}

// metas gives the metas of a shard their group, attributes and link.
func (p *layoutBuilder) metas(shard int, t *tables) {
	of := make([]metaIDs, len(t.meta))
	for i := range t.meta {
		m, labels := &t.meta[i].m, t.meta[i].labels
		of[i] = metaIDs{group: p.groupOf(m), set: p.setOf(m, labels)}
		if m.TraceID != ([16]byte{}) && m.SpanID != ([8]byte{}) {
			of[i].link = p.dict.link(link{m.TraceID, m.SpanID})
		}
	}
	p.metaOf[shard] = of
}

func (p *layoutBuilder) groupOf(m *samples.TraceEventMeta) int32 {
	env := make([]libpf.Attribute, 0, len(m.EnvVars))
	for k, v := range m.EnvVars {
		env = append(env, libpf.StringAttr("process.environment_variable."+k, v))
	}
	rk := resourceKey{m.PID, m.ProcessName, m.ExecutablePath, m.ContainerID, m.PodName, m.ContainerName, m.APMServiceName,
		libpf.NewAttributes(env...), m.Resource}
	r, ok := p.resource[rk]
	if !ok {
		r = int32(len(p.resources))
		p.resource[rk], p.resources = r, append(p.resources, rk)
		if p.o.StringReferences {
			p.dict.keyValues(rk.whole(p.o.Base))
		}
	}
	gk := groupKey{r, *m.Origin}
	if !gk.origin.Start.IsZero() { // the same time in another zone is the same
		gk.origin.Start = time.Unix(0, gk.origin.Start.UnixNano()).UTC()
	}
	g, ok := p.group[gk]
	if !ok {
		g = int32(len(p.groups))
		p.group[gk], p.groups = g, append(p.groups, group{resource: r, origin: gk.origin})
		for _, text := range [...]string{m.Origin.SampleType.Type, m.Origin.SampleType.Unit, m.Origin.PeriodType.Type, m.Origin.PeriodType.Unit} {
			p.dict.text(text)
		}
		p.dict.set(m.Origin.Attributes)
	}
	return g
}

// whole returns the resource's attributes on top of what all have.
func (k *resourceKey) whole(base libpf.Attributes) libpf.Attributes {
	return base.With(slicesOf(k.attributes())...)
}

// attributes returns the resource's attributes by the names of the semantic
// conventions.
func (k *resourceKey) attributes() libpf.Attributes {
	list := slices.Collect(k.env.All())
	add := func(key, value string) {
		if value != "" {
			list = append(list, libpf.StringAttr(key, value))
		}
	}
	add("service.name", k.apmServiceName)
	add("container.id", k.containerID)
	add("k8s.pod.name", k.podName)
	add("k8s.container.name", k.containerName)
	if k.pid != 0 {
		list = append(list, libpf.IntAttr("process.pid", k.pid))
	}
	add("process.executable.path", k.executablePath)
	add("process.executable.name", k.processName)
	return libpf.NewAttributes(append(list, slices.Collect(k.more.All())...)...)
}

// setOf numbers the attributes of a sample.
func (p *layoutBuilder) setOf(m *samples.TraceEventMeta, labels map[string]string) int32 {
	custom := make([]libpf.Attribute, 0, len(labels))
	for k, v := range labels {
		custom = append(custom, libpf.StringAttr("process.context.label."+k, v))
	}
	key := setKey{m.Comm, m.TID, m.CPU, m.NoThread, libpf.NewAttributes(custom...), m.Attributes}
	if key.noThread {
		key.tid, key.cpu = 0, 0
	}
	n, ok := p.set[key]
	if !ok {
		n = p.dict.set(key.attributes())
		p.set[key] = n
	}
	return n
}

func (k *setKey) attributes() libpf.Attributes {
	list := slices.Collect(k.labels.All())
	if k.comm != "" {
		list = append(list, libpf.StringAttr("thread.name", k.comm))
	}
	if !k.noThread {
		list = append(list, libpf.IntAttr("thread.id", k.tid), libpf.IntAttr("cpu.logical_number", k.cpu))
	}
	return libpf.NewAttributes(append(list, slices.Collect(k.more.All())...)...)
}

// merge gives the samples of a shard their numbers in the layout: samples that are
// one on the wire become one.
func (p *layoutBuilder) merge(shard int, t *tables) {
	of := make([]int32, len(t.sample))
	for i, e := range t.sample {
		m := p.metaOf[shard][e.meta]
		s := sample{group: m.group, stack: p.stackOf[shard][e.stack], set: m.set, link: m.link}
		if s.stack == noStack {
			of[i], p.waiting = noStack, true
			continue
		}
		h := mix(mix(0, uint64(s.stack)<<32|uint64(s.group)), uint64(s.set)<<32|uint64(s.link))
		n, ok := p.sample.find(h, func(i uint32) bool { return p.samples[i] == s })
		if !ok {
			n = p.sample.add(h)
			p.samples = append(p.samples, s)
		}
		of[i] = int32(n)
	}
	p.sampleOf[shard] = of
}

// sortEvents brings the events of each sample together, in the order in which
// they were reported by shard.
func (p *layoutBuilder) sortEvents() {
	p.first = make([]uint32, len(p.samples)+1)
	valued := false
	p.eachChunk(func(of []int32, c *chunk) {
		valued = valued || c.value != nil
		for i := range c.n {
			if n := of[c.sample[i]]; n != noStack {
				p.first[n+1]++
			}
		}
	})
	for i := range len(p.samples) {
		p.first[i+1] += p.first[i]
	}
	total := p.first[len(p.samples)]
	p.times = make([]uint64, total)
	if valued {
		p.values = make([]int64, total)
	}
	next := slices.Clone(p.first)
	p.eachChunk(func(of []int32, c *chunk) {
		for i := range c.n {
			n := of[c.sample[i]]
			if n == noStack {
				continue
			}
			at := next[n]
			next[n]++
			p.times[at] = c.time[i]
			if valued {
				p.values[at] = 1
				if c.value != nil {
					p.values[at] = c.value[i]
					p.groups[p.samples[n].group].valued = true
				}
			}
		}
	})
	p.bounds()
}

// maxAhead is how far after the window an event may be: clocks differ. What is farther
// ahead has a wrong time, and is put at the end of the window: a Profile contains the
// times of its samples, and must not become years long.
const maxAhead = uint64(24 * time.Hour)

// bounds gives each group the time of the window, widened to its own events. Totals
// have no times.
func (p *layoutBuilder) bounds() {
	for i := range p.groups {
		p.groups[i].start, p.groups[i].end = uint64(p.w.start), uint64(max(p.w.end, p.w.start+1))
	}
	for i, s := range p.samples {
		g := &p.groups[s.group]
		if g.origin.Shape == samples.Totals {
			continue
		}
		times := p.times[p.first[i]:p.first[i+1]]
		for k, t := range times {
			if t > uint64(p.w.end) && t-uint64(p.w.end) > maxAhead {
				t = uint64(p.w.end)
				times[k] = t
			}
			g.start = min(g.start, t)
			if t >= g.end {
				g.end = t + 1
			}
		}
	}
}

func (p *layoutBuilder) eachChunk(do func(of []int32, c *chunk)) {
	for i, t := range p.w.tables {
		for _, c := range t.log.chunks {
			do(p.sampleOf[i], c)
		}
	}
}

// sortSamples orders samples by resource and group.
func (p *layoutBuilder) sortSamples() {
	rank := make([]int32, len(p.groups))
	byResource := make([]int32, len(p.groups))
	for i := range byResource {
		byResource[i] = int32(i)
	}
	slices.SortStableFunc(byResource, func(a, b int32) int { return cmp.Compare(p.groups[a].resource, p.groups[b].resource) })
	for i, g := range byResource {
		rank[g] = int32(i)
	}
	at := make([]int32, len(p.groups)+1)
	for _, s := range p.samples {
		at[rank[s.group]+1]++
	}
	for i := range len(p.groups) {
		at[i+1] += at[i]
	}
	p.order = make([]int32, len(p.samples))
	for i, s := range p.samples {
		r := rank[s.group]
		p.order[at[r]] = int32(i)
		at[r]++
	}
}

// withoutStack counts the events of unknown stacks.
func (p *layoutBuilder) withoutStack() (events int) {
	if !p.unknown {
		return 0
	}
	for _, t := range p.w.tables {
		for _, c := range t.log.chunks {
			for _, n := range c.sample[:c.n] {
				if t.stack[t.sample[n].stack].unknown {
					events++
				}
			}
		}
	}
	return events
}

// carry reports again what waits for frames, and returns how many events that
// are. What the store has no room for counts as Full there.
func (p *layoutBuilder) carry() (carried int) {
	if !p.waiting {
		return 0
	}
	for i, t := range p.w.tables {
		for _, c := range t.log.chunks {
			for j := range c.n {
				if p.sampleOf[i][c.sample[j]] != noStack {
					continue
				}
				e := t.sample[c.sample[j]]
				st := &t.stack[e.stack]
				value := int64(1)
				if c.value != nil {
					value = c.value[j]
				}
				k := stackKey{trace: st.trace, byHash: true, since: p.w.waitsSince(st)}
				if p.w.store.count(k, &t.meta[e.meta].m, c.time[j], value) == Kept {
					carried++
				}
			}
		}
	}
	return carried
}

// release gives the window's tables back to the store.
func (w *Window) release() {
	for i, t := range w.tables {
		t.reset(&w.store.chunks)
		w.store.spare.Put(t)
		w.tables[i] = nil
	}
}
