package join

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
)

// model is the rules once more, without bounds, sharing and epochs.
type model struct {
	traces      map[libpf.TraceHash]*libpf.Trace
	symbols     map[libpf.FrameID]symbol
	fallbacks   map[libpf.FrameID]string
	executables map[libpf.FileID]executable
	conflicts   uint64
	malformed   uint64
}

func newModel() *model {
	return &model{
		map[libpf.TraceHash]*libpf.Trace{}, map[libpf.FrameID]symbol{}, map[libpf.FrameID]string{},
		map[libpf.FileID]executable{}, 0, 0,
	}
}

func (m *model) trace(t *libpf.Trace) {
	n := len(t.Files)
	if len(t.Linenos) != n || len(t.FrameTypes) != n {
		m.malformed++
		return
	}
	known := m.traces[t.Hash]
	if known == nil {
		m.traces[t.Hash] = &libpf.Trace{
			Files: slices.Clone(t.Files), Linenos: slices.Clone(t.Linenos), FrameTypes: slices.Clone(t.FrameTypes),
		}
		return
	}
	if !slices.Equal(known.Files, t.Files) || !slices.Equal(known.Linenos, t.Linenos) || !slices.Equal(known.FrameTypes, t.FrameTypes) {
		m.conflicts++
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (m *model) frame(id libpf.FrameID, s symbol) {
	known := m.symbols[id]
	s.function, s.file = or(s.function, known.function), or(s.file, known.file)
	m.symbols[id] = s
}

func (m *model) executable(id libpf.FileID, x executable) {
	known := m.executables[id]
	m.executables[id] = executable{or(x.fileName, known.fileName), or(x.buildID, known.buildID)}
}

func (m *model) fallback(id libpf.FrameID, name string) {
	m.fallbacks[id] = or(m.fallbacks[id], name)
}

func (m *model) resolve(h libpf.TraceHash) (libpf.Frames, bool) {
	t := m.traces[h]
	if t == nil {
		return nil, false
	}
	out, complete := libpf.Frames{}, true
	for i, typ := range t.FrameTypes {
		f, ok := m.resolveFrame(typ, t.Files[i], t.Linenos[i])
		out.Append(f)
		complete = complete && ok
	}
	return out, complete
}

func (m *model) resolveFrame(typ libpf.FrameType, id libpf.FileID, addr libpf.AddressOrLineno) (libpf.Frame, bool) {
	f := libpf.Frame{Type: typ}
	if typ == libpf.AbortFrame {
		return f, true
	}
	x := m.executables[id]
	s, reported := m.symbols[libpf.NewFrameID(id, addr)]
	f.FunctionName = or(s.function, m.fallbacks[libpf.NewFrameID(id, addr)])
	f.SourceFile, f.SourceLine = s.file, s.line
	if o := libpf.SourceLineno(s.functionOffset); o != 0 && s.line > o {
		f.StartLine = s.line - o
	}
	mapping := libpf.Mapping{FileID: id, FileName: x.fileName, GNUBuildID: x.buildID}
	complete := x.fileName != ""
	switch typ &^ 0x80 {
	case libpf.PythonFrame, libpf.V8Frame, libpf.PHPJITFrame:
		complete = reported || f.FunctionName != ""
		if reported && f.FunctionName+f.SourceFile != "" {
			return f, complete
		}
		mapping = libpf.Mapping{FileID: id}
	case libpf.KernelFrame:
		mapping.FileName = or(mapping.FileName, "vmlinux")
		complete = complete && (reported || f.FunctionName != "")
	}
	f.Address = addr
	if mapping != (libpf.Mapping{}) {
		f.Mapping = unique.Make(mapping)
	}
	return f, complete
}

// calls reads a sequence of calls from bytes. A sequence that ends ends in zeros.
type calls []byte

func (c *calls) n(below int) int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b) % below
}

func (c *calls) file() libpf.FileID          { return libpf.NewFileID(0, uint64(c.n(4))) }
func (c *calls) addr() libpf.AddressOrLineno { return libpf.AddressOrLineno(c.n(4)) }
func (c *calls) name() string                { return []string{"", "a", "bb", "a longer name"}[c.n(4)] }
func (c *calls) hash() libpf.TraceHash       { return libpf.NewTraceHash(0, uint64(c.n(8))) }

func (c *calls) trace() *libpf.Trace {
	t := &libpf.Trace{Hash: c.hash()}
	for range c.n(6) {
		t.AppendFrame(types[c.n(len(types))], c.file(), c.addr())
	}
	if c.n(16) == 15 {
		t.Linenos = append(t.Linenos, 1)
	}
	return t
}

// given is what Resolve once returned, and a copy of it.
type given struct{ frames, copied libpf.Frames }

// asked is a stack and what it was when it was last asked for.
type asked struct {
	entry  *entry[libpf.TraceHash, stack]
	frames libpf.Frames
}

// FuzzJoin makes the same calls to a Join with room for all, which must agree with
// the model, and to one with little room, which must keep its bound and its names.
func FuzzJoin(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 8 {
		seed := make([]byte, 400)
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4<<10 {
			t.Skip("longer finds no more")
		}
		compare(t, data, 2000+len(data)%8000)
	})
}

// compare does what FuzzJoin says.
func compare(t *testing.T, data []byte, room int) {
	m, roomy, tight := newModel(), New(Config{}), New(Config{MaxBytes: room})
	both := []*Join{roomy, tight}
	var out []given
	last := map[libpf.TraceHash]asked{} // of tight
	for c := calls(data); len(c) > 0; {
		switch c.n(8) {
		case 0, 1:
			tr := c.trace()
			m.trace(tr)
			for _, j := range both {
				j.Trace(tr)
			}
			clear(tr.Files)
			clear(tr.Linenos)
			clear(tr.FrameTypes)
		case 2:
			id, x := c.file(), executable{c.name(), c.name()}
			m.executable(id, x)
			for _, j := range both {
				j.Executable(id, x.fileName, x.buildID)
			}
		case 3, 4:
			id, addr := c.file(), c.addr()
			s := symbol{libpf.SourceLineno(c.n(8)), uint32(c.n(8)), c.name(), c.name()}
			m.frame(libpf.NewFrameID(id, addr), s)
			for _, j := range both {
				j.Frame(id, addr, s.line, s.functionOffset, s.function, s.file)
			}
		case 5:
			id, name := libpf.NewFrameID(c.file(), c.addr()), c.name()
			m.fallback(id, name)
			for _, j := range both {
				j.FallbackSymbol(id, name)
			}
		default:
			h := c.hash()
			got, complete := roomy.Resolve(h)
			want, wantComplete := m.resolve(h)
			if (got == nil) != (want == nil) || !slices.Equal(got, want) || complete != wantComplete {
				t.Fatalf("complete %v, expected %v; frames (-want +got):\n%s", complete, wantComplete, diff(got, want))
			}
			small, _ := tight.Resolve(h)
			e := tight.stacks.entries[h]
			if e != nil && e == last[h].entry {
				keepsNames(t, last[h].frames, small)
			}
			last[h] = asked{e, small}
			out = append(out, given{got, slices.Clone(got)}, given{small, slices.Clone(small)})
		}
		verify(t, tight)
	}
	verify(t, roomy)
	if got, want := roomy.Evicted(), (Evictions{Conflicts: m.conflicts, Malformed: m.malformed}); got != want {
		t.Fatalf("counted %+v, expected %+v", got, want)
	}
	for _, g := range out {
		if !slices.Equal(g.frames, g.copied) {
			t.Fatal("frames that were given out changed")
		}
	}
}

// keepsNames fails if a stack that was there all the time lost something it had.
func keepsNames(t *testing.T, before, now libpf.Frames) {
	t.Helper()
	for i := range now {
		b, n := before[i].Value(), now[i].Value()
		lost := b.FunctionName != "" && n.FunctionName == "" || b.SourceFile != "" && n.SourceFile == ""
		none := unique.Handle[libpf.Mapping]{}
		switch {
		case kindOf(b.Type) == interpreted && b.Mapping == none:
			lost = lost || n.Mapping != none // by its names alone, and now no more
		case b.Mapping != none && n.Mapping != none:
			was, is := b.Mapping.Value(), n.Mapping.Value()
			lost = lost || was.FileName != "" && is.FileName == "" || was.GNUBuildID != "" && is.GNUBuildID == ""
		}
		if lost {
			t.Fatalf("frame %d lost what it had (-before +now):\n%s", i, diff(now[i:i+1], before[i:i+1]))
		}
	}
}

// The fuzz target's claim on a few thousand random sequences, in every run.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		data := make([]byte, 600)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { compare(t, data, 1000+r.IntN(20_000)) })
	}
}
