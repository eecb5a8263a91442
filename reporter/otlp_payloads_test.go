package reporter

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"github.com/google/go-cmp/cmp"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// What the OpenTelemetry eBPF profiler sent, turned back into the calls that a
// profiler makes, becomes the same samples again: resource, scope, profile type and
// period, window, stack, attributes, link, times. What differs is the order of
// resources, samples, times and dictionary entries, which has no meaning. The clock
// is set to when the profiler ran.
func TestOTLPSameAsTheEBPFProfiler(t *testing.T) {
	t.Parallel()
	for name, payload := range testkit.ProfilerPayloads(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { sameAsTheProfiler(t, payload) })
		})
	}
}

func sameAsTheProfiler(t *testing.T, payload []byte) {
	testkit.CheckProfiles(t, payload)
	testkit.CheckBackends(t, payload)
	p := &reporting{ExportProfilesServiceRequest: &colprofiles.ExportProfilesServiceRequest{}, t: t}
	if err := proto.Unmarshal(payload, p.ExportProfilesServiceRequest); err != nil {
		t.Fatal(err)
	}
	sink := &testkit.Sink{}
	scope := p.ResourceProfiles[0].ScopeProfiles[0].Scope
	window := p.ResourceProfiles[0].ScopeProfiles[0].Profiles[0]
	time.Sleep(time.Until(time.Unix(0, int64(window.TimeUnixNano))))
	r, err := NewOTLP(OTLPConfig{Consumer: sink, Name: scope.Name, Version: scope.Version, ReportInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.report(r)
	time.Sleep(time.Duration(window.DurationNano))
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	requests := sink.Requests(otlp.Profiles)
	if len(requests) != 1 {
		t.Fatalf("%d requests", len(requests))
	}
	ours := requests[0]
	testkit.CheckProfiles(t, ours)
	testkit.CheckBackends(t, ours)
	// Which entries of the dictionary have a number of one byte differs from run to
	// run, with the hash of stacks: up to 1 % were seen, in both directions.
	if len(ours) > len(payload)+len(payload)/50 {
		t.Errorf("ours has %d bytes, the profiler's %d", len(ours), len(payload))
	}
	if diff := cmp.Diff(byKey(t, payload), byKey(t, ours)); diff != "" {
		t.Errorf("the profiler's and ours (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(surroundings(t, payload), surroundings(t, ours), cmp.AllowUnexported(around{})); diff != "" {
		t.Errorf("what is around the profiler's and our samples (-want +got):\n%s", diff)
	}
}

// byKey returns the times and values of samples by all else.
func byKey(t *testing.T, request []byte) map[string][][2]int64 {
	all := map[string][][2]int64{}
	for _, s := range testkit.ProfileSamples(t, request) {
		for i, at := range s.Times {
			e := [2]int64{int64(at)}
			if s.Values != nil {
				e[1] = s.Values[i]
			}
			all[s.Key()] = append(all[s.Key()], e)
		}
		slices.SortFunc(all[s.Key()], func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
	}
	return all
}

// around is what is outside a sample, and not in its Key.
type around struct {
	resourceSchema, scopeSchema string
	start, duration             uint64
}

func surroundings(t *testing.T, request []byte) map[around]bool {
	m := &colprofiles.ExportProfilesServiceRequest{}
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	all := map[around]bool{}
	for _, rp := range m.ResourceProfiles {
		for _, sp := range rp.ScopeProfiles {
			for _, p := range sp.Profiles {
				all[around{rp.SchemaUrl, sp.SchemaUrl, p.TimeUnixNano, p.DurationNano}] = true
			}
		}
	}
	return all
}

// reporting turns a request into calls of ReportTraceEvent.
type reporting struct {
	*colprofiles.ExportProfilesServiceRequest
	t *testing.T
}

func (p *reporting) report(r *OTLPReporter) {
	for _, rp := range p.ResourceProfiles {
		var process samples.TraceEventMeta
		p.process(rp.Resource.Attributes, &process)
		for _, profile := range rp.ScopeProfiles[0].Profiles {
			process.Origin = &samples.Origin{
				SampleType: p.valueType(profile.SampleType), PeriodType: p.valueType(profile.PeriodType), Period: profile.Period,
			}
			for _, s := range profile.Samples {
				if len(s.Values) > 0 {
					process.Origin.Shape = samples.TimestampsAndValues
				}
			}
			for _, s := range profile.Samples {
				p.sample(r, process, s)
			}
		}
	}
}

func (p *reporting) sample(r *OTLPReporter, meta samples.TraceEventMeta, s *profiles.Sample) {
	trace := &samples.Trace{CustomLabels: map[string]string{}}
	p.thread(s.AttributeIndices, &meta, trace.CustomLabels)
	link := p.Dictionary.LinkTable[s.LinkIndex]
	copy(meta.TraceID[:], link.TraceId)
	copy(meta.SpanID[:], link.SpanId)
	for _, l := range p.Dictionary.StackTable[s.StackIndex].LocationIndices {
		trace.Frames.Append(p.frame(p.Dictionary.LocationTable[l]))
	}
	for i, at := range s.TimestampsUnixNano {
		meta.Timestamp = int64(at)
		if len(s.Values) > 0 {
			meta.Value = s.Values[i]
		}
		if err := r.ReportTraceEvent(trace, &meta); err != nil {
			p.t.Error(err)
		}
	}
}

func (p *reporting) text(i int32) string { return p.Dictionary.StringTable[i] }

func (p *reporting) valueType(v *profiles.ValueType) samples.ValueType {
	return samples.ValueType{Type: p.text(v.GetTypeStrindex()), Unit: p.text(v.GetUnitStrindex())}
}

// other returns an attribute that has no field of its own.
func (p *reporting) other(key string, v *common.AnyValue) libpf.Attribute {
	b, err := proto.Marshal(v)
	if err != nil {
		p.t.Fatal(err)
	}
	return libpf.Attribute{Key: key, Value: string(b)}
}

func (p *reporting) process(attributes []*common.KeyValue, m *samples.TraceEventMeta) {
	var others []libpf.Attribute
	fields := map[string]*string{
		"service.name": &m.APMServiceName, "container.id": &m.ContainerID, "process.executable.path": &m.ExecutablePath,
		"process.executable.name": &m.ProcessName, "k8s.pod.name": &m.PodName, "k8s.container.name": &m.ContainerName,
	}
	for _, kv := range attributes {
		env, isEnv := strings.CutPrefix(kv.Key, "process.environment_variable.")
		switch field := fields[kv.Key]; {
		case field != nil:
			*field = kv.Value.GetStringValue()
		case kv.Key == "process.pid":
			m.PID = kv.Value.GetIntValue()
		case isEnv:
			if m.EnvVars == nil {
				m.EnvVars = map[string]string{}
			}
			m.EnvVars[env] = kv.Value.GetStringValue()
		default:
			others = append(others, p.other(kv.Key, kv.Value))
		}
	}
	m.Resource = libpf.NewAttributes(others...)
}

func (p *reporting) thread(indices []int32, m *samples.TraceEventMeta, labels map[string]string) {
	var others []libpf.Attribute
	for _, i := range indices {
		a := p.Dictionary.AttributeTable[i]
		key := p.text(a.KeyStrindex)
		label, isLabel := strings.CutPrefix(key, "process.context.label.")
		switch {
		case key == "thread.name":
			m.Comm = a.Value.GetStringValue()
		case key == "thread.id":
			m.TID = a.Value.GetIntValue()
		case key == "cpu.logical_number":
			m.CPU = a.Value.GetIntValue()
		case isLabel:
			labels[label] = a.Value.GetStringValue()
		default:
			others = append(others, p.other(key, a.Value).In(p.text(a.UnitStrindex)))
		}
	}
	m.Attributes = libpf.NewAttributes(others...)
}

// frameTypeOf is the frame type by its attribute.
func frameTypeOf(attribute string) libpf.FrameType {
	for _, f := range []libpf.FrameType{libpf.AbortFrame, libpf.PythonFrame, libpf.PHPFrame, libpf.NativeFrame, libpf.KernelFrame, libpf.HotSpotFrame,
		libpf.RubyFrame, libpf.PerlFrame, libpf.V8Frame, libpf.DotnetFrame, libpf.LuaJITFrame, libpf.BEAMFrame, libpf.GoFrame} {
		if f.Attribute() == attribute {
			return f
		}
	}
	return libpf.UnknownFrame
}

func (p *reporting) frame(l *profiles.Location) libpf.Frame {
	f := libpf.Frame{Address: libpf.AddressOrLineno(l.Address)}
	var others []libpf.Attribute
	for _, i := range l.AttributeIndices {
		a := p.Dictionary.AttributeTable[i]
		if key := p.text(a.KeyStrindex); key == "profile.frame.type" {
			f.Type = frameTypeOf(a.Value.GetStringValue())
		} else {
			others = append(others, p.other(key, a.Value))
		}
	}
	f.Attributes = libpf.NewAttributes(others...)
	if l.MappingIndex != 0 {
		f.Mapping = unique.Make(p.mapping(p.Dictionary.MappingTable[l.MappingIndex]))
	}
	if len(l.Lines) > 1 {
		p.t.Fatalf("%d lines: the profiler does not write so many", len(l.Lines))
	}
	for _, line := range l.Lines {
		fn := p.Dictionary.FunctionTable[line.FunctionIndex]
		f.FunctionName, f.SystemName, f.SourceFile = p.text(fn.NameStrindex), p.text(fn.SystemNameStrindex), p.text(fn.FilenameStrindex)
		f.StartLine, f.SourceLine, f.SourceColumn = libpf.SourceLineno(fn.StartLine), libpf.SourceLineno(line.Line), uint32(line.Column)
	}
	return f
}

func (p *reporting) mapping(m *profiles.Mapping) libpf.Mapping {
	out := libpf.Mapping{FileName: p.text(m.FilenameStrindex), Start: m.MemoryStart, Limit: m.MemoryLimit, FileOffset: m.FileOffset}
	for _, i := range m.AttributeIndices {
		a := p.Dictionary.AttributeTable[i]
		switch key, value := p.text(a.KeyStrindex), a.Value.GetStringValue(); key {
		case "process.executable.build_id.gnu":
			out.GNUBuildID = value
		case "process.executable.build_id.go":
			out.GoBuildID = value
		case "process.executable.build_id.htlhash":
			id, err := libpf.FileIDFromString(value)
			if err != nil {
				p.t.Fatal(err)
			}
			out.FileID = id
		default:
			p.t.Fatalf("the mapping has an attribute %s", key)
		}
	}
	return out
}

// The window of a profile holds all of its times, and is as long as the time it
// was collected in, not longer.
func TestOTLPWindowTimes(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	before := time.Now()
	r, err := NewOTLP(OTLPConfig{Consumer: sink})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		event(t, r, pythonStack("a"), nil)
	}
	r.Stop()
	after := time.Now()
	m := &colprofiles.ExportProfilesServiceRequest{}
	if err := proto.Unmarshal(sink.Requests(otlp.Profiles)[0], m); err != nil {
		t.Fatal(err)
	}
	p := m.ResourceProfiles[0].ScopeProfiles[0].Profiles[0]
	start, end := time.Unix(0, int64(p.TimeUnixNano)), time.Unix(0, int64(p.TimeUnixNano+p.DurationNano))
	if start.Before(before.Round(0)) || end.After(after.Round(0)) || !start.Before(end) {
		t.Errorf("the profile is from %s to %s, the reporter ran from %s to %s", start, end, before, after)
	}
}
