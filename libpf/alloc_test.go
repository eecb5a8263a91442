package libpf_test

import (
	"testing"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
)

// Functions that are called for each sample or frame do not allocate.
func TestNoAllocations(t *testing.T) {
	file, hash := libpf.NewFileID(vectorHi, vectorLo), libpf.NewTraceHash(vectorHi, vectorLo)
	frame := libpf.NewFrameID(file, 0xe51c)
	set := libpf.NewAttributes(libpf.StringAttr("a", "1").In("s"), libpf.StringAttr("b", "2"))
	trace := vectorTrace()
	text, id, raw := make([]byte, 64), file.String(), frame.Bytes()
	resolved := libpf.Frame{FunctionName: "f", Mapping: unique.Make(libpf.Mapping{FileName: "m"})}
	stack := make(libpf.Frames, 0, 1)
	stack.Append(resolved)

	// sink prevents the compiler from removing the calls.
	sink := 0
	for name, f := range map[string]func(){
		"FileID.Hash32":          func() { sink += int(file.Hash32()) },
		"FileID.Compare":         func() { sink += file.Compare(libpf.UnsymbolizedFileID) },
		"FileID.Equal, Less":     func() { sink += btoi(file.Equal(libpf.FileID{}) || file.Less(libpf.FileID{})) },
		"FileID.EncodeTo":        func() { file.EncodeTo(text) },
		"FileID.PutBytes16":      func() { file.PutBytes16((*[16]byte)(text)) },
		"FileID.AppendText":      func() { b, _ := file.AppendText(text[:0]); sink += len(b) },
		"TraceHash.Hash32":       func() { sink += int(hash.Hash32()) },
		"TraceHash.Compare":      func() { sink += hash.Compare(libpf.TraceHash{}) },
		"TraceHash.EncodeTo":     func() { hash.EncodeTo(text) },
		"FrameID.Hash, Hash32":   func() { sink += int(frame.Hash()) + int(frame.Hash32()) },
		"FrameID.Compare":        func() { sink += frame.Compare(libpf.FrameID{}) },
		"FrameID.EncodeTo":       func() { frame.EncodeTo(text) },
		"FrameID.AppendText":     func() { b, _ := frame.AppendText(text[:0]); sink += len(b) },
		"Address.Hash32":         func() { sink += int(libpf.Address(1).Hash32()) },
		"HashString":             func() { sink += int(libpf.HashString(id)) },
		"FileIDFromString":       func() { f, _ := libpf.FileIDFromString(id); sink += int(f.Lo()) },
		"FileIDFromBytes":        func() { f, _ := libpf.FileIDFromBytes(raw[:16]); sink += int(f.Lo()) },
		"NewFrameIDFromBytes":    func() { f, _ := libpf.NewFrameIDFromBytes(raw); sink += int(f.AddressOrLine()) },
		"HashTrace":              func() { h := libpf.HashTrace(trace); sink += int(h.Lo()) },
		"Frames.Append, known":   func() { stack = stack[:0]; stack.Append(resolved) },
		"FrameType.String":       func() { sink += len(libpf.NativeFrame.String()) },
		"FrameType.Attribute":    func() { sink += len(libpf.NativeFrame.Error().Attribute()) },
		"Attributes.All":         func() { sink += countAll(set) },
		"Attributes.With, empty": func() { sink += len(set.With()) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if sink == 0 {
		t.Error("nothing was measured")
	}
}

func countAll(set libpf.Attributes) (n int) {
	for a := range set.All() {
		n += len(a.Key) + len(a.Value) + len(a.Unit)
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
