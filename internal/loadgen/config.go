package loadgen

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
)

// The two protocols.
const (
	GRPC = "grpc"
	HTTP = "http" // with protobuf; HTTP/2 where TLS agrees on it
)

const (
	maxConnections = 1 << 12
	maxWorkers     = 1 << 16
)

// Config is the configuration of a run. The zero value is not valid: see DefaultConfig.
type Config struct {
	Shape
	// Protocol is GRPC or HTTP.
	Protocol string
	// Endpoint is host:port, or a URL.
	Endpoint    string
	TLS         config.ClientTLS
	Headers     config.Headers
	Compression config.Compression
	// Timeout is the timeout of one request.
	Timeout time.Duration
	// Connections is the number of connections, which the workers share evenly. Over
	// HTTP/1.1 each request in flight has a connection of its own.
	Connections int
	// Workers is the maximum number of requests in flight.
	Workers int
	// ItemsPerSecond is the constant rate; 0 means as fast as possible.
	ItemsPerSecond float64
	// Duration and Requests end the run, whichever comes first; 0 means no limit.
	Duration time.Duration
	Requests uint64
}

// DefaultConfig sends traces to a server on this machine for ten seconds.
func DefaultConfig() Config {
	return Config{
		Shape:       Shape{Signals: []otlp.Signal{otlp.Traces}, BatchItems: 100, Seed: 1},
		Protocol:    GRPC,
		Endpoint:    "localhost:4317",
		TLS:         config.ClientTLS{Insecure: true},
		Compression: config.NoCompression,
		Timeout:     10 * time.Second,
		Connections: 1,
		Workers:     4,
		Duration:    10 * time.Second,
	}
}

// Validate returns all errors of the configuration.
func (c Config) Validate() error {
	problems := c.Shape.problems()
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	want(c.Connections >= 1 && c.Connections <= maxConnections, "%d connections: expected 1 to %d", c.Connections, maxConnections)
	want(c.Workers >= 1 && c.Workers <= maxWorkers, "%d workers: expected 1 to %d", c.Workers, maxWorkers)
	want(c.ItemsPerSecond >= 0 && !math.IsInf(c.ItemsPerSecond, 0), "a rate of %v items a second: expected 0 (as fast as possible) or more", c.ItemsPerSecond)
	want(c.Duration >= 0, "a duration of %s: expected 0 (no limit) or more", c.Duration)
	want(c.Timeout > 0, "a timeout of %s: expected more than 0", c.Timeout)
	switch {
	case c.Endpoint == "":
		want(false, "no endpoint is set: expected host:port or a URL")
	case c.Protocol == GRPC:
		problems = append(problems, c.grpcClient().Validate())
	case c.Protocol == HTTP:
		problems = append(problems, c.httpClient().Validate())
	default:
		want(false, "unknown protocol %q: expected %s or %s", c.Protocol, GRPC, HTTP)
	}
	return errors.Join(problems...)
}

func (s Shape) problems() (problems []error) {
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	want(len(s.Signals) > 0, "no signal: expected one or more of traces, metrics, logs and profiles")
	for _, signal := range s.Signals {
		want(signal.Valid(), "%s: expected traces, metrics, logs or profiles", signal)
	}
	want(s.BatchItems >= 1 && s.BatchItems <= MaxBatchItems, "a batch of %d items: expected 1 to %d", s.BatchItems, MaxBatchItems)
	want(s.ItemBytes >= 0 && s.ItemBytes <= MaxRequestBytes, "items of %d bytes: expected 0 (any size) to %d", s.ItemBytes, MaxRequestBytes)
	if problems == nil {
		if err := s.tooLarge(s.BatchItems * s.ItemBytes); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

func (c Config) grpcClient() config.GRPCClient {
	g := config.DefaultGRPCClient()
	g.Endpoint, g.TLS, g.Headers, g.Compression = c.Endpoint, c.TLS, c.Headers, c.Compression
	return g
}

func (c Config) httpClient() config.HTTPClient {
	h := config.DefaultHTTPClient()
	h.Endpoint, h.TLS, h.Headers, h.Compression = c.Endpoint, c.TLS, c.Headers, c.Compression
	h.Timeout = c.Timeout
	h.MaxIdleConns = 0 // no limit
	return h
}

// requestsPerSecond is the rate of requests; 0 means as fast as possible.
func (c Config) requestsPerSecond() float64 { return c.ItemsPerSecond / float64(c.BatchItems) }
