package pprofreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/held"
)

// parsers is how many profiles are parsed at a time, each of which may take
// maxExpansion times max_profile_bytes for a moment.
const parsers = 2

// apart is the time between the beginnings of two targets.
const apart = 250 * time.Millisecond

// Engine fetches profiles and hands them to a sink. Its life is NewEngine, Start
// or RunOnce, Shutdown.
type Engine struct {
	cfg     Config
	set     component.Settings
	sink    Sink
	admit   func(*profile.Profile) (done func(), err error) // before the sink gets a profile; nil: at once
	targets []*target
	files   *fileReader // nil: none
	flush   func()      // makes the sink hand on what it has; nil: it does so at its own time
	state   *stateStore // nil: nothing is kept over the end of the process
	clients []*http.Client

	places  chan struct{} // one element for each answer being read
	parsing chan struct{} // one element for each profile being parsed

	fetches, numbers, refused, skipped atomic.Int64
	restarts, switches, withoutStack   atomic.Int64
	baselineBytes                      atomic.Int64
	remembering                        sync.Mutex    // held while it changes
	baselines                          *held.Account // of it

	handing context.Context // of calls of the sink; ends when Shutdown has no more time
	giveUp  context.CancelFunc

	life     lifecycle.Cycle
	cancel   context.CancelCauseFunc        // of all fetches; set by begin, as what follows
	observed map[string]*obsreport.Receiver // by transport
	measures *obsreport.PprofTargets
	stacks   *obsreport.WithoutStack
	running  sync.WaitGroup
	last     chan struct{} // closed by Finish: no round begins after it
	finish   sync.Once
	finished chan struct{} // closed when all loops have ended after Finish

	mu       sync.Mutex
	failures map[string]int64 // by cause
}

// A target is a source with what is remembered of it.
type target struct {
	*source
	http   *http.Client
	auth   pipeline.ClientAuthenticator // nil: none
	health *health
	jobs   []*jobState

	restarted, switched lograte.Limiter // of log lines
}

// jobState is touched by the one loop that it belongs to.
type jobState struct {
	*job
	of     *target
	before *baseline   // nil: none yet
	others []*baseline // of other processes behind the same address, the oldest first
	read   bool        // there was one once
}

// known returns all baselines.
func (j *jobState) known() []*baseline {
	if j.before == nil {
		return nil
	}
	return append([]*baseline{j.before}, j.others...)
}

// Stats is what an engine has done.
type Stats struct {
	// Fetches were made of targets, and files read.
	Fetches int64
	// Failures are those that failed, by cause.
	Failures map[string]int64
	// Numbers were handed to the sink (samples times sample types, without
	// zeros), Refused were not taken by it.
	Numbers, Refused int64
	// Restarts of targets were noticed. Switches is how often the answer was that of
	// another process behind the same address than the one before.
	Restarts, Switches int64
	// Skipped rounds were left out since the one before had not ended.
	Skipped int64
	// BaselineBytes is what is remembered of cumulative profiles, about.
	BaselineBytes int64
}

// NewEngine checks the configuration. It opens nothing.
func NewEngine(cfg Config, set component.Settings, sink Sink) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, set: set.OrDefaults(), sink: sink, failures: map[string]int64{}, observed: map[string]*obsreport.Receiver{},
		places: make(chan struct{}, cfg.MaxConcurrency), parsing: make(chan struct{}, parsers),
		last: make(chan struct{}), finished: make(chan struct{}),
	}
	e.handing, e.giveUp = context.WithCancel(context.Background())
	e.baselines = held.New(held.Config{Budget: e.set.Memory, Client: "receiver " + e.set.ID + " baselines", Bytes: e.baselineBytes.Load})
	sources, _ := e.cfg.sources() // check has looked at it
	clients := map[*config.HTTPClient]*http.Client{}
	for i := range sources {
		s := &sources[i]
		client := clients[s.client]
		if client == nil {
			made, err := newClient(*s.client)
			if err != nil {
				return nil, err
			}
			clients[s.client], client = made, made
			e.clients = append(e.clients, made)
		}
		auth, err := authenticator(e.set, s.client.Auth)
		if err != nil {
			return nil, err
		}
		t := &target{source: s, http: client, auth: auth, health: newHealth(e.set.Logger, s.name, ofTargets)}
		for i := range s.jobs {
			t.jobs = append(t.jobs, &jobState{job: &s.jobs[i], of: t})
		}
		e.targets = append(e.targets, t)
	}
	if globs := e.cfg.globs(); len(globs) > 0 {
		e.files = newFileReader(e, globs)
	}
	return e, nil
}

// begin opens the counters and makes the context of all fetches.
func (e *Engine) begin(undo *lifecycle.Undo) (context.Context, error) {
	for transport, wanted := range map[string]bool{"http": len(e.targets) > 0, "file": e.files != nil} {
		if !wanted {
			continue
		}
		r, err := obsreport.NewReceiver(e.set.ID, transport, e.set.Tracer, e.set.Meter, e.set.MetricsLevel >= component.LevelDetailed)
		if err != nil {
			return nil, err
		}
		undo.Add(r.Close)
		e.observed[transport] = r
	}
	var err error
	if e.measures, err = obsreport.NewPprofTargets(e.set.ID, e.set.Meter, e.forMetrics); err != nil {
		return nil, err
	}
	undo.Add(e.measures.Close)
	if e.stacks, err = obsreport.NewWithoutStack(e.set.ID, e.set.Meter, e.withoutStack.Load); err != nil {
		return nil, err
	}
	undo.Add(e.stacks.Close)
	ctx, cancel := context.WithCancelCause(context.Background())
	e.cancel = cancel
	return ctx, nil
}

// forMetrics returns the targets. Those with the same name are one.
func (e *Engine) forMetrics() []obsreport.PprofTarget {
	var all []obsreport.PprofTarget
	at := map[string]int{}
	add := func(name string, h *health) {
		i, ok := at[name]
		if !ok {
			i = len(all)
			at[name] = i
			all = append(all, obsreport.PprofTarget{Name: name, Up: true, Fetches: map[string]int64{}})
		}
		h.addTo(&all[i])
	}
	for _, t := range e.targets {
		add(t.instance, t.health)
	}
	if e.files != nil {
		add(e.files.health.name, e.files.health)
	}
	return all
}

// Start begins the rounds and returns. A second call returns what the first did.
func (e *Engine) Start(context.Context) error {
	return e.life.Start(func(undo *lifecycle.Undo) error {
		ctx, err := e.begin(undo)
		if err != nil {
			return err
		}
		for i, t := range e.targets {
			step := min(apart, t.interval/time.Duration(len(e.targets)))
			delay := t.delay + time.Duration(i)*step
			for _, jobs := range t.loops() {
				at := &rotation{jobs: jobs}
				e.running.Go(func() { e.loop(ctx, t.interval, delay, func() { e.round(ctx, t, at) }) })
			}
		}
		if f := e.files; f != nil {
			e.running.Go(func() { e.loop(ctx, f.interval, f.delay, func() { f.poll(ctx) }) })
		}
		return nil
	})
}

// RunOnce makes one round of all targets and files and returns when it has
// ended, or ctx has. An engine that was started makes its rounds by itself: then
// RunOnce does nothing.
func (e *Engine) RunOnce(ctx context.Context) error {
	var own context.Context
	err := e.life.Start(func(undo *lifecycle.Undo) (err error) {
		own, err = e.begin(undo)
		return err
	})
	if own == nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		e.cancel(errStopped)
		e.giveUp()
	})()
	var all sync.WaitGroup
	for _, t := range e.targets {
		for _, jobs := range t.loops() {
			all.Go(func() { e.round(own, t, &rotation{jobs: jobs}) })
		}
	}
	if e.files != nil {
		all.Go(func() { e.files.poll(own) })
	}
	all.Wait()
	return ctx.Err()
}

// Finish begins no more rounds, and waits until those that are being made have ended, or
// ctx has. It is called after Start, and Shutdown after it.
func (e *Engine) Finish(ctx context.Context) error {
	e.finish.Do(func() {
		close(e.last)
		go func() { // until Shutdown at the latest, which waits for it
			defer close(e.finished)
			e.running.Wait()
		}()
	})
	select {
	case <-e.finished:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("finish the fetches: %w", context.Cause(ctx))
	}
}

// Shutdown aborts the fetches and waits for the loops to end. Profiles that have
// been parsed are still passed to the sink, which may wait until ctx ends. It may be
// called twice.
func (e *Engine) Shutdown(ctx context.Context) error {
	return e.life.Shutdown(func() error {
		defer e.giveUp()
		defer context.AfterFunc(ctx, e.giveUp)()
		e.cancel(errStopped)
		e.running.Wait() // a parser ends by itself; all else ends by the contexts
		e.finish.Do(func() { close(e.finished) })
		<-e.finished
		e.state.stop()
		e.baselines.Close()
		for _, c := range e.clients {
			c.CloseIdleConnections()
		}
		errs := []error{e.measures.Close(), e.stacks.Close()}
		for _, r := range e.observed {
			errs = append(errs, r.Close())
		}
		return errors.Join(errs...)
	})
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Stats{
		Fetches: e.fetches.Load(), Failures: maps.Clone(e.failures), Numbers: e.numbers.Load(), Refused: e.refused.Load(),
		Restarts: e.restarts.Load(), Switches: e.switches.Load(), Skipped: e.skipped.Load(), BaselineBytes: e.baselineBytes.Load(),
	}
}

// Status returns how each target is doing, and then the files.
func (e *Engine) Status() []TargetStatus {
	var all []TargetStatus
	for _, t := range e.targets {
		all = append(all, t.health.current())
	}
	if e.files != nil {
		all = append(all, e.files.health.current())
	}
	return all
}

// ended counts a fetch or a file.
func (e *Engine) ended(h *health, kind string, n counts, err error) {
	h.note(kind, n, err)
	e.numbers.Add(int64(n.taken))
	e.refused.Add(int64(n.refused))
	if n.taken > 0 && e.flush != nil {
		e.flush()
	}
	if err == nil {
		e.fetches.Add(1)
		return
	}
	why := causeOf(err)
	if why == causeStopped {
		return
	}
	e.fetches.Add(1)
	e.mu.Lock()
	e.failures[string(why)]++
	e.mu.Unlock()
	e.set.Logger.LogAttrs(context.Background(), slog.LevelDebug, "a fetch failed",
		slog.String("target", h.name), slog.String("profile", kind), slog.String("cause", string(why)), slog.Any("error", err))
}

// measured runs one fetch of a kind of profile as a request of the receiver's.
func (e *Engine) measured(ctx context.Context, transport, kind string, run func(context.Context) (counts, error)) (counts, error) {
	ctx, op := e.observed[transport].Start(ctx, otlp.Profiles)
	begun := time.Now()
	n, err := run(ctx)
	e.measures.Fetched(ctx, kind, time.Since(begun))
	op.End("protobuf", obsreport.Outcome{Accepted: n.taken, Refused: n.refused}, err)
	return n, err
}

// parsed calls f with the profile that data holds, while it holds a place to
// parse. legacy also takes the formats from before protobuf.
func (e *Engine) parsed(ctx context.Context, data []byte, r *room, legacy bool, f func(*answer) (counts, error)) (counts, error) {
	select {
	case e.parsing <- struct{}{}:
		defer func() { <-e.parsing }()
	case <-ctx.Done():
		return counts{}, transportFailure(ctx, fmt.Errorf("wait for others to be parsed: %w", ctx.Err()))
	}
	p, err := parse(data, e.cfg.MaxProfileBytes, r, legacy)
	if err != nil {
		return counts{}, err
	}
	if e.admit != nil {
		done, err := e.admit(p)
		if err != nil {
			return counts{}, &failure{causeMemory, fmt.Errorf("reserve memory for the samples: %w", err)}
		}
		defer done()
	}
	return f(&answer{p: p})
}

// newRoom takes a profile's first part of the memory budget. It is closed when nothing
// of the profile is left.
func (e *Engine) newRoom(ctx context.Context, source string) (*room, error) {
	t, err := e.set.Memory.Acquire(ctx, "receiver "+e.set.ID+" "+source, firstBytes)
	if err != nil {
		return nil, &failure{causeMemory, fmt.Errorf("reserve memory for the profile: %w", err)}
	}
	return &room{ticket: t}, nil
}

// loops splits a target's jobs: those that make us wait are fetched beside the
// others.
func (t *target) loops() [][]*jobState {
	var timed, others []*jobState
	for _, j := range t.jobs {
		if j.timed {
			timed = append(timed, j)
		} else {
			others = append(others, j)
		}
	}
	return slices.DeleteFunc([][]*jobState{timed, others}, func(l []*jobState) bool { return len(l) == 0 })
}
