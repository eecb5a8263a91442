package push

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// Config is the section "exporter" of a reader or processor, with the keys of the
// OpenTelemetry declarative configuration that the Collector uses.
type Config struct {
	OTLP    *OTLPConfig    `yaml:"otlp,omitempty"`
	Console *ConsoleConfig `yaml:"console,omitempty"`
}

// ConsoleConfig writes OTLP/JSON to stdout, one line a request. It has no keys.
type ConsoleConfig struct{}

// OTLPConfig is an OTLP destination.
type OTLPConfig struct {
	// Protocol is grpc, http/protobuf or http/json. Empty is http/protobuf.
	Protocol string `yaml:"protocol,omitempty"`
	// Endpoint is host:port or a URL; empty is this machine. For HTTP a path is taken as
	// it is; without one it is the signal's. Without a scheme there is no TLS.
	Endpoint string         `yaml:"endpoint,omitempty"`
	Headers  config.Headers `yaml:"headers,omitempty"`
	// HeadersList is "name=value,name=value"; Headers take precedence.
	HeadersList config.Secret `yaml:"headers_list,omitempty"`
	// Compression is gzip or none.
	Compression string `yaml:"compression,omitempty"`
	// TimeoutMillis is for one request; 0 means 10 s.
	TimeoutMillis int  `yaml:"timeout,omitempty"`
	Insecure      bool `yaml:"insecure,omitempty"`
	// Files of the authority, and of the certificate of this client.
	Certificate       string `yaml:"certificate,omitempty"`
	ClientCertificate string `yaml:"client_certificate,omitempty"`
	ClientKey         string `yaml:"client_key,omitempty"`
	// Of metrics only.
	TemporalityPreference       string `yaml:"temporality_preference,omitempty"`
	DefaultHistogramAggregation string `yaml:"default_histogram_aggregation,omitempty"`
}

const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
	protocolJSON = "http/json"
)

func protocols() []string { return []string{protocolGRPC, protocolHTTP, protocolJSON} }

// Validate checks the section "exporter".
func (c *Config) Validate() error {
	if (c.OTLP == nil) == (c.Console == nil) {
		return errors.New("expected one of otlp and console")
	}
	return nil
}

// Validate checks the section "otlp", and moves HeadersList to Headers.
func (c *OTLPConfig) Validate() error {
	var errs []error
	if c.Protocol != "" && !slices.Contains(protocols(), c.Protocol) {
		errs = append(errs, config.Atf("protocol", "unknown protocol %q%s", c.Protocol, suggest.Known(c.Protocol, protocols())))
	}
	if _, err := c.url(); err != nil {
		errs = append(errs, config.At("endpoint", err))
	}
	if !slices.Contains([]string{"", "gzip", "none"}, c.Compression) {
		errs = append(errs, config.Atf("compression", "expected gzip or none, found %q", c.Compression))
	}
	if c.TimeoutMillis < 0 {
		errs = append(errs, config.Atf("timeout", "expected milliseconds, 0 or more, found %d", c.TimeoutMillis))
	}
	if !slices.Contains([]string{"", "cumulative", "delta", "lowmemory"}, c.TemporalityPreference) {
		errs = append(errs, config.Atf("temporality_preference", "expected cumulative, delta or lowmemory, found %q", c.TemporalityPreference))
	}
	if !slices.Contains([]string{"", explicitBuckets, exponentialBuckets}, c.DefaultHistogramAggregation) {
		errs = append(errs, config.Atf("default_histogram_aggregation", "expected %s or %s, found %q", explicitBuckets, exponentialBuckets, c.DefaultHistogramAggregation))
	}
	all, err := c.headers()
	if err == nil {
		c.Headers, c.HeadersList = all, "" // a printed configuration shows their names
	}
	return errors.Join(append(errs, config.At("headers_list", err))...)
}

// url returns the endpoint as a URL.
func (c *OTLPConfig) url() (*url.URL, error) {
	endpoint := c.Endpoint
	switch {
	case endpoint == "" && c.Protocol == protocolGRPC:
		endpoint = "localhost:4317"
	case endpoint == "":
		endpoint = "localhost:4318"
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	return config.ParseHTTPEndpoint(endpoint)
}

// headers returns both kinds of headers.
func (c *OTLPConfig) headers() (config.Headers, error) {
	all := slices.Clone(c.Headers)
	for pair := range strings.SplitSeq(string(c.HeadersList), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value)) // W3C Baggage, as the specification says
		if !ok || err != nil {
			return nil, errors.New("expected name=value,name=value")
		}
		if all.Get(name) == "" {
			all = append(all, config.Header{Name: name, Value: config.Secret(value)})
		}
	}
	return all, all.Validate()
}

func (c *OTLPConfig) timeout() time.Duration {
	if c.TimeoutMillis == 0 {
		return 10 * time.Second
	}
	return time.Duration(c.TimeoutMillis) * time.Millisecond
}

// tls returns the settings of TLS.
func (c *OTLPConfig) tls() config.ClientTLS {
	t := config.ClientTLS{Insecure: c.Insecure}
	t.CAFile, t.CertFile, t.KeyFile = c.Certificate, c.ClientCertificate, c.ClientKey
	return t
}

// grpcClient returns the settings of a gRPC client.
func (c *OTLPConfig) grpcClient() (config.GRPCClient, error) {
	u, err := c.url()
	if err != nil {
		return config.GRPCClient{}, err
	}
	headers, err := c.headers()
	scheme := u.Scheme
	if c.Insecure {
		scheme = "http"
	}
	host := u.Host
	if u.Port() == "" {
		host += ":4317"
	}
	return config.GRPCClient{Endpoint: scheme + "://" + host, TLS: c.tls(), Headers: headers, Compression: config.Compression(c.Compression)}, err
}

// httpClient returns the settings of an HTTP client.
func (c *OTLPConfig) httpClient() (config.HTTPClient, error) {
	headers, err := c.headers()
	cfg := config.DefaultHTTPClient()
	cfg.TLS, cfg.Headers, cfg.Compression, cfg.Timeout = c.tls(), headers, config.Compression(c.Compression), c.timeout()
	if err != nil {
		return cfg, fmt.Errorf("headers_list: %w", err)
	}
	return cfg, nil
}
