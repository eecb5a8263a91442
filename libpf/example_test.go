package libpf_test

import (
	"encoding/json"
	"fmt"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
)

// A stack by ids: columns of numbers, and a hash that identifies it.
func ExampleTrace() {
	executable, err := libpf.FileIDFromString("77efa716a912a49217445787329fd29a")
	if err != nil {
		fmt.Println(err)
		return
	}
	var trace libpf.Trace
	trace.AppendFrame(libpf.NativeFrame, executable, 0xe51c)          // the leaf
	trace.AppendFrame(libpf.PythonFrame, libpf.NewFileID(42, 100), 7) // its caller
	trace.Hash = libpf.HashTrace(&trace)

	fmt.Println(trace.Hash.String())
	fmt.Println(libpf.NewFrameID(trace.Files[0], trace.Linenos[0]))
	// Output:
	// 92905b4e3a06ab70ae756b81ed205cc0
	// d--nFqkSpJIXRFeHMp_SmgAAAAAAAOUc
}

// A stack by value: a frame contains everything that is known of it.
func ExampleFrames() {
	python := unique.Make(libpf.Mapping{FileName: "libpython3.12.so"})
	var stack libpf.Frames
	stack.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "handle", SourceFile: "app.py", SourceLine: 12})
	stack.Append(libpf.Frame{Type: libpf.NativeFrame, Mapping: python, Address: 0x1f00})

	for _, handle := range stack {
		frame := handle.Value()
		where := "no executable"
		if frame.Mapping != (unique.Handle[libpf.Mapping]{}) { // Value of the zero Handle panics
			where = frame.Mapping.Value().FileName
		}
		fmt.Printf("%s %q in %s\n", frame.Type, frame.FunctionName, where)
	}
	// Output:
	// python "handle" in no executable
	// native "" in libpython3.12.so
}

func ExampleFileID() {
	id := libpf.NewFileID(0x77efa716a912a492, 0x17445787329fd29a)
	asJSON, _ := json.Marshal(id)
	fmt.Println(id.String())
	fmt.Println(string(asJSON))
	fmt.Println(id.Base64())
	fmt.Println(id.ToUUIDString())
	fmt.Printf("%x %#X\n", id, id)
	// Output:
	// 77efa716a912a49217445787329fd29a
	// "77efa716a912a49217445787329fd29a"
	// d--nFqkSpJIXRFeHMp_Smg
	// 77efa716-a912-a492-1744-5787329fd29a
	// 77efa716a912a49217445787329fd29a 0x77EFA716A912A49217445787329FD29A
}

func ExampleNewFrameIDFromString() {
	id, err := libpf.NewFrameIDFromString("d--nFqkSpJIXRFeHMp_SmgAAAAAAAOUc")
	fmt.Printf("%s %#x %v\n", id.FileID(), id.AddressOrLine(), err)
	_, err = libpf.NewFrameIDFromString("d--nFqkSpJIXRFeHMp_Smg")
	fmt.Println(err)
	// Output:
	// 77efa716a912a49217445787329fd29a 0xe51c <nil>
	// frame id "d--nFqkSpJIXRFeHMp_Smg" in base64: found 16 bytes, expected 24
}

// Earlier versions wrote numbers. Now the JSON is a time.
func ExampleUnixTime32() {
	var at libpf.UnixTime32
	if err := json.Unmarshal([]byte("1713456789"), &at); err != nil {
		fmt.Println(err)
		return
	}
	value, _ := json.Marshal(at)
	pointer, _ := json.Marshal(&at)
	fmt.Println(string(value), string(pointer))
	// Output: "2024-04-18T16:13:09Z" "2024-04-18T16:13:09Z"
}

func ExampleNewAttributes() {
	set := libpf.NewAttributes(
		libpf.StringAttr("thread.name", "worker"),
		libpf.IntAttr("cpu.logical_number", 3),
		libpf.IntAttr("heap.size", 1024).In("By"),
	)
	for attribute := range set.All() {
		fmt.Printf("%s [%s]\n", attribute.Key, attribute.Unit)
	}
	fmt.Println(set == set.With(libpf.IntAttr("cpu.logical_number", 3)))
	// Output:
	// cpu.logical_number []
	// heap.size [By]
	// thread.name []
	// true
}
