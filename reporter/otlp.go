package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter/internal/join"
	"github.com/penstock-telemetry/penstock/reporter/internal/profile"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// OTLPReporter receives and transforms information to be OTLP/profiles compliant.
// It is safe for concurrent use. No Report method waits for the destination.
type OTLPReporter struct {
	cfg    OTLPConfig
	origin *samples.Origin // of ReportCountForTrace

	store   *profile.Store
	join    *join.Join
	host    hostFacts
	points  points
	queue   *delivery.Queue
	next    map[otlp.Signal]pipeline.Consumer // of the spool
	spool   atomic.Pointer[spool]             // nil until Start, or if there is none
	sender  otlpclient.Sender                 // nil with a Consumer
	traffic otlpclient.Traffic

	flushNow  chan struct{}
	stop      chan struct{} // closed by Shutdown
	loop      sync.WaitGroup
	stopped   chan struct{} // closed when Shutdown is through
	stopError error         // of Shutdown; set before stopped is closed

	mu      sync.Mutex // of what follows
	started bool
	ended   bool
	unwatch func() bool // ends StartOTLP's watch of its context

	// writing is held while events go from the store to the queue, so that Stats
	// never sees them in neither.
	writing   sync.Mutex
	withoutSt int64
	tooLarge  int64

	windowBytes atomic.Int64 // of the window that is being written
	begun       atomic.Int64 // windows that are being or were written
	windows     atomic.Int64 // that were written

	invalid  atomic.Int64
	cutShort atomic.Int64 // values of profiles that were not taken to their end
	drops    lograte.Limiter

	deltas deltas
}

var (
	_ Reporter           = (*OTLPReporter)(nil)
	_ TraceEventReporter = (*OTLPReporter)(nil)
)

// StartOTLP sets up and manages the reporting connection to a OTLP backend. It
// returns without waiting for the backend: what is reported while there is none is
// kept, within bounds. The end of mainCtx stops the reporter, as Stop does.
func StartOTLP(mainCtx context.Context, c *Config) (Reporter, error) {
	cfg, err := c.forOTLP()
	if err != nil {
		return nil, err
	}
	r, err := NewOTLP(cfg)
	if err != nil {
		return nil, err
	}
	if err := r.Start(mainCtx); err != nil {
		return nil, errors.Join(err, r.Shutdown(mainCtx))
	}
	r.watch(mainCtx)
	return r, nil
}

// watch stops the reporter when ctx ends, which may be at once.
func (r *OTLPReporter) watch(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatch = context.AfterFunc(ctx, r.Stop)
}

// NewOTLP checks the configuration. Start starts the reporter.
func NewOTLP(cfg OTLPConfig) (*OTLPReporter, error) {
	cfg, err := cfg.withEnvironment()
	if err != nil {
		return nil, fmt.Errorf("set up the OTLP reporter: %w", err)
	}
	cfg = cfg.orDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("set up the OTLP reporter: %w", err)
	}
	r := &OTLPReporter{
		cfg: cfg, origin: samples.CPU(cfg.SamplesPerSecond),
		join:     join.New(join.Config{MaxBytes: cfg.MaxCacheBytes}),
		flushNow: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	// A window is written while the next one is collected.
	r.store = profile.New(profile.Config{MaxBytes: cfg.MaxWindowBytes / 2, NearlyFull: r.Flush, HashStack: cfg.hashStack}, time.Now())
	r.host.maxBytes = min(maxHostMetadataBytes, cfg.MaxRequestBytes/4)
	r.points = points{definitions: validDefinitions(cfg.MetricDefinitions), since: map[uint32]uint64{}, begun: uint64(time.Now().UnixNano())}
	next, err := r.destination()
	if err != nil {
		return nil, fmt.Errorf("set up the OTLP reporter: %w", err)
	}
	queue := delivery.Config{
		Next: next, MaxPendingBytes: cfg.MaxPendingBytes, Logger: cfg.Logger,
		InitialBackoff: cfg.initialBackoff, MaxBackoff: cfg.maxBackoff,
	}
	if cfg.SpoolDir != "" {
		queue.Spool = func(ctx context.Context, q delivery.Request) error { return r.spool.Load().add(ctx, q) }
	}
	r.queue = delivery.New(queue)
	return r, nil
}

// destination returns what the queue sends to.
func (r *OTLPReporter) destination() (pipeline.Consumer, error) {
	if to := r.cfg.Consumer; to != nil {
		r.next = map[otlp.Signal]pipeline.Consumer{otlp.Profiles: to, otlp.Metrics: to}
		return to, nil
	}
	sender, err := r.cfg.sender(&r.traffic)
	if err != nil {
		return nil, err
	}
	r.sender = sender
	to := delivery.ToSender(sender)
	r.next = map[otlp.Signal]pipeline.Consumer{otlp.Profiles: profilesToSamples{to}, otlp.Metrics: to}
	return to, nil
}

var errReporterStopped = errors.New("the reporter is stopped")

// Start begins to report. It does not wait for the destination. With a SpoolDir it opens
// the spool, and sends what an earlier process has left there; the error is that of the
// folder, journal.ErrLocked if another process has it. After an error Start may be called
// again. ctx is not kept.
func (r *OTLPReporter) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return errReporterStopped
	}
	if r.started {
		return nil
	}
	if r.cfg.SpoolDir != "" {
		s, err := openSpool(r.cfg, r.next)
		if err != nil {
			return fmt.Errorf("start the OTLP reporter: %w", err)
		}
		r.spool.Store(s)
	}
	r.started = true
	r.queue.Start()
	r.loop.Go(r.run)
	return nil
}

// run makes requests of what was collected, on the interval, when there is much,
// and at the end.
func (r *OTLPReporter) run() {
	report, metrics := time.NewTimer(jitter(r.cfg.ReportInterval)), time.NewTimer(jitter(r.cfg.ReportMetricsInterval))
	defer report.Stop()
	defer metrics.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-r.flushNow:
			r.report(false)
		case <-report.C:
			r.report(false)
			report.Reset(jitter(r.cfg.ReportInterval))
		case <-metrics.C:
			r.reportPoints()
			metrics.Reset(jitter(r.cfg.ReportMetricsInterval))
		}
	}
}

// Flush makes requests of everything collected so far without waiting for the
// interval. It returns at once.
func (r *OTLPReporter) Flush() {
	select {
	case r.flushNow <- struct{}{}:
	default: // it will be done anyway
	}
}

// Sync makes requests of everything collected so far, and waits until none of those that
// there are now is in memory alone: each was acknowledged by the destination, is in the
// spool, or was dropped and counted. Samples that wait for frames are not among them. The
// error is that of ctx, or says that something was dropped by Shutdown.
func (r *OTLPReporter) Sync(ctx context.Context) error {
	before := r.begun.Load()
	r.writing.Lock()
	if r.begun.Load() == before { // else another caller has, and since this one was called
		r.write(false)
	}
	r.writePoints()
	r.writing.Unlock()
	return r.queue.Settled(ctx)
}

// report makes requests of a window.
func (r *OTLPReporter) report(final bool) {
	defer r.logDrops(final)
	r.writing.Lock()
	defer r.writing.Unlock()
	r.write(final)
}

// write is called with writing held.
func (r *OTLPReporter) write(final bool) {
	r.begun.Add(1)
	r.windowBytes.Store(int64(r.store.Bytes()))
	defer r.windowBytes.Store(0)
	defer r.windows.Add(1)
	out := r.store.Take(time.Now()).Write(profile.Options{
		MaxRequestBytes: r.cfg.requestBytes(),
		ScopeName:       r.cfg.Name, ScopeVersion: r.cfg.Version,
		Base:    r.base(),
		Resolve: r.resolve,
		MaxWait: maxWait * r.cfg.ReportInterval,
		Final:   final, StringReferences: r.cfg.StringReferences,
	}, func(q profile.Request) {
		r.queue.Put(r.request(q))
	})
	r.tooLarge += int64(out.TooLarge)
	r.withoutSt += int64(out.WithoutStack)
}

// request is a request of profiles whose items are events. A destination that takes
// OTLP counts the Profiles that it rejects, a Consumer the batch's samples.
func (r *OTLPReporter) request(q profile.Request) delivery.Request {
	to := delivery.Request{Batch: pipeline.NewUncheckedBatch(otlp.Profiles, q.Bytes, q.Samples, nil), Items: q.Events}
	if r.sender != nil {
		to.Units = q.Profiles
	}
	return to
}

// stopping reports whether Shutdown was called.
func (r *OTLPReporter) stopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// maxWait is how many intervals a sample waits for frames and symbols.
const maxWait = 2

// resolve finds the frames of a stack that was counted by its hash.
func (r *OTLPReporter) resolve(trace libpf.TraceHash, final bool) (libpf.Frames, bool) {
	frames, complete := r.join.Resolve(trace)
	if final && frames != nil && !complete {
		r.join.GiveUp(trace) // symbols that never come delay a stack once, not each time
		return frames, true
	}
	return frames, complete
}

// base is what all resources have.
func (r *OTLPReporter) base() libpf.Attributes { return r.host.on(r.cfg.Resource) }

// dropsEvery is how often drops are logged at most.
const dropsEvery = time.Minute

// earlyDrops are counts of what was dropped before it became a request.
type earlyDrops struct{ full, tooLarge, invalid, pointsFull, pointsTooLarge, pointsInvalid int64 }

func (r *OTLPReporter) earlyDrops() earlyDrops {
	full, tooLarge, invalid := r.points.drops()
	r.writing.Lock()
	defer r.writing.Unlock()
	return earlyDrops{r.store.Counts().Full, r.tooLarge, r.invalid.Load(), full, tooLarge, invalid}
}

// logDrops warns of what was dropped before it became a request; if last, of all
// that was not logged yet. The queue logs what it drops itself. No lock is held, since
// a log handler may call Stats.
func (r *OTLPReporter) logDrops(last bool) {
	r.queue.LogDrops()
	logged, now := r.deltas.logged, r.earlyDrops()
	if now == logged {
		return
	}
	if _, ok := r.drops.Allow(dropsEvery); !ok && !last {
		return
	}
	r.cfg.Logger.Warn("samples or data points were dropped (logged at most once in "+dropsEvery.String()+")",
		slog.Int64("window_full", now.full-logged.full), slog.Int64("too_large", now.tooLarge-logged.tooLarge), slog.Int64("invalid", now.invalid-logged.invalid),
		slog.Int64("points_full", now.pointsFull-logged.pointsFull), slog.Int64("points_too_large", now.pointsTooLarge-logged.pointsTooLarge),
		slog.Int64("points_invalid", now.pointsInvalid-logged.pointsInvalid),
		slog.Int("max_window_bytes", r.cfg.MaxWindowBytes), slog.Int("max_request_bytes", r.cfg.MaxRequestBytes))
	r.deltas.logged = now
}

// Stop is Shutdown within StopTimeout. What is lost is counted and logged.
func (r *OTLPReporter) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.StopTimeout)
	defer cancel()
	_ = r.Shutdown(ctx) // Stats and the log have it too
}

// Shutdown takes no more, sends what is left until ctx ends, and waits for all
// goroutines. With a SpoolDir what is left then is in the spool and stays there for the
// next process; the writes to the disk are waited for also when ctx has ended. The error
// tells how much could not be sent nor kept. It may be called several times, also at once:
// all calls return the same error, the context that ends first counts.
func (r *OTLPReporter) Shutdown(ctx context.Context) (err error) {
	r.mu.Lock()
	first := !r.ended
	r.ended = true
	r.mu.Unlock()
	if first {
		r.stopError = r.shutdown(ctx)
		close(r.stopped)
		return r.stopError
	}
	select {
	case <-r.stopped:
	case <-ctx.Done():
		_ = r.queue.Shutdown(ctx) // ends the first call of ours, which has the error
		<-r.stopped
	}
	return r.stopError
}

func (r *OTLPReporter) shutdown(ctx context.Context) error {
	r.mu.Lock()
	unwatch := r.unwatch
	r.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	close(r.stop)
	r.loop.Wait()
	r.store.Close()
	r.points.close()
	r.reportPoints()
	r.report(true)
	err := r.queue.Shutdown(ctx)
	if s := r.spool.Load(); s != nil {
		err = errors.Join(err, s.shutdown(ctx, r.cfg.Logger))
	}
	if r.sender != nil {
		err = errors.Join(err, r.sender.Close())
	}
	if err != nil {
		return fmt.Errorf("stop the OTLP reporter: %w", err)
	}
	return nil
}
