package collectionagentreceiver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is a running collection agent with a sink behind it.
type rig struct {
	*Receiver
	t    testing.TB
	sink *testkit.Sink
	logs *testkit.Log
}

// testConfig listens on a free port and passes on at Shutdown only.
func testConfig() Config {
	c := DefaultConfig()
	c.Endpoint, c.ReportInterval, c.MetricsInterval = "127.0.0.1:0", time.Hour, time.Hour
	c.SamplesPerSecond = 20
	c.Metrics = map[uint32]MetricConfig{7: {Name: "profiler.cpu", Unit: "s", Kind: "counter"}, 8: {Name: "profiler.memory", Unit: "By"}}
	return c
}

func newRig(t testing.TB, c Config, set component.Settings, signals ...otlp.Signal) *rig {
	t.Helper()
	r := makeRig(t, c, set, signals...)
	r.start()
	return r
}

// makeRig makes an agent that is not started yet.
func makeRig(t testing.TB, c Config, set component.Settings, signals ...otlp.Signal) *rig {
	t.Helper()
	r := &rig{t: t, sink: &testkit.Sink{}, logs: &testkit.Log{}}
	if len(signals) == 0 {
		signals = []otlp.Signal{otlp.Profiles, otlp.Metrics}
	}
	set.ID, set.Logger = "collectionagent", r.logs.Logger()
	var err error
	if r.Receiver, err = New(c, set); err != nil {
		t.Fatal(err)
	}
	for _, s := range signals {
		if err := r.Register(s, r.sink); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) start() {
	r.t.Helper()
	if err := r.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.end() })
}

func (r *rig) sessions() *sessions { return r.agent.Load().sessions }

// end shuts the agent down and looks at every profile that it made.
func (r *rig) end() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		r.t.Error(err)
	}
	for _, b := range r.sink.Requests(otlp.Profiles) {
		testkit.CheckProfiles(r.t, b)
		testkit.CheckBackends(r.t, b)
	}
}

func (r *rig) addr() string { return r.Addr().String() }

// client returns a client that sends requests as they are.
func (r *rig) client(options ...grpc.DialOption) collectionagentv1.CollectionAgentClient {
	r.t.Helper()
	conn, err := grpc.NewClient(r.addr(), append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return collectionagentv1.NewCollectionAgentClient(conn)
}

// times are a reporter's, short.
type times struct{}

func (times) ReportInterval() time.Duration         { return 20 * time.Millisecond }
func (times) ReportMetricsInterval() time.Duration  { return 20 * time.Millisecond }
func (times) GRPCConnectionTimeout() time.Duration  { return 5 * time.Second }
func (times) GRPCOperationTimeout() time.Duration   { return 5 * time.Second }
func (times) GRPCStartupBackoffTime() time.Duration { return 10 * time.Millisecond }
func (times) GRPCAuthErrorDelay() time.Duration     { return 20 * time.Millisecond }

// reporter starts one that sends to the agent.
func (r *rig) reporter() *reporter.GRPCReporter {
	r.t.Helper()
	return startReporter(r.t, r.addr())
}

func startReporter(t testing.TB, addr string) *reporter.GRPCReporter {
	t.Helper()
	const most = 1 << 16
	out, err := reporter.Start(t.Context(), &reporter.Config{
		CollAgentAddr: addr, DisableTLS: true, Times: times{}, MaxRPCMsgSize: 4096,
		ExecMetadataMaxQueue: most, CountsForTracesMaxQueue: most, MetricsMaxQueue: most, FramesForTracesMaxQueue: most,
		FrameMetadataMaxQueue: most, HostMetadataMaxQueue: most, FallbackSymbolsMaxQueue: most,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Stop)
	return out
}

// events returns what requests of profiles say, a line for each event: everything
// that the sample refers to, its number (-1: it has none) and its time. Two lists of
// requests say the same if their lines are the same, however they were cut and
// wherever their tables have what.
func events(t testing.TB, requests [][]byte) (lines []string) {
	t.Helper()
	for _, s := range testkit.ProfileSamples(t, requests...) {
		for i := range max(len(s.Values), len(s.Times)) {
			value, stamp := int64(-1), uint64(0)
			if i < len(s.Values) {
				value = s.Values[i]
			}
			if i < len(s.Times) {
				stamp = s.Times[i]
			}
			lines = append(lines, fmt.Sprintf("%s | %d at %d", s.Key(), value, stamp))
		}
	}
	slices.Sort(lines)
	return lines
}

func insecureCreds() credentials.TransportCredentials { return insecure.NewCredentials() }

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
