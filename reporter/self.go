package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/internal/otelenv"
	"github.com/penstock-telemetry/penstock/libpf"
)

// SelfConfig is what ProfileSelf and NewSelf are given. The zero value profiles CPU and heap and
// sends the profiles to where the environment says, or to localhost:4317.
type SelfConfig struct {
	// OTLPConfig is the destination. Its bounds are smaller by default: 8 MiB for what is
	// collected, 16 MiB for what waits to be sent.
	OTLPConfig
	// ServiceName is service.name. Default: that of Resource, or of OTEL_SERVICE_NAME or
	// OTEL_RESOURCE_ATTRIBUTES, or unknown_service: and the name of the executable.
	ServiceName string
	// Profiles are names of runtime/pprof: cpu, heap, goroutine, mutex, block. Default
	// cpu and heap. mutex and block are empty unless the program sets their rates.
	Profiles []string
	// Interval is the time between two profiles. The CPU is profiled for the interval
	// without a fifteenth of it, in which others can. Default 15 s, at least 1 s.
	Interval time.Duration

	// collect replaces the profiles of this process in tests.
	collect *collectors
}

const (
	defaultSelfInterval     = 15 * time.Second
	minSelfInterval         = time.Second
	selfWindowBytes         = 8 << 20
	selfPendingBytes        = 16 << 20
	selfCacheBytes          = 1 << 20
	selfFailuresEvery       = time.Minute
	serviceNameKey          = "service.name"
	defaultSelfDestination  = "localhost:4317"
	pauseParts              = 15 // of the interval, in one of which the CPU is not profiled
	unknownService          = "unknown_service:"
	sdkDisabledVariableName = "OTEL_SDK_DISABLED"
)

// Self profiles the process that it is in. Its life cycle is NewSelf, Start, Stop.
type Self struct {
	cfg      SelfConfig
	reporter *OTLPReporter
	cpu      bool
	others   []*snapshots
	failures lograte.Limiter

	stop    chan struct{} // closed by Shutdown
	done    chan struct{} // closed at the end of run; nil before Start
	cancel  context.CancelFunc
	mu      sync.Mutex // of what follows
	started bool
	ended   bool
}

// ProfileSelf profiles this process until stop is called, which sends what is left:
//
//	defer reporter.ProfileSelf(reporter.SelfConfig{})()
//
// Errors are logged to the configuration's logger, or slog.Default, and then nothing is
// profiled: a program need not fail since it cannot be profiled. NewSelf returns them. If
// OTEL_SDK_DISABLED is true nothing is profiled.
func ProfileSelf(cfg SelfConfig) (stop func()) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if strings.EqualFold(cfg.environment().Get(sdkDisabledVariableName), "true") && !cfg.NoEnvironment {
		return func() {}
	}
	s, err := NewSelf(cfg)
	if err == nil {
		err = s.Start(context.Background())
	}
	if err != nil {
		cfg.Logger.Error("this process is not profiled", slog.Any("error", err))
		return func() {}
	}
	return s.Stop
}

func (c SelfConfig) environment() otelenv.Env { return otelenv.Env{Lookup: c.lookup} }

// NewSelf checks the configuration. Start starts to profile.
func NewSelf(cfg SelfConfig) (*Self, error) {
	cfg, err := cfg.orDefaults()
	if err != nil {
		return nil, fmt.Errorf("set up the profiles of this process: %w", err)
	}
	r, err := NewOTLP(cfg.OTLPConfig)
	if err != nil {
		return nil, err
	}
	s := &Self{cfg: cfg, reporter: r, stop: make(chan struct{})}
	for _, name := range cfg.Profiles {
		if name == cpuProfile {
			s.cpu = true
			continue
		}
		s.others = append(s.others, newSnapshots(name, cfg.collect))
	}
	return s, nil
}

func (c SelfConfig) orDefaults() (SelfConfig, error) {
	out := c
	if out.Interval == 0 {
		out.Interval = defaultSelfInterval
	}
	if out.Profiles == nil {
		out.Profiles = []string{cpuProfile, "heap"}
	}
	if out.collect == nil {
		out.collect = &runtimeCollectors
	}
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if out.Interval < minSelfInterval {
		bad("Interval is %s: expected at least %s", out.Interval, minSelfInterval)
	}
	for i, name := range out.Profiles {
		if _, known := deltaTypes[name]; !known && name != cpuProfile {
			bad("Profiles[%d] is %q: expected cpu, heap, goroutine, mutex or block", i, name)
		} else if slices.Contains(out.Profiles[:i], name) {
			bad("Profiles[%d] is a duplicate: %q", i, name)
		}
	}
	var err error
	out.OTLPConfig, err = out.destination()
	return out, errors.Join(append(problems, err)...)
}

// destination completes the configuration of the reporter. A Consumer gets the resource of
// the environment, too, since it is about this process.
func (c SelfConfig) destination() (OTLPConfig, error) {
	o, err := c.withEnvironment()
	if err != nil {
		return o, err
	}
	if !c.NoEnvironment && c.Consumer != nil {
		if o, err = o.withResource(c.environment()); err != nil {
			return o, err
		}
	}
	o.NoEnvironment = true // it was read
	if o.Endpoint == "" && o.Consumer == nil {
		o.Endpoint, o.Insecure = defaultSelfDestination, true
	}
	if o.Name == "" {
		o.Name = "penstock/self"
	}
	for _, d := range []struct {
		of    *int
		value int
	}{{&o.MaxWindowBytes, selfWindowBytes}, {&o.MaxPendingBytes, selfPendingBytes}, {&o.MaxCacheBytes, selfCacheBytes}} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	o.MaxPendingBytes = max(o.MaxPendingBytes, o.MaxRequestBytes)
	o.Resource = thisProcess().With(slices.Collect(o.Resource.All())...)
	if c.ServiceName != "" {
		o.Resource = o.Resource.With(libpf.StringAttr(serviceNameKey, c.ServiceName))
	}
	return o, nil
}

// thisProcess describes this process (semantic conventions, "Process", "Service").
func thisProcess() libpf.Attributes {
	list := []libpf.Attribute{
		libpf.IntAttr("process.pid", int64(os.Getpid())),
		libpf.StringAttr("process.runtime.name", "go"),
		libpf.StringAttr("process.runtime.version", runtime.Version()),
	}
	name := "go"
	if path, err := os.Executable(); err == nil {
		name = filepath.Base(path)
		list = append(list, libpf.StringAttr("process.executable.name", name), libpf.StringAttr("process.executable.path", path))
	}
	if host, err := os.Hostname(); err == nil {
		list = append(list, libpf.StringAttr("host.name", host))
	}
	return libpf.NewAttributes(append(list, libpf.StringAttr(serviceNameKey, unknownService+name))...)
}

// Start starts to profile. It does not wait for the destination. ctx is not kept.
func (s *Self) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errReporterStopped
	case s.started:
		return nil
	}
	if err := s.reporter.Start(ctx); err != nil {
		return err
	}
	s.started, s.done = true, make(chan struct{})
	var run context.Context
	run, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.run(run)
	return nil
}

// Stats returns the accounts of what was profiled.
func (s *Self) Stats() Stats { return s.reporter.Stats() }

// Stop is Shutdown within StopTimeout. What is lost is counted and logged.
func (s *Self) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), s.reporter.cfg.StopTimeout)
	defer cancel()
	_ = s.Shutdown(ctx) // Stats and the log have it too
}

// Shutdown ends the profiles, and sends them and what is left until ctx ends. It may be
// called several times.
func (s *Self) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first, done := !s.ended, s.done
	s.ended = true
	s.mu.Unlock()
	if first {
		close(s.stop)
	}
	if done != nil {
		defer context.AfterFunc(ctx, s.cancel)() // ends a report that waits for the destination
		<-done
	}
	return s.reporter.Shutdown(ctx)
}

// run profiles until stop is closed. The last profiles are shorter.
func (s *Self) run(ctx context.Context) {
	defer close(s.done)
	defer s.cancel()
	for _, o := range s.others { // from now on
		if _, err := o.next(time.Now()); err != nil {
			s.failed(o.name, err)
		}
	}
	for stopped := false; !stopped; {
		pause := s.cfg.Interval / pauseParts
		stopped = s.window(ctx, s.cfg.Interval-pause) || s.wait(pause)
	}
}

// window takes the profiles of some time, and reports whether it was cut short by stop.
func (s *Self) window(ctx context.Context, d time.Duration) (stopped bool) {
	cpu := &cpuWindow{}
	if s.cpu {
		if err := cpu.begin(s.cfg.collect); err != nil {
			s.failed(cpuProfile, err)
		}
	}
	stopped = s.wait(d)
	if p, err := cpu.end(); err != nil {
		s.failed(cpuProfile, err)
	} else if p != nil {
		s.report(ctx, cpuProfile, p)
	}
	for _, o := range s.others {
		if p, err := o.next(time.Now()); err != nil {
			s.failed(o.name, err)
		} else if p != nil {
			s.report(ctx, o.name, p)
		}
	}
	return stopped
}

// wait waits for d, and reports whether stop came before.
func (s *Self) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-s.stop:
		return true
	}
}

// failed logs why a profile is missing.
func (s *Self) failed(name string, err error) {
	if n, ok := s.failures.Allow(selfFailuresEvery); ok {
		s.reporter.cfg.Logger.Warn("a profile of this process is missing (logged at most once in "+selfFailuresEvery.String()+")",
			slog.String("profile", name), slog.Any("error", err), slog.Int64("missing", n))
	}
}
