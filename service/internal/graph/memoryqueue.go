package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Bounds of queues in memory. All together hold a sixteenth of the memory budget, and a
// sixteenth beside that for what is being sent, twice: as it was, and merged.
const (
	memoryShare    = 16
	memoryFactor   = 3 // of what is held, with what is being sent
	minMemoryQueue = 1 << 20
	maxMemoryQueue = 64 << 20
	// A Direct holds an eighth of the budget in bytes, and as many requests as take
	// another eighth beside their bytes.
	heldDirectShare = 8
	requestCharge   = 20 << 10
	// sendingWait is how long a request waits at most for memory that others have which are
	// being sent.
	sendingWait = time.Hour
)

// openInMemory makes a queue in memory.
func (q *queue) openInMemory(ctx context.Context) (pipeline.Consumer, error) {
	var waiting []branch
	var others []queued
	for _, e := range q.exporters {
		if !e.waits(q.data) {
			others = append(others, e)
			continue
		}
		d, err := q.openDirect(e)
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, branch{Consumer: d, name: "exporter " + e.id, waits: true})
	}
	if len(waiting) > 0 && q.merging != nil {
		front, err := q.mergingBefore(waiting)
		if err != nil {
			return nil, err
		}
		waiting = []branch{front}
	}
	if len(others) > 0 {
		log, err := q.openMemoryLog(ctx, others)
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, branch{Consumer: log, name: "the queue in memory"})
	}
	return fanoutOf(waiting, nil, q.settings)
}

// openDirect makes a queue in memory whose senders wait.
func (q *queue) openDirect(e queued) (pipeline.Consumer, error) {
	cfg := q.destination(e)
	if limit := q.data.budget; limit > 0 {
		cfg.MaxHeldBytes = cmp.Or(cfg.MaxHeldBytes, uint64(limit/heldDirectShare))
		cfg.MaxHeldRequests = cmp.Or(cfg.MaxHeldRequests, uint64(limit/heldDirectShare/requestCharge))
	}
	d := delivery.NewDirect(cfg)
	q.directs = append(q.directs, d)
	o, err := q.observe(e, d, int64(cfg.MaxHeldBytes))
	return &refusing{Consumer: d, by: []*observed{o}}, err
}

// sizeInMemory is the bound of one of several queues in memory, of a budget.
func sizeInMemory(budget int64, queues int) int64 {
	return min(max(budget/memoryShare/int64(max(queues, 1)), minMemoryQueue), maxMemoryQueue)
}

// fits reports whether a queue may be kept when the memory budget becomes another one: one
// in memory whose bound is above what all of them may have would leave too little for
// requests.
func (q *queue) fits(budget int64) bool {
	return q.memory == nil || budget == 0 || q.journal.MaxBytes() <= sizeInMemory(budget, 1)
}

// keepForHeld gives back the memory of a queue in memory that takes no more batches, but for
// what it holds.
func (q *queue) keepForHeld() {
	if q.memory != nil {
		has := q.journal.Stats()
		q.memory.Shrink(int(has.Bytes + (memoryFactor-1)*int64(has.Stored.Bytes)))
	}
}

// openMemoryLog makes a journal in memory. Its memory, with that of what is being sent, is
// taken from the budget at once: what is sent may not wait for memory that those hold who
// wait for room in the queue. The newest requests beside it are still charged to their own
// tickets.
func (q *queue) openMemoryLog(ctx context.Context, exporters []queued) (pipeline.Consumer, error) {
	size := int64(maxMemoryQueue)
	if limit := q.data.budget; limit > 0 {
		size = sizeInMemory(limit, q.data.queues)
		var err error
		if q.memory, err = q.settings.Memory.Acquire(ctx, "the queue of pipeline "+q.pipeline.ID, int(memoryFactor*size)); err != nil {
			return nil, fmt.Errorf("a queue in memory: %w", err)
		}
	}
	var err error
	options := journal.Options{InMemory: true, MaxBytes: size, RecentBytes: q.recentBytes(), Logger: q.settings.Logger}
	if q.journal, err = journal.Open("the queue of pipeline "+q.pipeline.ID, options); err != nil {
		return nil, err
	}
	// What is held may be compressed, and is larger when it is sent.
	sending := admission.New(admission.Config{Bytes: (memoryFactor - 1) * size, MaxWait: sendingWait})
	log, err := q.openLog(exporters, func(c *delivery.DestinationConfig) { c.Drain, c.Memory = true, sending })
	if err != nil {
		return nil, err
	}
	var direct []branch
	for _, e := range exporters {
		d := delivery.NewDirect(q.destination(e))
		q.directs = append(q.directs, d)
		direct = append(direct, branch{Consumer: d, name: "exporter " + e.id, waits: true})
	}
	large, err := fanoutOf(direct, nil, q.settings)
	return &sized{log, large}, err
}

// sized passes on what is too large for a queue in memory to where its sender waits.
type sized struct{ queue, direct pipeline.Consumer }

// Capabilities implements pipeline.Consumer: a batch goes to one of both.
func (s *sized) Capabilities() pipeline.Capabilities {
	return s.queue.Capabilities().With(s.direct.Capabilities())
}

func (s *sized) Consume(ctx context.Context, b *pipeline.Batch) error {
	err := s.queue.Consume(ctx, b)
	if errors.Is(err, journal.ErrTooLarge) {
		return s.direct.Consume(ctx, b)
	}
	return err
}
