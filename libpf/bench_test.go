package libpf_test

import (
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

// stackDepth is the depth of a typical stack.
const stackDepth = 24

func BenchmarkHashTrace(b *testing.B) {
	trace := &libpf.Trace{}
	for i := range stackDepth {
		trace.AppendFrame(libpf.NativeFrame, libpf.NewFileID(vectorHi, uint64(i)), libpf.AddressOrLineno(0x401000+i*77))
	}
	b.ReportAllocs()
	for b.Loop() {
		libpf.HashTrace(trace)
	}
}

func BenchmarkFrameIDHash(b *testing.B) {
	id := libpf.NewFrameID(libpf.NewFileID(vectorHi, vectorLo), 0xe51c)
	b.ReportAllocs()
	for b.Loop() {
		id.Hash()
	}
}

// Interning frames that are known already, one stack at a time.
func BenchmarkFramesAppend(b *testing.B) {
	frames := make([]libpf.Frame, stackDepth)
	for i := range frames {
		frames[i] = libpf.Frame{Type: libpf.PythonFrame, FunctionName: "function", SourceFile: "source/file.py", SourceLine: libpf.SourceLineno(i)}
	}
	keep := make(libpf.Frames, 0, stackDepth)
	b.ReportAllocs()
	for b.Loop() {
		keep = keep[:0]
		for _, f := range frames {
			keep.Append(f)
		}
	}
}

func BenchmarkNewAttributes(b *testing.B) {
	list := []libpf.Attribute{
		libpf.StringAttr("service.name", "shop"), libpf.IntAttr("process.pid", 4711),
		libpf.StringAttr("container.id", "8a04f462ec51fb1c8a04f462ec51fb1c"), libpf.StringAttr("process.executable.path", "/usr/bin/python3"),
	}
	b.ReportAllocs()
	for b.Loop() {
		libpf.NewAttributes(list...)
	}
}

func BenchmarkAttributesAll(b *testing.B) {
	set := libpf.NewAttributes(libpf.StringAttr("service.name", "shop"), libpf.IntAttr("process.pid", 4711),
		libpf.StringAttr("container.id", "8a04f462ec51fb1c8a04f462ec51fb1c"), libpf.StringAttr("process.executable.path", "/usr/bin/python3"))
	b.ReportAllocs()
	for b.Loop() {
		countAll(set)
	}
}
