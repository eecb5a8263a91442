package libpf

import "strconv"

// FrameType is the interpreter or runtime of a frame. Bit 0x80 marks a frame that
// could not be unwound. AbortFrame and the values up to DotnetFrame are those of other
// profilers; the numbers of the newer types differ between their versions.
type FrameType int

// The frame types.
const (
	UnknownFrame FrameType = 0
	PythonFrame  FrameType = 1
	PHPFrame     FrameType = 2
	NativeFrame  FrameType = 3
	KernelFrame  FrameType = 4
	HotSpotFrame FrameType = 5
	RubyFrame    FrameType = 6
	PerlFrame    FrameType = 7
	V8Frame      FrameType = 8
	PHPJITFrame  FrameType = 9
	DotnetFrame  FrameType = 10
	LuaJITFrame  FrameType = 11
	BEAMFrame    FrameType = 12
	GoFrame      FrameType = 13
	// AbortFrame ends a stack that could not be unwound to its root.
	AbortFrame FrameType = 0xff

	errorBit FrameType = 0x80

	abortMarker = "abort-marker"
)

// frameTypes holds for each type the name in the documented API and the value of the
// attribute profile.frame.type (semantic conventions, "Profiles").
var frameTypes = [...]struct{ name, attribute string }{
	UnknownFrame: {"unknown", "unknown"},
	PythonFrame:  {"python", "cpython"},
	PHPFrame:     {"php", "php"},
	NativeFrame:  {"native", "native"},
	KernelFrame:  {"kernel", "kernel"},
	HotSpotFrame: {"jvm", "jvm"},
	RubyFrame:    {"ruby", "ruby"},
	PerlFrame:    {"perl", "perl"},
	V8Frame:      {"v8", "v8js"},
	PHPJITFrame:  {"phpjit", "php"},
	DotnetFrame:  {"dotnet", "dotnet"},
	LuaJITFrame:  {"luajit", "luajit"},
	BEAMFrame:    {"beam", "beam"},
	GoFrame:      {"go", "go"},
}

// String returns the name of the type, or "<name>-error" if it has the error bit.
func (t FrameType) String() string {
	base, known := t.base()
	switch {
	case t == AbortFrame:
		return abortMarker
	case !known:
		return "unknown(" + strconv.Itoa(int(t)) + ")"
	case t.IsError():
		return frameTypes[base].name + "-error"
	}
	return frameTypes[base].name
}

// Attribute returns the value of the attribute profile.frame.type, which does not
// depend on the error bit.
func (t FrameType) Attribute() string {
	if t == AbortFrame {
		return abortMarker
	}
	base, _ := t.base()
	return frameTypes[base].attribute
}

// base returns the type without the error bit, UnknownFrame if it has no name.
func (t FrameType) base() (base FrameType, known bool) {
	if base = t &^ errorBit; base >= 0 && int(base) < len(frameTypes) {
		return base, true
	}
	return UnknownFrame, false
}

// Error returns the type with the error bit: a frame of this type that could not be
// unwound.
func (t FrameType) Error() FrameType { return t | errorBit }

// IsError reports whether the type has the error bit. AbortFrame has it.
func (t FrameType) IsError() bool { return t&errorBit != 0 }

// IsInterpType reports whether the type is an interpreter or a runtime, which knows its
// functions, and not native code or the kernel.
func (t FrameType) IsInterpType() bool {
	switch base, _ := t.base(); base {
	case UnknownFrame, NativeFrame, KernelFrame:
		return false
	}
	return true
}
