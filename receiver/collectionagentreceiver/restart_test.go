package collectionagentreceiver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter"
)

// knownTraces is how many stacks are reported once and counted before and after a
// restart of the agent.
const knownTraces = 120

func restartHash(i int) libpf.TraceHash { return libpf.NewTraceHash(7, uint64(i+1)) }

// reportKnown reports what a profiler reports once.
func reportKnown(t *testing.T, out *reporter.GRPCReporter) {
	out.ReportHostMetadata(map[string]string{"host.name": "h17"})
	file := libpf.NewFileID(1, 2)
	out.ExecutableMetadata(t.Context(), file, "shop", "abcd")
	for i := range knownTraces {
		trace := &libpf.Trace{Hash: restartHash(i)}
		for k := range 3 {
			address := libpf.AddressOrLineno(100*i + k)
			trace.AppendFrame(libpf.NativeFrame, file, address)
			if k == 0 {
				out.ReportFallbackSymbol(libpf.NewFrameID(file, address), fmt.Sprintf("fallback%d", i))
			} else {
				out.FrameMetadata(file, address, 1, 0, fmt.Sprintf("f%d", 100*i+k), "shop.go")
			}
		}
		out.ReportFramesForTrace(trace)
	}
}

func countKnown(out *reporter.GRPCReporter) {
	for i := range knownTraces {
		out.ReportCountForTrace(restartHash(i), 1_700_000_000, 1, "worker", "", "")
	}
}

// stacksOf returns how many samples have which functions, and the requests' text.
func stacksOf(t *testing.T, requests [][]byte) (stacks map[string]int64, text string) {
	t.Helper()
	stacks = map[string]int64{}
	for _, request := range requests {
		text += string(request)
		list, err := pprofconv.ToPprof(request)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			for _, s := range n.Profile.Sample {
				var names []string
				for _, l := range s.Location {
					for _, line := range l.Line {
						names = append(names, line.Function.Name)
					}
				}
				stacks[strings.Join(names, "<")] += s.Value[0]
			}
		}
	}
	return stacks, text
}

// After a restart an agent asks for the stacks that it does not have, and gets them with
// all that is known of them.
func TestARestartedAgentAsksForStacks(t *testing.T) {
	t.Parallel()
	c := testConfig()
	first := newRig(t, c, component.Settings{})
	out := startReporter(t, first.addr())
	reportKnown(t, out)
	countKnown(out)
	testkit.Eventually(t, "the first agent has all", func() bool { return out.Stats().CountsForTraces.Acknowledged == knownTraces })
	c.Endpoint = first.addr()
	first.end()
	before, _ := stacksOf(t, first.sink.Requests(otlp.Profiles))

	second := newRig(t, c, component.Settings{})
	countKnown(out)
	testkit.Eventually(t, "the second agent has the counts", func() bool { return out.Stats().CountsForTraces.Acknowledged == 2*knownTraces })
	testkit.Eventually(t, "the second agent has asked", func() bool { return out.Stats().SentAgain >= knownTraces })
	out.Stop() // all that was asked for is sent
	second.end()
	after, text := stacksOf(t, second.sink.Requests(otlp.Profiles))
	if len(before) != knownTraces || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before the restart %d stacks, after it %d: %v", len(before), len(after), after)
	}
	if !strings.Contains(text, "h17") || !strings.Contains(text, "abcd") {
		t.Error("host metadata, or that of the executable, is not there after the restart")
	}
	if n := second.sessions().flow(otlp.Profiles); n.Acknowledged == 0 {
		t.Errorf("samples %+v", n)
	}
	if n := second.sessions().withoutStack(); n != 0 {
		t.Errorf("%d samples without a stack", n)
	}
}

// What nobody knows any more is counted.
func TestSamplesWithoutAStackAreCounted(t *testing.T) {
	t.Parallel()
	meter := testkit.NewMeter()
	c := testConfig()
	c.ReportInterval = 20 * time.Millisecond
	r := newRig(t, c, component.Settings{Meter: meter})
	out := r.reporter()
	countKnown(out)
	const name = "otelcol_receiver_without_stack_profile_samples"
	testkit.Eventually(t, "they are counted", func() bool { return meter.Sum(t, name, "receiver=collectionagent") == knownTraces })
	if n := out.Stats().SentAgain; n != 0 {
		t.Errorf("%d stacks that were never reported were sent again", n)
	}
	r.end()
}
