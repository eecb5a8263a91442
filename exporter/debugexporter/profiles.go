package debugexporter

import "github.com/penstock-telemetry/penstock/otlp"

func normalProfile(p *printer, item []byte) {
	f := otlp.Profile(item).Decode()
	if len(f.ProfileID) > 0 {
		p.hex(f.ProfileID).s(" ")
	}
	p.s("samples=").int(int64(f.Samples.Len()))
	for i := range f.AttributeIndices.All() {
		a := look(p, p.dict.Attribute(i)).Decode()
		if p.s(" ").str(p.dict.String(a.KeyStrindex)).s("=").value(a.Value.Resolve(p.dict)).full {
			return
		}
	}
	x := p.details()
	x.time(f.TimeUnixNano)
	if f.DurationNano != 0 {
		x.add("duration").duration(f.DurationNano)
	}
	if kind := f.SampleType.Decode(); kind != (otlp.ValueTypeFields{}) {
		x.add("type").valueType(kind)
	}
	x.end()
	p.topFrames(f)
}

// mappings prints the dictionary's executables and libraries, of which the
// frames below show only the names. Entry 0 means none.
func mappings(p *printer) {
	i := int64(-1)
	for m := range otlp.ExportProfilesServiceRequest(p.request).Dictionary().MappingTable().All() {
		if i++; len(m) == 0 {
			continue
		}
		f := m.Decode()
		p.s("Mapping #").int(i).nl()
		p.s("    File name: ").str(p.dict.String(f.FilenameStrindex)).nl()
		p.s("    Memory start: ").addr(f.MemoryStart).nl()
		p.s("    Memory limit: ").addr(f.MemoryLimit).nl()
		p.s("    File offset: ").addr(f.FileOffset).nl()
		p.indexed("    ", f.AttributeIndices)
		if p.full {
			return
		}
	}
}

func detailedProfile(p *printer, item []byte) {
	f := otlp.Profile(item).Decode()
	p.field("Profile ID").hex(f.ProfileID).nl()
	p.field("Start time").time(f.TimeUnixNano).nl()
	p.field("DurationNano").uint(f.DurationNano).nl()
	p.field("Sample type")
	p.valueType(f.SampleType.Decode()).nl()
	p.field("Period type")
	p.valueType(f.PeriodType.Decode()).nl()
	p.field("Period").int(f.Period).nl()
	p.field("Dropped attributes count").uint(uint64(f.DroppedAttributesCount)).nl()
	if len(f.OriginalPayload) > 0 {
		p.field("Original payload").int(int64(len(f.OriginalPayload))).s(" bytes of ").str(f.OriginalPayloadFormat).nl()
	}
	p.indexed("    ", f.AttributeIndices)
	i := int64(0)
	for s := range f.Samples.All() {
		p.s("    Sample #").int(i).nl()
		p.sample(s.Decode())
		if p.full {
			return
		}
		i++
	}
}

func (p *printer) valueType(f otlp.ValueTypeFields) *text {
	p.str(p.dict.String(f.TypeStrindex))
	if unit := p.dict.String(f.UnitStrindex); len(unit) > 0 {
		p.s(" (").str(unit).s(")")
	}
	return p.text
}

func (p *printer) sample(f otlp.SampleFields) {
	const indent = "        "
	if f.Values.Len() > 0 {
		sep := "Values: ["
		p.s(indent)
		for v := range f.Values.All() {
			if p.s(sep).int(v).full {
				return
			}
			sep = " "
		}
		p.s("]").nl()
	}
	if f.TimestampsUnixNano.Len() > 0 {
		p.s(indent).s("Timestamps:").nl()
		for ts := range f.TimestampsUnixNano.All() {
			if p.arrow(indent).time(ts).nl().full {
				return
			}
		}
	}
	p.indexed(indent, f.AttributeIndices)
	if f.LinkIndex != 0 {
		link := look(p, p.dict.Link(f.LinkIndex)).Decode()
		p.s(indent).s("Link: trace ").hex(link.TraceID).s(" span ").hex(link.SpanID).nl()
	}
	if f.StackIndex != 0 {
		p.s(indent).s("Stack:").nl()
		for i := range look(p, p.dict.Stack(f.StackIndex)).LocationIndices().All() {
			p.location(indent, look(p, p.dict.Location(i)).Decode())
			if p.full {
				return
			}
		}
	}
}

// indexed prints attributes of the dictionary, with their units.
func (p *printer) indexed(indent string, indices otlp.Varints[int32]) {
	first := true
	for i := range indices.All() {
		if first {
			p.s(indent).s("Attributes:").nl()
			first = false
		}
		f := look(p, p.dict.Attribute(i)).Decode()
		p.arrow(indent).str(p.dict.String(f.KeyStrindex)).s(": ").typed(f.Value.Resolve(p.dict))
		if unit := p.dict.String(f.UnitStrindex); len(unit) > 0 {
			p.s(" ").str(unit)
		}
		if p.nl().full {
			return
		}
	}
}

// location prints one location of a stack. It has several frames if functions
// were inlined; the last frame is the one with the address:
//
//	-> memcpy (string.h:12), inlined
//	-> printf (printf.c:99) at 0x4711 in libc.so.6 [profile.frame.type=native]
func (p *printer) location(indent string, f otlp.LocationFields) {
	lines := f.Lines.Len()
	for l := range f.Lines.All() {
		lines--
		p.arrow(indent)
		p.frame(l.Decode())
		if lines > 0 {
			p.s(", inlined").nl()
		}
		if p.full {
			return
		}
	}
	if f.Lines.Len() == 0 {
		p.arrow(indent).s("?")
	}
	p.s(" at ").addr(f.Address)
	if file := p.dict.String(look(p, p.dict.Mapping(f.MappingIndex)).FilenameStrindex()); len(file) > 0 {
		p.s(" in ").str(file)
	}
	sep := " ["
	for i := range f.AttributeIndices.All() {
		a := look(p, p.dict.Attribute(i)).Decode()
		if p.s(sep).str(p.dict.String(a.KeyStrindex)).s("=").value(a.Value.Resolve(p.dict)).full {
			return
		}
		sep = " "
	}
	if sep == " " {
		p.s("]")
	}
	p.nl()
}

// frame prints a function with its file and line.
func (p *printer) frame(l otlp.LineFields) {
	p.function(look(p, p.dict.Function(l.FunctionIndex)).Decode(), l)
}

func (p *printer) function(f otlp.FunctionFields, l otlp.LineFields) {
	name := p.dict.String(f.NameStrindex)
	if len(name) == 0 {
		name = p.dict.String(f.SystemNameStrindex)
	}
	if len(name) == 0 {
		name = []byte("?")
	}
	p.str(name)
	file := p.dict.String(f.FilenameStrindex)
	if len(file) == 0 {
		if l.Line == 0 {
			return
		}
		file = []byte("?")
	}
	p.s(" (").str(file)
	if l.Line != 0 {
		p.s(":").int(l.Line)
	}
	if l.Column != 0 {
		p.s(":").int(l.Column)
	}
	p.s(")")
}
