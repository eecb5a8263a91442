package pprofreceiver

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the receiver's section of a configuration. Start from DefaultConfig.
type Config struct {
	// Targets are the processes to profile.
	Targets []Target `yaml:"targets,omitempty"`
	// Files are patterns (path/filepath.Match, with ** for any number of folders) of
	// profiles to read. Each file is read once, and again when its size or time has
	// changed. Their numbers are taken as they are, cumulative ones too.
	Files []string `yaml:"files,omitempty"`

	// CollectionInterval is the time from one round of fetches to the next. A
	// round that takes longer is not joined by another: its turn is left out.
	CollectionInterval time.Duration `yaml:"collection_interval"`
	// InitialDelay comes before the first round. Targets begin a quarter of a
	// second after each other, but within the first interval, so that they are
	// not all asked at once.
	InitialDelay time.Duration `yaml:"initial_delay"`
	// Profiles are what to fetch of targets that do not say so themselves.
	Profiles Profiles `yaml:"profiles"`
	// PathPrefix is where net/http/pprof is mounted.
	PathPrefix string `yaml:"path_prefix"`
	// ServiceName is the service.name of targets and files without their own.
	// Nothing is put in its place: the resource is then known by
	// service.instance.id (host:port), server.address and server.port.
	ServiceName string `yaml:"service_name,omitempty"`
	// Attributes are added to the resource of all targets and files.
	Attributes map[string]string `yaml:"attributes,omitempty"`
	// CountFrom is where counting begins for profiles that count since the
	// process began (alloc_objects, alloc_space, contentions, delay).
	CountFrom CountFrom `yaml:"count_from"`

	// Storage is an extension such as file_storage: what cumulative profiles had, and
	// which files were read, is kept there, so that the next process goes on from it.
	// Without it counting begins again, and files are read again.
	Storage string `yaml:"storage,omitempty"`

	// MaxProfileBytes bounds one profile, decompressed.
	MaxProfileBytes int `yaml:"max_profile_bytes"`
	// MaxConcurrency is the maximum number of responses read at a time. A target
	// has at most two requests in progress: its CPU profile, and another.
	MaxConcurrency int `yaml:"max_concurrency"`
	// MaxBaselineBytes bounds what is remembered of all targets' cumulative
	// profiles, about as much as their profiles decompressed.
	MaxBaselineBytes int `yaml:"max_baseline_bytes"`

	// HTTP is the client of all targets. Its timeout is for one fetch and must
	// exceed the seconds of the CPU profile; 0 is those seconds and ten. Its
	// endpoint is the URL of one profile, as the Collector's first pprof receiver
	// had it.
	HTTP config.HTTPClient `yaml:",inline"`
	// Include is that receiver's pattern of files.
	Include string `yaml:"include,omitempty"`

	// Remote and File are how the Collector's pprof receiver writes one profile's
	// URL, and a pattern of files.
	Remote *Remote `yaml:"remote,omitempty" config:"section"`
	File   *File   `yaml:"file,omitempty" config:"section"`
	// Self and Server are its other two, which are refused.
	Self   unsupported `yaml:"self,omitempty"`
	Server unsupported `yaml:"server,omitempty"`
}

// Target is a process that serves net/http/pprof. In YAML it may be its endpoint
// alone.
type Target struct {
	// Endpoint is host:port, or a URL. The path of a URL is the path prefix; if it
	// names a profile (…/debug/pprof/heap), that one alone is fetched, with the
	// URL's query as it is.
	Endpoint string `yaml:"endpoint"`
	// The others replace the receiver's of the same name, Attributes key by key.
	ServiceName        string            `yaml:"service_name,omitempty"`
	Attributes         map[string]string `yaml:"attributes,omitempty"`
	Profiles           *Profiles         `yaml:"profiles,omitempty"`
	PathPrefix         string            `yaml:"path_prefix,omitempty"`
	CollectionInterval time.Duration     `yaml:"collection_interval,omitempty"`
}

// DecodeConfig implements config.Decoder: an endpoint, or a map.
func (t *Target) DecodeConfig(v config.Value) error {
	if v.Kind() == config.String {
		t.Endpoint = v.Text()
		return nil
	}
	type plain Target
	return v.Decode((*plain)(t))
}

// Remote is the Collector's section for one profile's URL.
type Remote struct {
	CollectionInterval time.Duration     `yaml:"collection_interval"`
	InitialDelay       time.Duration     `yaml:"initial_delay"`
	HTTP               config.HTTPClient `yaml:",inline"`
}

// File is the Collector's section for files.
type File struct {
	Include            string        `yaml:"include"`
	CollectionInterval time.Duration `yaml:"collection_interval"`
	InitialDelay       time.Duration `yaml:"initial_delay"`
}

// CountFrom is where counting begins.
type CountFrom string

const (
	// FromFirstFetch reports what came after the first fetch, of which nothing
	// cumulative is reported.
	FromFirstFetch CountFrom = "first_fetch"
	// FromProcessStart reports what the first fetch finds as well.
	FromProcessStart CountFrom = "process_start"
)

// unsupported is a key of the Collector's that must not be ignored.
type unsupported struct{}

// DecodeConfig implements config.Decoder.
func (unsupported) DecodeConfig(v config.Value) error {
	if config.IsDisabled(v) {
		return nil
	}
	return v.KeyErrorf("%s is not supported: expected targets, files, remote or file", v.Key())
}

// IsZero makes the omitempty of yaml leave it out.
func (unsupported) IsZero() bool { return true }

// The defaults. Fifteen seconds is what Prometheus and Pyroscope users are used
// to; the CPU profile covers all but the last of them.
const (
	defaultPrefix           = "/debug/pprof"
	defaultInterval         = 15 * time.Second
	defaultMaxProfileBytes  = 32 << 20
	defaultMaxConcurrency   = 16
	defaultMaxBaselineBytes = 256 << 20

	maxTargets    = 10_000
	maxCPUSeconds = 60 // of the CPU profile, unless it is set
)

// DefaultConfig returns the configuration of an empty section. It is not valid:
// it has nothing to fetch.
func DefaultConfig() Config {
	return Config{
		CollectionInterval: defaultInterval,
		Profiles:           DefaultProfiles(),
		PathPrefix:         defaultPrefix,
		CountFrom:          FromFirstFetch,
		MaxProfileBytes:    defaultMaxProfileBytes,
		MaxConcurrency:     defaultMaxConcurrency,
		MaxBaselineBytes:   defaultMaxBaselineBytes,
		HTTP:               defaultClient(),
	}
}

func defaultClient() config.HTTPClient {
	client := config.DefaultHTTPClient()
	client.Timeout, client.Compression, client.WriteBufferSize = 0, "", 0
	return client
}

// SetDefaults implements config.Defaulter.
func (r *Remote) SetDefaults() {
	*r = Remote{CollectionInterval: defaultInterval, HTTP: defaultClient()}
}

// SetDefaults implements config.Defaulter.
func (f *File) SetDefaults() { *f = File{CollectionInterval: defaultInterval} }

// Validate checks what does not check itself.
func (c *Config) Validate() error {
	errs := []error{c.validateBounds()}
	if r := c.Remote; r != nil && r.HTTP.Endpoint == "" {
		errs = append(errs, config.Atf("remote.endpoint", "expected the URL of a profile, such as http://host:6060/debug/pprof/heap"))
	}
	if f := c.File; f != nil && f.Include == "" {
		errs = append(errs, config.Atf("file.include", "expected a pattern such as /var/profiles/*.pb.gz"))
	}
	_, err := c.sources()
	errs = append(errs, err)
	for _, g := range c.globs() {
		errs = append(errs, config.At(g.key, checkPattern(g.pattern)))
	}
	if errors.Join(errs...) == nil && c.empty() {
		errs = append(errs, errors.New("nothing to fetch: expected targets such as [localhost:6060], or files"))
	}
	return errors.Join(errs...)
}

func (c *Config) empty() bool {
	return len(c.Targets) == 0 && len(c.globs()) == 0 && c.HTTP.Endpoint == "" && c.Remote == nil
}

func (c *Config) validateBounds() error {
	errs := []error{
		checkInterval("collection_interval", c.CollectionInterval),
		atLeast("initial_delay", c.InitialDelay, 0),
		inRange("max_profile_bytes", c.MaxProfileBytes, 1<<10, 1<<30),
		inRange("max_concurrency", c.MaxConcurrency, 1, 1<<12),
		inRange("max_baseline_bytes", c.MaxBaselineBytes, 0, math.MaxInt),
	}
	if len(c.Targets) > maxTargets {
		errs = append(errs, config.Atf("targets", "expected at most %d, found %d", maxTargets, len(c.Targets)))
	}
	switch c.CountFrom {
	case FromFirstFetch, FromProcessStart:
	default:
		errs = append(errs, config.Atf("count_from", "expected first_fetch or process_start, found %q", string(c.CountFrom)))
	}
	if r := c.Remote; r != nil {
		errs = append(errs, config.At("remote", errors.Join(
			checkInterval("collection_interval", r.CollectionInterval), atLeast("initial_delay", r.InitialDelay, 0))))
	}
	if f := c.File; f != nil {
		errs = append(errs, config.At("file", errors.Join(
			checkInterval("collection_interval", f.CollectionInterval), atLeast("initial_delay", f.InitialDelay, 0))))
	}
	return errors.Join(errs...)
}

// check is Validate of c and of its sections, for a Config that was not decoded.
func (c *Config) check() error {
	errs := []error{c.Validate(), c.HTTP.Validate()}
	if r := c.Remote; r != nil {
		errs = append(errs, config.At("remote", r.HTTP.Validate()))
	}
	return errors.Join(errs...)
}

// Warnings says what is suspicious but not wrong.
func (c *Config) Warnings() []string {
	var all []string
	add := func(at string, h config.HTTPClient) {
		for _, key := range h.IgnoredKeys() {
			all = append(all, at+key+" has no effect")
		}
		if h.Compression != "" {
			all = append(all, at+"compression has no effect: there is nothing to send")
		}
	}
	if c.plaintextAuth() {
		all = append(all, "auth: the credentials are sent without TLS")
	}
	add("", c.HTTP)
	if r := c.Remote; r != nil {
		add("remote.", r.HTTP)
	}
	return all
}

// A glob is a pattern of files and where it was configured.
type glob struct {
	key, pattern    string
	interval, delay time.Duration
}

func (c *Config) globs() []glob {
	var all []glob
	for _, pattern := range c.Files {
		all = append(all, glob{"files", pattern, c.CollectionInterval, c.InitialDelay})
	}
	if c.Include != "" {
		all = append(all, glob{"include", c.Include, c.CollectionInterval, c.InitialDelay})
	}
	if f := c.File; f != nil && f.Include != "" {
		all = append(all, glob{"file.include", f.Include, f.CollectionInterval, f.InitialDelay})
	}
	return all
}

func checkPattern(pattern string) error {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q is not a pattern: %w", pattern, err)
	}
	for _, part := range strings.Split(filepath.ToSlash(pattern), "/") {
		if strings.Contains(part, "**") && part != "**" {
			return fmt.Errorf("%q: expected ** to be a folder of its own, as in profiles/**/*.pb.gz", pattern)
		}
	}
	return nil
}

func checkInterval(key string, d time.Duration) error { return atLeast(key, d, time.Second) }

func atLeast(key string, found, least time.Duration) error {
	if found < least {
		return config.Atf(key, "expected at least %s, found %s", least, found)
	}
	return nil
}

func inRange(key string, found, least, most int) error {
	if found < least || found > most {
		return config.Atf(key, "expected %d to %d, found %d", least, most, found)
	}
	return nil
}
