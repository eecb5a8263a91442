package reporter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/libpf"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// Every method and every field arrives as it was reported.
func TestGRPCEverythingArrives(t *testing.T) {
	leakFree(t)
	a := newAgent().listen(t, "", nil)
	r, _ := startGRPC(t, testConfig(a.addr))
	file, hash := libpf.NewFileID(0x77efa716a912a492, 0x17445787329fd29a), libpf.NewTraceHash(1, 2)
	trace := &libpf.Trace{Hash: hash}
	trace.AppendFrame(libpf.PythonFrame, file, 7)
	trace.AppendFrame(libpf.AbortFrame, libpf.NewFileID(3, 4), 1<<63)
	r.ReportFramesForTrace(trace)
	trace.Linenos[0] = 99 // the caller's again
	r.ReportCountForTrace(hash, 1713456789, 65535, "comm\xff", "pod", "container")
	r.ReportFallbackSymbol(libpf.NewFrameID(file, 5), "do_sys_open")
	r.ExecutableMetadata(context.Background(), file, "python3", "abcd")
	r.FrameMetadata(file, 7, 12, 3, "main", "/main.py")
	host := map[string]string{"host.name": "h", "k": "v"}
	r.ReportHostMetadata(host)
	host["k"] = "changed"
	ids, values := []uint32{1, 2}, []int64{-5, 6}
	r.ReportMetrics(1713456790, ids, values)
	ids[0], values[0] = 9, 9
	testkit.Eventually(t, "all seven have come", func() bool { return len(a.all()) == 7 })

	got := &collectionagentv1.ReportRequest{}
	seen := map[uint64]bool{}
	for _, q := range a.all() {
		if f := q.Check(); f != nil {
			t.Error(f)
		}
		if seen[q.Sequence] {
			t.Errorf("number %d came twice", q.Sequence)
		}
		seen[q.Sequence] = true
		proto.Merge(got, q)
	}
	if stamp := time.Since(time.Unix(int64(got.Hosts[0].Timestamp), 0)); stamp < 0 || stamp > time.Minute {
		t.Errorf("the host's metadata is %s old", stamp)
	}
	h := file.Bytes()
	want := &collectionagentv1.ReportRequest{
		Traces: []*collectionagentv1.TraceFrames{{
			Hash: hash.Bytes(), FileIds: slices.Concat(h, libpf.NewFileID(3, 4).Bytes()), Addresses: []uint64{7, 1 << 63}, Types: []uint32{1, 255},
		}},
		Counts: []*collectionagentv1.TraceCount{{
			TraceHash: hash.Bytes(), Timestamp: 1713456789, Count: 65535, Comm: "comm\uFFFD", PodName: "pod", ContainerName: "container",
		}},
		Frames: []*collectionagentv1.FrameMetadata{{
			FileId: h, AddressOrLine: 7, LineNumber: 12, FunctionOffset: 3, FunctionName: "main", FilePath: "/main.py",
		}},
		Executables: []*collectionagentv1.ExecutableMetadata{{FileId: h, FileName: "python3", BuildId: "abcd"}},
		Symbols:     []*collectionagentv1.FallbackSymbol{{FileId: h, AddressOrLine: 5, Symbol: "do_sys_open"}},
		Hosts: []*collectionagentv1.HostMetadata{{
			Metadata: map[string]string{"host.name": "h", "k": "v"}, Timestamp: got.Hosts[0].Timestamp,
		}},
		Metrics: []*collectionagentv1.MetricValues{{Timestamp: 1713456790, Ids: []uint32{1, 2}, Values: []int64{-5, 6}}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "instance_id", "sequence")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.Stop()
	s := r.Stats()
	checkEquation(t, s)
	for name, q := range map[string]QueueStats{"hosts": s.HostMetadata, "metrics": s.Metrics, "counts": s.CountsForTraces} {
		if want := (QueueStats{Reported: 1, Acknowledged: 1}); q != want {
			t.Errorf("%s: %+v", name, q)
		}
	}
	checkTraffic(t, r.GetMetrics(), a)
	if again := r.GetMetrics(); again != (Metrics{}) {
		t.Errorf("the counters are not those since the last call: %+v", again)
	}
}

func checkTraffic(t *testing.T, m Metrics, a *agent) {
	t.Helper()
	out := 0
	for _, q := range a.all() {
		out += proto.Size(q)
	}
	n := len(a.all())
	if want := (Metrics{RPCBytesOutCount: int64(out), WireBytesOutCount: int64(out + 5*n), WireBytesInCount: int64(5 * n)}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

func TestGRPCConfigErrors(t *testing.T) {
	leakFree(t)
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no times":       {func(c *Config) { c.Times = nil }, "Config.Times"},
		"spool":          {func(c *Config) { c.SpoolDir = "/spool" }, `Config.SpoolDir: expected none, found "/spool"`},
		"message size":   {func(c *Config) { c.MaxRPCMsgSize = 5 }, "Config.MaxRPCMsgSize: expected 0 or at least 1024, found 5"},
		"interval":       {func(c *Config) { c.Times = testTimes{} }, "Config.Times.ReportInterval: expected more than 0, found 0s"},
		"address":        {func(c *Config) { c.CollAgentAddr = "nohost" }, "Config.CollAgentAddr"},
		"tls on and off": {func(c *Config) { c.CollAgentAddr = "https://localhost:1" }, "Config.DisableTLS turns it off"},
		"executables":    {func(c *Config) { c.ExecMetadataMaxQueue = 0 }, "failed to setup queue for executable metadata: unsupported size of fifo: 0 (Config.ExecMetadataMaxQueue)"},
		"counts":         {func(c *Config) { c.CountsForTracesMaxQueue = 0 }, "unsupported size of fifo: 0 (Config.CountsForTracesMaxQueue)"},
		"metrics":        {func(c *Config) { c.MetricsMaxQueue = 0 }, "unsupported size of fifo: 0 (Config.MetricsMaxQueue)"},
		"traces":         {func(c *Config) { c.FramesForTracesMaxQueue = 0 }, "unsupported size of fifo: 0 (Config.FramesForTracesMaxQueue)"},
		"frames":         {func(c *Config) { c.FrameMetadataMaxQueue = 0 }, "unsupported size of fifo: 0 (Config.FrameMetadataMaxQueue)"},
		"hosts":          {func(c *Config) { c.HostMetadataMaxQueue = 0 }, "unsupported size of fifo: 0 (Config.HostMetadataMaxQueue)"},
		"symbols":        {func(c *Config) { c.FallbackSymbolsMaxQueue = 0 }, "unsupported size of fifo: 0 (Config.FallbackSymbolsMaxQueue)"},
	} {
		cfg := testConfig("127.0.0.1:1")
		c.change(cfg)
		if r, err := Start(t.Context(), cfg); r != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := Start(t.Context(), nil); err == nil {
		t.Error("a nil configuration is accepted")
	}
}

// What each answer makes of a request: it is sent again with its number until it
// is taken, or it is dropped.
func TestGRPCAnswers(t *testing.T) {
	leakFree(t)
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		t.Run(code.String(), func(t *testing.T) {
			a := newAgent()
			a.answer = func(_ context.Context, _ *collectionagentv1.ReportRequest, try int) error {
				if try <= 2 {
					return status.Error(code, "as told")
				}
				return nil
			}
			a.listen(t, "", nil)
			r, log := startGRPC(t, testConfig(a.addr))
			count(r, 1)
			want := QueueStats{Reported: 1, Acknowledged: 1}
			switch code {
			case codes.InvalidArgument, codes.Unimplemented, codes.Internal, codes.Unknown, codes.NotFound, codes.AlreadyExists, codes.ResourceExhausted:
				want = QueueStats{Reported: 1, Dropped: 1}
			}
			testkit.Eventually(t, "it is settled", func() bool { return r.Stats().CountsForTraces.Queued == 0 })
			if got := r.Stats().CountsForTraces; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if tries := a.triesOf(1); want.Acknowledged == 1 && tries != 3 || want.Dropped == 1 && tries != 1 {
				t.Errorf("number 1 came %d times", tries)
			}
			auth := code == codes.Unauthenticated || code == codes.PermissionDenied || code == codes.FailedPrecondition
			if got := r.Stats().AuthErrors; auth != (got == 2) {
				t.Errorf("%d authentication errors", got)
			}
			if code != codes.ResourceExhausted && (!strings.Contains(log.String(), code.String()) || !strings.Contains(log.String(), a.addr)) {
				t.Errorf("the log does not name %s from %s:\n%s", code, a.addr, log)
			}
		})
	}
}

// After an answer with RetryInfo the reporter waits, and does not make its requests smaller.
func TestGRPCRetryInfo(t *testing.T) {
	leakFree(t)
	a := newAgent()
	const delay = 150 * time.Millisecond
	var asked time.Time
	a.answer = func(_ context.Context, _ *collectionagentv1.ReportRequest, try int) error {
		if try == 1 {
			asked = time.Now()
			st, _ := status.New(codes.ResourceExhausted, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
			return st.Err()
		}
		if waited := time.Since(asked); waited < delay*8/10 {
			t.Errorf("it came again after %s", waited)
		}
		return nil
	}
	a.listen(t, "", nil)
	r, _ := startGRPC(t, testConfig(a.addr))
	count(r, 1)
	testkit.Eventually(t, "it has come", func() bool { return r.Stats().CountsForTraces.Acknowledged == 1 })
}

// Requests are at most as large as MaxRPCMsgSize and as the agent takes; all
// arrives, in order. Only an entry that does not fit alone is dropped.
func TestGRPCSplits(t *testing.T) {
	leakFree(t)
	const n, serverBytes = 900, 3000
	for name, most := range map[string]int{"by configuration": 2048, "by the agent": 0} {
		t.Run(name, func(t *testing.T) {
			a := newAgent().listen(t, "", nil, grpc.MaxRecvMsgSize(serverBytes))
			c := testConfig(a.addr)
			c.MaxRPCMsgSize = most
			r, log := startGRPC(t, c)
			for i := range n {
				if i == n/2 {
					r.ReportCountForTrace(libpf.TraceHash{}, 0, 1, strings.Repeat("x", serverBytes), "", "")
				}
				count(r, i+1)
			}
			testkit.Eventually(t, "all is settled", func() bool { return r.Stats().CountsForTraces.Queued == 0 })
			if want, got := (QueueStats{Reported: n + 1, Acknowledged: n, Dropped: 1}), r.Stats().CountsForTraces; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if !strings.Contains(log.String(), "an entry for the collection agent was dropped") {
				t.Errorf("nothing is said of the dropped entry:\n%s", log)
			}
			for i, stamp := range a.stamps() {
				if int(stamp) != i+1 {
					t.Fatalf("at %d came %d", i, stamp)
				}
			}
			for _, q := range a.all() {
				if size := proto.Size(q); most > 0 && size > most {
					t.Errorf("a request of %d bytes", size)
				}
			}
		})
	}
}

// An agent that called requests too large for a while costs what it refused, and
// no more.
func TestGRPCSplitsRecover(t *testing.T) {
	leakFree(t)
	a := newAgent()
	var tries atomic.Int64
	a.answer = func(context.Context, *collectionagentv1.ReportRequest, int) error {
		if tries.Add(1) <= 12 {
			return status.Error(codes.ResourceExhausted, "as told")
		}
		return nil
	}
	a.listen(t, "", nil)
	r, _ := startGRPC(t, testConfig(a.addr))
	for i := range 200 {
		count(r, i+1)
	}
	testkit.Eventually(t, "all is settled", func() bool { return r.Stats().CountsForTraces.Queued == 0 })
	s := r.Stats().CountsForTraces
	if s.Dropped == 0 || s.Dropped > 12 || s.Acknowledged != 200-s.Dropped {
		t.Errorf("%+v", s)
	}
	before := tries.Load()
	for i := range 200 {
		count(r, i+201)
	}
	testkit.Eventually(t, "all is taken", func() bool { return r.Stats().CountsForTraces.Acknowledged == 400-s.Dropped })
	if n := tries.Load() - before; n > 20 {
		t.Errorf("%d requests for 200 counts", n)
	}
}

// What the protocol has no room for is dropped alone, counted and logged.
func TestGRPCMalformedEntries(t *testing.T) {
	leakFree(t)
	a := newAgent().listen(t, "", nil)
	r, log := startGRPC(t, testConfig(a.addr))
	r.ReportMetrics(1, make([]uint32, collectionagentv1.MaxMetricValues+1), make([]int64, collectionagentv1.MaxMetricValues+1))
	r.ReportMetrics(2, []uint32{1, 2}, []int64{1}) // one pair and a half
	r.ReportFramesForTrace(nil)
	r.ReportFramesForTrace(&libpf.Trace{Files: make([]libpf.FileID, 1)})
	r.ReportFramesForTrace(&libpf.Trace{Files: make([]libpf.FileID, 1), Linenos: make([]libpf.AddressOrLineno, 1), FrameTypes: []libpf.FrameType{-1}})
	tooMany := map[string]string{}
	for i := range collectionagentv1.MaxHostKeys + 1 {
		tooMany[fmt.Sprint(i)] = ""
	}
	r.ReportHostMetadata(tooMany)
	r.ReportHostMetadata(map[string]string{"": "v", "k": "v"})
	r.ReportFallbackSymbol(libpf.FrameID{}, strings.Repeat("ü", collectionagentv1.MaxTextBytes))
	testkit.Eventually(t, "all is settled", func() bool {
		s := r.Stats()
		return s.Metrics.Queued+s.FramesForTraces.Queued+s.HostMetadata.Queued+s.FallbackSymbols.Queued == 0
	})
	s := r.Stats()
	checkEquation(t, s)
	if s.Metrics.Dropped != 1 || s.Metrics.Acknowledged != 1 || s.FramesForTraces.Dropped != 3 || s.HostMetadata.Dropped != 1 || s.HostMetadata.Acknowledged != 1 || s.FallbackSymbols.Acknowledged != 1 {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(log.String(), "an entry for the collection agent was dropped") {
		t.Errorf("nothing is said:\n%s", log)
	}
	for _, q := range a.all() {
		if f := q.Check(); f != nil {
			t.Error(f)
		}
	}
}

// While the agent is away all is kept up to the bounds, and comes in order when
// it is back. An answer that got lost does not make a second delivery.
func TestGRPCAgentComesBack(t *testing.T) {
	leakFree(t)
	a := newAgent()
	a.after = func(_ context.Context, _ *collectionagentv1.ReportRequest, try int) error {
		if try == 1 {
			return status.Error(codes.Unavailable, "the answer is lost")
		}
		return nil
	}
	a.listen(t, "", nil)
	r, _ := startGRPC(t, testConfig(a.addr))
	next := 1
	report := func(n int) {
		for range n {
			count(r, next)
			next++
		}
	}
	for range 3 {
		report(50)
		testkit.Eventually(t, "all is taken", func() bool { return r.Stats().CountsForTraces.Queued == 0 })
		a.down()
		report(50) // in flight, and later in the queue
		time.Sleep(5 * time.Millisecond)
		report(50)
		a.listen(t, a.addr, nil)
	}
	testkit.Eventually(t, "all is taken", func() bool { return r.Stats().CountsForTraces.Queued == 0 })
	stamps := a.stamps()
	if !slices.IsSorted(stamps) || len(stamps) != next-1 || len(slices.Compact(slices.Clone(stamps))) != next-1 {
		t.Errorf("reported 1 to %d, got %d: %v", next-1, len(stamps), stamps)
	}
	if got, n := r.Stats().CountsForTraces, uint64(next-1); got != (QueueStats{Reported: n, Acknowledged: n}) {
		t.Errorf("%+v", got)
	}
}

// Connections are reset in the middle of requests.
func TestGRPCResets(t *testing.T) {
	leakFree(t)
	a := newAgent()
	var b *breaker
	a.listen(t, "", func(l net.Listener) net.Listener { b = newBreaker(l); return b })
	b.after.Store(3000)
	r, _ := startGRPC(t, testConfig(a.addr))
	const n = 900
	for i := range n {
		count(r, i+1)
		if i%100 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		if i == 700 {
			b.after.Store(0)
		}
	}
	testkit.Eventually(t, "all is taken", func() bool { return r.Stats().CountsForTraces.Queued == 0 })
	if got := r.Stats().CountsForTraces; got != (QueueStats{Reported: n, Acknowledged: n}) {
		t.Errorf("%+v", got)
	}
	if stamps := a.stamps(); len(stamps) != n || !slices.IsSorted(stamps) {
		t.Errorf("%d came", len(stamps))
	}
}

// A slow agent is given up on after the operation timeout, and asked again.
func TestGRPCSlowAgent(t *testing.T) {
	leakFree(t)
	a := newAgent()
	a.after = func(ctx context.Context, _ *collectionagentv1.ReportRequest, try int) error {
		if try == 1 {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err() // the server's clock may be ahead of the client's
		}
		return nil
	}
	a.listen(t, "", nil)
	c := testConfig(a.addr)
	times := quickTimes()
	times.operation = 200 * time.Millisecond
	c.Times = times
	r, _ := startGRPC(t, c)
	count(r, 1)
	testkit.Eventually(t, "it is taken", func() bool { return r.Stats().CountsForTraces.Acknowledged == 1 })
	if tries := a.triesOf(1); tries < 2 || len(a.stamps()) != 1 {
		t.Errorf("%d tries, %v", tries, a.stamps())
	}
}

// A full queue overwrites its oldest entries, counts them, and says so once until
// it was emptied.
func TestGRPCOverwrites(t *testing.T) {
	leakFree(t)
	a := newAgent()
	hold := make(chan struct{})
	a.answer = func(ctx context.Context, _ *collectionagentv1.ReportRequest, _ int) error {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return nil
	}
	a.listen(t, "", nil)
	c := testConfig(a.addr)
	c.CountsForTracesMaxQueue = 10
	r, log := startGRPC(t, c)
	count(r, 1)
	testkit.Eventually(t, "it is in progress", func() bool { return a.triesOf(1) == 1 })
	for i := 2; i <= 11; i++ {
		count(r, i)
	}
	if strings.Contains(log.String(), "is full") {
		t.Errorf("a warning, though nothing is lost:\n%s", log)
	}
	for i := 12; i <= 15; i++ {
		count(r, i)
	}
	if n := strings.Count(log.String(), "is full"); n != 1 || !strings.Contains(log.String(), `queue="counts for traces"`) {
		t.Errorf("%d warnings:\n%s", n, log)
	}
	if m := r.GetMetrics(); m.CountsForTracesOverwriteCount != 4 {
		t.Errorf("%+v", m)
	}
	if m := r.GetMetrics(); m.CountsForTracesOverwriteCount != 0 {
		t.Errorf("not since the last call: %+v", m)
	}
	close(hold)
	testkit.Eventually(t, "all is taken", func() bool { return r.Stats().CountsForTraces.Queued == 0 })
	if want := []uint32{1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; !slices.Equal(a.stamps(), want) {
		t.Errorf("got %v, want %v", a.stamps(), want)
	}
	if got := r.Stats().CountsForTraces; got != (QueueStats{Reported: 15, Acknowledged: 11, Overwritten: 4}) {
		t.Errorf("%+v", got)
	}
}

// Stop sends what is queued, may be called twice and at once, and what is
// reported after it is counted as lost.
func TestGRPCStopFlushes(t *testing.T) {
	leakFree(t)
	a := newAgent().listen(t, "", nil)
	c := testConfig(a.addr)
	times := quickTimes()
	times.report, times.metrics = time.Hour, time.Hour
	c.Times = times
	r, _ := startGRPC(t, c)
	count(r, 1)
	r.ReportMetrics(1, []uint32{1}, []int64{1})
	var stops sync.WaitGroup
	for range 3 {
		stops.Go(r.Stop)
	}
	stops.Wait()
	count(r, 2)
	r.ReportFramesForTrace(&libpf.Trace{})
	s := r.Stats()
	checkEquation(t, s)
	if s.CountsForTraces != (QueueStats{Reported: 2, Acknowledged: 1, Overwritten: 1}) || s.Metrics.Acknowledged != 1 {
		t.Errorf("%+v", s)
	}
	if m := r.GetMetrics(); m.CountsForTracesOverwriteCount != 1 || m.FramesForTracesOverwriteCount != 1 {
		t.Errorf("%+v", m)
	}
	if err := r.ReportHostMetadataBlocking(t.Context(), map[string]string{"k": "v"}, 5, time.Hour); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("blocking after Stop: %v", err)
	}
}

// With the agent away Stop gives up in time, and what is left is dropped.
func TestGRPCStopGivesUp(t *testing.T) {
	leakFree(t)
	for name, answer := range map[string]error{
		"away": status.Error(codes.Unavailable, "no"), "auth": status.Error(codes.Unauthenticated, "no"),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAgent()
			a.answer = func(context.Context, *collectionagentv1.ReportRequest, int) error { return answer }
			a.listen(t, "", nil)
			c := testConfig(a.addr)
			times := quickTimes()
			times.operation, times.auth = 300*time.Millisecond, time.Hour
			c.Times = times
			r, log := startGRPC(t, c)
			count(r, 1)
			testkit.Eventually(t, "it is in progress", func() bool { return a.triesOf(1) > 0 })
			count(r, 2)
			r.Stop()
			if got := r.Stats().CountsForTraces; got != (QueueStats{Reported: 2, Dropped: 2}) {
				t.Errorf("%+v", got)
			}
			if !strings.Contains(log.String(), "entries=2") {
				t.Errorf("nothing is said of what is lost:\n%s", log)
			}
		})
	}
}

// The equation holds whatever the agent does, with Stop at any moment.
func TestGRPCEquation(t *testing.T) {
	leakFree(t)
	for seed := range 6 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 0))
			var mu sync.Mutex
			dice := func(n int) int { mu.Lock(); defer mu.Unlock(); return rnd.IntN(n) }
			trouble := []codes.Code{codes.Unavailable, codes.InvalidArgument, codes.Unauthenticated, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Internal}
			a := newAgent()
			misbehave := func(ctx context.Context, q *collectionagentv1.ReportRequest, _ int) error {
				switch d := dice(12); {
				case d < len(trouble):
					return status.Error(trouble[d], describe(q))
				case d == 6:
					time.Sleep(time.Duration(dice(30)) * time.Millisecond)
				case d == 7:
					<-ctx.Done()
				}
				return nil
			}
			a.answer, a.after = misbehave, misbehave
			var b *breaker
			a.listen(t, "", func(l net.Listener) net.Listener { b = newBreaker(l); return b })
			b.after.Store(8000)
			c := testConfig(a.addr)
			c.CountsForTracesMaxQueue, c.MaxRPCMsgSize = 40, 1024
			times := quickTimes()
			times.operation = 20 * time.Millisecond
			c.Times = times
			r, _ := startGRPC(t, c)
			until := time.Now().Add(time.Duration(50+dice(200)) * time.Millisecond)
			var reporting sync.WaitGroup
			for w := range 4 {
				reporting.Go(func() {
					for i := w; time.Now().Before(until.Add(20 * time.Millisecond)); i += 4 {
						reportSomething(r, i)
						if i%40 < 4 {
							time.Sleep(time.Millisecond)
						}
					}
				})
			}
			for time.Now().Before(until) {
				checkEquation(t, r.Stats())
				time.Sleep(3 * time.Millisecond)
			}
			r.Stop()
			reporting.Wait()
			s := r.Stats()
			checkEquation(t, s)
			got := uint64(len(a.stamps()))
			if q := s.CountsForTraces; q.Queued != 0 || got < q.Acknowledged || got > q.Acknowledged+q.Dropped {
				t.Errorf("the agent has %d, the reporter says %+v", got, q)
			}
			stamps := a.stamps()
			slices.Sort(stamps)
			if n := len(slices.Compact(stamps)); n != int(got) {
				t.Errorf("%d of %d came twice", int(got)-n, got)
			}
		})
	}
}

func reportSomething(r *GRPCReporter, i int) {
	file := libpf.NewFileID(1, uint64(i))
	switch i % 7 {
	case 0:
		r.ReportFramesForTrace(&libpf.Trace{Files: []libpf.FileID{file}, Linenos: []libpf.AddressOrLineno{1}, FrameTypes: []libpf.FrameType{3}})
	case 1:
		r.ReportFallbackSymbol(libpf.NewFrameID(file, 1), "symbol")
	case 2:
		r.ExecutableMetadata(context.Background(), file, "name", "id")
	case 3:
		r.FrameMetadata(file, 1, 2, 3, "function", "file")
	case 4:
		r.ReportHostMetadata(map[string]string{"k": "v"})
	case 5:
		r.ReportMetrics(1, []uint32{1}, []int64{1})
		r.GetMetrics()
	}
	count(r, i+1)
}

// Start waits for the agent.
func TestGRPCStartWaits(t *testing.T) {
	leakFree(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	t.Run("without success", func(t *testing.T) {
		log := &testkit.Log{}
		_, err := startWith(t.Context(), testConfig(addr), config.ClientTLS{}, log.Logger())
		for _, want := range []string{addr, "4 of 4 attempts", "connection refused"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
		if n := strings.Count(log.String(), "trying again"); n != 3 {
			t.Errorf("%d warnings", n)
		}
	})
	t.Run("until it is there", func(t *testing.T) {
		c := testConfig(addr)
		c.MaxGRPCRetries = 100000
		a := newAgent()
		late := time.AfterFunc(50*time.Millisecond, func() { a.listen(t, addr, nil) })
		defer late.Stop()
		r, _ := startGRPC(t, c)
		count(r, 1)
		r.Stop()
		if got := a.stamps(); len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("until ctx ends", func(t *testing.T) {
		c := testConfig(addr)
		times := quickTimes()
		times.startup = time.Hour
		c.Times = times
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := fmt.Errorf("enough")
		defer time.AfterFunc(50*time.Millisecond, func() { cancel(enough) }).Stop()
		if _, err := startWith(ctx, c, config.ClientTLS{}, (&testkit.Log{}).Logger()); err == nil || !strings.Contains(err.Error(), "enough") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("that sends nothing", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		c := testConfig(silent.Addr().String())
		c.MaxGRPCRetries = 0
		times := quickTimes()
		times.connection = 50 * time.Millisecond
		c.Times = times
		if _, err := startWith(t.Context(), c, config.ClientTLS{}, (&testkit.Log{}).Logger()); err == nil || !strings.Contains(err.Error(), "1 of 1 attempts") {
			t.Errorf("got %v", err)
		}
	})
}

// TLS is on unless it is turned off, and believes the system's roots only.
func TestGRPCTLS(t *testing.T) {
	leakFree(t)
	authority := tlstest.New(t)
	settings := authority.Server("127.0.0.1")
	settings.NextProtos = []string{"h2"}
	a := newAgent().listen(t, "", nil, grpc.Creds(credentials.NewTLS(settings)))
	c := testConfig(a.addr)
	c.DisableTLS, c.MaxGRPCRetries = false, 0
	if _, err := startWith(t.Context(), c, config.ClientTLS{}, (&testkit.Log{}).Logger()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("got %v, want a complaint about the authority", err)
	}
	r, err := startWith(t.Context(), c, config.ClientTLS{TLS: config.TLS{CAPem: config.Secret(authority.PEM)}}, (&testkit.Log{}).Logger())
	if err != nil {
		t.Fatal(err)
	}
	count(r, 1)
	r.Stop()
	if got := a.stamps(); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// ReportHostMetadataBlocking sends at once, tries again, and tells.
func TestGRPCHostMetadataBlocking(t *testing.T) {
	leakFree(t)
	a := newAgent()
	var mu sync.Mutex
	fail, code := 0, codes.Unavailable
	script := func(n int, c codes.Code) { mu.Lock(); defer mu.Unlock(); fail, code = n, c }
	a.answer = func(context.Context, *collectionagentv1.ReportRequest, int) error {
		mu.Lock()
		defer mu.Unlock()
		if fail > 0 {
			fail--
			return status.Error(code, "as told")
		}
		return nil
	}
	a.listen(t, "", nil)
	c := testConfig(a.addr)
	times := quickTimes()
	times.report, times.metrics = time.Hour, time.Hour
	c.Times = times
	r, _ := startGRPC(t, c)
	host := map[string]string{"host.name": "h"}
	for _, s := range []struct {
		name        string
		fail        int
		code        codes.Code
		retries     int
		want        string
		sent, tries int
	}{
		{"at once", 0, 0, 0, "", 1, 1},
		{"third time", 2, codes.Unavailable, 2, "", 1, 3},
		{"not enough", 3, codes.Unavailable, 2, "Unavailable", 0, 3},
		{"no retries", 1, codes.Unauthenticated, 0, "Unauthenticated", 0, 1},
		{"auth", 1, codes.Unauthenticated, 1, "", 1, 2},
		{"for good", 1, codes.InvalidArgument, 9, "InvalidArgument", 0, 1},
	} {
		script(s.fail, s.code)
		before := r.sender.sequence.Load()
		kept := len(a.all())
		err := r.ReportHostMetadataBlocking(t.Context(), host, s.retries, time.Millisecond)
		if s.want == "" && err != nil || s.want != "" && (err == nil || !strings.Contains(err.Error(), s.want) || !strings.Contains(err.Error(), a.addr)) {
			t.Errorf("%s: %v", s.name, err)
		}
		script(0, 0)
		if sent, tries := len(a.all())-kept, a.triesOf(before+1); sent != s.sent || tries != s.tries {
			t.Errorf("%s: %d kept after %d tries, want %d after %d", s.name, sent, tries, s.sent, s.tries)
		}
	}
	tooMany := map[string]string{}
	for i := range collectionagentv1.MaxHostKeys + 1 {
		tooMany[fmt.Sprint(i)] = ""
	}
	script(1000, codes.Unavailable)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.ReportHostMetadataBlocking(ctx, host, 1000, time.Hour); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("ctx ends: %v", err)
	}
	if err := r.ReportHostMetadataBlocking(t.Context(), tooMany, 1000, time.Hour); err == nil || !strings.Contains(err.Error(), "at most 1024 keys") {
		t.Errorf("malformed: %v", err)
	}
	time.AfterFunc(30*time.Millisecond, r.Stop)
	if err := r.ReportHostMetadataBlocking(t.Context(), host, 1000, time.Hour); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("Stop: %v", err)
	}
	r.Stop()
	s := r.Stats()
	checkEquation(t, s)
	if s.HostMetadata != (QueueStats{Reported: 9, Acknowledged: 3, Dropped: 6}) {
		t.Errorf("%+v", s.HostMetadata)
	}
}
