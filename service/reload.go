package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Reloaded says what a reload did. The names of components and pipelines are
// `exporter "otlp/2"`, `pipeline "traces"`, in the order of the configuration.
type Reloaded struct {
	Kept, Changed, Added, Removed []string
	// Settings are the settings of the service that changed, such as
	// "service.telemetry.logs.level: info -> debug".
	Settings []string
	// NeedsRestart are the settings that changed and take effect at the next start.
	NeedsRestart []string
	Took         time.Duration
}

// maxListed is how many names of a list String prints.
const maxListed = 10

// String returns a few lines for people: counts and names, with long lists cut.
func (r *Reloaded) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "reloaded in %s: %d kept, %d changed, %d added, %d removed", r.Took.Round(time.Millisecond),
		len(r.Kept), len(r.Changed), len(r.Added), len(r.Removed))
	for _, list := range []struct {
		title   string
		entries []string
		max     int
	}{
		{"changed", r.Changed, maxListed},
		{"added", r.Added, maxListed},
		{"removed", r.Removed, maxListed},
		{"settings", r.Settings, len(r.Settings)},
		{"needs a restart", r.NeedsRestart, len(r.NeedsRestart)},
	} {
		if len(list.entries) > 0 {
			fmt.Fprintf(&b, "\n  %s: %s", list.title, cutList(list.entries, list.max))
		}
	}
	return b.String()
}

// cutList joins the first entries of a list, and says how many more there are.
func cutList(entries []string, most int) string {
	text := strings.Join(entries[:min(most, len(entries))], ", ")
	if more := len(entries) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Reload puts cfg in the place of the configuration that runs. On an error everything is
// as it was. Calls wait for each other.
func (s *Service) Reload(ctx context.Context, cfg *Config) (*Reloaded, error) {
	if !s.ready.Load() {
		return nil, fmt.Errorf("reload the configuration: %w", errNotRunning)
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	started := time.Now()
	plan, err := s.planProcess(cfg.loaded)
	if err != nil {
		return nil, err
	}
	before := s.config()
	warnings := plan.newWarnings(before, cfg.loaded)
	// The graph is not replaced yet.
	plan.apply()
	s.cfg.Store(cfg.loaded)
	for _, text := range warnings {
		s.process.log.Warn(text)
	}
	return &Reloaded{Kept: names(before), Settings: plan.settings, NeedsRestart: plan.needsRestart, Took: time.Since(started)}, nil
}

// errNotRunning means that a service is not between Start and Shutdown.
var errNotRunning = errors.New("the service is starting or shutting down")
