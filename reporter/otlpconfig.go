package reporter

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// OTLPConfig is what NewOTLP is given. The zero value of a field is its default.
// Either Endpoint or Consumer must be set, or the environment names an endpoint.
//
// Without a Consumer, fields that are not set have the values of the environment
// variables of the OpenTelemetry specification: OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL,
// _INSECURE, _HEADERS, _COMPRESSION, _TIMEOUT, _CERTIFICATE, _CLIENT_CERTIFICATE and
// _CLIENT_KEY, or before those OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT and so on, and
// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
type OTLPConfig struct {
	// Endpoint is host:port for OTLP/gRPC, or a base URL for OTLP/HTTP if it
	// begins with http:// or https://.
	Endpoint string
	// ProfilesURL is the URL of profiles over HTTP, used as it is. Empty is the path of
	// profiles below Endpoint.
	ProfilesURL string
	// NoEnvironment does not read environment variables.
	NoEnvironment bool
	// Insecure sends over gRPC without TLS.
	Insecure bool
	// CAFile verifies the destination; empty is the system's roots. CertFile and
	// KeyFile are the client's own certificate.
	CAFile, CertFile, KeyFile string
	// Headers go with each request.
	Headers map[string]string
	// Compression is gzip (the default), zstd, snappy, or none; over HTTP also zlib and
	// deflate.
	Compression string
	// Timeout is for one exchange. Default 5 s.
	Timeout time.Duration

	// Consumer takes the requests in this process, instead of an Endpoint. It must
	// return when its context ends, and must not call Stop or Shutdown: they wait for
	// it.
	Consumer pipeline.Consumer

	// Name and Version are the scope of all profiles: the profiler's. Default
	// "penstock" and the version of this module.
	Name, Version string
	// Resource is on all profiles and metrics, beside host metadata, which wins.
	Resource libpf.Attributes
	// SamplesPerSecond is how often ReportCountForTrace's samples are taken, for
	// the profile's period; 0 is unknown.
	SamplesPerSecond int
	// StringReferences writes the strings of resources and scopes as references into
	// the dictionary (key_strindex, string_value_strindex), each once for a request.
	// Requests with many resources become smaller. Receivers from before 2026 see
	// resources without attributes then, so it is off by default.
	StringReferences bool
	// MetricDefinitions tells what the ids of ReportMetrics are. Without it
	// metrics are counted and ignored.
	MetricDefinitions map[uint32]MetricDefinition

	// ReportInterval is the time between two reports, ±20 %. Default 5 s.
	ReportInterval time.Duration
	// ReportMetricsInterval is the same for metrics. Default 1 min.
	ReportMetricsInterval time.Duration
	// StopTimeout is how long Stop may take to send what is left. Default 5 s. What is not
	// sent then is dropped, or stays in the SpoolDir.
	StopTimeout time.Duration

	// MaxRequestBytes is the size of the largest request, before compression.
	// Default 4 MiB, which every gRPC server takes.
	MaxRequestBytes int
	// MaxWindowBytes bounds what is collected and not yet a request. A report is
	// made early when three eighths of it are reached. Default 64 MiB.
	MaxWindowBytes int
	// MaxPendingBytes bounds the requests that wait in memory: to be sent, or with a
	// SpoolDir to be written there. Default 64 MiB.
	MaxPendingBytes int
	// MaxCacheBytes bounds the caches of stacks, symbols and executables together.
	// Default 64 MiB.
	MaxCacheBytes int

	// SpoolDir is a folder where each request is kept on disk until the destination has
	// acknowledged it, also over the end of the process and of the machine: the next
	// reporter with this folder sends what it finds there first. What is missing of the
	// path is created with mode 0700; a folder has one process at a time. Empty: requests
	// wait in memory, and what is not sent at the end is lost.
	SpoolDir string
	// SpoolBytes bounds the files of the spool, default 1 GiB; metrics have an eighth of
	// it. At the bound, and where less than 256 MiB of the disk are free, the oldest
	// requests are dropped for newer ones and counted as DropPendingFull, up to 16 MiB at
	// a time.
	SpoolBytes int64

	// Logger gets what is worth telling an operator. nil is silence.
	Logger *slog.Logger

	// For tests: a hash of stacks, and the waits between attempts to send.
	hashStack                  func(libpf.Frames) uint64
	lookup                     func(name string) string // of a variable
	initialBackoff, maxBackoff time.Duration
}

// The defaults.
const (
	defaultReportInterval        = 5 * time.Second
	defaultReportMetricsInterval = time.Minute
	defaultStopTimeout           = 5 * time.Second
	defaultTimeout               = 5 * time.Second
	defaultMaxRequestBytes       = 4 << 20
	defaultMaxWindowBytes        = 64 << 20
	defaultMaxPendingBytes       = 64 << 20
	defaultMaxCacheBytes         = 64 << 20
)

// The least that bounds of bytes may be, and the most. A window has 16 parts, and
// a chunk of 12 KiB is the least that each takes; its events are counted in 32
// bits.
const (
	minBytes        = 16 << 10
	minWindowBytes  = 512 << 10
	maxWindowBytes  = int64(32 << 30)
	maxRequestBytes = 1 << 30
)

func (c OTLPConfig) orDefaults() OTLPConfig {
	for _, d := range []struct {
		of    *time.Duration
		value time.Duration
	}{
		{&c.ReportInterval, defaultReportInterval}, {&c.ReportMetricsInterval, defaultReportMetricsInterval},
		{&c.StopTimeout, defaultStopTimeout}, {&c.Timeout, defaultTimeout},
	} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	for _, d := range []struct {
		of    *int
		value int
	}{
		{&c.MaxRequestBytes, defaultMaxRequestBytes}, {&c.MaxWindowBytes, defaultMaxWindowBytes},
		{&c.MaxPendingBytes, defaultMaxPendingBytes}, {&c.MaxCacheBytes, defaultMaxCacheBytes},
	} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	if c.SpoolBytes == 0 && c.SpoolDir != "" {
		c.SpoolBytes = max(defaultSpoolBytes, minSpoolRequests*int64(c.MaxRequestBytes))
	}
	if c.Compression == "" {
		c.Compression = string(config.Gzip)
	}
	if c.Name == "" {
		c.Name, c.Version = "penstock", otlpclient.Version()
	}
	c.Name, c.Version = validText(c.Name), validText(c.Version)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c OTLPConfig) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if (c.Endpoint == "") == (c.Consumer == nil) {
		bad("expected one of Endpoint and Consumer, found %s", map[bool]string{true: "neither", false: "both"}[c.Consumer == nil])
	}
	if c.ProfilesURL != "" && !c.overHTTP() {
		bad("ProfilesURL needs an Endpoint that is a URL")
	}
	switch {
	case c.SpoolDir == "" && c.SpoolBytes != 0:
		bad("SpoolBytes is %d without a SpoolDir", c.SpoolBytes)
	case c.SpoolDir != "" && c.SpoolBytes < minSpoolRequests*int64(c.MaxRequestBytes):
		bad("SpoolBytes is %d: expected at least %d bytes, %d times MaxRequestBytes", c.SpoolBytes, minSpoolRequests*int64(c.MaxRequestBytes), minSpoolRequests)
	}
	if c.Compression == string(config.LZ4) {
		bad("Compression lz4 is not included: expected gzip, zstd, snappy or none, over HTTP also zlib or deflate")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ReportInterval", c.ReportInterval}, {"ReportMetricsInterval", c.ReportMetricsInterval},
		{"StopTimeout", c.StopTimeout}, {"Timeout", c.Timeout},
	} {
		if d.value < 0 {
			bad("%s is negative: %s", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"MaxRequestBytes", c.MaxRequestBytes}, {"MaxPendingBytes", c.MaxPendingBytes}, {"MaxCacheBytes", c.MaxCacheBytes}} {
		if n.value < minBytes {
			bad("%s is %d: expected at least %d bytes", n.name, n.value, minBytes)
		}
	}
	if c.MaxWindowBytes < minWindowBytes || int64(c.MaxWindowBytes) > maxWindowBytes {
		bad("MaxWindowBytes is %d: expected %d to %d bytes", c.MaxWindowBytes, minWindowBytes, maxWindowBytes)
	}
	if c.MaxRequestBytes > maxRequestBytes {
		bad("MaxRequestBytes is %d: expected at most %d bytes", c.MaxRequestBytes, maxRequestBytes)
	}
	if c.MaxPendingBytes < c.MaxRequestBytes {
		bad("MaxPendingBytes (%d) is less than MaxRequestBytes (%d): a full request could never wait", c.MaxPendingBytes, c.MaxRequestBytes)
	}
	if c.SamplesPerSecond < 0 {
		bad("SamplesPerSecond is negative: %d", c.SamplesPerSecond)
	}
	for _, id := range slices.Sorted(maps.Keys(c.MetricDefinitions)) {
		if c.MetricDefinitions[id].Name == "" {
			bad("MetricDefinitions[%d] has no Name", id)
		}
	}
	return errors.Join(problems...)
}

// requestBytes is the size of the largest request that is made. In a spool it has a
// header, and is not divided for that.
func (c OTLPConfig) requestBytes() int {
	if c.SpoolDir != "" {
		return c.MaxRequestBytes - spoolHeaderBytes
	}
	return c.MaxRequestBytes
}

// overHTTP reports whether the endpoint is a URL.
func (c OTLPConfig) overHTTP() bool {
	return strings.HasPrefix(c.Endpoint, "http://") || strings.HasPrefix(c.Endpoint, "https://")
}

// sender connects to the endpoint, lazily.
func (c OTLPConfig) sender(traffic *otlpclient.Traffic) (otlpclient.Sender, error) {
	headers := make(config.Headers, 0, len(c.Headers))
	for _, k := range slices.Sorted(maps.Keys(c.Headers)) {
		headers = append(headers, config.Header{Name: k, Value: config.Secret(c.Headers[k])})
	}
	files := config.ClientTLS{TLS: config.TLS{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}, Insecure: c.Insecure}
	if c.overHTTP() {
		h := config.DefaultHTTPClient()
		h.Endpoint, h.TLS, h.Headers, h.Compression, h.Timeout = c.Endpoint, files, headers, config.Compression(c.Compression), c.Timeout
		var urls otlpclient.Endpoints
		if c.ProfilesURL != "" {
			urls = otlpclient.Endpoints{otlp.Profiles: c.ProfilesURL}
		}
		return otlpclient.NewHTTP(h, urls, otlpclient.WithTraffic(traffic))
	}
	g := config.DefaultGRPCClient()
	g.Endpoint, g.TLS, g.Headers, g.Compression = c.Endpoint, files, headers, config.Compression(c.Compression)
	return otlpclient.NewGRPC(g, c.Timeout, otlpclient.WithTraffic(traffic))
}

// forOTLP translates what StartOTLP is given.
func (c *Config) forOTLP() (OTLPConfig, error) {
	if c == nil || c.Times == nil {
		return OTLPConfig{}, errors.New("set up the OTLP reporter: the configuration or its Times is nil")
	}
	var problems []error
	if c.CollAgentAddr == "" {
		problems = append(problems, errors.New("CollAgentAddr is empty: expected host:port, or a URL"))
	}
	if n := c.MaxRPCMsgSize; n != 0 && (n < minBytes || n > maxRequestBytes) {
		problems = append(problems, fmt.Errorf("MaxRPCMsgSize is %d: expected %d to %d bytes, or 0 for %d", n, minBytes, maxRequestBytes, defaultMaxRequestBytes))
	}
	if err := errors.Join(problems...); err != nil {
		return OTLPConfig{}, fmt.Errorf("set up the OTLP reporter: %w", err)
	}
	o := OTLPConfig{
		Endpoint: c.CollAgentAddr, Insecure: c.DisableTLS, MaxRequestBytes: c.MaxRPCMsgSize,
		ReportInterval: c.Times.ReportInterval(), ReportMetricsInterval: c.Times.ReportMetricsInterval(),
		Timeout: c.Times.GRPCOperationTimeout(), StopTimeout: c.Times.GRPCOperationTimeout(),
		SpoolDir: c.SpoolDir, Logger: slog.Default(),
	}
	o.MaxPendingBytes = max(defaultMaxPendingBytes, 2*o.MaxRequestBytes)
	return o, nil
}

// MetricDefinition says what the values of a metric id are.
type MetricDefinition struct {
	Name, Description, Unit string
	// Kind is how values add up.
	Kind MetricKind
}

// validDefinitions returns a copy that can be written as protobuf.
func validDefinitions(all map[uint32]MetricDefinition) map[uint32]MetricDefinition {
	valid := make(map[uint32]MetricDefinition, len(all))
	for id, d := range all {
		valid[id] = MetricDefinition{validText(d.Name), validText(d.Description), validText(d.Unit), d.Kind}
	}
	return valid
}

// validText returns s as strings in protobuf must be: else a receiver refuses the
// whole request.
func validText(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// MetricKind is how values of a metric add up.
type MetricKind uint8

const (
	// Gauge: a value is what was measured at that time.
	Gauge MetricKind = iota
	// Counter: a value is what was added since the one before (a monotonic sum
	// with delta temporality).
	Counter
)
