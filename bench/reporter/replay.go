package main

import (
	"fmt"
	"unique"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// replay reports the samples of a request to our reporter, event by event, and
// returns its requests.
func replay(request []byte) ([][]byte, error) {
	req := pprofileotlp.NewExportRequest()
	if err := req.UnmarshalProto(request); err != nil {
		return nil, err
	}
	p := reading{req.Profiles().Dictionary()}
	cfg := oneRequest()
	for _, rp := range req.Profiles().ResourceProfiles().All() {
		for _, sp := range rp.ScopeProfiles().All() {
			cfg.Name, cfg.Version = sp.Scope().Name(), sp.Scope().Version()
		}
	}
	s, err := newOurs(&workload{}, cfg)
	if err != nil {
		return nil, err
	}
	s.out.keep = true
	for _, rp := range req.Profiles().ResourceProfiles().All() {
		resource, err := attributesOf(rp.Resource().Attributes())
		if err != nil {
			return nil, err
		}
		for _, sp := range rp.ScopeProfiles().All() {
			for _, profile := range sp.Profiles().All() {
				if err := p.report(s, resource, profile); err != nil {
					return nil, err
				}
			}
		}
	}
	err = s.flush()
	return s.out.all, err
}

// reading converts the entries of a dictionary to our types.
type reading struct{ d pprofile.ProfilesDictionary }

func (p reading) text(i int32) string { return p.d.StringTable().At(int(i)) }

// report reports each time of each sample.
func (p reading) report(s *ourSubject, resource libpf.Attributes, profile pprofile.Profile) error {
	origin := &samples.Origin{SampleType: p.valueType(profile.SampleType()), PeriodType: p.valueType(profile.PeriodType()), Period: profile.Period()}
	for _, x := range profile.Samples().All() {
		if x.Values().Len() > 0 {
			origin.Shape = samples.TimestampsAndValues
		}
	}
	for _, x := range profile.Samples().All() {
		set, err := p.attributes(x.AttributeIndices())
		if err != nil {
			return err
		}
		frames, err := p.frames(p.d.StackTable().At(int(x.StackIndex())))
		if err != nil {
			return err
		}
		m := samples.TraceEventMeta{Origin: origin, NoThread: true, Resource: resource, Attributes: set}
		if i := int(x.LinkIndex()); i > 0 {
			m.TraceID, m.SpanID = p.d.LinkTable().At(i).TraceID(), p.d.LinkTable().At(i).SpanID()
		}
		for i, at := range x.TimestampsUnixNano().All() {
			m.Timestamp = int64(at)
			if x.Values().Len() > 0 {
				m.Value = x.Values().At(i)
			}
			if err := s.r.ReportTraceEvent(&samples.Trace{Frames: frames}, &m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p reading) valueType(v pprofile.ValueType) samples.ValueType {
	return samples.ValueType{Type: p.text(v.TypeStrindex()), Unit: p.text(v.UnitStrindex())}
}

func (p reading) frames(s pprofile.Stack) (frames libpf.Frames, err error) {
	for _, i := range s.LocationIndices().All() {
		l := p.d.LocationTable().At(int(i))
		f := libpf.Frame{Address: libpf.AddressOrLineno(l.Address())}
		if f.Attributes, err = p.attributes(l.AttributeIndices()); err != nil {
			return nil, err
		}
		if f.Mapping, err = p.mapping(l.MappingIndex()); err != nil {
			return nil, err
		}
		if l.Lines().Len() > 0 {
			p.line(&f, l.Lines(), 0)
		}
		frames.Append(f)
	}
	return frames, nil
}

// line sets f to line i, and appends the lines that it was inlined into.
func (p reading) line(f *libpf.Frame, lines pprofile.LineSlice, i int) {
	l := lines.At(i)
	fn := p.d.FunctionTable().At(int(l.FunctionIndex()))
	f.FunctionName, f.SystemName, f.SourceFile = p.text(fn.NameStrindex()), p.text(fn.SystemNameStrindex()), p.text(fn.FilenameStrindex())
	f.StartLine, f.SourceLine, f.SourceColumn = libpf.SourceLineno(fn.StartLine()), libpf.SourceLineno(l.Line()), uint32(l.Column())
	if i+1 < lines.Len() {
		var into libpf.Frame
		p.line(&into, lines, i+1)
		f.InlinedInto = unique.Make(into)
	}
}

func (p reading) mapping(i int32) (h unique.Handle[libpf.Mapping], err error) {
	if i == 0 {
		return h, nil
	}
	m := p.d.MappingTable().At(int(i))
	set, err := p.attributes(m.AttributeIndices())
	return unique.Make(libpf.Mapping{FileName: p.text(m.FilenameStrindex()), Start: m.MemoryStart(), Limit: m.MemoryLimit(),
		FileOffset: m.FileOffset(), Attributes: set}), err
}

func (p reading) attributes(indices pcommon.Int32Slice) (libpf.Attributes, error) {
	var list []libpf.Attribute
	for _, i := range indices.All() {
		a := p.d.AttributeTable().At(int(i))
		one, err := attributeOf(p.text(a.KeyStrindex()), a.Value())
		if err != nil {
			return "", err
		}
		list = append(list, one.In(p.text(a.UnitStrindex())))
	}
	return libpf.NewAttributes(list...), nil
}

func attributesOf(m pcommon.Map) (libpf.Attributes, error) {
	var list []libpf.Attribute
	for k, v := range m.All() {
		one, err := attributeOf(k, v)
		if err != nil {
			return "", err
		}
		list = append(list, one)
	}
	return libpf.NewAttributes(list...), nil
}

func attributeOf(key string, v pcommon.Value) (libpf.Attribute, error) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return libpf.StringAttr(key, v.Str()), nil
	case pcommon.ValueTypeInt:
		return libpf.IntAttr(key, v.Int()), nil
	case pcommon.ValueTypeBool:
		return libpf.BoolAttr(key, v.Bool()), nil
	case pcommon.ValueTypeDouble:
		return libpf.DoubleAttr(key, v.Double()), nil
	}
	return libpf.Attribute{}, fmt.Errorf("attribute %s: expected a string, a number or a boolean, found %s", key, v.Type())
}
