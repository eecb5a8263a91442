package otlpreceiver

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Config is the receiver's section of a configuration, with the keys and the
// meaning that the OpenTelemetry Collector gives them. Start from DefaultConfig.
type Config struct {
	Protocols Protocols `yaml:"protocols"`
	// InvalidUTF8 is what happens to strings that are not UTF-8: accept passes
	// them on as they are, repair puts U+FFFD in their place, reject refuses the
	// request.
	InvalidUTF8 TextPolicy `yaml:"invalid_utf8"`
	// MaxValueDepth is how many messages of a value (AnyValue, ArrayValue,
	// KeyValueList, KeyValue) may be nested in each other. 0 is otlp.DefaultDepth,
	// the most is otlp.MaxDepth.
	MaxValueDepth int `yaml:"max_value_depth"`
}

func (c *Config) limits() otlp.Limits { return otlp.Limits{Depth: c.MaxValueDepth} }

// Protocols enables each server by the presence of its key: absent is off,
// null or {} is on with defaults. If both have the same endpoint, they share the
// port.
type Protocols struct {
	GRPC *GRPCConfig `yaml:"grpc" config:"section"`
	HTTP *HTTPConfig `yaml:"http" config:"section"`
}

// ServerConfig is what both servers have.
type ServerConfig struct {
	// Endpoint is host:port, or the path of a socket for transport unix.
	Endpoint string `yaml:"endpoint"`
	// Transport is tcp, tcp4, tcp6 or unix; empty is tcp.
	Transport string `yaml:"transport"`
	// SocketMode is the file mode of the socket for transport unix, as "0660".
	SocketMode FileMode `yaml:"socket_mode,omitempty"`
	// Dialer is legal in the Collector and means nothing to a server.
	Dialer struct {
		Timeout time.Duration `yaml:"timeout"`
	} `yaml:"dialer,omitempty"`
	TLS  *config.ServerTLS `yaml:"tls,omitempty" config:"section"`
	Auth *AuthConfig       `yaml:"auth,omitempty" config:"section"`
	// IncludeMetadata hands request headers to the pipeline: all, or those named.
	IncludeMetadata Metadata `yaml:"include_metadata"`
	// SenderHeader is the header by whose value senders share the memory budget,
	// such as X-Scope-OrgID; a request without it counts as its authenticated name's,
	// else as its address's. Clients can choose the value, so it is for those that
	// are trusted, or behind a proxy that sets it.
	SenderHeader string `yaml:"sender_header,omitempty"`
	// MinBodyRateKiB is how many KiB of a body must come in each second on average, after
	// its first ten seconds. 0 is 16.
	MinBodyRateKiB int          `yaml:"min_body_rate_kib,omitempty"`
	Middlewares    []Middleware `yaml:"middlewares,omitempty"`
	// MaxConnections is how many clients may be connected at a time. 0 is three
	// quarters of the files that the process may open.
	MaxConnections int `yaml:"max_connections"`
}

// AuthConfig names who decides which requests come in.
type AuthConfig struct {
	// Authenticator is the id of an extension.
	Authenticator string `yaml:"authenticator"`
	// RequestParams are the query parameters that the authenticator sees beside
	// the headers, over HTTP.
	RequestParams []string `yaml:"request_params,omitempty"`
}

// Validate checks the section "auth".
func (c *AuthConfig) Validate() error {
	if c.Authenticator == "" {
		return config.Atf("authenticator", "expected the id of an extension, such as basicauth")
	}
	return nil
}

// Middleware names an extension that requests pass.
type Middleware struct {
	ID string `yaml:"id"`
}

// GRPCConfig configures the gRPC server.
type GRPCConfig struct {
	ServerConfig `yaml:",inline"`
	// MaxRecvMsgSizeMiB limits a request, compressed and decompressed, in MiB.
	// 0 is 64, what OTLP recommends.
	MaxRecvMsgSizeMiB int `yaml:"max_recv_msg_size_mib"`
	// MaxConcurrentStreams limits the requests in progress on one connection.
	// 0 is 256.
	MaxConcurrentStreams uint32 `yaml:"max_concurrent_streams"`
	// ReadBufferSize and WriteBufferSize are in bytes for each busy connection.
	// 0 is gRPC's own default.
	ReadBufferSize  int              `yaml:"read_buffer_size"`
	WriteBufferSize int              `yaml:"write_buffer_size"`
	Keepalive       *KeepaliveConfig `yaml:"keepalive" config:"section"`
}

// KeepaliveConfig is how gRPC tells dead connections, and sheds old ones.
type KeepaliveConfig struct {
	ServerParameters  *KeepaliveParameters `yaml:"server_parameters,omitempty" config:"section"`
	EnforcementPolicy *EnforcementPolicy   `yaml:"enforcement_policy,omitempty" config:"section"`
}

// KeepaliveParameters are what the server does about its connections.
type KeepaliveParameters struct {
	// Each is off at 0.
	MaxConnectionIdle     time.Duration `yaml:"max_connection_idle"`
	MaxConnectionAge      time.Duration `yaml:"max_connection_age"`
	MaxConnectionAgeGrace time.Duration `yaml:"max_connection_age_grace"`
	// Time without traffic until the server pings, 0 is 2h.
	Time time.Duration `yaml:"time"`
	// Timeout for the answer, 0 is 20s.
	Timeout time.Duration `yaml:"timeout"`
}

// Validate checks the section "server_parameters".
func (c *KeepaliveParameters) Validate() error {
	return errors.Join(
		checkDuration("max_connection_idle", c.MaxConnectionIdle),
		checkDuration("max_connection_age", c.MaxConnectionAge),
		checkDuration("max_connection_age_grace", c.MaxConnectionAgeGrace),
		checkDuration("time", c.Time),
		checkDuration("timeout", c.Timeout))
}

// EnforcementPolicy is what the server takes from its clients.
type EnforcementPolicy struct {
	// MinTime between a client's pings, 0 is 5m.
	MinTime             time.Duration `yaml:"min_time"`
	PermitWithoutStream bool          `yaml:"permit_without_stream"`
}

// Validate checks the section "enforcement_policy".
func (c *EnforcementPolicy) Validate() error { return checkDuration("min_time", c.MinTime) }

// parts returns both sections, with their zero values where they are not there.
func (c *KeepaliveConfig) parts() (p KeepaliveParameters, e EnforcementPolicy) {
	if c == nil {
		return p, e
	}
	if found := c.ServerParameters; found != nil {
		p = *found
	}
	if found := c.EnforcementPolicy; found != nil {
		e = *found
	}
	return p, e
}

// HTTPConfig configures the HTTP server. In one that is not made by
// DefaultHTTPConfig (nor decoded from a file), each field that is zero has its
// default, timeouts and KeepAlivesEnabled too; to turn one of them off, start from
// DefaultHTTPConfig.
type HTTPConfig struct {
	ServerConfig `yaml:",inline"`
	// complete says that zero fields are meant.
	complete bool

	// MaxRequestBodySize limits a request, compressed and decompressed, in bytes.
	// 0 or less is 64 MiB, what OTLP recommends.
	MaxRequestBodySize int64 `yaml:"max_request_body_size"`

	// No limit at 0. A body must come at 64 KiB/s on average after its first ten
	// seconds in any case.
	ReadTimeout       time.Duration `yaml:"read_timeout"`        // of a whole request
	ReadHeaderTimeout time.Duration `yaml:"read_header_timeout"` // of its header
	WriteTimeout      time.Duration `yaml:"write_timeout"`       // from the header's end to the response's
	IdleTimeout       time.Duration `yaml:"idle_timeout"`        // between two requests
	// MaxConnectionAge is the age, ± 10 %, at which a client has to open a new
	// connection; 0 means never. Behind a load balancer this distributes clients
	// over new servers.
	MaxConnectionAge  time.Duration `yaml:"max_connection_age"`
	KeepAlivesEnabled bool          `yaml:"keep_alives_enabled"`
	// Keepalive is the Collector's newer place for the two: keepalive.enabled and
	// keepalive.idle_timeout.
	Keepalive *HTTPKeepalive `yaml:"keepalive,omitempty" config:"section"`

	CORS            *CORSConfig    `yaml:"cors,omitempty" config:"section"`
	ResponseHeaders config.Headers `yaml:"response_headers,omitempty"`
	// CompressionAlgorithms are the content codings that are undone, with "" for
	// none. Without the key all are; an empty list undoes none.
	CompressionAlgorithms []string `yaml:"compression_algorithms,omitempty"`

	TracesURLPath   string `yaml:"traces_url_path"`
	MetricsURLPath  string `yaml:"metrics_url_path"`
	LogsURLPath     string `yaml:"logs_url_path"`
	ProfilesURLPath string `yaml:"profiles_url_path"`
}

// HTTPKeepalive is about connections between two requests.
type HTTPKeepalive struct {
	// IdleTimeout replaces idle_timeout if it is not 0.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

// Validate checks the section "keepalive".
func (c *HTTPKeepalive) Validate() error { return checkDuration("idle_timeout", c.IdleTimeout) }

// idle returns whether connections live on after a request, and for how long.
func (c *HTTPConfig) idle() (keep bool, timeout time.Duration) {
	k := c.Keepalive
	if k == nil {
		return false, c.IdleTimeout
	}
	if k.IdleTimeout != 0 {
		return c.KeepAlivesEnabled, k.IdleTimeout
	}
	return c.KeepAlivesEnabled, c.IdleTimeout
}

// CORSConfig says which web pages may send from a browser.
type CORSConfig struct {
	// AllowedOrigins are origins such as https://*.example.com, * for a part.
	AllowedOrigins []string `yaml:"allowed_origins"`
	// AllowedHeaders are request headers beside those that need no leave.
	AllowedHeaders []string `yaml:"allowed_headers"`
	ExposedHeaders []string `yaml:"exposed_headers"`
	// MaxAge is how long a browser may remember the answer, in seconds.
	MaxAge int `yaml:"max_age"`
}

// defaultMaxRequestBytes is for both transports (OTLP specification, "64 MiB is
// RECOMMENDED").
const defaultMaxRequestBytes = 64 << 20

// DefaultConfig returns a configuration in which both protocols are off and have
// their defaults once their key is there.
func DefaultConfig() Config {
	return Config{InvalidUTF8: AcceptText, MaxValueDepth: otlp.DefaultDepth}
}

// DefaultGRPCConfig returns what an empty key "grpc" stands for. The read buffer
// is smaller than the Collector's 512 KiB, which measured no faster.
func DefaultGRPCConfig() *GRPCConfig {
	return &GRPCConfig{
		ServerConfig:         ServerConfig{Endpoint: "localhost:4317", Transport: "tcp"},
		MaxRecvMsgSizeMiB:    defaultMaxRequestBytes >> 20,
		MaxConcurrentStreams: 256,
		ReadBufferSize:       64 << 10,
		Keepalive:            &KeepaliveConfig{},
	}
}

// DefaultHTTPConfig returns what an empty key "http" stands for. Unlike the
// Collector's, its timeouts stop a client that trickles. The idle timeout
// is longer than the minute at which SDKs send metrics.
func DefaultHTTPConfig() *HTTPConfig {
	return &HTTPConfig{
		complete:           true,
		ServerConfig:       ServerConfig{Endpoint: "localhost:4318", Transport: "tcp"},
		MaxRequestBodySize: defaultMaxRequestBytes,
		ReadHeaderTimeout:  10 * time.Second,
		WriteTimeout:       2 * time.Minute, IdleTimeout: 2 * time.Minute,
		KeepAlivesEnabled: true, Keepalive: &HTTPKeepalive{},
		TracesURLPath: otlp.Traces.Spec().Path, MetricsURLPath: otlp.Metrics.Spec().Path,
		LogsURLPath: otlp.Logs.Spec().Path, ProfilesURLPath: otlp.Profiles.Spec().Path,
	}
}

// SetDefaults implements config.Defaulter.
func (c *GRPCConfig) SetDefaults() { *c = *DefaultGRPCConfig() }

// SetDefaults implements config.Defaulter.
func (c *HTTPConfig) SetDefaults() { *c = *DefaultHTTPConfig() }

// fillIn gives the fields that are zero and not meant to be their defaults.
func (c *HTTPConfig) fillIn() {
	c.Transport = cmp.Or(c.Transport, "tcp")
	if c.complete {
		return
	}
	d := DefaultHTTPConfig()
	c.complete, c.KeepAlivesEnabled = true, true
	c.MaxRequestBodySize = cmp.Or(c.MaxRequestBodySize, d.MaxRequestBodySize)
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, d.ReadHeaderTimeout)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, d.WriteTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, d.IdleTimeout)
	c.TracesURLPath = cmp.Or(c.TracesURLPath, d.TracesURLPath)
	c.MetricsURLPath = cmp.Or(c.MetricsURLPath, d.MetricsURLPath)
	c.LogsURLPath = cmp.Or(c.LogsURLPath, d.LogsURLPath)
	c.ProfilesURLPath = cmp.Or(c.ProfilesURLPath, d.ProfilesURLPath)
	if c.Keepalive == nil {
		c.Keepalive = d.Keepalive
	}
}

// completed returns c with the defaults of fields that are zero and not meant to be.
// It shares no section that it changes with c.
func (c Config) completed() Config {
	if g := c.Protocols.GRPC; g != nil {
		g = new(*g)
		g.Transport = cmp.Or(g.Transport, "tcp")
		c.Protocols.GRPC = g
	}
	if h := c.Protocols.HTTP; h != nil {
		h = new(*h)
		h.fillIn()
		c.Protocols.HTTP = h
	}
	return c
}

// OnePort reports whether gRPC and HTTP share a port: they are both on and have the
// same endpoint.
func (c *Config) OnePort() bool {
	g, h := c.Protocols.GRPC, c.Protocols.HTTP
	return g != nil && h != nil && cmp.Or(g.Transport, "tcp") == cmp.Or(h.Transport, "tcp") && g.Endpoint == h.Endpoint && !isAnyPort(g.Endpoint)
}

// Validate checks what is about the whole; the sections check themselves.
func (c *Config) Validate() error {
	return errors.Join(checkRange("max_value_depth", c.MaxValueDepth, otlp.MaxDepth), c.validateProtocols())
}

func (c *Config) validateProtocols() error {
	g, h := c.Protocols.GRPC, c.Protocols.HTTP
	if g == nil && h == nil {
		return errors.New("must specify at least one protocol when using the OTLP receiver")
	}
	if c.OnePort() {
		const text = "grpc and http share the port %s, so %[2]s must be the same in both: found %[2]s that differ"
		for _, s := range []struct {
			key        string
			grpc, http any
		}{{"tls", g.TLS, h.TLS}, {"auth", g.Auth, h.Auth}, {"socket_mode", g.SocketMode, h.SocketMode}} {
			if !reflect.DeepEqual(s.grpc, s.http) {
				return config.At("protocols", fmt.Errorf(text, g.Endpoint, s.key))
			}
		}
	}
	return nil
}

// check is Validate of c and of its sections, for a Config that was not decoded.
func (c *Config) check() error {
	errs := []error{c.Validate(), config.At("invalid_utf8", c.InvalidUTF8.check())}
	if g := c.Protocols.GRPC; g != nil {
		errs = append(errs, config.At("protocols.grpc", errors.Join(g.Validate(), g.checkSections(), g.checkKeepalive())))
	}
	if h := c.Protocols.HTTP; h != nil {
		errs = append(errs, config.At("protocols.http", errors.Join(h.Validate(), h.checkSections(), h.checkKeepalive(), h.ResponseHeaders.Validate())))
	}
	return errors.Join(errs...)
}

// checkSections checks the sections that decoding checks by itself.
func (c *ServerConfig) checkSections() error {
	var errs []error
	if t := c.TLS; t != nil {
		errs = append(errs, config.At("tls", t.Validate()))
	}
	if a := c.Auth; a != nil {
		errs = append(errs, config.At("auth", a.Validate()))
	}
	return errors.Join(errs...)
}

func (c *GRPCConfig) checkKeepalive() error {
	p, e := c.Keepalive.parts()
	return config.At("keepalive", errors.Join(config.At("server_parameters", p.Validate()), config.At("enforcement_policy", e.Validate())))
}

func (c *HTTPConfig) checkKeepalive() error {
	if k := c.Keepalive; k != nil {
		return config.At("keepalive", k.Validate())
	}
	return nil
}

// Validate checks the section "grpc". An endpoint without a value is the default.
func (c *GRPCConfig) Validate() error {
	c.defaultEndpoint(DefaultGRPCConfig().Endpoint)
	return errors.Join(
		c.ServerConfig.validate(),
		checkRange("max_recv_msg_size_mib", c.MaxRecvMsgSizeMiB, math.MaxInt32>>20),
		checkRange("read_buffer_size", c.ReadBufferSize, math.MaxInt32),
		checkRange("write_buffer_size", c.WriteBufferSize, math.MaxInt32),
	)
}

// defaultEndpoint replaces an endpoint without a value (null, or ""). A socket has no
// default path.
func (c *ServerConfig) defaultEndpoint(endpoint string) {
	if c.Transport != "unix" {
		c.Endpoint = cmp.Or(c.Endpoint, endpoint)
	}
}

// Validate checks the section "http". An endpoint without a value is the default.
func (c *HTTPConfig) Validate() error {
	c.defaultEndpoint(DefaultHTTPConfig().Endpoint)
	var tooLarge error
	if c.MaxRequestBodySize > math.MaxInt32 {
		tooLarge = config.Atf("max_request_body_size", "expected at most %d, found %d", math.MaxInt32, c.MaxRequestBodySize)
	}
	_, paths := c.routes()
	_, codings := decompress.ParseCodings(c.CompressionAlgorithms)
	return errors.Join(
		c.ServerConfig.validate(),
		tooLarge,
		checkDuration("read_timeout", c.ReadTimeout),
		checkDuration("read_header_timeout", c.ReadHeaderTimeout),
		checkDuration("write_timeout", c.WriteTimeout),
		checkDuration("idle_timeout", c.IdleTimeout),
		checkDuration("max_connection_age", c.MaxConnectionAge),
		config.At("compression_algorithms", codings),
		paths,
	)
}

// Needs lists the extensions that the configuration names.
func (c *Config) Needs() []component.Need {
	var all []component.Need
	if g := c.Protocols.GRPC; g != nil {
		all = append(all, g.needs("protocols.grpc")...)
	}
	if h := c.Protocols.HTTP; h != nil {
		all = append(all, h.needs("protocols.http")...)
	}
	return all
}

func (c *ServerConfig) needs(path string) []component.Need {
	var all []component.Need
	if a := c.Auth; a != nil {
		all = append(all, component.Need{Key: path + ".auth.authenticator", ID: a.Authenticator, Role: component.RoleAuthenticator})
	}
	for _, m := range c.Middlewares {
		all = append(all, component.Need{Key: path + ".middlewares", ID: m.ID, Role: component.RoleMiddleware})
	}
	return all
}

// Warnings says what is suspicious but not wrong.
func (c *Config) Warnings() []string {
	var all []string
	if g := c.Protocols.GRPC; g != nil {
		all = append(all, g.warnings("protocols.grpc")...)
		if a := g.Auth; a != nil && len(a.RequestParams) > 0 {
			all = append(all, "protocols.grpc.auth.request_params has no effect: gRPC requests have no query")
		}
	}
	if c.OnePort() {
		all = append(all, onePortWarnings(c.Protocols.GRPC)...)
	}
	if h := c.Protocols.HTTP; h != nil {
		all = append(all, h.warnings("protocols.http")...)
		if o := h.CORS; o != nil && len(o.AllowedOrigins) == 0 && len(o.AllowedHeaders) > 0 {
			all = append(all, "protocols.http.cors specifies allowed headers but no allowed origins, and is therefore ignored")
		}
	}
	return all
}

// onePortWarnings lists the keys of grpc that have no effect on a shared port,
// where the settings of http apply to connections.
func onePortWarnings(c *GRPCConfig) []string {
	d := DefaultGRPCConfig()
	var all []string
	for _, s := range []struct {
		key         string
		set, normal any
	}{
		{"max_concurrent_streams", c.MaxConcurrentStreams, d.MaxConcurrentStreams},
		{"max_connections", c.MaxConnections, d.MaxConnections},
		{"read_buffer_size", c.ReadBufferSize, d.ReadBufferSize},
		{"write_buffer_size", c.WriteBufferSize, d.WriteBufferSize},
		{"keepalive", c.Keepalive, d.Keepalive},
	} {
		if !reflect.DeepEqual(s.set, s.normal) {
			all = append(all, "protocols.grpc."+s.key+" has no effect: grpc and http share a port, and its connections are those of http")
		}
	}
	return all
}

func (c *ServerConfig) warnings(path string) []string {
	if c.Dialer.Timeout != 0 {
		return []string{path + ".dialer.timeout has no effect on a server"}
	}
	return nil
}
