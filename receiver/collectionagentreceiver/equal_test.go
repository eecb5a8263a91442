package collectionagentreceiver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// script is a profiler's life: calls in the order in which it makes them. A frame
// has one name in all of them, since of two the last one counts.
type script []func(reporter.Reporter)

const firstSecond = 1_713_456_000

// makeScript makes stacks of all kinds, with all, some or none of what is known
// of their frames, and counts of them in several pods.
func makeScript(rnd *rand.Rand, stacks, counts int) (s script) {
	file := func(n int) libpf.FileID { return libpf.NewFileID(0x77efa716a912a492+uint64(n), uint64(n)) }
	kinds := []libpf.FrameType{libpf.NativeFrame, libpf.KernelFrame, libpf.PythonFrame, libpf.V8Frame, libpf.PythonFrame | 0x80, libpf.AbortFrame, libpf.UnknownFrame}
	s = append(s, func(r reporter.Reporter) {
		r.ReportHostMetadata(map[string]string{"host.name": "ants", "host.id": "17", "": "no key"})
	})
	for n := range 5 {
		s = append(s, func(r reporter.Reporter) {
			r.ExecutableMetadata(context.Background(), file(n), fmt.Sprintf("bin%d", n), strings.Repeat("ab", n))
		})
	}
	for n := range stacks {
		t := &libpf.Trace{}
		for range 1 + rnd.IntN(12) {
			kind, f, at := kinds[rnd.IntN(len(kinds))], file(rnd.IntN(7)), libpf.AddressOrLineno(rnd.IntN(40))
			t.AppendFrame(kind, f, at)
			if rnd.IntN(2) == 0 {
				s = append(s, func(r reporter.Reporter) {
					r.FrameMetadata(f, at, libpf.SourceLineno(at+10), 3, fmt.Sprintf("f%d\xff", at), "file.py")
				})
			}
			if rnd.IntN(3) == 0 {
				s = append(s, func(r reporter.Reporter) {
					r.ReportFallbackSymbol(libpf.NewFrameID(f, at), fmt.Sprintf("sym%d_%d", f.Lo(), at))
				})
			}
		}
		t.Hash = libpf.NewTraceHash(5, uint64(n))
		s = append(s, func(r reporter.Reporter) { r.ReportFramesForTrace(t) })
	}
	for n := range counts {
		hash, stamp, pod := libpf.NewTraceHash(5, uint64(rnd.IntN(stacks))), firstSecond+n/10, fmt.Sprint("pod", rnd.IntN(3))
		s = append(s, func(r reporter.Reporter) {
			r.ReportCountForTrace(hash, libpf.UnixTime32(stamp), uint16(1+n%5), fmt.Sprint("comm", n%3), pod, "c")
		})
	}
	s = append(s, func(r reporter.Reporter) { r.ReportMetrics(firstSecond, []uint32{7, 8, 9}, []int64{-1, 2, 3}) })
	return s
}

func (s script) play(r reporter.Reporter) {
	for _, call := range s {
		call(r)
	}
}

// direct plays the script to an OTLPReporter of the same settings as the agent's.
func (s script) direct(t testing.TB, c Config) *testkit.Sink {
	t.Helper()
	sink := &testkit.Sink{}
	cfg := c.reporterConfig()
	cfg.Consumer = sink
	r, err := reporter.NewOTLP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.play(r)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for _, b := range sink.Requests(otlp.Profiles) {
		testkit.CheckProfiles(t, b)
	}
	return sink
}

func metricsOf(t testing.TB, sink *testkit.Sink) *colmetrics.ExportMetricsServiceRequest {
	t.Helper()
	all := &colmetrics.ExportMetricsServiceRequest{}
	for _, b := range sink.Requests(otlp.Metrics) {
		if err := proto.Unmarshal(b, all); err != nil { // adds up
			t.Fatal(err)
		}
	}
	return all
}

func compare(t testing.TB, want, got *testkit.Sink, counts int) {
	t.Helper()
	a, b := events(t, want.Requests(otlp.Profiles)), events(t, got.Requests(otlp.Profiles))
	if len(a) != 3*counts { // of 1 to 5, each with a time of its own
		t.Errorf("%d times of %d counts", len(a), counts)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the profiles differ (-want +got):\n%.4000s", diff)
	}
	if diff := cmp.Diff(metricsOf(t, want), metricsOf(t, got), protocmp.Transform()); diff != "" {
		t.Errorf("the metrics differ (-want +got):\n%s", diff)
	}
}

// The same events through both reporters give equal profiles and metrics.
func TestBothReportersEqual(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			const counts = 600
			s := makeScript(rand.New(rand.NewPCG(seed, 1)), 60, counts)
			want := s.direct(t, testConfig())
			r := newRig(t, testConfig(), component.Settings{})
			g := r.reporter()
			s.play(g)
			g.Stop()
			r.end()
			compare(t, want, r.sink, counts)
			if n := r.sink.Items(otlp.Metrics); n != 2 {
				t.Errorf("%d data points, want those of ids 7 and 8", n)
			}
		})
	}
}

// requests turns a script into the requests that a reporter makes of it.
func (s script) requests(t testing.TB) []*collectionagentv1.ReportRequest {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{}
	server := grpc.NewServer()
	collectionagentv1.RegisterCollectionAgentServer(server, c)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	defer serving.Wait()
	defer server.Stop()
	g := startReporter(t, l.Addr().String())
	s.play(g)
	g.Stop()
	return c.all
}

// collector keeps requests.
type collector struct {
	collectionagentv1.UnimplementedCollectionAgentServer
	mu  sync.Mutex
	all []*collectionagentv1.ReportRequest
}

func (c *collector) Report(_ context.Context, q *collectionagentv1.ReportRequest) (*collectionagentv1.ReportResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, q)
	return &collectionagentv1.ReportResponse{}, nil
}

// Requests that come in any order, twice, at once and much later make the same
// profiles as in their own order.
func TestAnyOrderAnyNumberOfTimes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			const counts = 400
			rnd := rand.New(rand.NewPCG(seed, 2))
			s := makeScript(rnd, 40, counts)
			want := s.direct(t, testConfig())
			requests := s.requests(t)
			requests = append(requests, requests...)
			requests = append(requests, requests[:len(requests)/3]...)
			rnd.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })

			r := newRig(t, testConfig(), component.Settings{})
			var senders sync.WaitGroup
			for w := range 4 {
				client := r.client()
				senders.Go(func() {
					for i := w; i < len(requests); i += 4 {
						if _, err := client.Report(t.Context(), requests[i]); err != nil {
							t.Error(err)
						}
					}
				})
			}
			senders.Wait()
			r.end()
			compare(t, want, r.sink, counts)
		})
	}
}
