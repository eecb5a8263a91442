package reporter

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// GRPCStats are the accounts of a GRPCReporter since it was started.
type GRPCStats struct {
	CountsForTraces, ExeMetadata, FrameMetadata, FramesForTraces QueueStats
	HostMetadata, Metrics, FallbackSymbols                       QueueStats
	// AuthErrors is how often the agent refused our credentials.
	AuthErrors uint64
	// SentAgain is how many stacks the agent asked for and got again.
	SentAgain uint64
}

// ReportFramesForTrace implements the TraceReporter interface.
func (r *GRPCReporter) ReportFramesForTrace(trace *libpf.Trace) {
	if trace == nil {
		r.traces.begin()(false)
		return
	}
	t := libpf.Trace{ // the caller may use its slices again
		Files: slices.Clone(trace.Files), Linenos: slices.Clone(trace.Linenos), FrameTypes: slices.Clone(trace.FrameTypes), Hash: trace.Hash,
	}
	r.facts.trace(t)
	r.traces.put(t)
}

// ReportCountForTrace implements the TraceReporter interface.
func (r *GRPCReporter) ReportCountForTrace(traceHash libpf.TraceHash, timestamp libpf.UnixTime32,
	count uint16, comm, podName, containerName string) {
	r.counts.put(libpf.TraceAndCounts{
		Hash: traceHash, Timestamp: timestamp, Count: count, Comm: comm, PodName: podName, ContainerName: containerName,
	})
}

// ReportFallbackSymbol implements the SymbolReporter interface.
func (r *GRPCReporter) ReportFallbackSymbol(frameID libpf.FrameID, symbol string) {
	e := symbolEntry{frameID, symbol}
	r.facts.symbol(e)
	r.symbols.put(e)
}

// ExecutableMetadata implements the SymbolReporter interface. It does not wait,
// so ctx has no effect.
func (r *GRPCReporter) ExecutableMetadata(_ context.Context, fileID libpf.FileID, fileName, buildID string) {
	e := executableEntry{fileID, fileName, buildID}
	r.facts.executable(e)
	r.executables.put(e)
}

// FrameMetadata implements the SymbolReporter interface.
func (r *GRPCReporter) FrameMetadata(fileID libpf.FileID, addressOrLine libpf.AddressOrLineno,
	lineNumber libpf.SourceLineno, functionOffset uint32, functionName, filePath string) {
	m := libpf.FrameMetadata{
		FileID: fileID, AddressOrLine: addressOrLine, LineNumber: lineNumber,
		FunctionOffset: functionOffset, FunctionName: functionName, Filename: filePath,
	}
	r.facts.frame(m)
	r.frames.put(m)
}

// ReportHostMetadata implements the HostMetadataReporter interface.
func (r *GRPCReporter) ReportHostMetadata(metadataMap map[string]string) {
	r.facts.hostMetadata(metadataMap)
	r.hosts.put(hostMetadata(metadataMap))
}

func hostMetadata(m map[string]string) HostMetadata {
	return HostMetadata{Metadata: maps.Clone(m), Timestamp: uint64(time.Now().Unix())}
}

// ReportHostMetadataBlocking implements the HostMetadataReporter interface. It
// sends at once, at most maxRetries times more, with waitRetry between the
// attempts. nil means that the agent has the data. An agent that refuses it for
// good is not asked again.
func (r *GRPCReporter) ReportHostMetadataBlocking(ctx context.Context, metadataMap map[string]string,
	maxRetries int, waitRetry time.Duration) error {
	r.facts.hostMetadata(metadataMap)
	end := r.hosts.begin()
	err := r.sendHost(ctx, wireHost(hostMetadata(metadataMap)), maxRetries, waitRetry)
	end(err == nil)
	if err != nil {
		return fmt.Errorf("report host metadata: %w", err)
	}
	return nil
}

func (r *GRPCReporter) sendHost(ctx context.Context, host *collectionagentv1.HostMetadata, maxRetries int, waitRetry time.Duration) error {
	if fault := host.Check(); fault != nil {
		return fault
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(errReporterStopped) })()
	q := &request{Hosts: []*collectionagentv1.HostMetadata{host}}
	r.sender.number(q)
	for try := 0; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := r.sender.exchange(ctx, q)
		result, asked := judge(err)
		if result == unauthorized {
			r.sender.authErrors.Add(1)
		}
		if result == taken || result == refusedForGood || result == tooLarge || try >= maxRetries {
			return err
		}
		sleep(ctx, max(waitRetry, asked))
	}
}

// ReportMetrics implements the MetricsReporter interface.
func (r *GRPCReporter) ReportMetrics(timestamp uint32, ids []uint32, values []int64) {
	r.metrics.put(metricsEntry{timestamp, slices.Clone(ids), slices.Clone(values)})
}

// GetMetrics returns the counters since the last call.
func (r *GRPCReporter) GetMetrics() Metrics {
	return Metrics{
		CountsForTracesOverwriteCount: r.counts.sinceLast(),
		ExeMetadataOverwriteCount:     r.executables.sinceLast(),
		FrameMetadataOverwriteCount:   r.frames.sinceLast(),
		FramesForTracesOverwriteCount: r.traces.sinceLast(),
		HostMetadataOverwriteCount:    r.hosts.sinceLast(),
		MetricsOverwriteCount:         r.metrics.sinceLast(),
		FallbackSymbolsOverwriteCount: r.symbols.sinceLast(),
		RPCBytesOutCount:              r.traffic.RPCOut.Swap(0),
		RPCBytesInCount:               r.traffic.RPCIn.Swap(0),
		WireBytesOutCount:             r.traffic.WireOut.Swap(0),
		WireBytesInCount:              r.traffic.WireIn.Swap(0),
	}
}

// Stats returns the accounts since Start, to check that nothing is
// lost.
func (r *GRPCReporter) Stats() GRPCStats {
	return GRPCStats{
		CountsForTraces: r.counts.account(), ExeMetadata: r.executables.account(), FrameMetadata: r.frames.account(),
		FramesForTraces: r.traces.account(), HostMetadata: r.hosts.account(), Metrics: r.metrics.account(),
		FallbackSymbols: r.symbols.account(), AuthErrors: r.sender.authErrors.Load(), SentAgain: r.sentAgain.Load(),
	}
}
