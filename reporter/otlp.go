package reporter

import (
	"context"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// OTLPReporter receives and transforms information to be OTLP/profiles compliant.
type OTLPReporter struct{}

var (
	_ Reporter           = (*OTLPReporter)(nil)
	_ TraceEventReporter = (*OTLPReporter)(nil)
)

// NewOTLP checks the configuration. Start starts the reporter.
func NewOTLP(cfg OTLPConfig) (*OTLPReporter, error) { panic("being built") }

// Start begins to report. It does not wait for the destination.
func (r *OTLPReporter) Start(context.Context) error { panic("being built") }

// Shutdown sends what is left until ctx ends. It may be called twice.
func (r *OTLPReporter) Shutdown(ctx context.Context) error { panic("being built") }

// Flush hands everything collected so far to the sender without waiting for the
// interval, and returns at once.
func (r *OTLPReporter) Flush() { panic("being built") }

// Stop is Shutdown within StopTimeout.
func (r *OTLPReporter) Stop() { panic("being built") }

// ReportTraceEvent accepts one sample.
func (r *OTLPReporter) ReportTraceEvent(trace *samples.Trace, meta *samples.TraceEventMeta) error {
	panic("being built")
}

// ReportFramesForTrace accepts a trace with the corresponding frames and caches
// this information.
func (r *OTLPReporter) ReportFramesForTrace(trace *libpf.Trace) { panic("being built") }

// ReportCountForTrace accepts a hash of a trace with a corresponding count.
func (r *OTLPReporter) ReportCountForTrace(traceHash libpf.TraceHash, timestamp libpf.UnixTime32,
	count uint16, comm, podName, containerName string) {
	panic("being built")
}

// ReportFallbackSymbol takes a symbol for a frame that nothing better is known of.
func (r *OTLPReporter) ReportFallbackSymbol(frameID libpf.FrameID, symbol string) {
	panic("being built")
}

// ExecutableMetadata accepts a fileID with the corresponding filename.
func (r *OTLPReporter) ExecutableMetadata(_ context.Context, fileID libpf.FileID, fileName, buildID string) {
	panic("being built")
}

// FrameMetadata accepts metadata associated with a frame.
func (r *OTLPReporter) FrameMetadata(fileID libpf.FileID, addressOrLine libpf.AddressOrLineno,
	lineNumber libpf.SourceLineno, functionOffset uint32, functionName, filePath string) {
	panic("being built")
}

// ReportHostMetadata puts host metadata on all resources from now on.
func (r *OTLPReporter) ReportHostMetadata(metadataMap map[string]string) { panic("being built") }

// ReportHostMetadataBlocking does what ReportHostMetadata does.
func (r *OTLPReporter) ReportHostMetadataBlocking(_ context.Context, metadataMap map[string]string, _ int, _ time.Duration) error {
	panic("being built")
}

// ReportMetrics turns values into OTLP metrics.
func (r *OTLPReporter) ReportMetrics(timestamp uint32, ids []uint32, values []int64) {
	panic("being built")
}

// GetMetrics returns the counters since the last call.
func (r *OTLPReporter) GetMetrics() Metrics { panic("being built") }
