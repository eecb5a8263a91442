package config

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"time"
)

// HTTPClient holds the settings of an HTTP client, with the Collector's keys.
// Auth is for the component that has the client; Middlewares have no effect yet, see
// HTTPClient.IgnoredKeys.
type HTTPClient struct {
	// Endpoint is the base URL, in the format of ParseHTTPEndpoint. It may be
	// empty if the URLs are configured elsewhere.
	Endpoint string `yaml:"endpoint"`
	// ProxyURL replaces the proxy of the environment variables.
	ProxyURL string    `yaml:"proxy_url"`
	TLS      ClientTLS `yaml:"tls"`
	// Timeout is for a request and its response; 0 means no timeout.
	Timeout           time.Duration     `yaml:"timeout"`
	Headers           Headers           `yaml:"headers"`
	Compression       Compression       `yaml:"compression"`
	CompressionParams CompressionParams `yaml:"compression_params"`
	// ReadBufferSize and WriteBufferSize are in bytes for each connection; 0
	// means net/http's default, 4 KiB.
	ReadBufferSize  int `yaml:"read_buffer_size"`
	WriteBufferSize int `yaml:"write_buffer_size"`
	// MaxConnsPerHost limits all connections of HTTP/1.1; 0 means no limit.
	MaxConnsPerHost int `yaml:"max_conns_per_host"`
	// MaxIdleConns limits the idle connections; 0 means no limit.
	MaxIdleConns int `yaml:"max_idle_conns"`
	// MaxIdleConnsPerHost limits the idle connections to one host; 0 means
	// MaxIdleConns, since an exporter has one host. (net/http would keep 2.)
	MaxIdleConnsPerHost int           `yaml:"max_idle_conns_per_host"`
	IdleConnTimeout     time.Duration `yaml:"idle_conn_timeout"`
	DisableKeepAlives   bool          `yaml:"disable_keep_alives"`
	// Keepalive is the newer way to write the four settings above.
	Keepalive HTTPKeepalive `yaml:"keepalive"`
	// ForceAttemptHTTP2 uses HTTP/2 with https servers that support it.
	ForceAttemptHTTP2 bool `yaml:"force_attempt_http2"`
	// HTTP2ReadIdleTimeout is the idle time after which a ping is sent; 0 means
	// never.
	HTTP2ReadIdleTimeout time.Duration `yaml:"http2_read_idle_timeout"`
	// HTTP2PingTimeout is how long the client waits for the answer; 0 means
	// 15s.
	HTTP2PingTimeout time.Duration `yaml:"http2_ping_timeout"`
	Cookies          *Cookies      `yaml:"cookies" config:"section"`
	Auth             *ClientAuth   `yaml:"auth" config:"section"`
	Middlewares      any           `yaml:"middlewares"`
	DialerMiddleware any           `yaml:"dialer_middleware,omitempty"`
}

// Cookies enables a cookie jar: cookies are stored and sent back.
type Cookies struct{}

// HTTPKeepalive overrides the settings of HTTPClient with the same meaning, if
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

// Folded returns the settings with Keepalive applied to the fields that it
// overrides, and with zeros replaced by the defaults that they stand for.
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

// Transport returns a transport with the folded settings. It reads the files of
// TLS. The caller applies Timeout, Headers, Compression and Cookies, and a limit
// on the headers of responses.
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
		DisableCompression:  true, // of responses: those of OTLP are small, profiles are already compressed
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
// is valid here: whether it is required depends on the component.
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
		return nil, errors.New("the proxy is not a URL: expected one such as http://host:3128")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, errors.New("unknown scheme of the proxy " + RedactURL(u) + ": expected http, https, socks5 or socks5h")
}

// IgnoredKeys returns the keys that are set and have no effect yet.
func (c HTTPClient) IgnoredKeys() []string {
	return given("middlewares", c.Middlewares, "dialer_middleware", c.DialerMiddleware)
}
