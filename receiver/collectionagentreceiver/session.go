package collectionagentreceiver

import (
	"context"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/reporter"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// session is what is known of one reporter. Its requests are taken one after the
// other, so that a number is either seen with all that it brought, or not seen.
type session struct {
	reporter *reporter.OTLPReporter
	used     time.Time     // of sessions, under their lock
	settled  chan struct{} // closed when the session has ended, by sessions

	mu    sync.Mutex
	seen  window
	ended bool
}

// backlogRetry is the retry delay if the pipeline does not keep up.
const backlogRetry = time.Second

// take takes a request, each number once.
func (s *session) take(q *collectionagentv1.ReportRequest, full backlog) *frontend.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return shuttingDown()
	}
	switch s.seen.state(q.Sequence) {
	case known:
		return nil // its answer was lost
	case tooOld:
		return refuseField("sequence", "sequence: %d is %d or more behind the highest, %d: whether it was taken is not known any more",
			q.Sequence, collectionagentv1.SequenceWindow, s.seen.highest)
	}
	if at := s.reporter.Stats(); at.PendingBytes >= full.pending || at.WindowBytes >= full.window {
		return refuseFor(backlogRetry, "the pipeline does not keep up: of this reporter %d bytes of samples and %d of requests wait", at.WindowBytes, at.PendingBytes)
	}
	s.seen.add(q.Sequence)
	translate(q, s.reporter)
	return nil
}

// end passes on what the session holds, until ctx ends.
func (s *session) end(ctx context.Context) error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	return s.reporter.Shutdown(ctx)
}

// translate calls for each entry the method that it stands for. q has passed its
// Check. Facts come before what needs them.
func translate(q *collectionagentv1.ReportRequest, to reporter.Reporter) {
	for _, m := range q.Hosts {
		to.ReportHostMetadata(m.Metadata)
	}
	for _, m := range q.Executables {
		to.ExecutableMetadata(context.Background(), fileID(m.FileId), m.FileName, m.BuildId)
	}
	for _, m := range q.Frames {
		to.FrameMetadata(fileID(m.FileId), libpf.AddressOrLineno(m.AddressOrLine), libpf.SourceLineno(m.LineNumber),
			m.FunctionOffset, m.FunctionName, m.FilePath)
	}
	for _, m := range q.Symbols {
		to.ReportFallbackSymbol(libpf.NewFrameID(fileID(m.FileId), libpf.AddressOrLineno(m.AddressOrLine)), m.Symbol)
	}
	for _, m := range q.Traces {
		to.ReportFramesForTrace(trace(m))
	}
	for _, m := range q.Counts {
		to.ReportCountForTrace(traceHash(m.TraceHash), libpf.UnixTime32(m.Timestamp), uint16(m.Count), m.Comm, m.PodName, m.ContainerName)
	}
	for _, m := range q.Metrics {
		to.ReportMetrics(m.Timestamp, m.Ids, m.Values)
	}
}

func trace(m *collectionagentv1.TraceFrames) *libpf.Trace {
	t := &libpf.Trace{Hash: traceHash(m.Hash)}
	for i, address := range m.Addresses {
		file := m.FileIds[i*collectionagentv1.IDBytes : (i+1)*collectionagentv1.IDBytes]
		t.AppendFrame(libpf.FrameType(m.Types[i]), fileID(file), libpf.AddressOrLineno(address))
	}
	return t
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
