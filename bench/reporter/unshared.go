package main

import (
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
)

// appendUnshared appends a request for each sample, with only the dictionary
// entries that the sample needs.
func appendUnshared(to []byte, p pprofile.Profiles) ([]byte, error) {
	for _, rp := range p.ResourceProfiles().All() {
		for _, sp := range rp.ScopeProfiles().All() {
			for _, profile := range sp.Profiles().All() {
				for _, s := range profile.Samples().All() {
					one := pprofile.NewProfiles()
					rpTo := one.ResourceProfiles().AppendEmpty()
					rp.Resource().CopyTo(rpTo.Resource())
					rpTo.SetSchemaUrl(rp.SchemaUrl())
					spTo := rpTo.ScopeProfiles().AppendEmpty()
					sp.Scope().CopyTo(spTo.Scope())
					spTo.SetSchemaUrl(sp.SchemaUrl())
					newExtract(p.Dictionary(), one.Dictionary()).profile(profile, s, spTo.Profiles().AppendEmpty())
					b, err := pprofileotlp.NewExportRequestFromProfiles(one).MarshalProto()
					if err != nil {
						return nil, err
					}
					to = append(to, b...)
				}
			}
		}
	}
	return to, nil
}

// extract copies entries of one dictionary to another on first use. Each method
// returns the index of an entry there.
type extract struct {
	from, to pprofile.ProfilesDictionary
	known    [numTables]map[int32]int32
}

const (
	strings_ = iota
	attributes
	mappings
	functions_
	locations
	stacks
	links
	numTables
)

func newExtract(from, to pprofile.ProfilesDictionary) *extract {
	x := &extract{from: from, to: to}
	for i := range x.known {
		x.known[i] = map[int32]int32{0: 0}
	}
	to.StringTable().Append("")
	to.AttributeTable().AppendEmpty()
	to.MappingTable().AppendEmpty()
	to.FunctionTable().AppendEmpty()
	to.LocationTable().AppendEmpty()
	to.StackTable().AppendEmpty()
	to.LinkTable().AppendEmpty()
	return x
}

// entry returns the new index of entry i of a table. If it was not copied yet,
// add appends it with index n.
func (x *extract) entry(table int, i int32, n int, add func()) int32 {
	if n, ok := x.known[table][i]; ok {
		return n
	}
	x.known[table][i] = int32(n)
	add()
	return int32(n)
}

func (x *extract) text(i int32) int32 {
	return x.entry(strings_, i, x.to.StringTable().Len(), func() { x.to.StringTable().Append(x.from.StringTable().At(int(i))) })
}

func (x *extract) attribute(i int32) int32 {
	return x.entry(attributes, i, x.to.AttributeTable().Len(), func() {
		a, b := x.from.AttributeTable().At(int(i)), x.to.AttributeTable().AppendEmpty()
		b.SetKeyStrindex(x.text(a.KeyStrindex()))
		b.SetUnitStrindex(x.text(a.UnitStrindex()))
		a.Value().CopyTo(b.Value())
	})
}

func (x *extract) mapping(i int32) int32 {
	return x.entry(mappings, i, x.to.MappingTable().Len(), func() {
		a, b := x.from.MappingTable().At(int(i)), x.to.MappingTable().AppendEmpty()
		a.CopyTo(b)
		b.SetFilenameStrindex(x.text(a.FilenameStrindex()))
		for j, v := range a.AttributeIndices().All() {
			b.AttributeIndices().SetAt(j, x.attribute(v))
		}
	})
}

func (x *extract) function(i int32) int32 {
	return x.entry(functions_, i, x.to.FunctionTable().Len(), func() {
		a, b := x.from.FunctionTable().At(int(i)), x.to.FunctionTable().AppendEmpty()
		a.CopyTo(b)
		b.SetNameStrindex(x.text(a.NameStrindex()))
		b.SetSystemNameStrindex(x.text(a.SystemNameStrindex()))
		b.SetFilenameStrindex(x.text(a.FilenameStrindex()))
	})
}

func (x *extract) location(i int32) int32 {
	return x.entry(locations, i, x.to.LocationTable().Len(), func() {
		a, b := x.from.LocationTable().At(int(i)), x.to.LocationTable().AppendEmpty()
		a.CopyTo(b)
		b.SetMappingIndex(x.mapping(a.MappingIndex()))
		for j, v := range a.AttributeIndices().All() {
			b.AttributeIndices().SetAt(j, x.attribute(v))
		}
		for j, l := range a.Lines().All() {
			b.Lines().At(j).SetFunctionIndex(x.function(l.FunctionIndex()))
		}
	})
}

func (x *extract) stack(i int32) int32 {
	return x.entry(stacks, i, x.to.StackTable().Len(), func() {
		b := x.to.StackTable().AppendEmpty()
		for _, l := range x.from.StackTable().At(int(i)).LocationIndices().All() {
			b.LocationIndices().Append(x.location(l))
		}
	})
}

func (x *extract) link(i int32) int32 {
	return x.entry(links, i, x.to.LinkTable().Len(), func() { x.from.LinkTable().At(int(i)).CopyTo(x.to.LinkTable().AppendEmpty()) })
}

// profile copies a Profile with one of its samples.
func (x *extract) profile(a pprofile.Profile, s pprofile.Sample, b pprofile.Profile) {
	b.SetTime(a.Time())
	b.SetDurationNano(a.DurationNano())
	b.SetPeriod(a.Period())
	for _, t := range [][2]pprofile.ValueType{{a.SampleType(), b.SampleType()}, {a.PeriodType(), b.PeriodType()}} {
		t[1].SetTypeStrindex(x.text(t[0].TypeStrindex()))
		t[1].SetUnitStrindex(x.text(t[0].UnitStrindex()))
	}
	for _, v := range a.AttributeIndices().All() {
		b.AttributeIndices().Append(x.attribute(v))
	}
	one := b.Samples().AppendEmpty()
	s.CopyTo(one)
	one.SetStackIndex(x.stack(s.StackIndex()))
	one.SetLinkIndex(x.link(s.LinkIndex()))
	for j, v := range s.AttributeIndices().All() {
		one.AttributeIndices().SetAt(j, x.attribute(v))
	}
}
