package otlpreceiver

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Config is the receiver's section of a configuration, with the keys and the
// meaning that the OpenTelemetry Collector gives them. Start from DefaultConfig.
type Config struct {
	Protocols Protocols `yaml:"protocols"`
}

// Protocols enables each server by the presence of its key: absent is off,
// null or {} is on with defaults.
type Protocols struct {
	GRPC conf.Optional[GRPCConfig] `yaml:"grpc"`
	HTTP conf.Optional[HTTPConfig] `yaml:"http"`
}

// GRPCConfig configures the gRPC server.
type GRPCConfig struct {
	// Endpoint is host:port, or the path of a socket for transport unix.
	Endpoint string `yaml:"endpoint"`
	// Transport is tcp, tcp4, tcp6 or unix.
	Transport string `yaml:"transport"`
	// MaxRecvMsgSizeMiB limits a request, compressed and decompressed, in MiB.
	// 0 is 64, what OTLP recommends.
	MaxRecvMsgSizeMiB int `yaml:"max_recv_msg_size_mib"`
	// MaxConcurrentStreams limits the requests in progress on one connection.
	// 0 is 1024.
	MaxConcurrentStreams uint32 `yaml:"max_concurrent_streams"`
	// ReadBufferSize and WriteBufferSize are in bytes for each busy connection.
	// 0 is gRPC's own default.
	ReadBufferSize  int `yaml:"read_buffer_size"`
	WriteBufferSize int `yaml:"write_buffer_size"`
	// IncludeMetadata hands request headers to the pipeline.
	IncludeMetadata bool            `yaml:"include_metadata"`
	Keepalive       KeepaliveConfig `yaml:"keepalive"`

	TLS         later `yaml:"tls,omitempty"`
	Auth        later `yaml:"auth,omitempty"`
	Middlewares later `yaml:"middlewares,omitempty"`
	Dialer      later `yaml:"dialer,omitempty"`
}

// KeepaliveConfig is how gRPC tells dead connections, and sheds old ones.
type KeepaliveConfig struct {
	ServerParameters struct {
		// Each is off at 0.
		MaxConnectionIdle     time.Duration `yaml:"max_connection_idle"`
		MaxConnectionAge      time.Duration `yaml:"max_connection_age"`
		MaxConnectionAgeGrace time.Duration `yaml:"max_connection_age_grace"`
		// Time without traffic until the server pings, 0 is 2h.
		Time time.Duration `yaml:"time"`
		// Timeout for the answer, 0 is 20s.
		Timeout time.Duration `yaml:"timeout"`
	} `yaml:"server_parameters"`
	EnforcementPolicy struct {
		// MinTime between a client's pings, 0 is 5m.
		MinTime             time.Duration `yaml:"min_time"`
		PermitWithoutStream bool          `yaml:"permit_without_stream"`
	} `yaml:"enforcement_policy"`
}

// HTTPConfig configures the HTTP server.
type HTTPConfig struct {
	// Endpoint is host:port, or the path of a socket for transport unix.
	Endpoint string `yaml:"endpoint"`
	// Transport is tcp, tcp4, tcp6 or unix.
	Transport string `yaml:"transport"`
	// MaxRequestBodySize limits a request, compressed and decompressed, in bytes.
	// 0 or less is 64 MiB, what OTLP recommends.
	MaxRequestBodySize int64 `yaml:"max_request_body_size"`
	// IncludeMetadata hands request headers to the pipeline.
	IncludeMetadata bool `yaml:"include_metadata"`

	// No limit at 0.
	ReadTimeout       time.Duration `yaml:"read_timeout"`        // of a whole request
	ReadHeaderTimeout time.Duration `yaml:"read_header_timeout"` // of its header
	WriteTimeout      time.Duration `yaml:"write_timeout"`       // from the header's end to the response's
	IdleTimeout       time.Duration `yaml:"idle_timeout"`        // between two requests
	KeepAlivesEnabled bool          `yaml:"keep_alives_enabled"`

	TracesURLPath   string `yaml:"traces_url_path"`
	MetricsURLPath  string `yaml:"metrics_url_path"`
	LogsURLPath     string `yaml:"logs_url_path"`
	ProfilesURLPath string `yaml:"profiles_url_path"`

	TLS                   later `yaml:"tls,omitempty"`
	CORS                  later `yaml:"cors,omitempty"`
	Auth                  later `yaml:"auth,omitempty"`
	ResponseHeaders       later `yaml:"response_headers,omitempty"`
	CompressionAlgorithms later `yaml:"compression_algorithms,omitempty"`
	Middlewares           later `yaml:"middlewares,omitempty"`
	Dialer                later `yaml:"dialer,omitempty"`
}

// defaultMaxRequestBytes is for both transports (OTLP specification, "64 MiB is
// RECOMMENDED").
const defaultMaxRequestBytes = 64 << 20

// DefaultConfig returns a configuration in which both protocols are off and have
// their defaults once their key is there.
func DefaultConfig() Config {
	return Config{Protocols: Protocols{
		GRPC: conf.Default(DefaultGRPCConfig()),
		HTTP: conf.Default(DefaultHTTPConfig()),
	}}
}

// DefaultGRPCConfig returns what an empty key "grpc" stands for. The read buffer
// is smaller than the Collector's 512 KiB, which measured no faster.
func DefaultGRPCConfig() GRPCConfig {
	return GRPCConfig{
		Endpoint: "localhost:4317", Transport: "tcp",
		MaxRecvMsgSizeMiB:    defaultMaxRequestBytes >> 20,
		MaxConcurrentStreams: 1024,
		ReadBufferSize:       64 << 10,
	}
}

// DefaultHTTPConfig returns what an empty key "http" stands for. Unlike the
// Collector's, its timeouts stop a client that trickles. The idle timeout
// is longer than the minute at which SDKs send metrics.
func DefaultHTTPConfig() HTTPConfig {
	return HTTPConfig{
		Endpoint: "localhost:4318", Transport: "tcp",
		MaxRequestBodySize: defaultMaxRequestBytes,
		ReadTimeout:        time.Minute, ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		KeepAlivesEnabled: true,
		TracesURLPath:     otlp.Traces.Spec().Path, MetricsURLPath: otlp.Metrics.Spec().Path,
		LogsURLPath: otlp.Logs.Spec().Path, ProfilesURLPath: otlp.Profiles.Spec().Path,
	}
}

// Validate checks what is about the whole; the sections check themselves.
func (c *Config) Validate() error {
	if !c.Protocols.GRPC.HasValue() && !c.Protocols.HTTP.HasValue() {
		return errors.New("must specify at least one protocol when using the OTLP receiver")
	}
	return nil
}

// check is Validate of c and of its sections, for a Config that was not decoded.
func (c *Config) check() error {
	errs := []error{c.Validate()}
	if g := c.Protocols.GRPC.Get(); g != nil {
		errs = append(errs, conf.At("protocols.grpc", g.Validate()))
	}
	if h := c.Protocols.HTTP.Get(); h != nil {
		errs = append(errs, conf.At("protocols.http", h.Validate()))
	}
	return errors.Join(errs...)
}

// Validate checks the section "grpc".
func (c *GRPCConfig) Validate() error {
	server := &c.Keepalive.ServerParameters
	return errors.Join(
		checkAddress(c.Transport, c.Endpoint),
		checkRange("max_recv_msg_size_mib", c.MaxRecvMsgSizeMiB, math.MaxInt32>>20),
		checkRange("read_buffer_size", c.ReadBufferSize, math.MaxInt32),
		checkRange("write_buffer_size", c.WriteBufferSize, math.MaxInt32),
		conf.At("keepalive.server_parameters", errors.Join(
			checkDuration("max_connection_idle", server.MaxConnectionIdle),
			checkDuration("max_connection_age", server.MaxConnectionAge),
			checkDuration("max_connection_age_grace", server.MaxConnectionAgeGrace),
			checkDuration("time", server.Time),
			checkDuration("timeout", server.Timeout))),
		conf.At("keepalive.enforcement_policy",
			checkDuration("min_time", c.Keepalive.EnforcementPolicy.MinTime)),
	)
}

// Validate checks the section "http".
func (c *HTTPConfig) Validate() error {
	var tooLarge error
	if c.MaxRequestBodySize > math.MaxInt32 {
		tooLarge = conf.Atf("max_request_body_size", "expected at most %d, found %d", math.MaxInt32, c.MaxRequestBodySize)
	}
	_, paths := c.routes()
	return errors.Join(
		checkAddress(c.Transport, c.Endpoint),
		tooLarge,
		checkDuration("read_timeout", c.ReadTimeout),
		checkDuration("read_header_timeout", c.ReadHeaderTimeout),
		checkDuration("write_timeout", c.WriteTimeout),
		checkDuration("idle_timeout", c.IdleTimeout),
		paths,
	)
}

var transports = []string{"tcp", "tcp4", "tcp6", "unix"}

func checkAddress(transport, endpoint string) error {
	if !slices.Contains(transports, transport) {
		return conf.Atf("transport", "expected one of %s, found %q", strings.Join(transports, ", "), transport)
	}
	if transport == "unix" {
		if endpoint == "" {
			return conf.Atf("endpoint", "expected the path of a socket, found nothing")
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		return conf.Atf("endpoint", "expected host:port such as localhost:4317, found %q", endpoint)
	}
	return nil
}

func checkRange(key string, found, most int) error {
	if found < 0 || found > most {
		return conf.Atf(key, "expected 0 to %d, found %d", most, found)
	}
	return nil
}

func checkDuration(key string, found time.Duration) error {
	if found < 0 {
		return conf.Atf(key, "expected 0 or more, found %s", found)
	}
	return nil
}

// later is a section that the Collector knows and this release does not. It is
// refused rather than ignored, unless it says nothing.
type later struct{}

// DecodeConf implements conf.Decoder.
func (later) DecodeConf(n *conf.Node) error {
	if n.Kind() == conf.Null || n.Get("enabled").Kind() == conf.Bool && n.Get("enabled").Raw() == false {
		return nil
	}
	return fmt.Errorf("%s is not supported yet in this release", n.Key())
}
