package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/penstock-telemetry/penstock/service"
)

// reloader loads the configuration of the command line again and puts it in effect, and
// says what became of it: in the log, to systemd, and to the command reload.
type reloader struct {
	sources service.Sources
	svc     *supervised // set before the service starts

	running sync.Mutex // held by one reload at a time, with its messages

	mu      sync.Mutex
	waiting *pendingReload // has not begun; nil: none waits
}

// pendingReload is a reload that one or several have asked for.
type pendingReload struct {
	done   chan struct{} // closed when the result is set
	result *service.Reloaded
	err    error
}

// reload reloads for a reason, such as "SIGHUP". Requests that arrive while one waits for
// its turn are one.
func (r *reloader) reload(ctx context.Context, reason string) (*service.Reloaded, error) {
	p, first := r.join()
	if first {
		r.running.Lock()
		r.begin()
		p.result, p.err = r.run(ctx, reason)
		r.running.Unlock()
		close(p.done)
	}
	<-p.done
	return p.result, p.err
}

// join returns the reload that waits for its turn, and whether the caller has to run it.
func (r *reloader) join() (p *pendingReload, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting != nil {
		return r.waiting, false
	}
	r.waiting = &pendingReload{done: make(chan struct{})}
	return r.waiting, true
}

// begin makes later requests wait for another reload: this one may have read the files
// before they changed.
func (r *reloader) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = nil
}

func (r *reloader) run(ctx context.Context, reason string) (*service.Reloaded, error) {
	if !r.svc.beginReload() {
		return nil, fmt.Errorf("reload the configuration: %w", service.ErrNotRunning)
	}
	done, err := r.svc.ReloadFrom(ctx, r.sources)
	r.log(reason, done, err)
	r.svc.endReload(err)
	return done, err
}

// reloadChanged reloads if the content of the configuration is another one.
func (r *reloader) reloadChanged(ctx context.Context) {
	if r.svc.SourcesChanged(r.sources) {
		_, _ = r.reload(ctx, "changed files") // it is logged
	}
}

// command answers the command reload, and requests over HTTP.
func (r *reloader) command(ctx context.Context) (text string, err error) {
	done, err := r.reload(ctx, "a command")
	if err != nil {
		return problemText(err), err
	}
	return done.String(), nil
}

// problemText is what "penstock validate" prints about an error.
func problemText(err error) string {
	var b strings.Builder
	var refused *service.LoadError
	if errors.As(err, &refused) {
		for _, text := range refused.Warnings {
			fmt.Fprintln(&b, "warning:", text)
		}
	}
	var problems service.ConfigErrors
	if errors.As(err, &problems) {
		fmt.Fprintf(&b, "%v\n%s in the configuration", problems, count(len(problems), "problem"))
	} else {
		fmt.Fprint(&b, err)
	}
	return b.String()
}

// maxLogged is how many problems are logged.
const maxLogged = 20

func (r *reloader) log(reason string, done *service.Reloaded, err error) {
	log := r.svc.Logger()
	if err == nil {
		logReloaded(log, reason, done)
		return
	}
	var problems service.ConfigErrors
	if !errors.As(err, &problems) {
		log.Error("reloading the configuration failed; the previous one stays in effect", slog.String("reason", reason), slog.Any("error", err))
		return
	}
	log.Error("reloading the configuration failed; the previous one stays in effect", slog.String("reason", reason), slog.Int("problems", len(problems)))
	var refused *service.LoadError
	if errors.As(err, &refused) {
		for _, text := range refused.Warnings[:min(len(refused.Warnings), maxLogged)] {
			log.Warn(text)
		}
	}
	for _, p := range problems[:min(len(problems), maxLogged)] {
		log.Error("problem in the configuration", slog.Any("error", p))
	}
}

func logReloaded(log *slog.Logger, reason string, done *service.Reloaded) {
	attrs := []any{slog.String("reason", reason), slog.String("took", done.Took.String()), slog.Int("kept", len(done.Kept)),
		slog.Int("changed", len(done.Changed)), slog.Int("added", len(done.Added)), slog.Int("removed", len(done.Removed))}
	log.Info("the configuration was reloaded", attrs...)
	for _, list := range []struct {
		message string
		names   service.Names
	}{
		{"changed by the reload", done.Changed}, {"added by the reload", done.Added}, {"removed by the reload", done.Removed},
	} {
		if len(list.names) > 0 {
			log.Info(list.message, slog.String("names", list.names.String()))
		}
	}
	for _, text := range done.Settings {
		log.Info("setting changed by the reload", slog.String("setting", text))
	}
	for _, text := range done.Left {
		log.Warn("data of what the reload removed stays on disk", slog.String("left", text))
	}
	for _, text := range done.NeedsRestart {
		log.Warn("a changed setting takes effect at the next start", slog.String("setting", text))
	}
}
