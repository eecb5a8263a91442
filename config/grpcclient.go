package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// GRPCClient holds the settings of a gRPC client, with the Collector's keys.
// Auth is for the component that has the client; Middlewares have no effect yet, see
// GRPCClient.IgnoredKeys.
type GRPCClient struct {
	// Endpoint is in the format of ParseGRPCTarget.
	Endpoint    string         `yaml:"endpoint"`
	TLS         ClientTLS      `yaml:"tls"`
	Compression Compression    `yaml:"compression"`
	Headers     Headers        `yaml:"headers"`
	Keepalive   *GRPCKeepalive `yaml:"keepalive" config:"section"`
	// BalancerName selects how requests are distributed over the addresses of
	// the endpoint: round_robin or pick_first.
	BalancerName string `yaml:"balancer_name"`
	// WaitForReady lets a request wait for a connection, within its timeout.
	// Without it a request fails immediately if there is no connection.
	WaitForReady bool `yaml:"wait_for_ready"`
	// ReadBufferSize and WriteBufferSize are in bytes for each connection; 0
	// means gRPC's default, 32 KiB.
	ReadBufferSize  int `yaml:"read_buffer_size"`
	WriteBufferSize int `yaml:"write_buffer_size"`
	// Authority replaces the endpoint's host in the requests.
	Authority string `yaml:"authority"`
	// UserAgent replaces the User-Agent header, if it is not empty.
	UserAgent        string      `yaml:"user_agent,omitempty"`
	Auth             *ClientAuth `yaml:"auth" config:"section"`
	Middlewares      any         `yaml:"middlewares"`
	DialerMiddleware any         `yaml:"dialer_middleware,omitempty"`
}

// GRPCKeepalive configures the pings that a client sends to an idle server.
type GRPCKeepalive struct {
	// Time is the idle time after which a ping is sent; gRPC uses 10s if it is
	// less.
	Time time.Duration `yaml:"time"`
	// Timeout is how long the client waits for the answer; 0 means 20s.
	Timeout             time.Duration `yaml:"timeout"`
	PermitWithoutStream bool          `yaml:"permit_without_stream"`
}

// DefaultGRPCClient returns the Collector's defaults for an OTLP exporter.
func DefaultGRPCClient() GRPCClient {
	return GRPCClient{Compression: Gzip, BalancerName: "round_robin", WriteBufferSize: 512 << 10}
}

// Validate checks the settings; files are read by TLS.Load.
func (c GRPCClient) Validate() error {
	_, err := ParseGRPCTarget(c.Endpoint)
	problems := []error{
		At("endpoint", err),
		At("tls", c.TLS.Validate()),
		At("compression", c.Compression.ValidateGRPC()),
		At("headers", errors.Join(c.Headers.Validate(), c.Headers.reservedByGRPC())),
		At("read_buffer_size", notNegative("read_buffer_size", c.ReadBufferSize)),
		At("write_buffer_size", notNegative("write_buffer_size", c.WriteBufferSize)),
	}
	if !httpguts.ValidHeaderFieldValue(c.UserAgent) {
		problems = append(problems, Atf("user_agent", "expected text without control characters"))
	}
	switch c.BalancerName {
	case "", "round_robin", "pick_first":
	default:
		problems = append(problems, Atf("balancer_name", "unknown balancer %q: expected round_robin or pick_first", c.BalancerName))
	}
	if k := c.Keepalive; k != nil && (k.Time < 0 || k.Timeout < 0) {
		problems = append(problems, Atf("keepalive", "time and timeout must not be negative"))
	}
	return errors.Join(problems...)
}

// reservedByGRPC returns an error for headers that gRPC would silently leave
// out. A user-agent is allowed; the client sets it with a dial option.
func (h Headers) reservedByGRPC() error {
	for _, header := range h {
		switch name := strings.ToLower(header.Name); {
		case name == "content-type", name == "te", strings.HasPrefix(name, "grpc-"):
			return fmt.Errorf("header %q is gRPC's own and cannot be set", header.Name)
		}
	}
	return nil
}

func notNegative[N int | time.Duration](key string, n N) error {
	if n < 0 {
		return fmt.Errorf("%s %v is negative", key, n)
	}
	return nil
}

// IgnoredKeys returns the keys that are set and have no effect yet.
func (c GRPCClient) IgnoredKeys() []string {
	return given("middlewares", c.Middlewares, "dialer_middleware", c.DialerMiddleware)
}

// given takes keys and values alternately, and returns the keys whose value is
// not nil.
func given(pairs ...any) (keys []string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != nil {
			keys = append(keys, pairs[i].(string))
		}
	}
	return keys
}
