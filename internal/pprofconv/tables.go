package pprofconv

import (
	"path"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/otlp"
)

// tables holds the mappings, locations and functions of a pprof profile by their index
// in the dictionary. An entry is added at the first reference to it.
type tables struct {
	c         *converter
	p         *profile.Profile
	mappings  map[int32]*profile.Mapping
	locations map[int32]*profile.Location
	functions map[int32]*profile.Function
	stacks    map[int32][]*profile.Location
	// flagged are the mappings with attributes that say how far they are symbolized.
	flagged map[*profile.Mapping]bool
	unnamed *profile.Function // the function of lines without a function
}

func newTables(c *converter, p *profile.Profile) tables {
	return tables{
		c: c, p: p,
		mappings: map[int32]*profile.Mapping{}, locations: map[int32]*profile.Location{},
		functions: map[int32]*profile.Function{}, stacks: map[int32][]*profile.Location{},
		flagged: map[*profile.Mapping]bool{},
	}
}

// stack returns the locations of a stack, leaf first. The samples of a stack share them.
func (t *tables) stack(i int32) []*profile.Location {
	if s, ok := t.stacks[i]; ok {
		return s
	}
	var s []*profile.Location
	for l := range t.c.dict.Stack(i).LocationIndices().All() {
		if !t.c.spend(1) {
			return nil
		}
		s = append(s, t.location(l))
	}
	s = s[:len(s):len(s)]
	t.stacks[i] = s
	return s
}

func (t *tables) location(i int32) *profile.Location {
	if l, ok := t.locations[i]; ok {
		return l
	}
	f := t.c.dict.Location(i).Decode()
	l := &profile.Location{ID: uint64(len(t.p.Location) + 1), Address: f.Address, Mapping: t.mapping(f.MappingIndex)}
	for line := range f.Lines.All() {
		if !t.c.spend(1) {
			break
		}
		v := line.Decode()
		fn := t.function(v.FunctionIndex)
		if fn == nil && v.Line == 0 {
			continue // it is empty, and pprof requires a function
		}
		if fn == nil {
			fn = t.unknown()
		}
		l.Line = append(l.Line, profile.Line{Function: fn, Line: v.Line, Column: v.Column})
	}
	t.flags(f.AttributeIndices, func(key string, is bool) {
		if key == AttrIsFolded {
			l.IsFolded = is
		}
	})
	t.p.Location = append(t.p.Location, l)
	t.locations[i] = l
	return l
}

// flags calls f for each attribute with a boolean.
func (t *tables) flags(attributes otlp.Varints[int32], f func(key string, is bool)) {
	for i := range attributes.All() {
		if !t.c.spend(1) {
			return
		}
		kv := t.c.dict.Attribute(i).Decode()
		if v := kv.Value.Resolve(t.c.dict); v.Kind() == otlp.KindBool {
			f(t.c.text(kv.KeyStrindex), v.Bool())
		}
	}
}

// function returns nil for entry 0, which means none.
func (t *tables) function(i int32) *profile.Function {
	if f, ok := t.functions[i]; ok || i == 0 {
		return f
	}
	v := t.c.dict.Function(i).Decode()
	f := &profile.Function{
		ID: uint64(len(t.p.Function) + 1), Name: t.c.text(v.NameStrindex), SystemName: t.c.text(v.SystemNameStrindex),
		Filename: t.c.text(v.FilenameStrindex), StartLine: v.StartLine,
	}
	if f.SystemName == "" {
		f.SystemName = f.Name // as in Go's own profiles
	}
	t.p.Function = append(t.p.Function, f)
	t.functions[i] = f
	return f
}

func (t *tables) unknown() *profile.Function {
	if t.unnamed == nil {
		t.unnamed = &profile.Function{ID: uint64(len(t.p.Function) + 1)}
		t.p.Function = append(t.p.Function, t.unnamed)
	}
	return t.unnamed
}

// mapping returns nil for entry 0, which means none.
func (t *tables) mapping(i int32) *profile.Mapping {
	if m, ok := t.mappings[i]; ok || i == 0 {
		return m
	}
	f := t.c.dict.Mapping(i).Decode()
	m := &profile.Mapping{
		ID: uint64(len(t.p.Mapping) + 1), Start: f.MemoryStart, Limit: f.MemoryLimit, Offset: f.FileOffset,
		File: t.c.text(f.FilenameStrindex), BuildID: t.buildID(f.AttributeIndices),
	}
	t.flags(f.AttributeIndices, func(key string, is bool) {
		switch key {
		case AttrHasFunctions:
			m.HasFunctions = is
		case AttrHasFilenames:
			m.HasFilenames = is
		case AttrHasLineNumbers:
			m.HasLineNumbers = is
		case AttrHasInlineFrames:
			m.HasInlineFrames = is
		default:
			return
		}
		t.flagged[m] = true
	})
	t.p.Mapping = append(t.p.Mapping, m)
	t.mappings[i] = m
	return m
}

// buildIDs are the attributes that can be the build id of pprof, in order of preference.
var buildIDs = [...]string{
	"process.executable.build_id.gnu", "process.executable.build_id.go", "process.executable.build_id.htlhash",
}

func (t *tables) buildID(attributes otlp.Varints[int32]) (id string) {
	best := len(buildIDs)
	for i := range attributes.All() {
		kv := t.c.dict.Attribute(i).Decode()
		key := t.c.text(kv.KeyStrindex)
		for rank, k := range buildIDs[:best] {
			if v := kv.Value.Resolve(t.c.dict); k == key && len(v.Text()) > 0 {
				id, best = string(v.Text()), rank
			}
		}
	}
	return id
}

// finish sets how far mappings are symbolized, and moves the mapping of the main program
// to the front, as pprof expects.
func (t *tables) finish(resource []label) {
	t.computeFlags()
	main := t.mainMapping(resource)
	if main > 0 {
		m := t.p.Mapping[main]
		copy(t.p.Mapping[1:main+1], t.p.Mapping[:main])
		t.p.Mapping[0] = m
		for i, m := range t.p.Mapping {
			m.ID = uint64(i + 1)
		}
	}
}

// computeFlags sets that a mapping has functions, file names or lines if all its
// locations have them, since pprof does not symbolize it further then. It has inlined
// frames if it has functions and one of its locations has several.
func (t *tables) computeFlags() {
	seen := map[*profile.Mapping]bool{}
	for _, l := range t.p.Location {
		m := l.Mapping
		if m == nil || t.flagged[m] {
			continue
		}
		if !seen[m] {
			seen[m] = true
			m.HasFunctions, m.HasFilenames, m.HasLineNumbers = true, true, true
		}
		if len(l.Line) == 0 {
			m.HasFunctions, m.HasFilenames, m.HasLineNumbers = false, false, false
		}
		m.HasInlineFrames = m.HasInlineFrames || len(l.Line) > 1
		for _, line := range l.Line {
			m.HasFunctions = m.HasFunctions && line.Function.Name != ""
			m.HasFilenames = m.HasFilenames && line.Function.Filename != ""
			m.HasLineNumbers = m.HasLineNumbers && line.Line != 0
		}
	}
	for m := range seen {
		m.HasInlineFrames = m.HasInlineFrames && m.HasFunctions
	}
}

// mainMapping returns the index of the mapping that probably is the main program: the one
// that the resource names, otherwise the first that is neither a library nor part of the
// kernel.
func (t *tables) mainMapping(resource []label) int {
	for _, l := range resource {
		if (l.key != "process.executable.path" && l.key != "process.executable.name") || len(l.texts) == 0 {
			continue
		}
		for i, m := range t.p.Mapping {
			if path.Base(m.File) == path.Base(l.texts[0]) {
				return i
			}
		}
	}
	for i, m := range t.p.Mapping {
		base := path.Base(m.File)
		if m.File == "" || strings.HasPrefix(m.File, "[") || strings.HasPrefix(base, "vmlinux") ||
			strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") || strings.HasSuffix(base, ".ko") {
			continue
		}
		return i
	}
	return 0
}
