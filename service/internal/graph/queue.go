package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// queued is an exporter whose batches wait in a queue.
type queued struct {
	id string
	*component.Queue
}

// queue is the durable queue of the exporters of a pipeline that name the same storage:
// one journal, with a cursor for each exporter. It is between the processors and the
// exporters.
type queue struct {
	pipeline  *load.Pipeline
	storage   string
	exporters []queued
	settings  component.Settings
	life      *lifecycle.Cycle

	log          atomic.Pointer[delivery.Log] // nil unless it runs
	journal      *journal.Journal
	dead         *delivery.DeadLetters
	destinations []*delivery.Destination
	observed     []*obsreport.Queue
}

// queues takes the exporters of a pipeline that have a queue out of its branches, and
// adds a branch for each storage.
func (b *builder) queues(p *load.Pipeline, branches []branch, of map[string]component.Exporter) []branch {
	var direct []branch
	byStorage := map[string]*queue{}
	var order []*queue
	for _, br := range branches {
		id, isExporter := strings.CutPrefix(br.name, "exporter ")
		q := queueOf(of[id])
		if !isExporter || q == nil {
			direct = append(direct, br)
			continue
		}
		group := byStorage[q.Storage]
		if group == nil {
			group = &queue{pipeline: p, storage: q.Storage, settings: b.settings, life: lifecycle.New(fmt.Sprintf("the queue of pipeline %q", p.ID))}
			group.settings.Logger = b.settings.Logger.With(slog.String("pipeline", p.ID))
			byStorage[q.Storage] = group
			order = append(order, group)
		}
		group.exporters = append(group.exporters, queued{id, q})
	}
	for _, q := range order {
		direct = append(direct, branch{q, q.names()})
		b.queueParts = append(b.queueParts, part{fmt.Sprintf("the queue of pipeline %q", p.ID), nil, q})
		b.leftQueues(q)
	}
	return direct
}

// queueOf returns how the batches of an exporter wait; nil if they do not.
func queueOf(e component.Exporter) *component.Queue {
	if q, ok := e.(component.Queued); ok {
		return q.Queue()
	}
	return nil
}

// names is the name of the branch in errors.
func (q *queue) names() string {
	ids := make([]string, len(q.exporters))
	for i, e := range q.exporters {
		ids[i] = e.id
	}
	return "exporter " + strings.Join(ids, ", ")
}

// Capabilities implements pipeline.Consumer.
func (q *queue) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

var errQueueStopped = errors.New("the queue is not running")

// Consume returns nil when the batch is on disk.
func (q *queue) Consume(ctx context.Context, b *pipeline.Batch) error {
	log := q.log.Load()
	if log == nil {
		return &pipeline.Error{Kind: pipeline.Retryable, Err: errQueueStopped}
	}
	err := log.Consume(ctx, b)
	for _, o := range q.observed {
		if err != nil {
			o.Refused(ctx, b.Items())
		} else {
			o.Added(ctx, b.Items(), len(b.Bytes()))
		}
	}
	return err
}

// Start opens the journal and begins to send what is in it.
func (q *queue) Start(context.Context) error {
	return q.life.Start(func(undo *lifecycle.Undo) error {
		found, _ := q.settings.OrDefaults().Extension(q.storage)
		storage, ok := found.(component.Storage)
		if !ok {
			return fmt.Errorf("sending_queue.storage: the extension %q is not a storage", q.storage)
		}
		name := control.FileName(q.pipeline.ID)
		j, err := journal.Open(filepath.Join(control.Pipelines(storage.Directory()), name), journal.Options{MaxBytes: storage.MaxBytes(), Logger: q.settings.Logger})
		if err != nil {
			return err
		}
		undo.Add(j.Close)
		if q.dead, err = delivery.OpenDeadLetters(filepath.Join(control.DeadLetters(storage.Directory()), name), q.settings.Logger); err != nil {
			return err
		}
		undo.Add(q.dead.Close)
		log := delivery.NewLog(j, q.kept())
		for _, e := range q.exporters {
			d, err := log.Destination(q.destination(e))
			if err != nil {
				return err
			}
			q.destinations = append(q.destinations, d)
			if err := q.observe(e, d, undo); err != nil {
				return err
			}
		}
		q.journal = j
		q.reportOthers(j)
		for _, d := range q.destinations {
			d.Start()
		}
		q.log.Store(log)
		return nil
	})
}

// observe measures what waits for an exporter.
func (q *queue) observe(e queued, d *delivery.Destination, undo *lifecycle.Undo) error {
	o, err := obsreport.NewQueue(e.id, q.pipeline.ID, q.pipeline.Signal, q.settings.OrDefaults().Meter, func() obsreport.QueueStats {
		l := d.Ledger()
		s := obsreport.QueueStats{Accepted: int64(l.Accepted), Delivered: int64(l.Delivered), Rejected: int64(l.Rejected), DeadLettered: int64(l.DeadLettered),
			Dropped: int64(l.Dropped), Damaged: int64(l.Damaged), Held: int64(l.Held), HeldBytes: int64(l.HeldBytes)}
		s.Size = map[string]int64{"requests": int64(l.HeldRequests), "items": s.Held, "bytes": s.HeldBytes}[e.Sizer]
		if e.QueueSize != nil {
			s.Capacity = *e.QueueSize
		}
		return s
	})
	if err != nil {
		return err
	}
	q.observed = append(q.observed, o)
	undo.Add(o.Close)
	if q.settings.MetricsLevel >= component.LevelDetailed {
		return o.MeasureSizes(e.id, q.settings.OrDefaults().Meter)
	}
	return nil
}

// kept are the metadata that something downstream uses.
func (q *queue) kept() record.Keep {
	var metadata, attributes []string
	for _, e := range q.exporters {
		if e.Batch != nil {
			metadata = append(metadata, e.Batch.Partition.MetadataKeys...)
		}
		if found, ok := q.settings.OrDefaults().Extension(e.Auth); ok {
			if user, ok := found.(component.MetadataUser); ok {
				m, a := user.UsedMetadata()
				metadata, attributes = append(metadata, m...), append(attributes, a...)
			}
		}
	}
	return record.NewKeep(metadata, attributes)
}

// destination translates the settings of an exporter.
func (q *queue) destination(e queued) delivery.DestinationConfig {
	c := delivery.DestinationConfig{
		Name: q.cursor(e.id), Signal: q.pipeline.Signal, Next: e.Sender, MaxInFlight: e.NumConsumers, From: journal.Oldest,
		InitialBackoff: e.Retry.InitialInterval, MaxBackoff: e.Retry.MaxInterval,
		Multiplier: e.Retry.Multiplier, Randomization: &e.Retry.RandomizationFactor, DeadLetters: q.dead.Add, Block: e.BlockOnOverflow,
		Memory: q.settings.Memory, Observer: e.Observer, Logger: q.settings.OrDefaults().Logger.With(slog.String("exporter", e.id)),
	}
	switch {
	case !e.Retry.Enabled:
		c.GiveUpAfter = time.Nanosecond
	case e.Retry.MaxElapsedTime != nil:
		c.GiveUpAfter = *e.Retry.MaxElapsedTime
	}
	if e.QueueSize != nil {
		size := uint64(*e.QueueSize)
		*map[string]*uint64{"requests": &c.MaxHeldRequests, "items": &c.MaxHeldItems, "bytes": &c.MaxHeldBytes}[e.Sizer] = size
	}
	if batch := e.Batch; batch != nil {
		c.Merge.Wait = batch.FlushTimeout
		if batch.Sizer == "bytes" {
			c.Merge.MinBytes, c.Merge.MaxBytes = int(batch.MinSize), int(batch.MaxSize)
		} else {
			c.Merge.MinItems, c.Merge.MaxItems = int(batch.MinSize), int(batch.MaxSize)
		}
	}
	return c
}

// cursor is the name of an exporter's cursor. The pipeline is not in it, so that what
// waits survives a pipeline's change of name.
func (q *queue) cursor(exporter string) string { return q.pipeline.Signal.String() + "/" + exporter }

// reportOthers logs cursors of exporters that the pipeline does not have any more.
func (q *queue) reportOthers(j *journal.Journal) {
	for _, name := range j.Cursors() {
		if slices.ContainsFunc(q.exporters, func(e queued) bool { return q.cursor(e.id) == name }) {
			continue
		}
		c, err := j.Cursor(name, journal.End)
		if err != nil {
			continue
		}
		held := c.Held()
		q.settings.OrDefaults().Logger.Warn("the queue has data of an exporter that the pipeline does not have any more; it is kept, and takes space",
			slog.String("exporter", name), slog.Uint64("requests", held.Records), slog.Uint64("items", held.Units), slog.Uint64("bytes", held.Bytes))
	}
}

// Shutdown takes no more batches, finishes what is being sent, and leaves the rest on
// disk.
func (q *queue) Shutdown(ctx context.Context) error {
	return q.life.Shutdown(func() error {
		q.log.Store(nil)
		var errs []error
		for _, o := range q.observed {
			errs = append(errs, o.Close())
		}
		for _, d := range q.destinations {
			errs = append(errs, d.Shutdown(ctx))
		}
		return errors.Join(append(errs, q.journal.Close(), q.dead.Close())...)
	})
}
