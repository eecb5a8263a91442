package reporter

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// What ReportTraceEvent refuses.
var (
	errNoTrace   = errors.New("report a trace event: there is no trace or no meta")
	errNoOrigin  = errors.New("report a trace event: meta.Origin is nil: expected what kind of sample it is, such as samples.CPU(20)")
	errTime      = errors.New("report a trace event: meta.Timestamp is not after 1970")
	errDeepTrace = errors.New("report a trace event: the stack has more than 65536 frames")
)

// maxFrames bounds a stack.
const maxFrames = 1 << 16

// ReportTraceEvent accepts one sample with everything that is known of it. The
// error tells what is wrong with the sample; what is dropped for other reasons is
// counted. The slice of frames is not kept; see package samples for the rest.
func (r *OTLPReporter) ReportTraceEvent(trace *samples.Trace, meta *samples.TraceEventMeta) error {
	var err error
	switch {
	case trace == nil || meta == nil:
		err = errNoTrace
	case meta.Origin == nil:
		err = errNoOrigin
	case meta.Timestamp <= 0 && meta.Origin.Shape != samples.Totals:
		err = errTime
	case len(trace.Frames) > maxFrames:
		err = errDeepTrace
	default:
		r.store.Event(trace.Frames, trace.CustomLabels, meta)
		return nil
	}
	r.invalid.Add(1)
	return err
}

// ReportFramesForTrace accepts a trace with the corresponding frames and caches
// this information. Nothing of trace is kept.
func (r *OTLPReporter) ReportFramesForTrace(trace *libpf.Trace) { r.join.Trace(trace) }

// KnowsTrace reports whether the frames of a trace are there: they were reported, and not
// evicted since.
func (r *OTLPReporter) KnowsTrace(hash libpf.TraceHash) bool { return r.join.Has(hash) }

// ReportCountForTrace accepts a hash of a trace with a corresponding count and
// caches this information. Frames and symbols may come later: a sample waits for
// them for up to two intervals.
func (r *OTLPReporter) ReportCountForTrace(traceHash libpf.TraceHash, timestamp libpf.UnixTime32,
	count uint16, comm, podName, containerName string) {
	if timestamp == 0 { // not a time
		r.invalid.Add(1)
		return
	}
	meta := samples.TraceEventMeta{
		Timestamp: int64(timestamp) * int64(time.Second), Origin: r.origin, NoThread: true,
		Comm: comm, PodName: podName, ContainerName: containerName,
	}
	r.store.Count(traceHash, &meta, int64(count))
}

// ReportFallbackSymbol takes a symbol for a frame that nothing better is known of.
// The first one for a frame stays.
func (r *OTLPReporter) ReportFallbackSymbol(frameID libpf.FrameID, symbol string) {
	r.join.FallbackSymbol(frameID, symbol)
}

// ExecutableMetadata accepts a fileID with the corresponding filename and caches
// this information.
func (r *OTLPReporter) ExecutableMetadata(_ context.Context, fileID libpf.FileID, fileName, buildID string) {
	r.join.Executable(fileID, fileName, buildID)
}

// FrameMetadata accepts metadata associated with a frame and caches this
// information. An empty filePath does not replace a known one.
func (r *OTLPReporter) FrameMetadata(fileID libpf.FileID, addressOrLine libpf.AddressOrLineno,
	lineNumber libpf.SourceLineno, functionOffset uint32, functionName, filePath string) {
	r.join.Frame(fileID, addressOrLine, lineNumber, functionOffset, functionName, filePath)
}

// ReportHostMetadata puts host metadata on all resources from now on, each entry
// as an attribute with a string. Entries of earlier calls stay.
func (r *OTLPReporter) ReportHostMetadata(metadataMap map[string]string) { r.host.add(metadataMap) }

// ReportHostMetadataBlocking does what ReportHostMetadata does: it goes with the
// next report, and never fails.
func (r *OTLPReporter) ReportHostMetadataBlocking(_ context.Context, metadataMap map[string]string, _ int, _ time.Duration) error {
	r.host.add(metadataMap)
	return nil
}

// ReportMetrics turns values into OTLP metrics, if OTLPConfig.MetricDefinitions
// says what their ids are. Otherwise they are counted and ignored.
func (r *OTLPReporter) ReportMetrics(timestamp uint32, ids []uint32, values []int64) {
	r.points.add(timestamp, ids, values)
}
