package reporter

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// PprofMeta is what is known of a pprof profile beside it.
type PprofMeta struct {
	// Resource is what was profiled.
	Resource libpf.Attributes
	// Types are the sample types to report; nil is all of them.
	Types []string
	// Start and Duration are when the samples were taken, if the profile does not
	// say. Zero is unknown, and the reporting interval takes their place. A Start of
	// time.Unix(0, 0) remains unknown in what is sent.
	Start    time.Time
	Duration time.Duration
	// Attributes are on each sample. A label of the sample with the same key wins.
	Attributes libpf.Attributes
}

// ReportPprof reports the samples of a pprof profile: one event for each sample
// and sample type, added up and sent as those of ReportTraceEvent. Each sample
// type becomes a Profile.
//
// It keeps all of the profile but: values of 0, which carry no information, and with them
// samples and sample types that have no others; mappings, locations and functions
// that no sample refers to; functions without a name and a file; lines and columns
// below 0; and the units of a numeric label that has several. A label of which
// there are several values becomes a list. Labels trace_id and span_id, of 32 and
// 16 hex digits, become the sample's link.
//
// It waits while the window is written or the destination is behind, so that nothing
// is dropped for want of room. A *RefusedError says that nothing of the profile was
// taken: it is not valid (profile.CheckValid), a sample does not fit into a request, the
// reporter is stopped, or the destination has taken nothing for ten seconds. If ctx ends
// or the reporter is stopped in the middle, the error says how many values were dropped.
func (r *OTLPReporter) ReportPprof(ctx context.Context, p *profile.Profile, m PprofMeta) error {
	origins, err := pprofOrigins(p, &m)
	if err != nil {
		return err
	}
	room, err := r.roomFor(p, &m)
	if err == nil && r.stopping() {
		err = errReporterStopped
	}
	if err == nil {
		err = room.begin(ctx)
	}
	if err != nil {
		return asRefused(err)
	}
	all, taken := countValues(p, origins), int64(0)
	err = eachPprofEvent(p, &m, origins, func(t *samples.Trace, e *samples.TraceEventMeta) error {
		err := room.add(ctx, t, e)
		if err == nil {
			taken++
		}
		return err
	})
	switch {
	case err == nil:
		return nil
	case taken == 0:
		return asRefused(err)
	}
	r.cutShort.Add(all - taken)
	return errPprofCut(all-taken, all, err)
}

// countValues returns how many events a profile is.
func countValues(p *profile.Profile, origins []*samples.Origin) (n int64) {
	for _, s := range p.Sample {
		for t, origin := range origins {
			if origin != nil && s.Value[t] != 0 {
				n++
			}
		}
	}
	return n
}

// eachPprofEvent translates a profile, up to the first error. What report is given is
// reused after it returns.
func eachPprofEvent(p *profile.Profile, m *PprofMeta, origins []*samples.Origin, report func(*samples.Trace, *samples.TraceEventMeta) error) error {
	frames := newPprofFrames(p)
	trace := &samples.Trace{}
	meta := &samples.TraceEventMeta{Resource: m.Resource, NoThread: true, Timestamp: time.Now().UnixNano()}
	for _, s := range p.Sample {
		trace.Frames = frames.stack(trace.Frames[:0], s)
		pprofLabels(meta, m.Attributes, s)
		for t, origin := range origins {
			if origin == nil || s.Value[t] == 0 {
				continue
			}
			meta.Origin, meta.Value = origin, s.Value[t]
			if err := report(trace, meta); err != nil {
				return err
			}
		}
	}
	return nil
}

// pprofOrigins checks a profile, and returns an origin for each sample type that is
// wanted, nil for the others.
func pprofOrigins(p *profile.Profile, m *PprofMeta) ([]*samples.Origin, error) {
	if p == nil {
		return nil, refusedPprof("there is none")
	}
	if err := p.CheckValid(); err != nil {
		return nil, refusedPprof("it is not valid: %w", err)
	}
	start, duration := m.Start, m.Duration
	if p.TimeNanos > 0 {
		start = time.Unix(0, p.TimeNanos)
	}
	if p.DurationNanos > 0 {
		duration = time.Duration(p.DurationNanos)
	}
	origins := make([]*samples.Origin, len(p.SampleType))
	var names []string
	for i, t := range p.SampleType {
		if t == nil { // CheckValid does not look
			return nil, refusedPprof("it is not valid: sample type %d is nil", i)
		}
		names = append(names, t.Type)
		if m.Types != nil && !slices.Contains(m.Types, t.Type) {
			continue
		}
		origins[i] = &samples.Origin{
			SampleType: samples.ValueType{Type: t.Type, Unit: t.Unit},
			Period:     p.Period, Shape: samples.Totals,
			Start: start, Duration: max(duration, 0),
			Attributes: pprofAttributes(p, i),
		}
		if p.PeriodType != nil {
			origins[i].PeriodType = samples.ValueType{Type: p.PeriodType.Type, Unit: p.PeriodType.Unit}
		}
	}
	for _, want := range m.Types {
		if !slices.Contains(names, want) {
			return nil, refusedPprof("it has no sample type %q, but %s", want, strings.Join(names, ", "))
		}
	}
	return origins, nil
}

// pprofAttributes are the fields of a profile that OTLP has no place for (semantic
// conventions, "Pprof"). What they call the scope's is on each Profile, since one
// scope holds all that the reporter sends.
func pprofAttributes(p *profile.Profile, sampleType int) libpf.Attributes {
	var list []libpf.Attribute
	add := func(key, value string) {
		if value != "" {
			list = append(list, libpf.StringAttr(key, value))
		}
	}
	if len(p.Comments) > 0 {
		list = append(list, libpf.StringsAttr(pprofconv.AttrComment, p.Comments...))
	}
	add(pprofconv.AttrDocURL, p.DocURL)
	add(pprofconv.AttrDropFrames, p.DropFrames)
	add(pprofconv.AttrKeepFrames, p.KeepFrames)
	add(pprofconv.AttrDefaultSampleType, p.DefaultSampleType)
	if len(p.SampleType) > 1 {
		list = append(list, libpf.IntsAttr(pprofconv.AttrSampleTypeOrder, int64(sampleType)))
	}
	return libpf.NewAttributes(list...)
}

// pprofFrames holds the frame of each location.
type pprofFrames map[*profile.Location]unique.Handle[libpf.Frame]

func newPprofFrames(p *profile.Profile) pprofFrames {
	mappings := make(map[*profile.Mapping]unique.Handle[libpf.Mapping], len(p.Mapping))
	for _, m := range p.Mapping {
		mappings[m] = unique.Make(pprofMapping(m))
	}
	frames := make(pprofFrames, len(p.Location))
	for _, l := range p.Location {
		frames[l] = pprofFrame(l, mappings[l.Mapping])
	}
	return frames
}

func (f pprofFrames) stack(to libpf.Frames, s *profile.Sample) libpf.Frames {
	for _, l := range s.Location {
		to = append(to, f[l])
	}
	return to
}

// pprofFrame is the innermost function of a location. The last line is the one
// that has code of its own (profile.proto, Location.line). pprof does not say
// what kind of code it is.
func pprofFrame(l *profile.Location, mapping unique.Handle[libpf.Mapping]) unique.Handle[libpf.Frame] {
	var outer unique.Handle[libpf.Frame]
	for i := len(l.Line) - 1; i > 0; i-- {
		f := pprofLine(&l.Line[i])
		f.InlinedInto = outer
		outer = unique.Make(f)
	}
	var f libpf.Frame
	if len(l.Line) > 0 {
		f = pprofLine(&l.Line[0])
	}
	f.InlinedInto, f.Mapping, f.Address = outer, mapping, libpf.AddressOrLineno(l.Address)
	if l.IsFolded {
		f.Attributes = libpf.NewAttributes(libpf.BoolAttr(pprofconv.AttrIsFolded, true))
	}
	return unique.Make(f)
}

// pprofLine: numbers below 0 are unknown.
func pprofLine(l *profile.Line) libpf.Frame {
	f := libpf.Frame{SourceLine: libpf.SourceLineno(max(l.Line, 0))}
	if l.Column > 0 && l.Column <= math.MaxUint32 {
		f.SourceColumn = uint32(l.Column)
	}
	if fn := l.Function; fn != nil {
		f.FunctionName, f.SystemName, f.SourceFile = fn.Name, fn.SystemName, fn.Filename
		f.StartLine = libpf.SourceLineno(max(fn.StartLine, 0))
	}
	return f
}

func pprofMapping(m *profile.Mapping) libpf.Mapping {
	to := libpf.Mapping{FileName: m.File, FileOffset: m.Offset}
	if m.Start < m.Limit { // else it does not say where it is
		to.Start, to.Limit = m.Start, m.Limit
	}
	if isHex(m.BuildID) {
		to.GNUBuildID = m.BuildID
	} else {
		to.GoBuildID = m.BuildID
	}
	var flags []libpf.Attribute
	for _, flag := range []struct {
		key string
		is  bool
	}{
		{pprofconv.AttrHasFunctions, m.HasFunctions}, {pprofconv.AttrHasFilenames, m.HasFilenames},
		{pprofconv.AttrHasLineNumbers, m.HasLineNumbers}, {pprofconv.AttrHasInlineFrames, m.HasInlineFrames},
	} {
		if flag.is {
			flags = append(flags, libpf.BoolAttr(flag.key, true))
		}
	}
	if flags == nil { // it says so, else a reader would have to guess
		flags = append(flags, libpf.BoolAttr(pprofconv.AttrHasFunctions, false))
	}
	to.Attributes = libpf.NewAttributes(flags...)
	return to
}

// isHex reports whether a build id is a GNU one. Go's are base64 with slashes.
func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// pprofLabels gives meta the attributes and the link of a sample.
func pprofLabels(meta *samples.TraceEventMeta, common libpf.Attributes, s *profile.Sample) {
	meta.Attributes, meta.TraceID, meta.SpanID = common, [16]byte{}, [8]byte{}
	if len(s.Label)+len(s.NumLabel) == 0 {
		return
	}
	linked := pprofLink(meta, s)
	list := make([]libpf.Attribute, 0, len(s.Label)+len(s.NumLabel))
	for key, texts := range s.Label {
		if linked && (key == pprofconv.LabelTraceID || key == pprofconv.LabelSpanID) {
			continue
		}
		if len(texts) > 0 && len(s.NumLabel[key]) == 0 {
			list = append(list, textLabel(key, texts))
		}
	}
	for key, numbers := range s.NumLabel {
		if len(numbers) > 0 {
			list = append(list, numberLabel(key, s.Label[key], numbers, s.NumUnit[key]))
		}
	}
	meta.Attributes = common.With(list...)
}

// pprofLink reads the link, if there is one and no doubt about it.
func pprofLink(meta *samples.TraceEventMeta, s *profile.Sample) bool {
	trace, span := s.Label[pprofconv.LabelTraceID], s.Label[pprofconv.LabelSpanID]
	if len(trace) != 1 || len(span) != 1 || s.NumLabel[pprofconv.LabelTraceID] != nil || s.NumLabel[pprofconv.LabelSpanID] != nil {
		return false
	}
	var traceID [16]byte
	var spanID [8]byte
	if !decodeID(traceID[:], trace[0]) || !decodeID(spanID[:], span[0]) {
		return false
	}
	meta.TraceID, meta.SpanID = traceID, spanID
	return true
}
