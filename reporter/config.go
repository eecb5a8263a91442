package reporter

import "time"

// Config is what Start and StartOTLP are given.
type Config struct {
	// CollAgentAddr defines the destination of the backend connection, host:port.
	// StartOTLP also takes a URL: one that begins with http:// or https:// is
	// OTLP/HTTP.
	CollAgentAddr string

	// MaxRPCMsgSize defines the maximum size of a gRPC message, in bytes before
	// compression. 0 is 4 MiB, which every gRPC server takes.
	MaxRPCMsgSize int

	// ExecMetadataMaxQueue defines the maximum size for the queue which holds
	// executable metadata. All queue sizes are numbers of entries that wait; as many
	// again may be in the batch that is being sent. StartOTLP, which has no queues,
	// bounds its caches by bytes instead.
	ExecMetadataMaxQueue uint32
	// CountsForTracesMaxQueue defines the maximum size for the queue which holds
	// data of type libpf.TraceAndCounts.
	CountsForTracesMaxQueue uint32
	// MetricsMaxQueue defines the maximum size for the queue which holds metrics.
	MetricsMaxQueue uint32
	// FramesForTracesMaxQueue defines the maximum size for the queue which holds
	// data of type libpf.Trace.
	FramesForTracesMaxQueue uint32
	// FrameMetadataMaxQueue defines the maximum size for the queue which holds
	// frame metadata.
	FrameMetadataMaxQueue uint32
	// HostMetadataMaxQueue defines the maximum size for the queue which holds
	// host metadata.
	HostMetadataMaxQueue uint32
	// FallbackSymbolsMaxQueue defines the maximum size for the queue which holds
	// fallback symbols.
	FallbackSymbolsMaxQueue uint32
	// Disable secure communication with Collection Agent
	DisableTLS bool
	// Number of connection attempts to the collector, after the first, after which we
	// give up retrying. StartOTLP does not wait for its backend and never gives up; it has
	// no use for it.
	MaxGRPCRetries uint32

	// SpoolDir is OTLPConfig.SpoolDir for StartOTLP. Start, whose queues are in memory
	// only, refuses it.
	SpoolDir string

	Times Times
}

// Times are the intervals and timeouts.
type Times interface {
	// ReportInterval is the time between two reports, ±20 %.
	ReportInterval() time.Duration
	// ReportMetricsInterval is the same for metrics.
	ReportMetricsInterval() time.Duration
	// GRPCConnectionTimeout is for establishing a connection. StartOTLP, which does
	// not wait for one, uses none of this, GRPCStartupBackoffTime and
	// GRPCAuthErrorDelay: what its backend refuses for its credentials is dropped and
	// counted, as OTLP has it.
	GRPCConnectionTimeout() time.Duration
	// GRPCOperationTimeout is for one exchange.
	GRPCOperationTimeout() time.Duration
	// GRPCStartupBackoffTime is the wait between two attempts to connect, ±20 %.
	GRPCStartupBackoffTime() time.Duration
	// GRPCAuthErrorDelay is the wait after the agent has refused our credentials.
	GRPCAuthErrorDelay() time.Duration
}
