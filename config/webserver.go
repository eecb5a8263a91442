package config

import (
	"errors"
	"net"
	"strings"
)

// WebServer holds the settings of a server that serves pages or health checks,
// with the OpenTelemetry Collector's keys for any server.
type WebServer struct {
	// Endpoint is host:port, or the path of a socket for transport unix.
	Endpoint string `yaml:"endpoint"`
	// Transport is tcp, tcp4, tcp6 or unix.
	Transport string `yaml:"transport"`
	// TLS is off if it is nil.
	TLS *ServerTLS `yaml:"tls" config:"section"`
	// AllowedHosts are additional names in the Host header that browsers may
	// use, beside those of the machine itself and the one in Endpoint.
	AllowedHosts []string `yaml:"allowed_hosts,omitempty"`

	// These are not supported, and refused since users would rely on them for
	// security.
	Auth        Refused `yaml:"auth,omitempty"`
	Middlewares Refused `yaml:"middlewares,omitempty"`

	CORS                  Ignored `yaml:"cors,omitempty"`
	CompressionAlgorithms Ignored `yaml:"compression_algorithms,omitempty"`
	IdleTimeout           Ignored `yaml:"idle_timeout,omitempty"`
	IncludeMetadata       Ignored `yaml:"include_metadata,omitempty"`
	KeepAlivesEnabled     Ignored `yaml:"keep_alives_enabled,omitempty"`
	Keepalive             Ignored `yaml:"keepalive,omitempty"`
	MaxRequestBodySize    Ignored `yaml:"max_request_body_size,omitempty"`
	ReadHeaderTimeout     Ignored `yaml:"read_header_timeout,omitempty"`
	ReadTimeout           Ignored `yaml:"read_timeout,omitempty"`
	ResponseHeaders       Ignored `yaml:"response_headers,omitempty"`
	WriteTimeout          Ignored `yaml:"write_timeout,omitempty"`
}

// Validate checks the section.
func (c *WebServer) Validate() error {
	var errs []error
	switch c.Transport {
	case "unix":
		if c.Endpoint == "" {
			errs = append(errs, Atf("endpoint", "no endpoint is set: expected the path of a socket"))
		}
	case "tcp", "tcp4", "tcp6":
		if _, _, err := net.SplitHostPort(c.Endpoint); err != nil {
			errs = append(errs, Atf("endpoint", "expected host:port such as localhost:13133, found %q", c.Endpoint))
		}
	default:
		errs = append(errs, Atf("transport", "expected one of tcp, tcp4, tcp6, unix, found %q", c.Transport))
	}
	for _, h := range c.AllowedHosts {
		if h == "" || strings.ContainsAny(h, ":/*") && !strings.HasPrefix(h, "[") {
			errs = append(errs, Atf("allowed_hosts", "expected names without port, such as penstock.example.com, found %q", h))
		}
	}
	return errors.Join(errs...)
}

// Warnings returns a warning for each key that is set and has no effect.
func (c *WebServer) Warnings() []string {
	var all []string
	for _, i := range []*Ignored{
		&c.CORS, &c.CompressionAlgorithms, &c.IdleTimeout, &c.IncludeMetadata, &c.KeepAlivesEnabled, &c.Keepalive, &c.MaxRequestBodySize,
		&c.ReadHeaderTimeout, &c.ReadTimeout, &c.ResponseHeaders, &c.WriteTimeout,
	} {
		if i.Written() {
			all = append(all, i.value.Key()+" has no effect: this server only answers short requests, within its own limits")
		}
	}
	return all
}
