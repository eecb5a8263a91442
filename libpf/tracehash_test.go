package libpf_test

import (
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

func TestTraceHashVectors(t *testing.T) {
	t.Parallel()
	h := libpf.NewTraceHash(0x0001c03f8d6b8520, 0xedeaeea9460beebb)
	if got := h.String(); got != "0001c03f8d6b8520edeaeea9460beebb" {
		t.Errorf("String: %s", got)
	}
	dst := make([]byte, h.EncodedLen())
	h.EncodeTo(dst)
	if string(dst) != "AAHAP41rhSDt6u6pRgvuuw" || h.Base64() != string(dst) {
		t.Errorf("EncodeTo: %s, Base64: %s", dst, h.Base64())
	}
	if h.EncodedLen() != 22 || h.Hash32() != 0x460beebb {
		t.Errorf("EncodedLen %d, Hash32 %#x", h.EncodedLen(), h.Hash32())
	}
	for _, s := range []string{h.String(), "0x" + h.String(), h.ToUUIDString()} {
		if got, err := libpf.TraceHashFromString(s); err != nil || got != h {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	if got, err := libpf.TraceHashFromBytes(h.Bytes()); err != nil || got != h {
		t.Errorf("from bytes: %s, %v", got, err)
	}
	if _, err := libpf.TraceHashFromBytes(nil); err == nil || err.Error() != "trace hash from bytes: found 0 bytes, expected 16" {
		t.Errorf("from nil: %v", err)
	}
	if _, err := libpf.TraceHashFromString("0x1c03f8d6b8520edeaeea9460beebb"); err == nil ||
		!strings.HasPrefix(err.Error(), `trace hash "0x1c0`) || !strings.HasSuffix(err.Error(), "found 29 hexadecimal digits, expected 32") {
		t.Errorf("the form of earlier versions, without leading zeros: %v", err)
	}
}

// vectorTrace is the stack of the test vector of HashTrace.
func vectorTrace() *libpf.Trace {
	trace := &libpf.Trace{}
	trace.AppendFrame(libpf.NativeFrame, libpf.NewFileID(vectorHi, vectorLo), 0xe51c)
	trace.AppendFrame(libpf.PythonFrame, libpf.NewFileID(0x2a, 0x64), 7)
	return trace
}

func TestHashTrace(t *testing.T) {
	t.Parallel()
	if got := libpf.HashTrace(vectorTrace()).String(); got != "92905b4e3a06ab70ae756b81ed205cc0" {
		t.Errorf("two frames: %s", got)
	}
	if got := libpf.HashTrace(&libpf.Trace{}).String(); got != "6c62272e07bb014262b821756295c58d" {
		t.Errorf("no frames: %s", got)
	}

	// Documented: the types of frames and incomplete frames are ignored.
	other := vectorTrace()
	other.FrameTypes[1] = libpf.RubyFrame
	other.Files = append(other.Files, libpf.NewFileID(1, 2))
	if got, want := libpf.HashTrace(other), libpf.HashTrace(vectorTrace()); got != want {
		t.Errorf("another type and half a row: got %s, want %s", got, want)
	}
	other.Linenos = append(other.Linenos, 3)
	if libpf.HashTrace(other) == libpf.HashTrace(vectorTrace()) {
		t.Error("a third frame does not change the hash")
	}

	// All widths of the decimal number, against the definition.
	long, h := &libpf.Trace{}, fnv.New128a()
	for line, width := uint64(math.MaxUint64), 20; width > 0; line, width = line/10, width-1 {
		file := libpf.NewFileID(line*3, line*5)
		long.AppendFrame(libpf.V8Frame, file, libpf.AddressOrLineno(line))
		h.Write(append(file.Bytes(), strconv.FormatUint(line, 10)...))
	}
	want, err := libpf.TraceHashFromBytes(h.Sum(nil))
	if got := libpf.HashTrace(long); err != nil || got != want {
		t.Errorf("numbers of 20 digits to 1: got %s, want %s (%v)", got, want, err)
	}
}
