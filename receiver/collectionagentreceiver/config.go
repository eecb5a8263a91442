package collectionagentreceiver

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/reporter"
)

// Config is the receiver's section of a configuration. Start from DefaultConfig.
type Config struct {
	// Endpoint is host:port, or the path of a socket for transport unix.
	Endpoint string `yaml:"endpoint"`
	// Transport is tcp, tcp4, tcp6 or unix.
	Transport string                  `yaml:"transport"`
	TLS       *config.ServerTLS       `yaml:"tls,omitempty" config:"section"`
	Auth      *AuthConfig             `yaml:"auth,omitempty" config:"section"`
	Keepalive *KeepaliveConfig        `yaml:"keepalive,omitempty" config:"section"`
	Metrics   map[uint32]MetricConfig `yaml:"metrics,omitempty"`
	// MaxRecvMsgSizeMiB limits a request, in MiB.
	MaxRecvMsgSizeMiB int `yaml:"max_recv_msg_size_mib"`
	// MaxConnections is how many clients may be connected at a time.
	MaxConnections int `yaml:"max_connections"`

	// ReportInterval is how often what was reported is passed on, and
	// MetricsInterval the same for metrics; both give or take a fifth.
	ReportInterval  time.Duration `yaml:"report_interval"`
	MetricsInterval time.Duration `yaml:"metrics_interval"`
	// SamplesPerSecond is how often the reporters take samples, for the profiles'
	// period; 0 is unknown.
	SamplesPerSecond int `yaml:"samples_per_second"`

	// MaxReporters is how many reporters may be known at a time, each with caches
	// of its own.
	MaxReporters int `yaml:"max_reporters"`
	// ReporterIdleTimeout is how long an idle reporter is kept, with its stacks
	// and symbols.
	ReporterIdleTimeout time.Duration `yaml:"reporter_idle_timeout"`
	// MaxCacheMiB bounds the stacks, symbols and executables of one reporter,
	// MaxWindowMiB the samples that were not passed on yet, MaxPendingMiB what the
	// pipeline has not taken yet.
	MaxCacheMiB   int `yaml:"max_cache_mib"`
	MaxWindowMiB  int `yaml:"max_window_mib"`
	MaxPendingMiB int `yaml:"max_pending_mib"`
}

// AuthConfig names who decides which requests come in.
type AuthConfig struct {
	// Authenticator is the id of an extension.
	Authenticator string `yaml:"authenticator"`
}

// Validate checks the section "auth".
func (c *AuthConfig) Validate() error {
	if c.Authenticator == "" {
		return config.Atf("authenticator", "expected the id of an extension, such as basicauth")
	}
	return nil
}

// KeepaliveConfig is how gRPC tells dead connections, and sheds old ones.
type KeepaliveConfig struct {
	ServerParameters  KeepaliveParameters `yaml:"server_parameters"`
	EnforcementPolicy EnforcementPolicy   `yaml:"enforcement_policy"`
}

// KeepaliveParameters are what the server does about its connections. Each is
// off at 0, save Time (2h) and Timeout (20s).
type KeepaliveParameters struct {
	MaxConnectionIdle     time.Duration `yaml:"max_connection_idle"`
	MaxConnectionAge      time.Duration `yaml:"max_connection_age"`
	MaxConnectionAgeGrace time.Duration `yaml:"max_connection_age_grace"`
	Time                  time.Duration `yaml:"time"`
	Timeout               time.Duration `yaml:"timeout"`
}

// EnforcementPolicy is which pings of clients are too many.
type EnforcementPolicy struct {
	// MinTime is the least time between two pings, 0 is 5m.
	MinTime             time.Duration `yaml:"min_time"`
	PermitWithoutStream bool          `yaml:"permit_without_stream"`
}

// MetricConfig says what the values of an id of ReportMetrics are.
type MetricConfig struct {
	Name        string     `yaml:"name"`
	Unit        string     `yaml:"unit"`
	Description string     `yaml:"description"`
	Kind        MetricKind `yaml:"kind"`
}

// MetricKind is gauge, where a value is what was measured, or counter, where it
// is what was added since the value before.
type MetricKind string

// kinds are the kinds by name. Empty is a gauge.
func kinds() map[MetricKind]reporter.MetricKind {
	return map[MetricKind]reporter.MetricKind{"": reporter.Gauge, "gauge": reporter.Gauge, "counter": reporter.Counter}
}

// Validate checks one entry of "metrics".
func (c *MetricConfig) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, config.Atf("name", "expected the metric's name"))
	}
	if _, known := kinds()[c.Kind]; !known {
		errs = append(errs, config.Atf("kind", "unknown kind %q%s", string(c.Kind), suggest.Known(string(c.Kind), []string{"gauge", "counter"})))
	}
	return errors.Join(errs...)
}

// SetDefaults implements config.Defaulter: the section turns keepalive on.
func (c *KeepaliveConfig) SetDefaults() { *c = KeepaliveConfig{} }

// DefaultConfig returns what an empty section stands for.
func DefaultConfig() Config {
	return Config{
		Endpoint: "localhost:4319", Transport: "tcp", MaxRecvMsgSizeMiB: 32, MaxConnections: 1024,
		ReportInterval: 5 * time.Second, MetricsInterval: time.Minute,
		MaxReporters: 64, ReporterIdleTimeout: time.Hour,
		MaxCacheMiB: 32, MaxWindowMiB: 8, MaxPendingMiB: 16,
	}
}

// Validate checks the configuration; the sections check themselves.
func (c *Config) Validate() error {
	errs := []error{c.listenOptions().Validate()}
	for _, n := range []struct {
		key         string
		found       int
		least, most int
	}{
		{"max_recv_msg_size_mib", c.MaxRecvMsgSizeMiB, 1, math.MaxInt32 >> 20},
		{"max_connections", c.MaxConnections, 1, 1 << 20},
		{"samples_per_second", c.SamplesPerSecond, 0, 1e6},
		{"max_reporters", c.MaxReporters, 1, 1 << 16},
		{"max_cache_mib", c.MaxCacheMiB, 1, math.MaxInt32 >> 20},
		{"max_window_mib", c.MaxWindowMiB, 1, math.MaxInt32 >> 20},
		{"max_pending_mib", c.MaxPendingMiB, 4, math.MaxInt32 >> 20},
	} {
		if n.found < n.least || n.found > n.most {
			errs = append(errs, config.Atf(n.key, "expected %d to %d, found %d", n.least, n.most, n.found))
		}
	}
	for _, d := range []struct {
		key   string
		found time.Duration
	}{{"report_interval", c.ReportInterval}, {"metrics_interval", c.MetricsInterval}, {"reporter_idle_timeout", c.ReporterIdleTimeout}} {
		if d.found <= 0 {
			errs = append(errs, config.Atf(d.key, "expected more than 0, found %s", d.found))
		}
	}
	return errors.Join(errs...)
}

// check is Validate of c and of its sections, for a Config that was not decoded.
func (c *Config) check() error {
	errs := []error{c.Validate()}
	if t := c.TLS; t != nil {
		errs = append(errs, config.At("tls", t.Validate()))
	}
	if a := c.Auth; a != nil {
		errs = append(errs, config.At("auth", a.Validate()))
	}
	for id, m := range c.Metrics {
		errs = append(errs, config.At(fmt.Sprintf("metrics.%d", id), m.Validate()))
	}
	return errors.Join(errs...)
}

// Needs lists the extensions that the configuration names.
func (c *Config) Needs() []component.Need {
	if a := c.Auth; a != nil {
		return []component.Need{{Key: "auth.authenticator", ID: a.Authenticator, Role: component.RoleAuthenticator}}
	}
	return nil
}

func (c *Config) listenOptions() config.ListenOptions {
	return config.ListenOptions{Transport: c.Transport, Endpoint: c.Endpoint}
}

// reporterConfig is what each reporter's session is made with.
func (c *Config) reporterConfig() reporter.OTLPConfig {
	out := reporter.OTLPConfig{
		ReportInterval: c.ReportInterval, ReportMetricsInterval: c.MetricsInterval, SamplesPerSecond: c.SamplesPerSecond,
		MaxCacheBytes: c.MaxCacheMiB << 20, MaxWindowBytes: c.MaxWindowMiB << 20, MaxPendingBytes: c.MaxPendingMiB << 20,
	}
	for id, m := range c.Metrics {
		if out.MetricDefinitions == nil {
			out.MetricDefinitions = map[uint32]reporter.MetricDefinition{}
		}
		out.MetricDefinitions[id] = reporter.MetricDefinition{Name: m.Name, Unit: m.Unit, Description: m.Description, Kind: kinds()[m.Kind]}
	}
	return out
}
