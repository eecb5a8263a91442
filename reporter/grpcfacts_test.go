package reporter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// What may be asked for again is bounded: the newest entries of each type.
func TestFactsAreBounded(t *testing.T) {
	t.Parallel()
	c := unbounded()
	c.FramesForTracesMaxQueue = 3
	f := newFacts(c)
	for i := range 10 {
		f.trace(libpf.Trace{Hash: libpf.NewTraceHash(1, uint64(i%5))})
	}
	if len(f.traces.of) != 3 {
		t.Errorf("%d stacks are kept, want 3", len(f.traces.of))
	}
	for _, kept := range []uint64{2, 3, 4} {
		if _, ok := f.traces.get(libpf.NewTraceHash(1, kept)); !ok {
			t.Errorf("stack %d is not kept, which is one of the newest", kept)
		}
	}
	for i := range 3 * collectionagentv1.MaxHostKeys {
		f.hostMetadata(map[string]string{fmt.Sprint("key", i): strings.Repeat("x", 2000)})
	}
	if n := len(f.host); n == 0 || f.hostBytes > maxHostFacts || n > collectionagentv1.MaxHostKeys {
		t.Errorf("%d entries of host metadata with %d bytes are kept", n, f.hostBytes)
	}
	answer := &collectionagentv1.ReportResponse{UnknownInstance: true, UnknownTraces: [][]byte{{1, 2}, nil}}
	for i := range 2 * collectionagentv1.MaxUnknownTraces {
		answer.UnknownTraces = append(answer.UnknownTraces, libpf.NewTraceHash(2, uint64(i)).Bytes())
	}
	f.answered(answer)
	if len(f.wanted) != collectionagentv1.MaxUnknownTraces || !f.hosts {
		t.Errorf("%d stacks are wanted", len(f.wanted))
	}
}

// An empty path does not replace a known one, as at the agent.
func TestFactsOfAFrame(t *testing.T) {
	t.Parallel()
	f := newFacts(unbounded())
	f.frame(libpf.FrameMetadata{AddressOrLine: 7, FunctionName: "f", Filename: "f.go"})
	f.frame(libpf.FrameMetadata{AddressOrLine: 7, FunctionName: "g"})
	got, _ := f.frames.get(libpf.NewFrameID(libpf.FileID{}, 7))
	if got.FunctionName != "g" || got.Filename != "f.go" {
		t.Errorf("got %+v", got)
	}
}
