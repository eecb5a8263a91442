package collectionagentreceiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
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
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/held"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// An id of 16 bytes.
func id(b byte) []byte { return append(make([]byte, 15), b) }

// one is a request that breaks no rule: a count with a stamp of its own.
func one(instance byte, sequence uint64) *collectionagentv1.ReportRequest {
	return &collectionagentv1.ReportRequest{InstanceId: id(instance), Sequence: sequence, Counts: []*collectionagentv1.TraceCount{
		{TraceHash: id(1), Timestamp: firstSecond + uint32(sequence), Count: 1},
	}}
}

// parsed is a request as the agent reads it.
func parsed(t testing.TB, q *collectionagentv1.ReportRequest) *collectionagentv1.Request {
	t.Helper()
	b, err := protobuf.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	out, err := collectionagentv1.Parse(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// details returns what a refusal says beside its text.
func details(err error) (field string, retryAfter time.Duration) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.BadRequest:
			field = d.FieldViolations[0].Field
		case *errdetails.RetryInfo:
			retryAfter = d.RetryDelay.AsDuration()
		}
	}
	return field, retryAfter
}

// What breaks a rule is refused with the field's name, whole, and its number can
// be used again.
func TestMalformed(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), component.Settings{})
	client := r.client()
	long := strings.Repeat("x", collectionagentv1.MaxTextBytes+1)
	many := map[string]string{}
	for i := range collectionagentv1.MaxHostKeys + 1 {
		many[fmt.Sprint(i)] = ""
	}
	type q = collectionagentv1.ReportRequest
	for field, spoil := range map[string]func(*q){
		"instance_id":          func(m *q) { m.InstanceId = id(1)[1:] },
		"sequence":             func(m *q) { m.Sequence = 0 },
		"counts[1].trace_hash": func(m *q) { m.Counts = append(m.Counts, &collectionagentv1.TraceCount{}) },
		"counts[0].count":      func(m *q) { m.Counts[0].Count = 65536 },
		"counts[0].comm":       func(m *q) { m.Counts[0].Comm = long },
		"counts[0].pod_name":   func(m *q) { m.Counts[0].PodName = long },
		"traces[0].file_ids": func(m *q) {
			m.Traces = []*collectionagentv1.TraceFrames{{Hash: id(1), Addresses: []uint64{1}, Types: []uint32{1}}}
		},
		"traces[0].types": func(m *q) {
			m.Traces = []*collectionagentv1.TraceFrames{{Hash: id(1), Addresses: []uint64{1}, FileIds: id(1)}}
		},
		"traces[0].types[0]": func(m *q) {
			m.Traces = []*collectionagentv1.TraceFrames{{Hash: id(1), Addresses: []uint64{1}, FileIds: id(1), Types: []uint32{256}}}
		},
		"traces[0].hash": func(m *q) { m.Traces = []*collectionagentv1.TraceFrames{{}} },
		"traces[0].addresses": func(m *q) {
			m.Traces = []*collectionagentv1.TraceFrames{{Hash: id(1), Addresses: make([]uint64, 8193)}}
		},
		"frames[0].file_id":      func(m *q) { m.Frames = []*collectionagentv1.FrameMetadata{{}} },
		"executables[0].file_id": func(m *q) { m.Executables = []*collectionagentv1.ExecutableMetadata{{}} },
		"symbols[0].symbol":      func(m *q) { m.Symbols = []*collectionagentv1.FallbackSymbol{{FileId: id(1), Symbol: long}} },
		"hosts[0].metadata":      func(m *q) { m.Hosts = []*collectionagentv1.HostMetadata{{Metadata: many}} },
		"metrics[0].values":      func(m *q) { m.Metrics = []*collectionagentv1.MetricValues{{Ids: []uint32{1}}} },
		"metrics[0].ids": func(m *q) {
			m.Metrics = []*collectionagentv1.MetricValues{{Ids: make([]uint32, 8193), Values: make([]int64, 8193)}}
		},
	} {
		m := one(1, 1)
		spoil(m)
		_, err := client.Report(t.Context(), m)
		if found, _ := details(err); status.Code(err) != codes.InvalidArgument || found != field || !strings.Contains(err.Error(), field+": expected") {
			t.Errorf("%s: got %v, field %q", field, err, found)
		}
	}
	raw := r.client(grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec("\x0a\xff"))))
	if _, err := raw.Report(t.Context(), one(1, 1)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no protobuf: %v", err)
	}
	if _, err := client.Report(t.Context(), one(1, 1)); err != nil {
		t.Error(err)
	}
	r.end()
	if n := r.sink.Items(otlp.Profiles); n != 1 {
		t.Errorf("%d samples, want that of the one request", n)
	}
	if !strings.Contains(r.logs.String(), "decode") {
		t.Errorf("the refusals are not in the log:\n%s", r.logs)
	}
}

// rawCodec sends its own bytes whatever the message.
type rawCodec string

func (rawCodec) Name() string { return proto.Name }
func (c rawCodec) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(c)}, nil
}
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// A number counts once, and one that is not remembered is refused.
func TestSequence(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), component.Settings{})
	client := r.client()
	send := func(instance byte, n uint64) error {
		_, err := client.Report(t.Context(), one(instance, n))
		return err
	}
	for _, n := range []uint64{5, 5, 4, 2000, 5 + 1024, 4, 2000} {
		err := send(1, n)
		field, _ := details(err)
		if old := n <= 2000-1024 && r.highest(1) == 2000; old != (status.Code(err) == codes.InvalidArgument && field == "sequence") {
			t.Errorf("%d: %v", n, err)
		}
	}
	if err := send(2, 5); err != nil { // another's
		t.Error(err)
	}
	r.end()
	if got := len(events(t, r.sink.Requests(otlp.Profiles))); got != 5 {
		t.Errorf("%d events, want those of 5, 4, 2000, 1029, and the other's 5", got)
	}
}

func (r *rig) highest(b byte) uint64 {
	s := r.sessions()
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of[instance(id(b))]
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.seen.highest
}

// modelled is a window beside a set that says the same.
type modelled struct {
	window
	seen map[uint64]bool
}

// step asks about a number that lies forward of the highest, or back from it, and
// notes it if it is fresh.
func (m *modelled) step(t *testing.T, forward, back uint64) {
	t.Helper()
	n, highest := uint64(1), m.highest
	if forward > 0 {
		n = highest + forward
	} else if back < highest {
		n = highest - back
	}
	want := fresh
	switch {
	case highest >= n+collectionagentv1.SequenceWindow:
		want = tooOld
	case m.seen[n]:
		want = known
	}
	if got := m.state(n); got != want {
		t.Fatalf("%d at %d: %d, want %d", n, highest, got, want)
	}
	if want == fresh {
		m.add(n)
		m.seen[n] = true
	}
	if m.highest != max(n, highest) && want == fresh {
		t.Fatalf("the highest is %d after %d and %d", m.highest, highest, n)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	rnd := newRand(1)
	for range 20 {
		m := modelled{seen: map[uint64]bool{}}
		for range 5000 {
			if rnd.IntN(3) == 0 {
				m.step(t, 1+rnd.Uint64N(3)*rnd.Uint64N(600), 0)
			} else {
				m.step(t, 0, rnd.Uint64N(1100))
			}
		}
	}
}

// The largest jump costs no more than the smallest.
func TestWindowJumps(t *testing.T) {
	t.Parallel()
	var w window
	w.add(1)
	w.add(math.MaxUint64)
	if w.state(1) != tooOld || w.state(math.MaxUint64) != known || w.state(math.MaxUint64-1) != fresh {
		t.Errorf("%+v", w)
	}
}

// FuzzWindow makes the same steps, controlled by the input: two bytes for each
// step.
func FuzzWindow(f *testing.F) {
	f.Add([]byte{128, 1, 0, 0, 200, 9, 0, 255, 255, 255, 3, 3})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := modelled{seen: map[uint64]bool{}}
		for ; len(steps) > 1; steps = steps[2:] {
			if distance := uint64(steps[0]&0x7f)<<8 | uint64(steps[1]); steps[0]&0x80 != 0 {
				m.step(t, distance+1, 0)
			} else {
				m.step(t, 0, distance)
			}
		}
	})
}

// Metrics without a pipeline of metrics are ignored; profiles without one of
// profiles are refused, and host metadata is not.
func TestSignalsWithoutPipeline(t *testing.T) {
	t.Parallel()
	values := []*collectionagentv1.MetricValues{{Timestamp: firstSecond, Ids: []uint32{7}, Values: []int64{1}}}
	only := newRig(t, testConfig(), component.Settings{}, otlp.Profiles)
	q := one(1, 1)
	q.Metrics = values
	if _, err := only.client().Report(t.Context(), q); err != nil {
		t.Error(err)
	}
	only.end()
	if p, m := only.sink.Items(otlp.Profiles), only.sink.Items(otlp.Metrics); p != 1 || m != 0 {
		t.Errorf("%d samples, %d data points", p, m)
	}

	metrics := newRig(t, testConfig(), component.Settings{}, otlp.Metrics)
	client := metrics.client()
	if _, err := client.Report(t.Context(), one(1, 1)); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "profiles") {
		t.Errorf("got %v", err)
	}
	if _, err := client.Report(t.Context(), &collectionagentv1.ReportRequest{InstanceId: id(1), Sequence: 2, Metrics: values,
		Hosts: []*collectionagentv1.HostMetadata{{Metadata: map[string]string{"host.name": "h"}}}}); err != nil {
		t.Error(err)
	}
	metrics.end()
	if n := metrics.sink.Items(otlp.Metrics); n != 1 {
		t.Errorf("%d data points", n)
	}
}

// What the pipeline does not take is tried again, and while it does not take
// anything the reporters keep their own.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.ReportInterval = 5 * time.Millisecond
	r := newRig(t, c, component.Settings{})
	r.sessions().full = backlog{window: 1 << 20, pending: 2000}
	r.sink.Fail(errors.New("not now"))
	g := r.reporter()
	const n = 2000
	for i := range n {
		g.ReportCountForTrace(libpf.NewTraceHash(1, uint64(i)), firstSecond, 1, fmt.Sprint("thread ", i), "", "")
		if i%100 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	testkit.Eventually(t, "the agent refuses", func() bool { return strings.Contains(r.logs.String(), "does not keep up") })
	if q := g.Stats().CountsForTraces; q.Queued == 0 || q.Overwritten+q.Dropped > 0 {
		t.Errorf("the reporter does not keep its own: %+v", q)
	}
	r.sink.Fail(nil)
	testkit.Eventually(t, "all is taken", func() bool { return g.Stats().CountsForTraces.Acknowledged == n })
	r.end()
	if got := len(events(t, r.sink.Requests(otlp.Profiles))); got != n {
		t.Errorf("%d of %d events arrived", got, n)
	}
}

// A request is refused before the window that it would go into has to drop samples.
func TestAFullWindowRefuses(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.MaxWindowMiB = 1
	s := newSessions(c, component.Settings{}.OrDefaults(), func() (pipeline.Consumer, bool) { return &testkit.Sink{}, true })
	defer s.cancel()
	rep, err := s.open(instance{}) // it is not started: nothing leaves the window
	if err != nil {
		t.Fatal(err)
	}
	one := &session{reporter: rep, account: held.New(held.Config{}), settled: make(chan struct{})}
	for n := uint64(1); ; n++ {
		q := &collectionagentv1.ReportRequest{InstanceId: id(1), Sequence: n}
		for i := range 100 {
			q.Counts = append(q.Counts, &collectionagentv1.TraceCount{TraceHash: id(1), Timestamp: firstSecond, Count: 1, Comm: fmt.Sprint(n, i)})
		}
		refused, _ := one.take(t.Context(), parsed(t, q), s.full)
		stats := rep.Stats()
		if lost := stats.Of(otlp.Profiles).Dropped; len(lost) > 0 {
			t.Fatalf("request %d was taken, and %v samples were dropped", n, lost)
		}
		if refused != nil {
			if refused.RetryAfter <= 0 {
				t.Errorf("%+v", refused)
			}
			break
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_ = rep.Shutdown(ended) // the samples are lost
}

// Where the agent listens is known when it has started.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	r := makeRig(t, testConfig(), component.Settings{})
	if found := r.Endpoints(); found != nil {
		t.Errorf("before Start: %v", found)
	}
	r.start()
	want := []component.Endpoint{{Protocol: "collection agent/gRPC", Addr: r.Addr()}}
	if diff := cmp.Diff(want, r.Endpoints()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Reporters have a bound. One that is silent is let go for another, or after its
// time, and what it left is passed on.
func TestReporters(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.MaxReporters = 3 // a single address may have two
	r := newRig(t, c, component.Settings{})
	client := r.client()
	send := func(b byte, n uint64) error { _, err := client.Report(t.Context(), one(b, n)); return err }
	known := func() int {
		s := r.sessions()
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.of)
	}
	if err := errors.Join(send(1, 1), send(2, 1)); err != nil {
		t.Fatal(err)
	}
	err := send(3, 1)
	if _, after := details(err); status.Code(err) != codes.Unavailable || after <= 0 || !strings.Contains(err.Error(), "max_reporters") {
		t.Errorf("got %v, retry after %s", err, after)
	}
	silent := func(d time.Duration, ids ...byte) {
		s := r.sessions()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, b := range ids {
			s.of[instance(id(b))].used = time.Now().Add(-d)
		}
	}
	silent(2*evictableAfter, 2)
	silent(evictableAfter+time.Second, 1)
	if err := send(3, 1); err != nil || known() != 2 {
		t.Errorf("%v, %d known", err, known())
	}
	r.sink.Wait(t, otlp.Profiles, 1)
	if err := send(1, 2); err != nil { // it is the other that was let go
		t.Error(err)
	}
	silent(c.ReporterIdleTimeout, 1, 3)
	if err := send(1, 2); err != nil { // nothing new, and a sign of life
		t.Error(err)
	}
	r.sessions().expire()
	r.sink.Wait(t, otlp.Profiles, 2)
	if known() != 1 {
		t.Errorf("%d are known", known())
	}
	r.end()
	if got := len(events(t, r.sink.Requests(otlp.Profiles))); got != 4 {
		t.Errorf("%d events", got)
	}
}

// A session that cannot pass on what it holds keeps its place until it ends: it still
// holds its caches.
func TestAnEndingSessionKeepsItsPlace(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.MaxReporters = 1
	r := newRig(t, c, component.Settings{})
	r.sink.Fail(errors.New("not now"))
	client := r.client()
	if _, err := client.Report(t.Context(), one(1, 1)); err != nil {
		t.Fatal(err)
	}
	s := r.sessions()
	alive := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.of) + len(s.ending)
	}
	s.mu.Lock()
	s.of[instance(id(1))].used = time.Now().Add(-2 * evictableAfter)
	s.mu.Unlock()
	for range 2 {
		_, err := client.Report(t.Context(), one(2, 1))
		if _, after := details(err); status.Code(err) != codes.Unavailable || after <= 0 || alive() != 1 {
			t.Errorf("%d sessions hold memory, expected 1; %v", alive(), err)
		}
	}
	r.sink.Fail(nil)
	testkit.Eventually(t, "the old session has ended", func() bool { return alive() == 0 })
	if _, err := client.Report(t.Context(), one(2, 1)); err != nil || alive() != 1 {
		t.Errorf("%v, %d sessions", err, alive())
	}
}

// The clock ends sessions too.
func TestReportersExpire(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.ReporterIdleTimeout = 50 * time.Millisecond
	r := newRig(t, c, component.Settings{})
	if _, err := r.client().Report(t.Context(), one(1, 1)); err != nil {
		t.Fatal(err)
	}
	r.sink.Wait(t, otlp.Profiles, 1)
}

// A request that the budget has no room for is refused before it is read.
func TestAdmission(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 8 << 20, MaxWait: -1})
	r := newRig(t, testConfig(), component.Settings{Memory: budget})
	client := r.client()
	hold, err := budget.Acquire(t.Context(), "another", 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Report(t.Context(), one(1, 1))
	if _, after := details(err); status.Code(err) != codes.Unavailable || after <= 0 {
		t.Errorf("full: %v, retry after %s", err, after)
	}
	hold.Release()
	large := one(1, 1)
	for range 20000 {
		large.Counts = append(large.Counts, large.Counts[0])
	}
	_, err = client.Report(t.Context(), large)
	if _, after := details(err); status.Code(err) != codes.ResourceExhausted || after != 0 || !strings.Contains(err.Error(), "budget") {
		t.Errorf("too large: %v", err)
	}
	if _, err := client.Report(t.Context(), one(1, 1)); err != nil {
		t.Error(err)
	}
	if s := budget.Stats(); s.Used == 0 || s.Peak < frontend.ReadAheadBytes {
		t.Errorf("%+v", s)
	}
	r.end()
	if n := budget.Stats().Used; n != 0 {
		t.Errorf("%d bytes are charged in the end", n)
	}
}

// A request above the limit is refused; a reporter then sends in parts.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	r := makeRig(t, testConfig(), component.Settings{})
	r.maxRequestBytes = 1500 // less than the reporter's 4096
	r.start()
	large := one(1, 1)
	for range 100 {
		large.Counts = append(large.Counts, large.Counts[0])
	}
	if _, err := r.client().Report(t.Context(), large); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "max_recv_msg_size_mib") {
		t.Errorf("got %v", err)
	}
	g := r.reporter()
	const n = 300
	for i := range n {
		g.ReportCountForTrace(libpf.NewTraceHash(1, 1), libpf.UnixTime32(firstSecond+i), 1, "comm", "", "")
	}
	testkit.Eventually(t, "all is taken", func() bool { return g.Stats().CountsForTraces.Acknowledged == n })
}

var errPanic = errors.New("a bug in the authenticator")

// keyring accepts one password. It fails with an error as long as one is set.
type keyring struct{ failure atomic.Pointer[error] }

func (k *keyring) fail(err error) { k.failure.Store(&err) }

func (k *keyring) Authenticate(_ context.Context, header func(string) []string) (*pipeline.Identity, error) {
	if failure := k.failure.Load(); failure != nil && *failure == errPanic {
		panic(errPanic)
	} else if failure != nil {
		return nil, *failure
	}
	if got := header("authorization"); len(got) != 1 || got[0] != "password" {
		return nil, errors.New("authorization: wrong password")
	}
	return &pipeline.Identity{Subject: "alice"}, nil
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Auth = &AuthConfig{Authenticator: "keyring"}
	keys := &keyring{}
	set := component.Settings{Extension: func(id string) (any, bool) { return keys, id == "keyring" }}
	r := newRig(t, c, set)
	client := r.client()
	if _, err := client.Report(t.Context(), one(1, 1)); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "wrong password") {
		t.Errorf("without: %v", err)
	}
	knowing := metadata.AppendToOutgoingContext(t.Context(), "authorization", "password")
	if _, err := client.Report(knowing, one(1, 1)); err != nil {
		t.Errorf("with: %v", err)
	}
	// A reporter has no password. It goes on trying, and a call of its own may be at
	// the server even after Stop.
	g := r.reporter()
	g.ReportCountForTrace(libpf.NewTraceHash(1, 1), firstSecond, 1, "", "", "")
	testkit.Eventually(t, "it was refused twice", func() bool { return g.Stats().AuthErrors >= 2 })
	g.Stop()
	keys.fail(&pipeline.Error{Kind: pipeline.Retryable, Err: errors.New("no connection to the issuer")})
	if _, err := client.Report(knowing, one(1, 2)); status.Code(err) != codes.Unavailable {
		t.Errorf("nothing is known: %v", err)
	}
	keys.fail(errPanic)
	if _, err := client.Report(knowing, one(1, 2)); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "bug") {
		t.Errorf("a panic: %v", err)
	}
	if !strings.Contains(r.logs.String(), errPanic.Error()) {
		t.Errorf("the panic is not in the log:\n%s", r.logs)
	}
	if want := []component.Need{{Key: "auth.authenticator", ID: "keyring", Role: component.RoleAuthenticator}}; !cmp.Equal(c.Needs(), want) {
		t.Errorf("needs %v", c.Needs())
	}

	for name, ext := range map[string]func(string) (any, bool){
		"authenticator not found":                               nil,
		"requested authenticator is not a server authenticator": func(string) (any, bool) { return 1, true },
	} {
		r, err := New(c, component.Settings{ID: "collectionagent", Extension: ext})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	authority := tlstest.New(t)
	cert, key := authority.Pair("127.0.0.1")
	c := testConfig()
	c.TLS = &config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}
	r := newRig(t, c, component.Settings{})
	conn, err := grpc.NewClient(r.addr(), grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(authority.Pool(), "")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := collectionagentv1.NewCollectionAgentClient(conn).Report(t.Context(), one(1, 1)); err != nil {
		t.Error(err)
	}
	if _, err := r.client().Report(t.Context(), one(1, 1)); err == nil {
		t.Error("taken in plaintext")
	}
}

// A request that does not come is given up on, and gives its room back.
func TestSlowRequest(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	r := makeRig(t, testConfig(), component.Settings{Memory: budget})
	r.pace.GracePeriod = 50 * time.Millisecond
	r.start()
	conn, err := grpc.NewClient(r.addr(), grpc.WithTransportCredentials(insecureCreds()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, collectionagentv1.CollectionAgent_Report_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&collectionagentv1.ReportResponse{}); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "too slowly") {
		t.Errorf("got %v", err)
	}
	testkit.Eventually(t, "the room is given back", func() bool { return budget.Stats().Used == 0 })
}

func TestCompressedRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), component.Settings{})
	if _, err := r.client().Report(t.Context(), one(1, 1), grpc.UseCompressor("gzip")); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "not compressed") {
		t.Errorf("got %v", err)
	}
	conn, err := grpc.NewClient(r.addr(), grpc.WithTransportCredentials(insecureCreds()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, collectionagentv1.CollectionAgent_Report_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&collectionagentv1.ReportResponse{}); status.Code(err) != codes.Internal {
		t.Errorf("no message: %v", err)
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	r, err := New(testConfig(), component.Settings{ID: "collectionagent/2"})
	if err != nil {
		t.Fatal(err)
	}
	sink := &testkit.Sink{}
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Logs, 0, 99} {
		if err := r.Register(s, sink); err == nil || !strings.Contains(err.Error(), `"collectionagent/2"`) || !strings.Contains(err.Error(), "profiles and metrics") {
			t.Errorf("%s: %v", s, err)
		}
	}
	if err := r.Register(otlp.Metrics, nil); err == nil {
		t.Error("nil was taken")
	}
	if err := r.Register(otlp.Profiles, sink); err != nil {
		t.Error(err)
	}
	if err := r.Register(otlp.Profiles, sink); err == nil {
		t.Error("a second consumer was taken")
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Register(otlp.Metrics, sink); err == nil {
		t.Error("taken after Start")
	}
	if err := r.Start(t.Context()); err != nil {
		t.Errorf("a second Start: %v", err)
	}
	other := testConfig()
	other.Endpoint = r.Addr().String()
	second, err := New(other, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "uses this address") {
		t.Errorf("the port is in use: %v", err)
	}
	for range 2 {
		if err := errors.Join(r.Shutdown(t.Context()), second.Shutdown(t.Context())); err != nil {
			t.Error(err)
		}
	}
	if err := r.Start(t.Context()); err == nil {
		t.Error("started after Shutdown")
	}
}

// Shutdown passes on the held data, also while idle clients are connected, and
// returns an error if it cannot.
func TestShutdown(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), component.Settings{})
	silent, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := r.client().Report(t.Context(), one(1, 1)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.end()
	if took := time.Since(began); took >= maxDrain { // it takes some milliseconds
		t.Errorf("it took %s: it waited for an idle client", took)
	}
	if n := r.sink.Items(otlp.Profiles); n != 1 {
		t.Errorf("%d samples", n)
	}
	if _, err := silent.Read(make([]byte, 1<<10)); err == nil {
		_, err = io.Copy(io.Discard, silent)
		if err != nil {
			t.Log(err) // closed, somehow
		}
	}

	failing := newRig(t, testConfig(), component.Settings{})
	failing.sink.Fail(errors.New("not now"))
	if _, err := failing.client().Report(t.Context(), one(1, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := failing.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "could not all be passed on") {
		t.Errorf("got %v", err)
	}
	failing.Receiver = r.Receiver // whose end is over
}

// A session that was removed before has no more time than the rest.
func TestShutdownEndsRemovedSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), component.Settings{})
	r.sink.Fail(errors.New("not now"))
	if _, err := r.client().Report(t.Context(), one(1, 1)); err != nil {
		t.Fatal(err)
	}
	s := r.sessions()
	s.mu.Lock()
	for id, one := range s.of {
		s.remove(id, one)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took >= flushTimeout {
		t.Errorf("it took %s", took)
	}
	if !strings.Contains(r.logs.String(), "could not be passed on") {
		t.Errorf("nothing is said of what is lost:\n%s", r.logs)
	}
}

// Reports may come while the agent stops; what it took is passed on.
func TestShutdownAtAnyMoment(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		c := testConfig()
		c.ReportInterval = time.Millisecond
		r := newRig(t, c, component.Settings{})
		var senders sync.WaitGroup
		taken := make([]int, 4)
		for w := range taken {
			client := r.client()
			senders.Go(func() {
				for n := uint64(1); ; n++ {
					if _, err := client.Report(t.Context(), one(byte(w), n)); err != nil {
						return
					}
					taken[w]++
				}
			})
		}
		time.Sleep(time.Duration(i*5) * time.Millisecond)
		r.end()
		senders.Wait()
		want := 0
		for _, n := range taken {
			want += n
		}
		// One request of each sender may have been accepted although the sender
		// did not get the response.
		if got := len(events(t, r.sink.Requests(otlp.Profiles))); got < want || got > want+len(taken) {
			t.Errorf("%d events of %d that were acknowledged", got, want)
		}
	}
}

// The connections have a bound.
func TestMaxConnections(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.MaxConnections = 1
	r := newRig(t, c, component.Settings{})
	first, second := r.client(), r.client()
	if _, err := first.Report(t.Context(), one(1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Report(t.Context(), one(1, 2)); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

// What is measured: requests by their outcome, items as the pipeline took them.
func TestMetrics(t *testing.T) {
	t.Parallel()
	meter := testkit.NewMeter()
	r := newRig(t, testConfig(), component.Settings{Meter: meter})
	r.sink.FailNext(errors.New("not now"), &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errors.New("one is bad")})
	client := r.client()
	refused := 0
	for n := range uint64(4) { // 0 is none
		if _, err := client.Report(t.Context(), one(1, n)); err != nil {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d requests were refused", refused)
	}
	r.end()
	n := int64(r.sink.Items(otlp.Profiles)) // samples; three counts may share one
	want := map[string]int64{
		"otelcol_receiver_accepted_profile_samples": n - 1, "otelcol_receiver_refused_profile_samples": n + 1,
		"otelcol_receiver_requests success": 3, "otelcol_receiver_requests refused": 1,
		"otelcol_receiver_refused_requests decode": 1,
	}
	if n == 1 {
		delete(want, "otelcol_receiver_accepted_profile_samples")
	}
	if diff := cmp.Diff(want, counters(t, meter)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// counters returns the counters that are not 0, by name and outcome or reason.
func counters(t *testing.T, meter *testkit.Meter) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	for _, p := range meter.Points(t) {
		key := p.Name
		for _, name := range []string{"outcome=", "reason="} {
			for _, a := range p.Attributes {
				if value, ok := strings.CutPrefix(a, name); ok {
					key += " " + value
				}
			}
		}
		if p.Value != 0 {
			got[key] += p.Value
		}
	}
	return got
}
