package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// Reloaded says what a reload did. The names of components and pipelines are
// `exporter "otlp/2"`, `pipeline "traces"`, in the order of the configuration.
type Reloaded struct {
	Kept, Changed, Added, Removed Names
	// Settings are the settings of the service that changed, such as
	// "service.telemetry.logs.level: info -> debug".
	Settings []string
	// NeedsRestart are the settings that changed and take effect at the next start.
	NeedsRestart []string
	// Left is what stays on disk in queues of exporters and pipelines that were removed.
	Left []string
	Took time.Duration
}

// Names are names for people.
type Names []string

// maxListed is how many names String prints.
const maxListed = 10

// String returns the first names, and how many more there are.
func (n Names) String() string {
	text := strings.Join(n[:min(len(n), maxListed)], ", ")
	if more := len(n) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// String returns a few lines for people: counts and names, with long lists cut.
func (r *Reloaded) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "reloaded in %s: %d kept, %d changed, %d added, %d removed", r.Took.Round(time.Millisecond),
		len(r.Kept), len(r.Changed), len(r.Added), len(r.Removed))
	for _, list := range []struct{ title, text string }{
		{"changed", r.Changed.String()},
		{"added", r.Added.String()},
		{"removed", r.Removed.String()},
		{"settings", strings.Join(r.Settings, ", ")},
		{"needs a restart", strings.Join(r.NeedsRestart, ", ")},
		{"left on disk", strings.Join(r.Left, ", ")},
	} {
		if list.text != "" {
			fmt.Fprintf(&b, "\n  %s: %s", list.title, list.text)
		}
	}
	return b.String()
}

// ErrNotRunning means that a service is not between Start and Shutdown.
var ErrNotRunning = control.ErrNotRunning

// Reload puts cfg in the place of the configuration that runs, without a pause: what is
// the same in both keeps running, and what is not there any more is shut down in the
// background, in DrainWithin. On an error everything is as it was, and the error is a
// *LoadError, which wraps a ConfigErrors, if a component rejects its settings. Calls wait
// for each other.
func (s *Service) Reload(ctx context.Context, cfg *Config) (*Reloaded, error) {
	return s.reloadWith(ctx, func() (*Config, error) { return cfg, nil })
}

// ReloadFrom is Reload with a configuration that is loaded first.
func (s *Service) ReloadFrom(ctx context.Context, from Sources) (*Reloaded, error) {
	return s.reloadWith(ctx, func() (*Config, error) { return LoadFrom(s.opts, from) })
}

// SourcesChanged reports whether ReloadFrom would make a difference: what is read differs
// from what the last reload has read, and is another configuration than the one in effect,
// or an invalid one.
func (s *Service) SourcesChanged(from Sources) bool { return !s.isKnown(LoadFrom(s.opts, from)) }

// isKnown reports whether the result of a LoadFrom is that of the last reload, or the
// configuration in effect if that one succeeded.
func (s *Service) isKnown(cfg *Config, err error) bool {
	read, known := readFor(cfg, err)
	if !known {
		return false
	}
	last, failed := s.reloads.lastRead()
	if read.Digest == last.Digest {
		return true
	}
	return err == nil && !failed && cfg.loaded.Content == s.config().Content
}

// readFor returns what a LoadFrom has read.
func readFor(cfg *Config, err error) (load.Read, bool) {
	var refused *LoadError
	switch {
	case errors.As(err, &refused):
		return refused.read, true
	case err != nil:
		return load.Read{}, false
	}
	return cfg.loaded.Read, true
}

// SourceFiles returns the files of the configuration in effect, and those that the last
// reload has read or tried to read.
func (s *Service) SourceFiles() []string {
	last, _ := s.reloads.lastRead()
	all := slices.Concat(s.config().Read.Files, last.Files)
	slices.Sort(all)
	return slices.Compact(all)
}

// reloadWith reloads what load returns, and measures it.
func (s *Service) reloadWith(ctx context.Context, load func() (*Config, error)) (*Reloaded, error) {
	ctx, done, err := s.reloads.begin(ctx, s.ready.Load)
	if err != nil {
		return nil, fmt.Errorf("reload the configuration: %w", err)
	}
	defer done()
	started := time.Now()
	var r *Reloaded
	cfg, err := load()
	read, _ := readFor(cfg, err)
	if err == nil {
		r, err = s.reload(ctx, cfg.loaded)
		err = cfg.refused(err)
	}
	if err != nil && s.reloads.ending.Err() != nil {
		return nil, fmt.Errorf("reload the configuration: %w", ErrNotRunning)
	}
	now := time.Now()
	s.process.reloads.Done(now, err)
	s.reloads.note(now, read, err)
	if err != nil {
		return nil, err
	}
	r.Took = now.Sub(started)
	return r, nil
}

// refused returns an error about the problems of c like those of LoadFrom.
func (c *Config) refused(err error) error {
	var problems ConfigErrors
	if errors.As(err, &problems) && problems.Error() == err.Error() { // there is no other error in it
		return &LoadError{Problems: problems, Warnings: c.Warnings(), read: c.loaded.Read}
	}
	return err
}

// reload does the work of Reload. No other one runs.
func (s *Service) reload(ctx context.Context, next *load.Config) (*Reloaded, error) {
	plan, err := s.planProcess(next)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		plan.undo()
		return nil, fmt.Errorf("reload the configuration: %w", context.Cause(ctx))
	}
	if err := s.retirement.wait(ctx, hurryWithin); err != nil {
		plan.undo()
		return nil, fmt.Errorf("reload the configuration: wait for the end of what the last reload has replaced: %w", err)
	}
	t, err := s.graph().Replace(ctx, next, s.settings, min(s.process.memory.bytes, plan.memory.bytes))
	if err != nil {
		plan.undo()
		return nil, err
	}
	before := s.config()
	warnings := plan.newWarnings(before, next)
	plan.apply()
	s.current.Store(t.Next)
	s.cfg.Store(next)
	s.retirement.begin(s.opts.DrainWithin, t, s.process.log.Logger)
	for _, text := range warnings {
		s.process.log.Warn(text)
	}
	r := &Reloaded{Settings: plan.settings, NeedsRestart: plan.needsRestart, Left: t.Left}
	r.compare(before, next)
	return r, nil
}

// compare fills the lists of components and pipelines.
func (r *Reloaded) compare(before, next *load.Config) {
	was, is := before.Fingerprints(), next.Fingerprints()
	old := map[string]string{}
	for _, f := range was {
		old[f.Name] = f.Print
	}
	for _, f := range is {
		switch print, there := old[f.Name]; {
		case !there:
			r.Added = append(r.Added, f.Name)
		case print == f.Print:
			r.Kept = append(r.Kept, f.Name)
		default:
			r.Changed = append(r.Changed, f.Name)
		}
		delete(old, f.Name)
	}
	for _, f := range was {
		if _, left := old[f.Name]; left {
			r.Removed = append(r.Removed, f.Name)
		}
	}
}

// reloads are the reloads of a service: one at a time, between Start and Shutdown.
type reloads struct {
	slot   chan struct{} // has a value while one runs
	ending context.Context
	cancel context.CancelCauseFunc

	mu   sync.Mutex
	last component.ReloadStatus
	read load.Read // by the last one, or for New
}

func (r *reloads) init(read load.Read) {
	r.read = read
	r.slot = make(chan struct{}, 1)
	r.ending, r.cancel = context.WithCancelCause(context.Background())
}

// begin waits for the reload that runs. The context that it returns ends at Shutdown too.
func (r *reloads) begin(ctx context.Context, ready func() bool) (_ context.Context, done func(), err error) {
	if !ready() {
		return nil, nil, ErrNotRunning
	}
	select {
	case r.slot <- struct{}{}:
	case <-r.ending.Done():
		return nil, nil, ErrNotRunning
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if r.ending.Err() != nil || !ready() {
		<-r.slot
		return nil, nil, ErrNotRunning
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.ending, func() { cancel(ErrNotRunning) })
	return ctx, func() {
		stop()
		cancel(nil)
		<-r.slot
	}, nil
}

// end interrupts the reload that runs and waits for it, until ctx ends. No other one
// begins. It reports whether none runs.
func (r *reloads) end(ctx context.Context) bool {
	r.cancel(ErrNotRunning)
	select {
	case r.slot <- struct{}{}: // for good
		return true
	case <-ctx.Done():
		return false
	}
}

// note keeps what became of the last reload.
func (r *reloads) note(at time.Time, read load.Read, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = read
	r.last.Time, r.last.Error = at, ""
	if err != nil {
		r.last.Error = err.Error()
	}
}

// lastRead returns what the last reload has read, and whether it failed.
func (r *reloads) lastRead() (read load.Read, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read, r.last.Error != ""
}

// status returns what became of the last reload.
func (r *reloads) status() component.ReloadStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
