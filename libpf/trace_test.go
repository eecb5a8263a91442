package libpf_test

import (
	"reflect"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

func TestAppendFrame(t *testing.T) {
	t.Parallel()
	got := vectorTrace()
	want := &libpf.Trace{
		Files:      []libpf.FileID{libpf.NewFileID(vectorHi, vectorLo), libpf.NewFileID(0x2a, 0x64)},
		Linenos:    []libpf.AddressOrLineno{0xe51c, 7},
		FrameTypes: []libpf.FrameType{libpf.NativeFrame, libpf.PythonFrame},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Existing code sets the fields of these types in this order, with or without names.
func TestLayouts(t *testing.T) {
	t.Parallel()
	_ = libpf.Trace{[]libpf.FileID{}, []libpf.AddressOrLineno{}, []libpf.FrameType{}, libpf.TraceHash{}}
	_ = libpf.TraceAndCounts{libpf.TraceHash{}, libpf.UnixTime32(0), uint16(0), "comm", "pod", "container"}
	_ = libpf.FrameMetadata{libpf.FileID{}, libpf.AddressOrLineno(0), libpf.SourceLineno(0), uint32(0), "function", "file"}
	fields := func(v any) (names []string) {
		for f := range reflect.TypeOf(v).Fields() {
			names = append(names, f.Name)
		}
		return names
	}
	for _, c := range []struct {
		v    any
		want []string
	}{
		{libpf.Trace{}, []string{"Files", "Linenos", "FrameTypes", "Hash"}},
		{libpf.TraceAndCounts{}, []string{"Hash", "Timestamp", "Count", "Comm", "PodName", "ContainerName"}},
		{libpf.FrameMetadata{}, []string{"FileID", "AddressOrLine", "LineNumber", "FunctionOffset", "FunctionName", "Filename"}},
	} {
		if got := fields(c.v); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%T: fields %v, want %v", c.v, got, c.want)
		}
	}
	for v, bits := range map[any]int{
		libpf.Address(0): 64, libpf.AddressOrLineno(0): 64, libpf.SourceLineno(0): 64, libpf.UnixTime32(0): 32,
	} {
		if got := reflect.TypeOf(v).Bits(); got != bits || reflect.TypeOf(v).Kind() < reflect.Uint {
			t.Errorf("%T: %d bits of kind %s, want %d unsigned", v, got, reflect.TypeOf(v).Kind(), bits)
		}
	}
}
