package selfobs

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

// SamplingConfig drops log lines that repeat: in each Tick, of the lines with the same
// level and message the first Initial are logged, and then every nth, with n =
// Thereafter; 0 means none.
type SamplingConfig struct {
	Tick       time.Duration `yaml:"tick"`
	Initial    int           `yaml:"initial"`
	Thereafter int           `yaml:"thereafter"`
}

// SetDefaults implements config.Defaulter. They are the Collector's.
func (c *SamplingConfig) SetDefaults() {
	*c = SamplingConfig{Tick: 10 * time.Second, Initial: 10, Thereafter: 100}
}

// Validate checks the section "sampling".
func (c *SamplingConfig) Validate() error {
	switch {
	case c.Tick <= 0:
		return config.Atf("tick", "expected a time greater than 0, such as 10s, found %s", c.Tick)
	case c.Initial < 0:
		return config.Atf("initial", "expected 0 or more, found %d", c.Initial)
	case c.Thereafter < 0:
		return config.Atf("thereafter", "expected 0 or more, found %d", c.Thereafter)
	}
	return nil
}

// samplerSlots bounds the counters. Messages whose hashes are equal share one.
const samplerSlots = 4096

// sampler is a slog.Handler that passes on a sample.
type sampler struct {
	slog.Handler
	*sampled
}

// sampled is shared by a handler and the handlers derived from it.
type sampled struct {
	cfg  SamplingConfig
	seed maphash.Seed

	mu    sync.Mutex
	slots [samplerSlots]struct {
		until time.Time
		n     int
	}
}

func newSampler(cfg SamplingConfig, next slog.Handler) *sampler {
	return &sampler{next, newSampled(cfg)}
}

func newSampled(cfg SamplingConfig) *sampled { return &sampled{cfg: cfg, seed: maphash.MakeSeed()} }

// Handle implements slog.Handler.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error {
	if !s.keep(r) {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s *sampler) WithAttrs(as []slog.Attr) slog.Handler {
	return &sampler{s.Handler.WithAttrs(as), s.sampled}
}

// WithGroup implements slog.Handler.
func (s *sampler) WithGroup(name string) slog.Handler {
	return &sampler{s.Handler.WithGroup(name), s.sampled}
}

func (s *sampled) keep(r slog.Record) bool {
	slot := &s.slots[(maphash.String(s.seed, r.Message)+uint64(r.Level))%samplerSlots]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.Time.Before(slot.until) {
		slot.until, slot.n = r.Time.Add(s.cfg.Tick), 0
	}
	slot.n++
	after := slot.n - s.cfg.Initial
	return after <= 0 || s.cfg.Thereafter > 0 && after%s.cfg.Thereafter == 0
}
