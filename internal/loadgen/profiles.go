package loadgen

import (
	"fmt"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

// writeProfiles writes the request again until it has the configured size: with fewer
// different stacks, or with an original payload in addition to the samples.
func writeProfiles(a *author) {
	want := a.shape.ItemBytes * a.shape.BatchItems
	w := profileWriter{author: a, stacks: max(a.shape.BatchItems/2, 1)}
	w.write()
	for want > 0 && len(a.e.Buf) > want && w.stacks > 1 {
		w.stacks /= 2
		w.write()
	}
	// A payload has a format and lengths of about 20 bytes.
	if room := want - len(a.e.Buf) - 20; room > 0 {
		w.payloadBytes = room
		w.write()
	}
}

// profileWriter writes one request.
type profileWriter struct {
	*author
	d            *dictionary
	stacks       int // the approximate maximum of different stacks in the request
	payloadBytes int // of the first profile
}

func (w *profileWriter) write() {
	w.restart()
	w.d = newDictionary()
	if w.stream%2 == 1 { // like exporters of the Collector write attributes
		w.strings = w.d.strings
	}
	payload := w.payloadBytes
	request := otlp.AppendExportProfilesServiceRequest(&w.e)
	for i, scopes := range w.layout() {
		h := w.scene().hosts[i]
		rp := request.AddResourceProfiles()
		r := rp.SetResource()
		w.attributes(r, append(slices.Clip(h.resource), attr{"process.executable.name", h.name}))
		r.Close()
		for _, samples := range scopes {
			sp := rp.AddScopeProfiles()
			scope := sp.SetScope()
			scope.SetName("penstock.loadgen")
			scope.Close()
			w.profile(sp, h.service, samples, payload)
			payload = 0
			sp.SetSchemaURL(schemaURL)
			sp.Close()
		}
		rp.SetSchemaURL(schemaURL)
		rp.Close()
	}
	w.d.writeTo(request.SetDictionary())
	request.Close()
}

// profileKind is a type of profile, with one of the shapes of samples that profiles.proto
// allows (Sample).
type profileKind struct {
	name, unit, periodName, periodUnit string
	period                             int64
	values, times                      bool
}

var profileKinds = []profileKind{
	{"samples", "count", "cpu", "nanoseconds", 52631578, false, true}, // 19 Hz
	{"off_cpu", "nanoseconds", "events", "count", 1, true, true},
	{"alloc_space", "bytes", "space", "bytes", 512 << 10, true, false},
}

const profileLength = 5 * time.Second

func (w *profileWriter) profile(to otlp.ScopeProfilesBuilder, s service, samples, payloadBytes int) {
	k := pick(w.author, profileKinds)
	start := w.now - uint64(profileLength)
	b := to.AddProfiles()
	w.d.valueType(b.SetSampleType(), k.name, k.unit)
	w.samples(b, k, w.program(w.d, s), samples, start)
	b.SetTimeUnixNano(start)
	b.SetDurationNano(uint64(profileLength))
	w.d.valueType(b.SetPeriodType(), k.periodName, k.periodUnit)
	b.SetPeriod(k.period)
	b.SetProfileID(w.id(16))
	if payloadBytes > 0 {
		b.SetOriginalPayloadFormat("pprof")
		b.SetOriginalPayload(w.payload(payloadBytes))
	}
	b.AddAttributeIndices(w.d.attribute("profiler.name", "penstock loadgen"))
	b.Close()
}

// payload returns n bytes that cannot be compressed, like a compressed pprof file.
func (w *profileWriter) payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.Uint32())
	}
	return b
}

// samples writes n samples. Samples with equal stacks have different threads, since
// samples with equal stack, attributes and link should be combined (profiles.proto,
// Sample).
func (w *profileWriter) samples(to otlp.ProfileBuilder, k profileKind, p *program, n int, start uint64) {
	stacks := make([]int32, min(max(w.stacks*n/w.shape.BatchItems, 1), n))
	for i := range stacks {
		stacks[i] = p.stack()
	}
	threads := map[int32]int{}
	for i := range n {
		stack := stacks[i%len(stacks)]
		w.sample(to, k, stack, threads[stack], start)
		threads[stack]++
	}
}

func (w *profileWriter) sample(to otlp.ProfileBuilder, k profileKind, stack int32, thread int, start uint64) {
	b := to.AddSamples()
	b.SetStackIndex(stack)
	b.AddAttributeIndices(
		w.d.attribute("thread.name", fmt.Sprintf("worker-%d", thread)),
		w.d.attribute("thread.id", 1000+thread),
	)
	if w.oneIn(8) {
		s := pick(w.author, w.scene().spans)
		b.SetLinkIndex(w.d.link(s.trace, s.id))
	}
	events := 1
	if k.times {
		events += w.IntN(6)
		times := make([]uint64, events)
		at := w.Uint64N(uint64(profileLength) / 2)
		for i := range times {
			times[i] = start + at
			at += w.Uint64N(uint64(profileLength) / 20)
		}
		b.AddTimestampsUnixNano(times...)
	}
	if k.values {
		values := make([]int64, events)
		for i := range values {
			values[i] = 1 + w.Int64N(1e6)
		}
		b.AddValues(values...)
	}
	b.Close()
}
