package collectionagentreceiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/held"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// number is 16 bytes that differ for each n.
func number(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8, 16), uint64(n)) }

// from returns a client with an address of its own on the loopback.
func (r *rig) from(address string) collectionagentv1.CollectionAgentClient {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return r.client(grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", to)
	}))
}

// Two bytes on the wire make no message in memory.
func TestEmptyEntriesCostNothing(t *testing.T) {
	const n = 4 << 20
	budget := admission.New(admission.Config{Bytes: 64 << 20})
	r := newRig(t, testConfig(), component.Settings{Memory: budget})
	header, err := protobuf.Marshal(&collectionagentv1.ReportRequest{InstanceId: id(1), Sequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	for list, want := range map[byte]codes.Code{3: codes.InvalidArgument, 4: codes.InvalidArgument, 8: codes.OK, 9: codes.OK} {
		body := append(slices.Clone(header), bytes.Repeat([]byte{list<<3 | 2, 0}, n/2)...)
		client := r.client(grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec(body))))
		_, _ = client.Report(t.Context(), one(2, 1)) // buffers of connections
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := client.Report(t.Context(), one(1, 1))
		runtime.ReadMemStats(&after)
		if status.Code(err) != want {
			t.Errorf("list %d: %v", list, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8*n { // it was 50 and more when messages were built
			t.Errorf("list %d: %d bytes were allocated for %d", list, took, n)
		}
	}
	if peak := budget.Stats().Peak; peak < n {
		t.Errorf("at most %d bytes were charged", peak)
	}
}

// entries are of all kinds: number i of each is of another size or another key.
func entries(i int) map[string]collectionagentv1.Entry {
	stack := func(frames, base int) *collectionagentv1.TraceFrames {
		m := &collectionagentv1.TraceFrames{Hash: number(base)}
		for k := range frames {
			m.FileIds = append(m.FileIds, number(base+k)...)
			m.Addresses, m.Types = append(m.Addresses, uint64(k)), append(m.Types, uint32(k%256))
		}
		return m
	}
	long := strings.Repeat("x", 1000) + fmt.Sprint(i)
	pairs := map[string]string{}
	for k := range 10 {
		pairs[fmt.Sprint(i, k)] = "v"
	}
	return map[string]collectionagentv1.Entry{
		"empty stack": stack(0, 1<<40+i), "stack": stack(50, 1<<50+i*1000),
		"symbol": &collectionagentv1.FrameMetadata{FileId: number(i)}, "long symbol": &collectionagentv1.FrameMetadata{FileId: number(i), AddressOrLine: 1, FunctionName: long, FilePath: long},
		"executable": &collectionagentv1.ExecutableMetadata{FileId: number(i), FileName: "b"}, "long executable": &collectionagentv1.ExecutableMetadata{FileId: number(i + 1<<40), FileName: long, BuildId: long},
		"fallback": &collectionagentv1.FallbackSymbol{FileId: number(i), Symbol: "s"}, "long fallback": &collectionagentv1.FallbackSymbol{FileId: number(i + 1<<40), Symbol: long},
		"host":      &collectionagentv1.HostMetadata{Metadata: pairs},
		"count":     &collectionagentv1.TraceCount{TraceHash: number(i), Timestamp: 1},
		"comm":      &collectionagentv1.TraceCount{TraceHash: number(1), Timestamp: 1, Comm: fmt.Sprint(i), PodName: fmt.Sprint(i), ContainerName: "c"},
		"long comm": &collectionagentv1.TraceCount{TraceHash: number(1), Timestamp: 1, Comm: long},
		"metrics":   &collectionagentv1.MetricValues{Timestamp: 1, Ids: []uint32{7, 8}, Values: []int64{math.MinInt64, 1}},
	}
}

// requestOf is a request with these entries.
func requestOf(instance byte, sequence uint64, list ...collectionagentv1.Entry) *collectionagentv1.ReportRequest {
	q := &collectionagentv1.ReportRequest{InstanceId: id(instance), Sequence: sequence}
	for _, e := range list {
		switch m := e.(type) {
		case *collectionagentv1.TraceFrames:
			q.Traces = append(q.Traces, m)
		case *collectionagentv1.TraceCount:
			q.Counts = append(q.Counts, m)
		case *collectionagentv1.FrameMetadata:
			q.Frames = append(q.Frames, m)
		case *collectionagentv1.ExecutableMetadata:
			q.Executables = append(q.Executables, m)
		case *collectionagentv1.FallbackSymbol:
			q.Symbols = append(q.Symbols, m)
		case *collectionagentv1.HostMetadata:
			q.Hosts = append(q.Hosts, m)
		case *collectionagentv1.MetricValues:
			q.Metrics = append(q.Metrics, m)
		}
	}
	return q
}

// openSession returns a session that does not pass on what it gets.
func openSession(t testing.TB, budget *admission.Budget) *session {
	t.Helper()
	c := testConfig()
	s := newSessions(c, component.Settings{Memory: budget}.OrDefaults(), func() (pipeline.Consumer, bool) { return &testkit.Sink{}, true })
	t.Cleanup(s.cancel)
	rep, err := s.open(instance{})
	if err != nil {
		t.Fatal(err)
	}
	one := &session{reporter: rep, settled: make(chan struct{})}
	one.account = held.New(held.Config{Budget: budget, Group: &s.group, Client: "a", Bytes: heldBytes(rep)})
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = one.end(ended) // the samples are lost
	})
	return one
}

// No entry adds more to what a session holds than is reserved for it.
func TestEntriesAddWhatIsReserved(t *testing.T) {
	t.Parallel()
	for name := range entries(0) {
		one := openSession(t, nil)
		for i := range 300 {
			q := parsed(t, requestOf(1, uint64(i)+1, entries(i)[name]))
			expected := sampleBytes(q)
			for e := range q.Entries(collectionagentv1.Hosts, collectionagentv1.Executables, collectionagentv1.Frames, collectionagentv1.Symbols, collectionagentv1.Traces) {
				expected += factBytes(e)
			}
			before := one.reporter.MemoryBytes()
			if refused, _ := one.take(t.Context(), q, backlog{math.MaxInt64, math.MaxInt64}); refused != nil {
				t.Fatalf("%s: %+v", name, refused)
			}
			if added := one.reporter.MemoryBytes() - before; added > int64(expected) {
				t.Fatalf("%s: entry %d added %d bytes, %d were reserved", name, i, added, expected)
			}
		}
	}
}

// What a session holds is charged, and given back when it ends. It does not run beside
// other tests, which share the heap.
func TestSessionsAreCharged(t *testing.T) {
	for name := range entries(0) {
		budget := admission.New(admission.Config{Bytes: 256 << 20, MaxWait: -1})
		before := liveHeap()
		one := openSession(t, budget)
		for i := range 200 {
			var list []collectionagentv1.Entry
			for k := range 50 {
				list = append(list, entries(i*50 + k)[name])
			}
			q := requestOf(1, uint64(i)+1, list...)
			if refused, _ := one.take(t.Context(), parsed(t, q), backlog{math.MaxInt64, math.MaxInt64}); refused != nil {
				t.Fatalf("%s: %+v", name, refused)
			}
		}
		took, charged := liveHeap()-before, int(budget.Stats().Used)
		if t.Logf("%s: the heap grew by %d KiB, %d KiB are charged", name, took>>10, charged>>10); took > charged {
			t.Errorf("%s: the heap grew by %d, %d are charged", name, took, charged)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = one.end(ended)
		if n := budget.Stats().Used; n != 0 {
			t.Errorf("%s: %d bytes are charged in the end", name, n)
		}
	}
}

// fill sends requests with stacks and counts of them. It returns how many were taken,
// and the last refusal.
func fill(t *testing.T, client collectionagentv1.CollectionAgentClient, instance byte, requests int) (taken int, refusal error) {
	t.Helper()
	for n := 1; n <= requests; n++ {
		var list []collectionagentv1.Entry
		for k := range 20 {
			all := entries((int(instance)*10_000+n)*100 + k)
			list = append(list, all["stack"], all["long symbol"], all["comm"])
		}
		if _, err := client.Report(t.Context(), requestOf(instance, uint64(n), list...)); err != nil {
			refusal = err
		} else {
			taken++
		}
	}
	return taken, refusal
}

// Sessions leave half of the budget to requests, and a sender a share of theirs to
// others. Where there is no room for the caches they evict, and samples are taken.
func TestSessionsShareTheBudget(t *testing.T) {
	t.Parallel()
	const limit = 48 << 20
	budget := admission.New(admission.Config{Bytes: limit, MaxWait: -1})
	c := testConfig()
	c.ReportInterval = 5 * time.Millisecond
	r := newRig(t, c, component.Settings{Memory: budget})
	first, second := r.from("127.0.0.1"), r.from("127.0.0.2")
	const requests = 30
	var all sync.WaitGroup
	for b := range byte(5) {
		all.Go(func() {
			for taken := 0; taken < requests; { // a refusal has a retry delay
				n, err := fill(t, first, b+1, requests)
				if _, after := details(err); err != nil && (status.Code(err) != codes.Unavailable || after <= 0) {
					t.Errorf("session %d: got %v, retry after %s", b+1, err, after)
				}
				taken = n
			}
		})
	}
	all.Wait()
	if used := budget.Stats().Used; used < limit/6 || used > limit/2 {
		t.Errorf("%d KiB are charged of a budget of %d KiB", used>>10, limit>>10)
	}
	if n, err := fill(t, second, 9, 5); n != 5 {
		t.Errorf("another sender: %d of 5 requests were taken; %v", n, err)
	}
	evicted := uint64(0)
	for _, one := range r.sessions().all() {
		evicted += one.reporter.Stats().Evicted.Traces
	}
	if evicted == 0 {
		t.Error("nothing was evicted: the test does not meet a bound")
	}
	r.end()
	if n := budget.Stats().Used; n != 0 {
		t.Errorf("%d bytes are charged in the end", n)
	}
}

// A session that there is no room for is refused, and takes the place in memory of one
// that has been silent for long.
func TestASessionWithoutRoom(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 2 << 20, MaxWait: -1}) // of half of it, one sender may have two thirds
	r := newRig(t, testConfig(), component.Settings{Memory: budget})
	client := r.client()
	if _, err := client.Report(t.Context(), one(1, 1)); err != nil {
		t.Fatal(err)
	}
	_, err := client.Report(t.Context(), one(2, 1))
	if _, after := details(err); status.Code(err) != codes.Unavailable || after <= 0 || !strings.Contains(err.Error(), "are kept of this sender") {
		t.Errorf("got %v, retry after %s", err, after)
	}
	s := r.sessions()
	s.mu.Lock()
	s.of[instance(id(1))].used = time.Now().Add(-2 * evictableAfter)
	s.mu.Unlock()
	testkit.Eventually(t, "there is room", func() bool { _, err := client.Report(t.Context(), one(2, 1)); return err == nil })
	if s.has(1) {
		t.Error("the silent session is still there")
	}
}

func (s *sessions) has(b byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[instance(id(b))] != nil
}

// byName takes everybody by the name in the header.
type byName struct{}

func (byName) Authenticate(_ context.Context, header func(string) []string) (*pipeline.Identity, error) {
	return &pipeline.Identity{Subject: strings.Join(header("authorization"), "")}, nil
}

// One sender cannot take the places of all others. A name that authentication gives is
// a sender, wherever it is.
func TestPlacesAreShared(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.MaxReporters = 12
	c.Auth = &AuthConfig{Authenticator: "keyring"}
	r := newRig(t, c, component.Settings{Extension: func(string) (any, bool) { return byName{}, true }})
	client := r.client()
	open := func(name string, instance byte) error {
		_, err := client.Report(metadata.AppendToOutgoingContext(t.Context(), "authorization", name), one(instance, 1))
		return err
	}
	var err error
	taken := byte(0)
	for ; taken < 12; taken++ {
		if err = open("greedy", taken+1); err != nil {
			break
		}
	}
	if _, after := details(err); taken != 8 || status.Code(err) != codes.Unavailable || after <= 0 || !strings.Contains(err.Error(), "8 reporters of this sender are known already, and 4 of 12 places are free (max_reporters)") {
		t.Errorf("%d places were taken; %v", taken, err)
	}
	for i, name := range []string{"a", "b", "c", "d"} {
		if err := open(name, byte(i)+100); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := open("e", 110); err == nil || !strings.Contains(err.Error(), "12 reporters are known already") {
		t.Errorf("got %v", err)
	}
}

// A request whose client is gone is not taken, and a later one with its number is.
func TestAClientThatIsGone(t *testing.T) {
	t.Parallel()
	one := openSession(t, nil)
	var list []collectionagentv1.Entry
	for i := range 2 * looksEvery {
		list = append(list, entries(i)["symbol"])
	}
	q := parsed(t, requestOf(1, 1, append(list, entries(0)["count"])...))
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone"))
	if refused, noRoom := one.take(gone, q, backlog{math.MaxInt64, math.MaxInt64}); refused == nil || noRoom {
		t.Errorf("%+v, %v", refused, noRoom)
	}
	if stats := one.reporter.Stats(); stats.Samples.Reported != 0 {
		t.Errorf("%+v", stats.Samples)
	}
	if refused, _ := one.take(t.Context(), q, backlog{math.MaxInt64, math.MaxInt64}); refused != nil || one.reporter.Stats().Samples.Reported != 1 {
		t.Errorf("%+v", refused)
	}
}
