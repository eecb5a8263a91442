package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// What a spool is made of.
const (
	// defaultSpoolBytes is an hour of a request of 1 MiB every 4 s.
	defaultSpoolBytes = 1 << 30
	// minSpoolRequests is how many full requests a spool has room for at least: the
	// smallest of its journals holds a few then.
	minSpoolRequests = 32
	// spoolSegmentBytes is what is removed at once when a spool is full, and allocated
	// at once.
	spoolSegmentBytes = 16 << 20
	// spoolHeaderBytes is what a record has at most beside its request.
	spoolHeaderBytes = 64
	// spoolFactor is how many times the size of a request it takes in memory to read it
	// from the spool, and to merge it.
	spoolFactor = 8
)

// spoolShares are the signals that a reporter sends, each in a journal of its own, and how
// many eighths of the bound it has.
var spoolShares = map[otlp.Signal]int64{otlp.Profiles: 7, otlp.Metrics: 1}

// spool is what waits on disk for the destination.
//
//	delivery.Queue ─► spool.add ─► journal ─► delivery.Destination ─► destination
//	   in memory       on disk now
type spool struct {
	parts   map[otlp.Signal]*spoolPart
	retries atomic.Int64
}

// spoolPart is the part of one signal.
type spoolPart struct {
	journal     *journal.Journal
	log         *delivery.Log
	destination *delivery.Destination
	before      delivery.Ledger // when it was opened
}

// openSpool opens the spool of a configuration, whose requests go to next, and begins to
// send what is in it.
func openSpool(c OTLPConfig, next map[otlp.Signal]pipeline.Consumer) (_ *spool, err error) {
	s := &spool{parts: map[otlp.Signal]*spoolPart{}}
	for signal := range spoolShares {
		p, err := s.open(c, signal, next[signal])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open the spool %s: %w", c.SpoolDir, err), s.close())
		}
		s.parts[signal] = p
	}
	for signal, p := range s.parts {
		if held := p.before; held.Held > 0 {
			c.Logger.Info("the spool has requests of an earlier process; they are sent", slog.String("signal", signal.String()),
				slog.Uint64("items", held.Held), slog.Uint64("requests", held.HeldRequests), slog.Uint64("bytes", held.HeldBytes))
		}
		p.destination.Start()
	}
	return s, nil
}

func (s *spool) open(c OTLPConfig, signal otlp.Signal, next pipeline.Consumer) (*spoolPart, error) {
	bound := c.SpoolBytes / 8 * spoolShares[signal]
	j, err := journal.Open(filepath.Join(c.SpoolDir, signal.String()), journal.Options{
		MaxBytes: bound, SegmentBytes: min(spoolSegmentBytes, bound/8), WhenFull: journal.DropOldest, Logger: c.Logger,
	})
	if err != nil {
		return nil, err
	}
	log := delivery.NewLog(j, record.Keep{})
	d, err := log.Destination(delivery.DestinationConfig{
		Name: signal.String(), Signal: signal, Next: next, From: journal.Oldest,
		MaxInFlight:    1, // as without a spool; and what a kill repeats is one request
		InitialBackoff: c.initialBackoff, MaxBackoff: c.maxBackoff,
		Merge:  delivery.Merge{MaxBytes: c.MaxRequestBytes},
		Logger: c.Logger, Observer: spoolObserver{s},
		// What is refused for good is dropped, and counted apart from what is rejected.
		DeadLetters: func(context.Context, delivery.DeadLetter) error { return nil },
	})
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return &spoolPart{j, log, d, d.Ledger()}, nil
}

// add is a delivery.Config.Spool.
func (s *spool) add(ctx context.Context, r delivery.Request) error {
	return s.parts[r.Batch.Signal()].log.Add(ctx, r)
}

// shutdown sends what is there until ctx ends. The rest stays.
func (s *spool) shutdown(ctx context.Context, log *slog.Logger) error {
	var all sync.WaitGroup
	for _, p := range s.parts {
		all.Go(func() {
			p.destination.Drain(ctx)
			_ = p.destination.Shutdown(ctx) // its error is that requests stay
		})
	}
	all.Wait()
	for signal, p := range s.parts {
		if held := p.destination.Ledger(); held.Held > 0 {
			log.Info("requests stay in the spool; the next process sends them", slog.String("signal", signal.String()),
				slog.Uint64("items", held.Held), slog.Uint64("requests", held.HeldRequests), slog.Uint64("bytes", held.HeldBytes))
		}
	}
	return s.close()
}

// close closes the journals.
func (s *spool) close() (err error) {
	for _, p := range s.parts {
		err = errors.Join(err, p.journal.Close())
	}
	return err
}

// spoolObserver counts the requests that are sent again.
type spoolObserver struct{ spool *spool }

// Attempt implements delivery.Observer.
func (o spoolObserver) Attempt(_ context.Context, _ otlp.Signal, refusal *pipeline.Error) {
	if refusal != nil && (refusal.Kind == pipeline.Retryable || refusal.Kind == pipeline.Overloaded) {
		o.spool.retries.Add(1)
	}
}

// Outcome implements delivery.Observer.
func (spoolObserver) Outcome(context.Context, otlp.Signal, int, int, *pipeline.Error) {}

// profilesToSamples translates how many Profiles a destination has rejected to how many
// samples those are, taken to be spread evenly.
type profilesToSamples struct{ pipeline.Consumer }

// Consume implements pipeline.Consumer.
func (p profilesToSamples) Consume(ctx context.Context, b *pipeline.Batch) error {
	err := p.Consumer.Consume(ctx, b)
	var e *pipeline.Error
	if !errors.As(err, &e) || e.Kind != pipeline.Partial || e.Rejected <= 0 {
		return err
	}
	profiles := countProfiles(b.Bytes())
	samples := int64(b.Items())
	if profiles == 0 || e.Rejected >= profiles {
		return &pipeline.Error{Kind: pipeline.Partial, Rejected: samples, Err: e.Err}
	}
	return &pipeline.Error{Kind: pipeline.Partial, Rejected: (samples*e.Rejected + profiles - 1) / profiles, Err: e.Err}
}

func countProfiles(request []byte) (n int64) {
	for r := range otlp.ExportProfilesServiceRequest(request).ResourceProfiles().All() {
		for s := range r.ScopeProfiles().All() {
			n += int64(s.Profiles().Len())
		}
	}
	return n
}

// account is what became of the items of a signal, in the queue and in the spool.
type account struct {
	delivery.Stats // HeldBytes and HeldRequests are those in memory

	restored, damaged             int64
	spooledBytes, spooledRequests int64
}

// account returns that of a signal. What is held is what was added and has not ended, so
// that a request that goes from the queue to the spool counts once.
func (r *OTLPReporter) account(signal otlp.Signal) account {
	s := r.spool.Load()
	if s == nil {
		return account{Stats: r.queue.Stats(signal)}
	}
	p := s.parts[signal]
	now := p.destination.Ledger() // before the queue's: each request was added there first
	a := account{
		Stats: r.queue.Stats(signal), restored: int64(p.before.Held), damaged: int64(now.Damaged - p.before.Damaged),
		spooledBytes: int64(now.HeldBytes), spooledRequests: int64(now.HeldRequests),
	}
	a.Delivered += int64(now.Delivered - p.before.Delivered)
	a.Dropped[delivery.Rejected] += int64(now.Rejected - p.before.Rejected)
	a.Dropped[delivery.Refused] += int64(now.DeadLettered - p.before.DeadLettered)
	a.Dropped[delivery.PendingFull] += int64(now.Dropped - p.before.Dropped)
	a.Held = a.restored + a.Added - a.Delivered - a.damaged
	for _, n := range a.Dropped {
		a.Held -= n
	}
	return a
}

// retried is how many requests were sent again. s may be nil.
func (s *spool) retried() int64 {
	if s == nil {
		return 0
	}
	return s.retries.Load()
}

// spoolMemory is an upper bound of what sending from the spool takes.
func (r *OTLPReporter) spoolMemory() int64 {
	if r.cfg.SpoolDir == "" {
		return 0
	}
	return int64(len(spoolShares)) * spoolFactor * int64(r.cfg.MaxRequestBytes)
}
