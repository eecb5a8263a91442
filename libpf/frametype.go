package libpf

import "strconv"

// FrameType says which interpreter or runtime a frame belongs to. Bit 0x80 marks
// a frame that could not be unwound. The values up to DotnetFrame and that of
// AbortFrame are those that profilers use; the newer ones they number
// differently from version to version.
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
	// AbortFrame ends a stack that could not be followed to its root.
	AbortFrame FrameType = 0xff

	errorBit FrameType = 0x80

	abortMarker = "abort-marker"
)

// frameTypes holds, by type, the name of the documented API and the value of
// the attribute profile.frame.type (semantic conventions, "Profiles").
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

// String returns the type's name, "<name>-error" for one with the error bit.
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

// Attribute returns the value of the attribute profile.frame.type. It does not
// tell frames with the error bit from others.
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

// Error returns the type with the error bit: a frame of this kind that could not
// be unwound.
func (t FrameType) Error() FrameType { return t | errorBit }

// IsError says whether the type has the error bit. AbortFrame has it.
func (t FrameType) IsError() bool { return t&errorBit != 0 }

// IsInterpType says whether frames of the type belong to an interpreter or a
// runtime that knows its own functions, not to a native program or the kernel.
func (t FrameType) IsInterpType() bool {
	switch base, _ := t.base(); base {
	case UnknownFrame, NativeFrame, KernelFrame:
		return false
	}
	return true
}
