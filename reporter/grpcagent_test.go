package reporter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// agent is a collection agent that answers as the test wants and keeps what it takes,
// each number once.
type agent struct {
	collectionagentv1.UnimplementedCollectionAgentServer
	addr string

	// answer is asked about each request before it is kept, with how often this
	// number has come; nil keeps all. after is asked when it was.
	answer func(ctx context.Context, q *collectionagentv1.ReportRequest, try int) error
	after  func(ctx context.Context, q *collectionagentv1.ReportRequest, try int) error

	mu       sync.Mutex
	tries    map[uint64]int
	kept     map[uint64]bool
	requests []*collectionagentv1.ReportRequest // kept, without repetitions
	changed  chan struct{}

	server  *grpc.Server
	serving sync.WaitGroup
}

func newAgent() *agent {
	return &agent{tries: map[uint64]int{}, kept: map[uint64]bool{}, changed: make(chan struct{}, 1)}
}

// listen serves on addr, or on a free port if that is empty.
func (a *agent) listen(t testing.TB, addr string, wrap func(net.Listener) net.Listener, options ...grpc.ServerOption) *agent {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	a.addr = l.Addr().String()
	if wrap != nil {
		l = wrap(l)
	}
	a.server = grpc.NewServer(options...)
	collectionagentv1.RegisterCollectionAgentServer(a.server, a)
	server := a.server
	a.serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(a.down)
	return a
}

// down ends the server. listen may follow.
func (a *agent) down() {
	a.server.Stop()
	a.serving.Wait()
}

func (a *agent) Report(ctx context.Context, q *collectionagentv1.ReportRequest) (*collectionagentv1.ReportResponse, error) {
	a.mu.Lock()
	a.tries[q.Sequence]++
	try := a.tries[q.Sequence]
	a.mu.Unlock()
	if a.answer != nil {
		if err := a.answer(ctx, q, try); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	if !a.kept[q.Sequence] {
		a.kept[q.Sequence] = true
		a.requests = append(a.requests, proto.Clone(q).(*collectionagentv1.ReportRequest))
	}
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
	if a.after != nil {
		if err := a.after(ctx, q, try); err != nil {
			return nil, err
		}
	}
	return &collectionagentv1.ReportResponse{}, nil
}

func (a *agent) all() []*collectionagentv1.ReportRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*collectionagentv1.ReportRequest(nil), a.requests...)
}

// stamps returns the timestamps of all counts in order of arrival. Tests give
// each count its own.
func (a *agent) stamps() (all []uint32) {
	for _, q := range a.all() {
		for _, c := range q.Counts {
			all = append(all, c.Timestamp)
		}
	}
	return all
}

// triesOf returns how often number n came.
func (a *agent) triesOf(n uint64) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tries[n]
}

// testTimes are short.
type testTimes struct {
	report, metrics, connection, operation, startup, auth time.Duration
}

func (t testTimes) ReportInterval() time.Duration         { return t.report }
func (t testTimes) ReportMetricsInterval() time.Duration  { return t.metrics }
func (t testTimes) GRPCConnectionTimeout() time.Duration  { return t.connection }
func (t testTimes) GRPCOperationTimeout() time.Duration   { return t.operation }
func (t testTimes) GRPCStartupBackoffTime() time.Duration { return t.startup }
func (t testTimes) GRPCAuthErrorDelay() time.Duration     { return t.auth }

func quickTimes() testTimes {
	return testTimes{
		report: 8 * time.Millisecond, metrics: 8 * time.Millisecond, connection: 5 * time.Second, operation: 5 * time.Second,
		startup: 5 * time.Millisecond, auth: 20 * time.Millisecond,
	}
}

func testConfig(addr string) *Config {
	return &Config{
		CollAgentAddr: addr, DisableTLS: true, MaxGRPCRetries: 3, Times: quickTimes(),
		ExecMetadataMaxQueue: 1024, CountsForTracesMaxQueue: 1024, MetricsMaxQueue: 1024, FramesForTracesMaxQueue: 1024,
		FrameMetadataMaxQueue: 1024, HostMetadataMaxQueue: 16, FallbackSymbolsMaxQueue: 1024,
	}
}

// leakFree fails the test if it leaves a goroutine behind. Call it first.
func leakFree(t testing.TB) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}

// startGRPC starts a reporter that the test stops, with its log.
func startGRPC(t testing.TB, c *Config) (*GRPCReporter, *testkit.Log) {
	t.Helper()
	log := &testkit.Log{}
	r, err := startWith(t.Context(), c, config.ClientTLS{}, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r, log
}

// checkEquation reports whether each type's account adds up.
func checkEquation(t testing.TB, s GRPCStats) {
	t.Helper()
	for name, q := range map[string]QueueStats{
		"counts": s.CountsForTraces, "executables": s.ExeMetadata, "frames": s.FrameMetadata, "traces": s.FramesForTraces,
		"hosts": s.HostMetadata, "metrics": s.Metrics, "symbols": s.FallbackSymbols,
	} {
		if q.Reported != q.Acknowledged+q.Queued+q.Overwritten+q.Dropped {
			t.Errorf("%s: %+v does not add up", name, q)
		}
	}
}

// count reports one sample with a timestamp of its own.
func count(r *GRPCReporter, stamp int) {
	r.ReportCountForTrace(libpf.NewTraceHash(1, uint64(stamp%7)), libpf.UnixTime32(stamp), 1, "comm", "pod", "container")
}

// breaker is a listener that resets each new connection after so many bytes were
// read of it, if that is not 0.
type breaker struct {
	net.Listener
	after atomic.Int64
}

func newBreaker(l net.Listener) *breaker { return &breaker{Listener: l} }

func (b *breaker) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &brittle{Conn: c, left: b.after.Load()}, nil
}

type brittle struct {
	net.Conn
	left int64 // bytes; 0: forever
}

var errBroken = errors.New("reset by the test")

func (c *brittle) Read(p []byte) (int, error) {
	if c.left == 0 {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	if c.left -= int64(n); c.left == 0 {
		_ = c.Conn.(*net.TCPConn).SetLinger(0) // a reset, not an orderly end
		c.Conn.Close()
		return 0, errBroken
	}
	return n, err
}

func describe(q *collectionagentv1.ReportRequest) string {
	return fmt.Sprintf("traces %d counts %d frames %d executables %d symbols %d hosts %d metrics %d", len(q.Traces), len(q.Counts),
		len(q.Frames), len(q.Executables), len(q.Symbols), len(q.Hosts), len(q.Metrics))
}
