package collectionagentreceiver

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/held"
	"github.com/penstock-telemetry/penstock/reporter"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// session is what is known of one reporter. Its requests are taken one after the
// other, so that a number is either seen with all that it brought, or not seen.
type session struct {
	reporter *reporter.OTLPReporter
	account  *held.Account
	from     string        // frontend.Request.Sender of the first request
	used     time.Time     // of sessions, under their lock
	settled  chan struct{} // closed when the session has ended, by sessions

	mu    sync.Mutex
	seen  window
	ended bool
	begun bool // it has taken a request
}

// backlogRetry is the retry delay if the pipeline does not keep up.
const backlogRetry = time.Second

// take takes a request, each number once. noRoom says that there was no memory.
func (s *session) take(ctx context.Context, q *collectionagentv1.Request, full backlog) (refused *frontend.Refusal, noRoom bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return shuttingDown(), false
	}
	switch s.seen.state(q.Sequence) {
	case known:
		return nil, false // its answer was lost
	case tooOld:
		return refuseField("sequence", "sequence: %d is %d or more behind the highest, %d: whether it was taken is not known any more",
			q.Sequence, collectionagentv1.SequenceWindow, s.seen.highest), false
	}
	if at := s.reporter.Stats(); at.PendingBytes >= full.pending || at.WindowBytes >= full.window {
		return refuseFor(backlogRetry, "the pipeline does not keep up: of this reporter %d bytes of samples and %d of requests wait", at.WindowBytes, at.PendingBytes), false
	}
	defer s.account.Settle()
	if err := s.translate(ctx, q); err != nil {
		return frontend.RefuseOverload(err), ctx.Err() == nil
	}
	s.seen.add(q.Sequence)
	return nil, false
}

// answer asks for what a request that was taken needs and the session does not have.
func (s *session) answer(q *collectionagentv1.Request) (answer []byte) {
	s.mu.Lock()
	lost := !s.begun && q.Sequence > 1
	s.begun = true
	s.mu.Unlock()
	var e wire.Encoder
	asked := map[libpf.TraceHash]bool{}
	for entry := range q.Entries(collectionagentv1.Counts) {
		c := entry.(*collectionagentv1.TraceCount)
		if hash := traceHash(c.TraceHash); !s.reporter.KnowsTrace(hash) && !asked[hash] {
			asked[hash] = true
			e.Bytes(unknownTraces, c.TraceHash)
		}
		if len(asked) == collectionagentv1.MaxUnknownTraces {
			break
		}
	}
	if lost {
		e.Varint(unknownInstance, 1)
	}
	return e.Buf
}

// answerBytes is the most that answer takes: for each hash an entry of a map, and its
// place in a list that grows.
func answerBytes(q *collectionagentv1.Request) int {
	return 128 * min(q.Len(collectionagentv1.Counts), collectionagentv1.MaxUnknownTraces)
}

// The fields of ReportResponse.
const (
	unknownTraces   = 1
	unknownInstance = 2
)

// settle gives memory back that is not held any more, unless a request is being taken,
// which does so itself.
func (s *session) settle() {
	if s.mu.TryLock() {
		s.account.Settle()
		s.mu.Unlock()
	}
}

// end passes on what the session holds, until ctx ends.
func (s *session) end(ctx context.Context) error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	defer s.account.Close()
	return s.reporter.Shutdown(ctx)
}

// minCacheBytes is how large the caches of a session may be in any case.
const minCacheBytes = 128 << 10

// heldBytes is what is charged for a reporter: room for the smallest caches at least.
func heldBytes(r *reporter.OTLPReporter) func() int64 {
	least := r.MemoryBytes() + 2*minCacheBytes
	return func() int64 { return max(r.MemoryBytes(), least) }
}

// looksEvery is how many entries are taken between two looks at the context.
const looksEvery = 256

// translate calls for each entry the method that it stands for. Facts come before
// what needs them. They may be reported twice: when there is no room for the samples,
// or nobody waits for the answer any more, the request comes again as a whole. There
// is room for all counts and metrics before the first of them is reported. When there
// is no room for facts, the caches stay as large as they are, and evict.
func (s *session) translate(ctx context.Context, q *collectionagentv1.Request) error {
	if err := s.account.Reserve(ctx, 1); err != nil { // heldBytes is charged from the first request on
		return err
	}
	s.reporter.LimitCache(math.MaxInt)
	var stack libpf.Trace
	limited := false
	n := 0
	for e := range q.Entries(collectionagentv1.Hosts, collectionagentv1.Executables, collectionagentv1.Frames,
		collectionagentv1.Symbols, collectionagentv1.Traces) {
		if n++; n%looksEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		bytes := factBytes(e)
		if bytes == 0 { // a host without metadata
			continue
		}
		if !limited && !s.account.Try(bytes) {
			limited = true
			s.reporter.LimitCache(max(int(s.reporter.Stats().CacheBytes), minCacheBytes))
		}
		reportFact(e, s.reporter, &stack)
	}
	if err := s.account.Reserve(ctx, sampleBytes(q)); err != nil {
		return err
	}
	for e := range q.Entries(collectionagentv1.Counts, collectionagentv1.Metrics) {
		switch m := e.(type) {
		case *collectionagentv1.TraceCount:
			s.reporter.ReportCountForTrace(traceHash(m.TraceHash), libpf.UnixTime32(m.Timestamp), uint16(m.Count), m.Comm, m.PodName, m.ContainerName)
		case *collectionagentv1.MetricValues:
			s.reporter.ReportMetrics(m.Timestamp, m.Ids, m.Values)
		}
	}
	return nil
}

// reportFact reports an entry that is not a sample. stack is memory to work with.
func reportFact(e collectionagentv1.Entry, to reporter.Reporter, stack *libpf.Trace) {
	switch m := e.(type) {
	case *collectionagentv1.HostMetadata:
		to.ReportHostMetadata(m.Metadata)
	case *collectionagentv1.ExecutableMetadata:
		to.ExecutableMetadata(context.Background(), fileID(m.FileId), m.FileName, m.BuildId)
	case *collectionagentv1.FrameMetadata:
		to.FrameMetadata(fileID(m.FileId), libpf.AddressOrLineno(m.AddressOrLine), libpf.SourceLineno(m.LineNumber),
			m.FunctionOffset, m.FunctionName, m.FilePath)
	case *collectionagentv1.FallbackSymbol:
		to.ReportFallbackSymbol(libpf.NewFrameID(fileID(m.FileId), libpf.AddressOrLineno(m.AddressOrLine)), m.Symbol)
	case *collectionagentv1.TraceFrames:
		setTrace(stack, m)
		to.ReportFramesForTrace(stack)
	}
}

// setTrace makes t the stack of an entry. Its lists are used again.
func setTrace(t *libpf.Trace, m *collectionagentv1.TraceFrames) {
	*t = libpf.Trace{Hash: traceHash(m.Hash), Files: t.Files[:0], Linenos: t.Linenos[:0], FrameTypes: t.FrameTypes[:0]}
	for i, address := range m.Addresses {
		file := m.FileIds[i*collectionagentv1.IDBytes : (i+1)*collectionagentv1.IDBytes]
		t.AppendFrame(libpf.FrameType(m.Types[i]), fileID(file), libpf.AddressOrLineno(address))
	}
}

// fileID and traceHash read 16 bytes, which Check has seen to.
func fileID(b []byte) libpf.FileID {
	id, _ := libpf.FileIDFromBytes(b)
	return id
}

func traceHash(b []byte) libpf.TraceHash {
	h, _ := libpf.TraceHashFromBytes(b)
	return h
}
