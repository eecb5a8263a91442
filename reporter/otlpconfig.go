package reporter

import (
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// OTLPConfig is what NewOTLP is given. The zero value of a field is its default.
// Either Endpoint or Consumer must be set.
type OTLPConfig struct {
	// Endpoint is host:port for OTLP/gRPC, or a base URL for OTLP/HTTP if it
	// begins with http:// or https://.
	Endpoint string
	// Insecure sends over gRPC without TLS.
	Insecure bool
	// CAFile verifies the destination; empty is the system's roots. CertFile and
	// KeyFile are the client's own certificate.
	CAFile, CertFile, KeyFile string
	// Headers go with each request.
	Headers map[string]string
	// Compression is gzip (the default), zstd, or none.
	Compression string
	// Timeout is for one exchange. Default 5 s.
	Timeout time.Duration

	// Consumer takes the requests in this process, instead of an Endpoint.
	Consumer pipeline.Consumer

	// Name and Version are the scope of all profiles: the profiler's. Default
	// "penstock" and the version of this module.
	Name, Version string
	// Resource is on all profiles and metrics, beside host metadata, which wins.
	Resource libpf.Attributes
	// SamplesPerSecond is how often ReportCountForTrace's samples are taken, for
	// the profile's period; 0 is unknown.
	SamplesPerSecond int
	// MetricDefinitions tells what the ids of ReportMetrics are. Without it
	// metrics are counted and ignored.
	MetricDefinitions map[uint32]MetricDefinition

	// ReportInterval is the time between two reports, ±20 %. Default 5 s.
	ReportInterval time.Duration
	// ReportMetricsInterval is the same for metrics. Default 1 min.
	ReportMetricsInterval time.Duration
	// StopTimeout is how long Stop may take to send what is left. Default 5 s.
	StopTimeout time.Duration

	// MaxRequestBytes is the size of the largest request, before compression.
	// Default 4 MiB, which every gRPC server takes.
	MaxRequestBytes int
	// MaxWindowBytes bounds what is collected and not yet a request. A report is
	// made early when half of it is reached. Default 32 MiB.
	MaxWindowBytes int
	// MaxPendingBytes bounds the requests that wait to be sent. Default 64 MiB.
	MaxPendingBytes int
	// MaxCacheBytes bounds the caches of stacks, symbols and executables together.
	// Default 64 MiB.
	MaxCacheBytes int

	// SpoolDir is where requests that cannot be sent yet are kept on disk. It
	// needs the journal, which this version does not have: NewOTLP refuses it.
	SpoolDir string

	// Logger gets what is worth telling an operator. nil is silence.
	Logger *slog.Logger
}

// MetricDefinition says what the values of a metric id are.
type MetricDefinition struct {
	Name, Description, Unit string
	// Kind is how values add up.
	Kind MetricKind
}

// MetricKind is how values of a metric add up.
type MetricKind uint8

const (
	// Gauge: a value is what was measured at that time.
	Gauge MetricKind = iota
	// Counter: a value is what was added since the one before (a monotonic sum
	// with delta temporality).
	Counter
)
