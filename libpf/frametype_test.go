package libpf_test

import (
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

func TestFrameTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		frameType       libpf.FrameType
		value           int
		name, attribute string
		interpreted     bool
	}{
		{libpf.UnknownFrame, 0, "unknown", "unknown", false},
		{libpf.PythonFrame, 1, "python", "cpython", true},
		{libpf.PHPFrame, 2, "php", "php", true},
		{libpf.NativeFrame, 3, "native", "native", false},
		{libpf.KernelFrame, 4, "kernel", "kernel", false},
		{libpf.HotSpotFrame, 5, "jvm", "jvm", true},
		{libpf.RubyFrame, 6, "ruby", "ruby", true},
		{libpf.PerlFrame, 7, "perl", "perl", true},
		{libpf.V8Frame, 8, "v8", "v8js", true},
		{libpf.PHPJITFrame, 9, "phpjit", "php", true},
		{libpf.DotnetFrame, 10, "dotnet", "dotnet", true},
		{libpf.LuaJITFrame, 11, "luajit", "luajit", true},
		{libpf.BEAMFrame, 12, "beam", "beam", true},
		{libpf.GoFrame, 13, "go", "go", true},
		{libpf.GoFrame + 1, 14, "unknown(14)", "unknown", false},
		{-1, -1, "unknown(-1)", "unknown", false},
		{0x103, 0x103, "unknown(259)", "unknown", false},
	} {
		ty := c.frameType
		if int(ty) != c.value || ty.String() != c.name || ty.Attribute() != c.attribute || ty.IsInterpType() != c.interpreted {
			t.Errorf("%d: String %s, Attribute %s, IsInterpType %v; want %d, %s, %s, %v", int(ty), ty, ty.Attribute(), ty.IsInterpType(),
				c.value, c.name, c.attribute, c.interpreted)
		}
		if ty < 0 || ty > libpf.GoFrame {
			continue
		}
		bad := ty.Error()
		if int(bad) != c.value|0x80 || bad.String() != c.name+"-error" || bad.Attribute() != c.attribute || bad.IsInterpType() != c.interpreted {
			t.Errorf("%s with the error bit: %d, String %s, Attribute %s, IsInterpType %v", ty, int(bad), bad, bad.Attribute(), bad.IsInterpType())
		}
		if ty.IsError() || !bad.IsError() {
			t.Errorf("%s: IsError %v, with the error bit %v", ty, ty.IsError(), bad.IsError())
		}
	}
	abort := libpf.AbortFrame
	if int(abort) != 0xff || abort.String() != "abort-marker" || abort.Attribute() != "abort-marker" || !abort.IsError() || abort.IsInterpType() {
		t.Errorf("abort: %d, %s, %s, IsError %v, IsInterpType %v", int(abort), abort, abort.Attribute(), abort.IsError(), abort.IsInterpType())
	}
}
