package join

import (
	"strings"
	"testing"
	"unique"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/libpf"
)

var (
	app  = libpf.NewFileID(1, 1)
	vm   = libpf.NewFileID(2, 2)
	hash = libpf.NewTraceHash(7, 7)
)

// one is a trace of a single frame.
func one(t libpf.FrameType, id libpf.FileID, addr libpf.AddressOrLineno) *libpf.Trace {
	return &libpf.Trace{
		Files: []libpf.FileID{id}, Linenos: []libpf.AddressOrLineno{addr}, FrameTypes: []libpf.FrameType{t}, Hash: hash,
	}
}

func mapped(m libpf.Mapping) unique.Handle[libpf.Mapping] { return unique.Make(m) }

// plain shows what handles hide from cmp.
type plain struct {
	libpf.Frame
	In libpf.Mapping
}

func show(frames libpf.Frames) []plain {
	out := []plain{}
	for _, h := range frames {
		p := plain{Frame: h.Value()}
		if p.Mapping != (unique.Handle[libpf.Mapping]{}) {
			p.In = p.Mapping.Value()
		}
		p.Mapping = unique.Handle[libpf.Mapping]{}
		out = append(out, p)
	}
	return out
}

func diff(got, want libpf.Frames) string {
	return cmp.Diff(show(want), show(got), cmp.Comparer(func(a, b libpf.FileID) bool { return a == b }),
		cmp.Comparer(func(a, b unique.Handle[libpf.Mapping]) bool { return a == b }),
		cmp.Comparer(func(a, b unique.Handle[libpf.Frame]) bool { return a == b }))
}

func TestFrames(t *testing.T) {
	t.Parallel()
	const addr = 0x1234
	symbol := func(line libpf.SourceLineno, offset uint32, function, file string) func(*Join) {
		return func(j *Join) { j.Frame(app, addr, line, offset, function, file) }
	}
	fallback := func(name string) func(*Join) {
		return func(j *Join) { j.FallbackSymbol(libpf.NewFrameID(app, addr), name) }
	}
	executable := func(name, build string) func(*Join) {
		return func(j *Join) { j.Executable(app, name, build) }
	}
	onlyID := mapped(libpf.Mapping{FileID: app})
	inApp := mapped(libpf.Mapping{FileID: app, FileName: "app", GNUBuildID: "b1"})
	inKernel := mapped(libpf.Mapping{FileID: app, FileName: "vmlinux"})

	for _, c := range []struct {
		name     string
		typ      libpf.FrameType
		facts    []func(*Join)
		want     libpf.Frame
		complete bool
	}{
		{"abort", libpf.AbortFrame, []func(*Join){symbol(9, 1, "f", "s"), executable("app", "b1")}, libpf.Frame{}, true},

		{"native, nothing known", libpf.NativeFrame, nil,
			libpf.Frame{Mapping: onlyID, Address: addr}, false},
		{"native, executable", libpf.NativeFrame, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},
		{"native, build id alone", libpf.NativeFrame, []func(*Join){executable("", "b1")},
			libpf.Frame{Mapping: mapped(libpf.Mapping{FileID: app, GNUBuildID: "b1"}), Address: addr}, false},
		{"native, symbol", libpf.NativeFrame, []func(*Join){executable("app", "b1"), symbol(9, 2, "f", "s")},
			libpf.Frame{Mapping: inApp, Address: addr, FunctionName: "f", SourceFile: "s", SourceLine: 9, StartLine: 7}, true},
		{"native, symbol without executable", libpf.NativeFrame, []func(*Join){symbol(9, 0, "f", "s")},
			libpf.Frame{Mapping: onlyID, Address: addr, FunctionName: "f", SourceFile: "s", SourceLine: 9}, false},
		{"native, fallback", libpf.NativeFrame, []func(*Join){executable("app", "b1"), fallback("g")},
			libpf.Frame{Mapping: inApp, Address: addr, FunctionName: "g"}, true},
		{"native with the error bit", libpf.NativeFrame | 0x80, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},
		{"go", libpf.GoFrame, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},
		{"unknown", libpf.UnknownFrame, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},

		{"kernel, nothing known", libpf.KernelFrame, nil,
			libpf.Frame{Mapping: inKernel, Address: addr}, false},
		{"kernel, fallback", libpf.KernelFrame, []func(*Join){fallback("do_x")},
			libpf.Frame{Mapping: inKernel, Address: addr, FunctionName: "do_x"}, false},
		{"kernel, module without symbol", libpf.KernelFrame, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, false},
		{"kernel, module and fallback", libpf.KernelFrame, []func(*Join){executable("app", "b1"), fallback("do_x")},
			libpf.Frame{Mapping: inApp, Address: addr, FunctionName: "do_x"}, true},
		{"kernel, symbol before fallback", libpf.KernelFrame, []func(*Join){fallback("do_x"), symbol(3, 0, "do_y", "")},
			libpf.Frame{Mapping: inKernel, Address: addr, FunctionName: "do_y", SourceLine: 3}, false},
		{"kernel, symbol without a function", libpf.KernelFrame, []func(*Join){symbol(3, 0, "", "x.c"), fallback("do_x")},
			libpf.Frame{Mapping: inKernel, Address: addr, FunctionName: "do_x", SourceFile: "x.c", SourceLine: 3}, false},
		{"kernel with the error bit", libpf.KernelFrame | 0x80, []func(*Join){fallback("do_x")},
			libpf.Frame{Mapping: inKernel, Address: addr, FunctionName: "do_x"}, false},

		{"interpreted, nothing known", libpf.PythonFrame, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: onlyID, Address: addr}, false},
		{"interpreted, symbol", libpf.PythonFrame, []func(*Join){symbol(9, 2, "f", "s.py"), executable("app", "b1")},
			libpf.Frame{FunctionName: "f", SourceFile: "s.py", SourceLine: 9, StartLine: 7}, true},
		{"interpreted, symbol with only a file", libpf.V8Frame, []func(*Join){symbol(9, 0, "", "s.js")},
			libpf.Frame{SourceFile: "s.js", SourceLine: 9}, true},
		{"interpreted, symbol without names", libpf.RubyFrame, []func(*Join){symbol(9, 0, "", "")},
			libpf.Frame{Mapping: onlyID, Address: addr, SourceLine: 9}, true},
		{"interpreted, empty symbol", libpf.RubyFrame, []func(*Join){symbol(0, 0, "", "")},
			libpf.Frame{Mapping: onlyID, Address: addr}, true},
		{"interpreted, fallback", libpf.PHPJITFrame, []func(*Join){fallback("g")},
			libpf.Frame{Mapping: onlyID, Address: addr, FunctionName: "g"}, true},
		{"interpreted with the error bit", libpf.PythonFrame | 0x80, nil,
			libpf.Frame{Mapping: onlyID, Address: addr}, false},
		{"a type nobody knows", 99, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},
		{"a negative type", -5, []func(*Join){executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},

		{"offset 0", libpf.PythonFrame, []func(*Join){symbol(9, 0, "f", "")},
			libpf.Frame{FunctionName: "f", SourceLine: 9}, true},
		{"offset is the line", libpf.PythonFrame, []func(*Join){symbol(9, 9, "f", "")},
			libpf.Frame{FunctionName: "f", SourceLine: 9}, true},
		{"offset beyond the line", libpf.PythonFrame, []func(*Join){symbol(9, 1<<31, "f", "")},
			libpf.Frame{FunctionName: "f", SourceLine: 9}, true},
		{"offset to line 1", libpf.PythonFrame, []func(*Join){symbol(9, 8, "f", "")},
			libpf.Frame{FunctionName: "f", SourceLine: 9, StartLine: 1}, true},

		{"the last symbol counts", libpf.PythonFrame, []func(*Join){symbol(9, 1, "f", "s"), symbol(8, 0, "g", "t")},
			libpf.Frame{FunctionName: "g", SourceFile: "t", SourceLine: 8}, true},
		{"an empty name is not news", libpf.PythonFrame, []func(*Join){symbol(9, 1, "f", "s"), symbol(8, 0, "", "")},
			libpf.Frame{FunctionName: "f", SourceFile: "s", SourceLine: 8}, true},
		{"the last executable counts", libpf.NativeFrame, []func(*Join){executable("old", "b0"), executable("app", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},
		{"an empty executable is not news", libpf.NativeFrame, []func(*Join){executable("app", "b1"), executable("", "")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},
		{"name and build id one by one", libpf.NativeFrame, []func(*Join){executable("app", ""), executable("", "b1")},
			libpf.Frame{Mapping: inApp, Address: addr}, true},
		{"the first fallback stays", libpf.NativeFrame, []func(*Join){fallback("f"), fallback("g")},
			libpf.Frame{Mapping: onlyID, Address: addr, FunctionName: "f"}, false},
		{"an empty fallback is none", libpf.NativeFrame, []func(*Join){fallback(""), fallback("g")},
			libpf.Frame{Mapping: onlyID, Address: addr, FunctionName: "g"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.want.Type = c.typ
			want := libpf.Frames{unique.Make(c.want)}
			// Facts first, the stack first, and the stack asked for after each.
			for _, way := range []string{"early", "late", "one by one"} {
				j := New(Config{})
				if way != "early" {
					j.Trace(one(c.typ, app, addr))
				}
				for _, fact := range c.facts {
					fact(j)
					if way == "one by one" {
						j.Resolve(hash)
					}
				}
				if way == "early" {
					j.Trace(one(c.typ, app, addr))
				}
				got, complete := j.Resolve(hash)
				if d := diff(got, want); d != "" || complete != c.complete {
					t.Errorf("%s: complete %v, expected %v; frames (-want +got):\n%s", way, complete, c.complete, d)
				}
				verify(t, j)
			}
		})
	}
}

// A file without an id and a name is not a mapping, since the zero mapping means none.
func TestNoFile(t *testing.T) {
	t.Parallel()
	j := New(Config{})
	j.Trace(one(libpf.NativeFrame, libpf.FileID{}, 5))
	got, _ := j.Resolve(hash)
	if d := diff(got, libpf.Frames{unique.Make(libpf.Frame{Type: libpf.NativeFrame, Address: 5})}); d != "" || got[0].Value().Mapping != (unique.Handle[libpf.Mapping]{}) {
		t.Errorf("frames (-want +got):\n%s", d)
	}
}

func TestTraces(t *testing.T) {
	t.Parallel()
	two := func() *libpf.Trace {
		return &libpf.Trace{
			Files:      []libpf.FileID{app, vm},
			Linenos:    []libpf.AddressOrLineno{1, 2},
			FrameTypes: []libpf.FrameType{libpf.PythonFrame, libpf.NativeFrame},
			Hash:       hash,
		}
	}
	frames := libpf.Frames{
		unique.Make(libpf.Frame{Type: libpf.PythonFrame, Mapping: mapped(libpf.Mapping{FileID: app}), Address: 1}),
		unique.Make(libpf.Frame{Type: libpf.NativeFrame, Mapping: mapped(libpf.Mapping{FileID: vm}), Address: 2}),
	}
	edited := func(edit func(*libpf.Trace)) *libpf.Trace {
		tr := two()
		edit(tr)
		return tr
	}
	for _, c := range []struct {
		name   string
		traces []*libpf.Trace
		want   libpf.Frames // nil: unknown
		counts Evictions
	}{
		{"unknown", nil, nil, Evictions{}},
		{"known", []*libpf.Trace{two()}, frames, Evictions{}},
		{"known twice", []*libpf.Trace{two(), two()}, frames, Evictions{}},
		{"empty", []*libpf.Trace{{Hash: hash}}, libpf.Frames{}, Evictions{}},
		{"other file", []*libpf.Trace{two(), edited(func(t *libpf.Trace) { t.Files[1] = app })}, frames, Evictions{Conflicts: 1}},
		{"other address", []*libpf.Trace{two(), edited(func(t *libpf.Trace) { t.Linenos[0] = 3 })}, frames, Evictions{Conflicts: 1}},
		{"other type", []*libpf.Trace{two(), edited(func(t *libpf.Trace) { t.FrameTypes[0] = libpf.RubyFrame })}, frames, Evictions{Conflicts: 1}},
		{"shorter", []*libpf.Trace{two(), one(libpf.PythonFrame, app, 1)}, frames, Evictions{Conflicts: 1}},
		{"empty instead", []*libpf.Trace{two(), {Hash: hash}, {Hash: hash}}, frames, Evictions{Conflicts: 2}},
		{"too few files", []*libpf.Trace{edited(func(t *libpf.Trace) { t.Files = t.Files[:1] })}, nil, Evictions{Malformed: 1}},
		{"too few addresses", []*libpf.Trace{edited(func(t *libpf.Trace) { t.Linenos = nil })}, nil, Evictions{Malformed: 1}},
		{"too few types", []*libpf.Trace{edited(func(t *libpf.Trace) { t.FrameTypes = t.FrameTypes[:1] })}, nil, Evictions{Malformed: 1}},
		{"malformed after good", []*libpf.Trace{two(), edited(func(t *libpf.Trace) { t.Files = nil })}, frames, Evictions{Malformed: 1}},
		{"nil", []*libpf.Trace{nil}, nil, Evictions{Malformed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := New(Config{})
			for _, tr := range c.traces {
				j.Trace(tr)
			}
			got, complete := j.Resolve(hash)
			if (got == nil) != (c.want == nil) || diff(got, c.want) != "" {
				t.Errorf("frames (-want +got):\n%s", diff(got, c.want))
			}
			if want := c.want != nil && len(c.want) == 0; complete != want {
				t.Errorf("complete is %v, expected %v", complete, want)
			}
			if got := j.Evicted(); got != c.counts {
				t.Errorf("counted %+v, expected %+v", got, c.counts)
			}
			verify(t, j)
		})
	}
}

// The caller may use its lists again, and what it was given stays as it is.
func TestCopies(t *testing.T) {
	t.Parallel()
	j := New(Config{})
	tr := one(libpf.NativeFrame, app, 1)
	j.Trace(tr)
	tr.Files[0], tr.Linenos[0], tr.FrameTypes[0] = vm, 9, libpf.KernelFrame
	before, _ := j.Resolve(hash)
	was := before[0]
	if got := was.Value(); got.Address != 1 || got.Type != libpf.NativeFrame || got.Mapping.Value().FileID != app {
		t.Errorf("the stack changed with the caller's lists: %+v", got)
	}
	j.Executable(app, "app", "")
	after, _ := j.Resolve(hash)
	if before[0] != was {
		t.Error("frames that were given out changed")
	}
	if after[0] == was {
		t.Error("the name of the executable did not become visible")
	}
}

// Two frames of which nothing is known stay two, and so do equal addresses in two files.
func TestUnknownFramesStayApart(t *testing.T) {
	t.Parallel()
	for _, typ := range []libpf.FrameType{libpf.PythonFrame, libpf.NativeFrame, libpf.KernelFrame} {
		j := New(Config{})
		j.Trace(&libpf.Trace{
			Files: []libpf.FileID{app, app, vm}, Linenos: []libpf.AddressOrLineno{1, 2, 1},
			FrameTypes: []libpf.FrameType{typ, typ, typ}, Hash: hash,
		})
		got, _ := j.Resolve(hash)
		if got[0] == got[1] || got[0] == got[2] || got[1] == got[2] {
			t.Errorf("%v: unknown frames became one: %v", typ, show(got))
		}
	}
}

// A fact becomes visible at the next Resolve; a repeated fact keeps the epoch.
func TestEpoch(t *testing.T) {
	t.Parallel()
	id := libpf.NewFrameID(app, 1)
	j := New(Config{})
	j.Trace(one(libpf.KernelFrame, app, 1))
	for _, step := range []struct {
		name             string
		report           func()
		news             bool
		function, inside string
		complete         bool
	}{
		{"nothing", func() {}, false, "", "vmlinux", false},
		{"fallback", func() { j.FallbackSymbol(id, "f") }, true, "f", "vmlinux", false},
		{"fallback again", func() { j.FallbackSymbol(id, "g") }, false, "f", "vmlinux", false},
		{"executable", func() { j.Executable(app, "mod", "b") }, true, "f", "mod", true},
		{"executable again", func() { j.Executable(app, "mod", "b"); j.Executable(app, "", "b") }, false, "f", "mod", true},
		{"symbol", func() { j.Frame(app, 1, 5, 0, "s", "s.c") }, true, "s", "mod", true},
		{"symbol again", func() { j.Frame(app, 1, 5, 0, "s", "s.c"); j.Frame(app, 1, 5, 0, "", "") }, false, "s", "mod", true},
		{"trace again", func() { j.Trace(one(libpf.KernelFrame, app, 1)) }, false, "s", "mod", true},
		{"another name", func() { j.Frame(app, 1, 5, 0, "t", "") }, true, "t", "mod", true},
		{"another file", func() { j.Executable(vm, "x", "") }, true, "t", "mod", true},
	} {
		was := j.epoch
		step.report()
		if (j.epoch != was) != step.news {
			t.Errorf("%s: the epoch went from %d to %d", step.name, was, j.epoch)
		}
		frames, complete := j.Resolve(hash)
		f := frames[0].Value()
		if f.FunctionName != step.function || f.Mapping.Value().FileName != step.inside || complete != step.complete {
			t.Errorf("%s: %q in %q, complete %v; expected %q in %q, %v", step.name,
				f.FunctionName, f.Mapping.Value().FileName, complete, step.function, step.inside, step.complete)
		}
	}
}

// A stack keeps its names when the facts behind them were evicted, and so does
// another stack that comes later and shares the frame.
func TestNamesOutliveFacts(t *testing.T) {
	t.Parallel()
	j := New(Config{MaxBytes: 64 << 10})
	tr := &libpf.Trace{
		Files: []libpf.FileID{app, app, vm}, Linenos: []libpf.AddressOrLineno{1, 2, 3},
		FrameTypes: []libpf.FrameType{libpf.PythonFrame, libpf.KernelFrame, libpf.NativeFrame}, Hash: hash,
	}
	j.Trace(tr)
	j.Frame(app, 1, 10, 2, "f", "f.py")
	j.FallbackSymbol(libpf.NewFrameID(app, 2), "do_x")
	j.Executable(app, "mod", "b")
	j.Executable(vm, "vm", "c")
	want, complete := j.Resolve(hash)
	if !complete {
		t.Fatal("the stack is not complete")
	}
	for i := range uint64(5000) {
		other := libpf.NewFileID(9, i)
		j.Frame(other, 1, 1, 0, "other", "")
		j.FallbackSymbol(libpf.NewFrameID(other, 1), "other")
		j.Executable(other, "other", "")
	}
	if j.symbols.entries[libpf.NewFrameID(app, 1)] != nil || j.fallbacks.entries[libpf.NewFrameID(app, 2)] != nil ||
		j.executables.entries[app] != nil || j.executables.entries[vm] != nil {
		t.Fatal("the facts were not evicted")
	}
	got, complete := j.Resolve(hash)
	if d := diff(got, want); d != "" || !complete {
		t.Errorf("complete %v; frames (-want +got):\n%s", complete, d)
	}
	later := libpf.NewTraceHash(8, 8)
	tr.Hash = later
	j.Trace(tr)
	if got, complete := j.Resolve(later); diff(got, want) != "" || !complete {
		t.Errorf("a later stack: complete %v; frames (-want +got):\n%s", complete, diff(got, want))
	}

	// A report without names does not take them away, though the fact is a new one.
	j.Frame(app, 1, 11, 0, "", "")
	j.Executable(vm, "", "d")
	got, complete = j.Resolve(hash)
	python, native := got[0].Value(), got[2].Value()
	if python.FunctionName != "f" || python.SourceFile != "f.py" || python.SourceLine != 11 || python.StartLine != 0 ||
		native.Mapping.Value().FileName != "vm" || native.Mapping.Value().GNUBuildID != "d" || !complete {
		t.Errorf("names went, or news did not come: complete %v, %+v", complete, show(got))
	}
	// A fallback symbol does not replace a better name that was evicted.
	j.FallbackSymbol(libpf.NewFrameID(app, 1), "worse")
	if got, _ := j.Resolve(hash); got[0].Value().FunctionName != "f" {
		t.Errorf("a fallback symbol replaced a name: %+v", got[0].Value())
	}
	verify(t, j)
}

// What is larger than its cache's share is counted, and pushes nothing else out.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	j := New(Config{MaxBytes: 64 << 10})
	j.Trace(one(libpf.KernelFrame, app, 1))
	j.Frame(app, 1, 1, 0, "f", "f.c")
	j.FallbackSymbol(libpf.NewFrameID(app, 2), "g")
	j.Executable(app, "app", "b")
	want, _ := j.Resolve(hash)
	bytes, epoch := j.Bytes(), j.epoch

	huge := strings.Repeat("x", 64<<10)
	j.Frame(app, 1, 1, 0, huge, "")
	j.Frame(vm, 1, 1, 0, "", huge)
	j.FallbackSymbol(libpf.NewFrameID(vm, 2), huge)
	j.Executable(app, huge, "")
	j.Executable(vm, "", huge)
	long := &libpf.Trace{
		Files: make([]libpf.FileID, 1000), Linenos: make([]libpf.AddressOrLineno, 1000),
		FrameTypes: make([]libpf.FrameType, 1000), Hash: libpf.NewTraceHash(1, 1),
	}
	j.Trace(long)
	if got, want := j.Evicted(), (Evictions{Traces: 1, Frames: 2, Executables: 2, FallbackSymbols: 1}); got != want {
		t.Errorf("counted %+v, expected %+v", got, want)
	}
	if j.Bytes() != bytes || j.epoch != epoch {
		t.Errorf("%d bytes in epoch %d, expected %d in %d", j.Bytes(), j.epoch, bytes, epoch)
	}
	if frames, complete := j.Resolve(long.Hash); frames != nil || complete {
		t.Error("the long trace was taken")
	}
	if got, complete := j.Resolve(hash); diff(got, want) != "" || !complete {
		t.Errorf("complete %v; frames (-want +got):\n%s", complete, diff(got, want))
	}

	tiny := New(Config{MaxBytes: 1})
	tiny.Trace(&libpf.Trace{Hash: hash})
	tiny.Executable(app, "app", "")
	if got, want := tiny.Evicted(), (Evictions{Traces: 1, Executables: 1}); got != want || tiny.Bytes() != 0 {
		t.Errorf("a byte of room: %+v, %d bytes", got, tiny.Bytes())
	}
}

// A stack whose names have become larger than the share is reported once more with all of
// them, and goes alone.
func TestOutgrown(t *testing.T) {
	t.Parallel()
	j := New(Config{MaxBytes: 64 << 10})
	small := libpf.NewTraceHash(1, 1)
	j.Trace(&libpf.Trace{Hash: small, Files: []libpf.FileID{app}, Linenos: []libpf.AddressOrLineno{1000}, FrameTypes: []libpf.FrameType{libpf.PythonFrame}})
	tr := &libpf.Trace{Hash: hash}
	for i := range 6 {
		tr.Files = append(tr.Files, app)
		tr.Linenos = append(tr.Linenos, libpf.AddressOrLineno(i))
		tr.FrameTypes = append(tr.FrameTypes, libpf.PythonFrame)
	}
	j.Trace(tr)
	long := strings.Repeat("x", 11<<10)
	for i := range tr.Files {
		j.Frame(app, tr.Linenos[i], 1, 0, long, "")
		j.Resolve(hash)
		verify(t, j)
	}
	if got, _ := j.Resolve(hash); got != nil {
		t.Error("the stack is still there")
	}
	if got, _ := j.Resolve(small); got == nil {
		t.Error("the other stack went")
	}
	if got := j.Evicted().Traces; got != 1 {
		t.Errorf("%d traces evicted, expected 1", got)
	}
}

// A bound that becomes less evicts, and one that becomes more lets in again.
func TestLimit(t *testing.T) {
	t.Parallel()
	j := New(Config{MaxBytes: 4 << 20})
	j.Executable(libpf.NewFileID(7, 7), "vmlinux", "")
	i := 0
	fillMore := func() {
		for range 5000 {
			report(j, i)
			i++
		}
	}
	fillMore()
	if j.Bytes() < 2<<20 {
		t.Fatalf("%d bytes, the test is to fill 4 MiB", j.Bytes())
	}
	j.Limit(256 << 10)
	if n := j.Bytes(); n > 256<<10 {
		t.Errorf("%d bytes after Limit", n)
	}
	fillMore()
	if n := j.Bytes(); n > 256<<10 || n < 128<<10 {
		t.Errorf("%d bytes of at most %d", n, 256<<10)
	}
	verify(t, j)
	j.Limit(4 << 20)
	fillMore()
	if n := j.Bytes(); n < 2<<20 {
		t.Errorf("%d bytes of at most %d", n, 4<<20)
	}
	verify(t, j)
}
