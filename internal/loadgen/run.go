package loadgen

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

const (
	// graceAfterCancel is how long an interrupted run waits for requests in flight.
	graceAfterCancel = 2 * time.Second
	// progressEvery is the interval at which Run reports its progress.
	progressEvery = time.Second
	// Without a rate, a worker pauses after a failed request: minPause, then twice as
	// long each time, so that it does not send 100,000 requests per second to a server
	// that is down.
	minPause = time.Millisecond
	maxPause = 100 * time.Millisecond
)

// Run sends load according to cfg and reports the results. It returns at the end of the
// run, or soon after the end of ctx; an interrupted run has a report, too. watch, if not
// nil, is called once a second, and at the end.
//
// Failed requests are counted and not retried.
func Run(ctx context.Context, cfg Config, watch func(Progress)) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	source, err := NewSource(cfg.Shape)
	if err != nil {
		return nil, err
	}
	senders, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, source: source, watch: watch}
	for _, s := range cfg.Signals {
		r.tallies[s] = newTally()
	}
	report, err := r.do(ctx, senders)
	for _, s := range senders {
		err = errors.Join(err, s.Close())
	}
	return report, err
}

// connect creates the clients. They connect at their first request.
func connect(cfg Config) (senders []otlpclient.Sender, err error) {
	for range min(cfg.Connections, cfg.Workers) {
		s, err := newSender(cfg)
		if err != nil {
			for _, s := range senders {
				err = errors.Join(err, s.Close())
			}
			return nil, err
		}
		senders = append(senders, s)
	}
	return senders, nil
}

func newSender(cfg Config) (otlpclient.Sender, error) {
	if cfg.Protocol == HTTP {
		return otlpclient.NewHTTP(cfg.httpClient(), nil)
	}
	return otlpclient.NewGRPC(cfg.grpcClient(), cfg.Timeout)
}

// run is the state of a run.
type run struct {
	cfg      Config
	source   *Source
	pacer    *pacer
	tallies  [otlp.Profiles + 1]*tally // nil for signals that are not sent
	watch    func(Progress)
	start    time.Time
	inFlight atomic.Int64
}

func (r *run) do(ctx context.Context, senders []otlpclient.Sender) (*Report, error) {
	limit := r.cfg.Requests
	if limit == 0 {
		limit = math.MaxUint64
	}
	cpu := processCPU()
	r.start = time.Now()
	r.pacer = newPacer(r.start, r.cfg.requestsPerSecond(), len(r.cfg.Signals), limit, r.cfg.Duration)

	// At the end of starting no more requests are started, at the end of sending those
	// in flight are canceled.
	starting, stopStarting := r.starting(ctx)
	defer stopStarting()
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()

	var workers, helpers sync.WaitGroup
	for i := range r.cfg.Workers {
		workers.Go(func() { r.work(sending, senders[i%len(senders)]) })
	}
	helpers.Go(func() { r.report(sending) })
	helpers.Go(func() {
		if awaitEither(ctx, sending) {
			sleep(sending, graceAfterCancel)
			stopSending()
		}
	})
	helpers.Go(func() {
		awaitEither(starting, sending)
		r.pacer.close()
	})
	err := r.pacer.run(starting)
	if starting.Err() != nil {
		err = nil // the end of the run
	}
	if err != nil {
		stopStarting()
	}
	workers.Wait()
	elapsed := time.Since(r.start)
	stopSending()
	helpers.Wait()
	return r.result(elapsed, processCPU()-cpu, ctx.Err() != nil), err
}

// starting returns the context in which requests are started.
func (r *run) starting(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.cfg.Duration == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.start.Add(r.cfg.Duration))
}

// work sends requests, one after the other.
func (r *run) work(ctx context.Context, sender otlpclient.Sender) {
	pause := minPause
	for {
		n, due, ok := r.pacer.next()
		if !ok {
			return
		}
		if err := r.send(ctx, sender, n, due); err == nil || !due.IsZero() {
			pause = minPause
			continue
		}
		sleep(ctx, pause)
		pause = min(2*pause, maxPause)
	}
}

func (r *run) send(ctx context.Context, sender otlpclient.Sender, n uint64, due time.Time) error {
	r.inFlight.Add(1)
	defer r.inFlight.Add(-1)
	request := r.source.Take(n, time.Now())
	o := outcome{items: request.Items, bytes: len(request.Bytes), due: due, sent: time.Now()}
	if due.IsZero() {
		o.due = o.sent
	}
	o.answer, o.err = sender.Send(ctx, otlpclient.Request{Signal: request.Signal, Bytes: request.Bytes, Done: request.Return})
	o.done = time.Now()
	r.tallies[request.Signal].add(o)
	return o.err
}

// awaitEither waits for the end of one of two contexts, and reports whether a has ended.
func awaitEither(a, b context.Context) bool {
	select {
	case <-a.Done():
		return true
	case <-b.Done():
		return a.Err() != nil
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// report calls watch with the progress of the run until ctx ends.
func (r *run) report(ctx context.Context) {
	if r.watch == nil {
		return
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	last, items := r.start, uint64(0)
	for running := true; running; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			running = false
		}
		now := time.Now()
		p := Progress{Elapsed: now.Sub(r.start), InFlight: int(r.inFlight.Load()), Behind: r.pacer.unsent()}
		for _, t := range r.tallies {
			if t != nil {
				p.add(t.snapshot())
			}
		}
		if !running { // the last report: of the whole run
			last, items = r.start, 0
		}
		p.ItemsPerSecond = float64(p.ItemsAcknowledged-items) / now.Sub(last).Seconds()
		last, items = now, p.ItemsAcknowledged
		r.watch(p)
	}
}

// result returns the report. All workers must have ended.
func (r *run) result(elapsed, cpu time.Duration, interrupted bool) *Report {
	c := r.cfg
	out := &Report{
		Protocol: c.Protocol, Endpoint: c.Endpoint, Compression: string(c.Compression), BatchItems: c.BatchItems,
		Workers: c.Workers, Connections: c.Connections, Seed: c.Seed, Rate: c.ItemsPerSecond,
		ElapsedSeconds: elapsed.Seconds(), CPUSeconds: cpu.Seconds(), Interrupted: interrupted,
		RequestsUnsent: r.pacer.unsent(), BySignal: map[string]Result{},
	}
	total := newTally()
	for s, t := range r.tallies {
		if t != nil {
			out.BySignal[otlp.Signal(s).String()] = r.resultOf(t, elapsed)
			total.merge(t)
		}
	}
	out.Total = r.resultOf(total, elapsed)
	return out
}

func (r *run) resultOf(t *tally, elapsed time.Duration) Result {
	res := t.result(elapsed)
	if r.cfg.ItemsPerSecond > 0 {
		res.Delay = quantilesOf(t.delay)
	}
	return res
}
