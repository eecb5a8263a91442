package config

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"time"
)

// HTTPClient is the settings of an HTTP client, with the Collector's keys. Auth
// and Middlewares are read and have no effect yet; see HTTPClient.IgnoredKeys.
type HTTPClient struct {
	// Endpoint is the base URL, read by ParseHTTPEndpoint. It may be empty where
	// the URLs are given otherwise.
	Endpoint string `yaml:"endpoint"`
	// ProxyURL replaces the proxy that the environment names.
	ProxyURL string    `yaml:"proxy_url"`
	TLS      ClientTLS `yaml:"tls"`
	// Timeout is for a whole exchange; 0 is none.
	Timeout           time.Duration     `yaml:"timeout"`
	Headers           Headers           `yaml:"headers"`
	Compression       Compression       `yaml:"compression"`
	CompressionParams CompressionParams `yaml:"compression_params"`
	// ReadBufferSize and WriteBufferSize are bytes for each connection; 0 is
	// net/http's own choice, 4 KiB.
	ReadBufferSize  int `yaml:"read_buffer_size"`
	WriteBufferSize int `yaml:"write_buffer_size"`
	// MaxConnsPerHost bounds all connections of HTTP/1.1; 0 is no bound.
	MaxConnsPerHost int `yaml:"max_conns_per_host"`
	// MaxIdleConns bounds the idle connections; 0 is no bound.
	MaxIdleConns int `yaml:"max_idle_conns"`
	// MaxIdleConnsPerHost is the same for one host; 0 is MaxIdleConns, since an
	// exporter has one host. (net/http would keep 2.)
	MaxIdleConnsPerHost int           `yaml:"max_idle_conns_per_host"`
	IdleConnTimeout     time.Duration `yaml:"idle_conn_timeout"`
	DisableKeepAlives   bool          `yaml:"disable_keep_alives"`
	// Keepalive is the newer way to write the four settings above.
	Keepalive HTTPKeepalive `yaml:"keepalive"`
	// ForceAttemptHTTP2 speaks HTTP/2 to https servers that can.
	ForceAttemptHTTP2 bool `yaml:"force_attempt_http2"`
	// HTTP2ReadIdleTimeout is the silence after which a ping is sent; 0 is never.
	HTTP2ReadIdleTimeout time.Duration `yaml:"http2_read_idle_timeout"`
	// HTTP2PingTimeout is how long its answer may take; 0 is 15s.
	HTTP2PingTimeout time.Duration `yaml:"http2_ping_timeout"`
	Cookies          *Cookies      `yaml:"cookies" config:"section"`
	Auth             any           `yaml:"auth"`
	Middlewares      any           `yaml:"middlewares"`
}

// Cookies, where present, are kept and sent back.
type Cookies struct{}

// HTTPKeepalive overrides the settings of the same meaning in HTTPClient, where
// set.
type HTTPKeepalive struct {
	Enabled             *bool          `yaml:"enabled"`
	MaxIdleConns        *int           `yaml:"max_idle_conns"`
	MaxIdleConnsPerHost *int           `yaml:"max_idle_conns_per_host"`
	IdleConnTimeout     *time.Duration `yaml:"idle_conn_timeout"`
}

// DefaultHTTPClient returns the Collector's defaults for an OTLP exporter.
func DefaultHTTPClient() HTTPClient {
	return HTTPClient{
		Timeout:           30 * time.Second,
		Compression:       Gzip,
		WriteBufferSize:   512 << 10,
		MaxIdleConns:      100,
		IdleConnTimeout:   90 * time.Second,
		ForceAttemptHTTP2: true,
	}
}

// Folded returns the settings with Keepalive put into the fields it overrides,
// and with zeros that stand for something else replaced by it.
func (c HTTPClient) Folded() HTTPClient {
	k := c.Keepalive
	if k.Enabled != nil {
		c.DisableKeepAlives = !*k.Enabled
	}
	if k.MaxIdleConns != nil {
		c.MaxIdleConns = *k.MaxIdleConns
	}
	if k.MaxIdleConnsPerHost != nil {
		c.MaxIdleConnsPerHost = *k.MaxIdleConnsPerHost
	}
	if k.IdleConnTimeout != nil {
		c.IdleConnTimeout = *k.IdleConnTimeout
	}
	c.Keepalive = HTTPKeepalive{}
	if c.MaxIdleConnsPerHost == 0 && c.MaxIdleConns > 0 {
		c.MaxIdleConnsPerHost = c.MaxIdleConns
	} else if c.MaxIdleConnsPerHost == 0 {
		c.MaxIdleConnsPerHost = math.MaxInt
	}
	return c
}

// Transport returns a transport with these settings, of which it takes the folded
// ones. It reads the files of TLS. Timeout, Headers, Compression and Cookies are
// left to the caller, as is a bound on the headers of answers.
func (c HTTPClient) Transport() (*http.Transport, error) {
	c = c.Folded()
	c.TLS.Insecure = false // the URL's scheme decides
	tlsConfig, err := c.TLS.Load()
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true, // of answers: those of OTLP are small, profiles are compressed already
		MaxIdleConns:        c.MaxIdleConns,
		MaxIdleConnsPerHost: c.MaxIdleConnsPerHost,
		MaxConnsPerHost:     c.MaxConnsPerHost,
		IdleConnTimeout:     c.IdleConnTimeout,
		DisableKeepAlives:   c.DisableKeepAlives,
		ForceAttemptHTTP2:   c.ForceAttemptHTTP2,
		ReadBufferSize:      c.ReadBufferSize,
		WriteBufferSize:     c.WriteBufferSize,
	}
	if c.HTTP2ReadIdleTimeout > 0 {
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: c.HTTP2ReadIdleTimeout, PingTimeout: c.HTTP2PingTimeout}
	}
	if c.ProxyURL != "" {
		proxy, err := ParseProxyURL(c.ProxyURL)
		if err != nil {
			return nil, err
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	return t, nil
}

// Validate checks the settings; files are read by TLS.Load. An empty endpoint
// passes: only the client's owner knows whether it needs one.
func (c HTTPClient) Validate() error {
	var problems []error
	add := func(key string, err error) { problems = append(problems, At(key, err)) }
	if c.Endpoint != "" {
		_, err := ParseHTTPEndpoint(c.Endpoint)
		add("endpoint", err)
	}
	if c.ProxyURL != "" {
		_, err := ParseProxyURL(c.ProxyURL)
		add("proxy_url", err)
	}
	add("tls", c.TLS.Validate())
	add("headers", c.Headers.Validate())
	if err := c.Compression.ValidateHTTP(); err != nil {
		add("compression", err)
	} else {
		add("compression_params", c.CompressionParams.ValidateFor(c.Compression))
	}
	f := c.Folded()
	for _, n := range []struct {
		key   string
		value int
	}{
		{"read_buffer_size", f.ReadBufferSize}, {"write_buffer_size", f.WriteBufferSize},
		{"max_conns_per_host", f.MaxConnsPerHost}, {"max_idle_conns", f.MaxIdleConns},
		{"max_idle_conns_per_host", f.MaxIdleConnsPerHost},
	} {
		add(n.key, notNegative(n.key, n.value))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"timeout", f.Timeout}, {"idle_conn_timeout", f.IdleConnTimeout},
		{"http2_read_idle_timeout", f.HTTP2ReadIdleTimeout}, {"http2_ping_timeout", f.HTTP2PingTimeout},
	} {
		add(d.key, notNegative(d.key, d.value))
	}
	return errors.Join(problems...)
}

// ParseProxyURL reads the URL of a proxy.
func ParseProxyURL(proxy string) (*url.URL, error) {
	u, err := url.Parse(proxy)
	if err != nil || !validHost(u) || u.Port() != "" && !validPort(u.Port()) {
		return nil, errors.New("the proxy is no URL: expected one such as http://host:3128")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, errors.New("unknown scheme of the proxy " + u.Redacted() + ": expected http, https, socks5 or socks5h")
}

// IgnoredKeys names the keys that were given and have no effect yet.
func (c HTTPClient) IgnoredKeys() []string {
	return given("auth", c.Auth, "middlewares", c.Middlewares)
}
