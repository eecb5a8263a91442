package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// fullRetry is the delay that senders are asked for while the log is full or the disk
// fails.
const fullRetry = time.Second

// Log is the durable queue of a pipeline: what Consume takes is on disk, once for all
// destinations, each of which has a cursor.
//
//	Consume ─► journal ─┬─► Destination "traces/otlp" ─► exporter
//	  nil: on disk      └─► Destination "traces/otlp/2" ─► exporter
//
// Consume works also while no destination runs.
type Log struct {
	journal *journal.Journal
	keep    record.Keep
	kept    sync.Pool

	mu           sync.RWMutex
	destinations []*Destination // appended to
}

// NewLog returns a Log on a journal, which stays the caller's to close. keep is what
// records keep of their clients.
func NewLog(j *journal.Journal, keep record.Keep) *Log {
	return &Log{journal: j, keep: keep, kept: sync.Pool{New: func() any { return new(kept) }}}
}

// Capabilities implements pipeline.Consumer: bytes are written as they are, and compressed
// ones if a destination can use them.
func (l *Log) Capabilities() (all pipeline.Capabilities) {
	for _, d := range l.all() {
		all = all.With(d.cfg.Next.Capabilities())
	}
	return all
}

// all returns the destinations.
func (l *Log) all() []*Destination {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.destinations
}

// Consume returns nil when the batch is on disk. If the queue of a destination has
// reached its own bound, or the journal its, the error is Overloaded, and the batch is
// kept for no destination.
func (l *Log) Consume(ctx context.Context, b *pipeline.Batch) error {
	return l.Add(ctx, Request{Batch: b, Items: int64(b.Items())})
}

// Add is Consume for a batch whose items the ledger counts as r.Items. The batch stays
// the caller's.
func (l *Log) Add(ctx context.Context, r Request) error {
	b := r.Batch
	admitted, err := l.admit(ctx, b)
	defer func() {
		for _, d := range admitted {
			d.entered(b)
		}
	}()
	if err != nil {
		return err
	}
	k, err := l.keptOf(b)
	if err != nil {
		return pipeline.Permanently(err)
	}
	defer k.Release()
	_, err = l.journal.Append(ctx, journal.Record{Parts: [][]byte{k.header, k.body()}, Units: uint32(r.Items), Tag: l.keep.Tag(b.Client()),
		Codec: uint8(k.codec), Plain: int64(len(k.header) + len(b.Bytes())), Source: k})
	return refusal(err)
}

// admit asks the bounds of the destinations. admitted are those that count the batch as
// held, until it has entered the journal, or has not.
func (l *Log) admit(ctx context.Context, b *pipeline.Batch) (admitted []*Destination, err error) {
	destinations := l.all()
	for i, d := range destinations {
		if err := d.admit(ctx, b); err != nil {
			return destinations[:i], &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: fullRetry, Err: err}
		}
	}
	return destinations, nil
}

// refusal says what an error of the journal asks of the sender.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrTooLarge):
		return pipeline.Permanently(err)
	case errors.Is(err, journal.ErrFull), errors.Is(err, journal.ErrUnavailable):
		return &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: fullRetry, Err: fmt.Errorf("keep the request: %w", err)}
	}
	return &pipeline.Error{Kind: pipeline.Retryable, Err: fmt.Errorf("keep the request: %w", err)}
}
