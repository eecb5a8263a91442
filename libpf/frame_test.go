package libpf_test

import (
	"strings"
	"testing"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
)

func TestFramesAreInterned(t *testing.T) {
	t.Parallel()
	frame := func() libpf.Frame {
		return libpf.Frame{
			Type: libpf.NativeFrame,
			Mapping: unique.Make(libpf.Mapping{
				FileName: strings.Clone("libc.so.6"), FileID: libpf.NewFileID(1, 2), GNUBuildID: "abc",
				Start: 0x1000, Limit: 0x2000, FileOffset: 0x1000,
			}),
			Address:      0x1234,
			FunctionName: strings.Clone("memcpy"), SystemName: "_memcpy", SourceFile: "memcpy.c",
			StartLine: 10, SourceLine: 12, SourceColumn: 3,
			InlinedInto: unique.Make(libpf.Frame{FunctionName: "caller", InlinedInto: unique.Make(libpf.Frame{FunctionName: "outer"})}),
			Attributes:  libpf.NewAttributes(libpf.IntAttr("a", 1)),
		}
	}
	var stack libpf.Frames
	stack.Append(frame())
	stack.Append(frame())
	if len(stack) != 2 || stack[0] != stack[1] || stack[0].Value() != frame() {
		t.Fatalf("two equal frames: %+v", stack)
	}

	// A change of any field makes a different frame, also behind Handles.
	otherMapping := func(change func(*libpf.Mapping)) func(*libpf.Frame) {
		return func(f *libpf.Frame) {
			m := f.Mapping.Value()
			change(&m)
			f.Mapping = unique.Make(m)
		}
	}
	changes := map[string]func(*libpf.Frame){
		"Type":           func(f *libpf.Frame) { f.Type = libpf.KernelFrame },
		"Address":        func(f *libpf.Frame) { f.Address++ },
		"FunctionName":   func(f *libpf.Frame) { f.FunctionName += "x" },
		"SystemName":     func(f *libpf.Frame) { f.SystemName += "x" },
		"SourceFile":     func(f *libpf.Frame) { f.SourceFile += "x" },
		"StartLine":      func(f *libpf.Frame) { f.StartLine++ },
		"SourceLine":     func(f *libpf.Frame) { f.SourceLine++ },
		"SourceColumn":   func(f *libpf.Frame) { f.SourceColumn++ },
		"Attributes":     func(f *libpf.Frame) { f.Attributes = f.Attributes.With(libpf.IntAttr("a", 2)) },
		"no InlinedInto": func(f *libpf.Frame) { f.InlinedInto = unique.Handle[libpf.Frame]{} },
		"InlinedInto, two up": func(f *libpf.Frame) {
			f.InlinedInto = unique.Make(libpf.Frame{FunctionName: "caller", InlinedInto: unique.Make(libpf.Frame{FunctionName: "other"})})
		},
		"no Mapping":         func(f *libpf.Frame) { f.Mapping = unique.Handle[libpf.Mapping]{} },
		"Mapping.FileName":   otherMapping(func(m *libpf.Mapping) { m.FileName += "x" }),
		"Mapping.FileID":     otherMapping(func(m *libpf.Mapping) { m.FileID = libpf.NewFileID(1, 3) }),
		"Mapping.GNUBuildID": otherMapping(func(m *libpf.Mapping) { m.GNUBuildID += "x" }),
		"Mapping.GoBuildID":  otherMapping(func(m *libpf.Mapping) { m.GoBuildID += "x" }),
		"Mapping.Start":      otherMapping(func(m *libpf.Mapping) { m.Start++ }),
		"Mapping.Limit":      otherMapping(func(m *libpf.Mapping) { m.Limit++ }),
		"Mapping.FileOffset": otherMapping(func(m *libpf.Mapping) { m.FileOffset++ }),
		"Mapping.Attributes": otherMapping(func(m *libpf.Mapping) { m.Attributes = libpf.NewAttributes(libpf.IntAttr("a", 1)) }),
	}
	for name, change := range changes {
		f := frame()
		change(&f)
		var s libpf.Frames
		s.Append(f)
		if s[0] == stack[0] {
			t.Errorf("%s: the frame is still the same", name)
		}
		if got := s[0].Value(); got != f {
			t.Errorf("%s: put in %+v, got %+v", name, f, got)
		}
	}
}

// Two different interpreted frames without address or mapping are different.
func TestInterpretedFramesStayDistinct(t *testing.T) {
	t.Parallel()
	var s libpf.Frames
	s.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "alpha", SourceFile: "a.py"})
	s.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "beta", SourceFile: "b.py"})
	if s[0] == s[1] {
		t.Error("alpha and beta are one frame")
	}
}
