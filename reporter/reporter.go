package reporter

import (
	"context"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// Reporter is the top-level interface implemented by a full reporter.
type Reporter interface {
	TraceReporter
	SymbolReporter
	HostMetadataReporter
	MetricsReporter

	// Stop triggers a graceful shutdown of the reporter. It may be called twice.
	Stop()
	// GetMetrics returns the reporter's counters since the last call.
	GetMetrics() Metrics
}

// TraceReporter takes stacks, and how often each was seen.
type TraceReporter interface {
	// ReportFramesForTrace accepts a trace with the corresponding frames and
	// caches this information before a periodic reporting to the backend.
	ReportFramesForTrace(trace *libpf.Trace)

	// ReportCountForTrace accepts a hash of a trace with a corresponding count and
	// caches this information before a periodic reporting to the backend.
	ReportCountForTrace(traceHash libpf.TraceHash, timestamp libpf.UnixTime32,
		count uint16, comm, podName, containerName string)
}

// SymbolReporter takes what is known of frames and executables.
type SymbolReporter interface {
	// ReportFallbackSymbol enqueues a fallback symbol for reporting, for a given
	// frame. The first one for a frame stays.
	ReportFallbackSymbol(frameID libpf.FrameID, symbol string)

	// ExecutableMetadata accepts a fileID with the corresponding filename and
	// caches this information before a periodic reporting to the backend. The
	// last one for a file counts.
	ExecutableMetadata(ctx context.Context, fileID libpf.FileID, fileName, buildID string)

	// FrameMetadata accepts metadata associated with a frame and caches this
	// information before a periodic reporting to the backend. functionOffset is
	// the number of lines from the function's first to lineNumber.
	FrameMetadata(fileID libpf.FileID, addressOrLine libpf.AddressOrLineno,
		lineNumber libpf.SourceLineno, functionOffset uint32, functionName, filePath string)
}

// HostMetadataReporter takes what is known of the host.
type HostMetadataReporter interface {
	// ReportHostMetadata enqueues host metadata for sending (to the collection
	// agent).
	ReportHostMetadata(metadataMap map[string]string)

	// ReportHostMetadataBlocking sends host metadata to the collection agent.
	ReportHostMetadataBlocking(ctx context.Context, metadataMap map[string]string,
		maxRetries int, waitRetry time.Duration) error
}

// MetricsReporter takes numbers that the profiler measures itself by.
type MetricsReporter interface {
	// ReportMetrics accepts an id with a corresponding value and caches this
	// information before a periodic reporting to the backend. timestamp is in
	// seconds since 1970; ids and values are parallel lists.
	ReportMetrics(timestamp uint32, ids []uint32, values []int64)
}

// TraceEventReporter takes everything about one sample in one call, as profilers
// of today report it. *OTLPReporter is one.
type TraceEventReporter interface {
	// ReportTraceEvent accepts one sample. The error says what is wrong with it;
	// what is lost later is counted.
	ReportTraceEvent(trace *samples.Trace, meta *samples.TraceEventMeta) error
}

// HostMetadata holds metadata about the host.
type HostMetadata struct {
	Metadata  map[string]string
	Timestamp uint64 // seconds since 1970
}

// Metrics holds the counters of a reporter. Each is what happened since
// GetMetrics was called before: each count is returned once.
//
// An overwrite is an entry that was evicted for a newer one: in a GRPCReporter from
// a queue, in an OTLPReporter from a cache, or for CountsForTraces and Metrics a
// sample or point that was dropped for want of room.
type Metrics struct {
	CountsForTracesOverwriteCount uint32
	ExeMetadataOverwriteCount     uint32
	FrameMetadataOverwriteCount   uint32
	FramesForTracesOverwriteCount uint32
	HostMetadataOverwriteCount    uint32
	MetricsOverwriteCount         uint32
	FallbackSymbolsOverwriteCount uint32
	// RPC bytes are messages before compression, wire bytes what was sent of
	// them: compressed, with gRPC's frames.
	RPCBytesOutCount  int64
	RPCBytesInCount   int64
	WireBytesOutCount int64
	WireBytesInCount  int64
}
