package join

import (
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

// A symbol that never comes delays the stacks that want it once.
func TestGiveUp(t *testing.T) {
	j := New(Config{})
	script, hash, other := libpf.NewFileID(1, 1), libpf.NewTraceHash(1, 0), libpf.NewTraceHash(2, 0)
	trace := &libpf.Trace{Hash: hash}
	trace.AppendFrame(libpf.PythonFrame, script, 7)
	j.Trace(trace)
	if _, complete := j.Resolve(hash); complete {
		t.Fatal("complete without its symbol")
	}
	j.GiveUp(hash)
	j.GiveUp(libpf.NewTraceHash(9, 9)) // unknown
	if _, complete := j.Resolve(hash); !complete {
		t.Error("given up, and waited for again")
	}
	trace.Hash = other
	trace.AppendFrame(libpf.AbortFrame, libpf.FileID{}, 0)
	j.Trace(trace)
	if _, complete := j.Resolve(other); !complete {
		t.Error("another stack waits for what was given up")
	}
	j.Frame(script, 7, 3, 0, "late", "late.py")
	if frames, complete := j.Resolve(hash); !complete || frames[0].Value().FunctionName != "late" {
		t.Errorf("a late symbol is not taken: %+v", frames[0].Value())
	}
}
