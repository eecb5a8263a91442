package libpf

import "strconv"

// FrameType says which interpreter or runtime a frame belongs to. The values up
// to PHPJITFrame and AbortFrame are those of the documented API; bit 0x80 marks a
// frame that could not be unwound.
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
	if t == AbortFrame {
		return "abort-marker"
	}
	suffix := ""
	if t.IsError() {
		suffix = "-error"
	}
	if base := t &^ errorBit; base >= 0 && int(base) < len(frameTypes) {
		return frameTypes[base].name + suffix
	}
	return "unknown(" + strconv.Itoa(int(t)) + ")"
}

// Attribute returns the value of the attribute profile.frame.type.
func (t FrameType) Attribute() string {
	if t == AbortFrame {
		return "abort-marker"
	}
	if base := t &^ errorBit; base >= 0 && int(base) < len(frameTypes) {
		return frameTypes[base].attribute
	}
	return frameTypes[UnknownFrame].attribute
}

// IsError says whether the type has the error bit.
func (t FrameType) IsError() bool { return t != AbortFrame && t&errorBit != 0 }

// IsInterpType says whether frames of the type belong to an interpreter or a
// runtime that knows its own functions, not to a native program or the kernel.
func (t FrameType) IsInterpType() bool {
	switch t &^ errorBit {
	case UnknownFrame, NativeFrame, KernelFrame:
		return false
	}
	return t != AbortFrame
}
