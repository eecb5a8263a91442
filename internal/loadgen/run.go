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
	// graceAfterCancel is how long requests under way may take when a run is
	// interrupted.
	graceAfterCancel = 2 * time.Second
	// progressEvery is how often Run tells how it is doing.
	progressEvery = time.Second
	// A worker that fails again and again without a rate pauses in between, from
	// minPause on, twice as long each time: there is no point in asking a server
	// that is not there 100,000 times a second.
	minPause = time.Millisecond
	maxPause = 100 * time.Millisecond
)

// Run does what cfg says and reports what came of it. It ends when the run is
// over, or soon after ctx: an interrupted run has a report like any other. watch,
// if not nil, is called once a second, and once at the end.
//
// Requests that fail are counted, not sent again.
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

// connect makes the clients. They connect when they are first used.
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

// run is one run.
type run struct {
	cfg      Config
	source   *Source
	pacer    *pacer
	tallies  [otlp.Profiles + 1]*tally // nil for signals that are not sent
	watch    func(Progress)
	start    time.Time
	underWay atomic.Int64
}

func (r *run) do(ctx context.Context, senders []otlpclient.Sender) (*Report, error) {
	limit := r.cfg.Requests
	if limit == 0 {
		limit = math.MaxUint64
	}
	cpu := processCPU()
	r.start = time.Now()
	r.pacer = newPacer(r.start, r.cfg.requestsPerSecond(), limit, r.cfg.Duration)

	// intake ends first: no more requests; then sending: none is waited for.
	intake, stopIntake := r.intake(ctx)
	defer stopIntake()
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()

	var workers, helpers sync.WaitGroup
	for i := range r.cfg.Workers {
		workers.Go(func() { r.work(sending, senders[i%len(senders)]) })
	}
	helpers.Go(func() { r.tell(sending) })
	helpers.Go(func() {
		if awaitEither(ctx, sending) {
			sleep(sending, graceAfterCancel)
			stopSending()
		}
	})
	helpers.Go(func() {
		awaitEither(intake, sending)
		r.pacer.close()
	})
	err := r.pacer.run(intake)
	if intake.Err() != nil {
		err = nil // that was the end of the run
	}
	if err != nil {
		stopIntake()
	}
	workers.Wait()
	elapsed := time.Since(r.start)
	stopSending()
	helpers.Wait()
	return r.result(elapsed, processCPU()-cpu, ctx.Err() != nil), err
}

// intake returns the context in which requests are still begun.
func (r *run) intake(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.cfg.Duration == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.start.Add(r.cfg.Duration))
}

// work sends one request after the other.
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
	r.underWay.Add(1)
	defer r.underWay.Add(-1)
	loan := r.source.Take(n, time.Now())
	o := outcome{items: loan.Items, bytes: len(loan.Bytes), due: due, sent: time.Now()}
	if due.IsZero() {
		o.due = o.sent
	}
	o.answer, o.err = sender.Send(ctx, otlpclient.Request{Signal: loan.Signal, Bytes: loan.Bytes, Done: loan.Return})
	o.done = time.Now()
	r.tallies[loan.Signal].add(o)
	return o.err
}

// awaitEither waits for the end of one of two contexts, and says whether the
// first has ended.
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

// tell tells watch how the run is doing until ctx ends.
func (r *run) tell(ctx context.Context) {
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
		p := Progress{Elapsed: now.Sub(r.start), UnderWay: int(r.underWay.Load()), Behind: r.pacer.unsent()}
		for _, t := range r.tallies {
			if t != nil {
				p.add(t.snapshot())
			}
		}
		if !running { // the last time: of the whole run
			last, items = r.start, 0
		}
		p.ItemsPerSecond = float64(p.ItemsAcknowledged-items) / now.Sub(last).Seconds()
		last, items = now, p.ItemsAcknowledged
		r.watch(p)
	}
}

// result is called when nothing runs any more.
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
