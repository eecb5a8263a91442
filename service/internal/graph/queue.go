package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// queued is an exporter whose batches wait in a queue.
type queued struct {
	id string
	*component.Queue
}

// waits reports whether the senders of batches wait for the destination while the queue
// is in memory.
func (e queued) waits(d *dataDir) bool {
	if e.WaitForResult != nil {
		return *e.WaitForResult
	}
	return !d.InMemory
}

// queue is the queue of the exporters of a pipeline that name the same storage, between
// the processors and the exporters. On disk it is one journal, with a cursor for each
// exporter. In memory it is a delivery.Direct for each exporter whose senders wait, and a
// journal in memory for the others.
type queue struct {
	pipeline  *load.Pipeline
	storage   string // "": the data directory
	inMemory  bool   // in any case
	exporters []queued
	data      *dataDir
	settings  component.Settings
	life      *lifecycle.Cycle
	merging   *merging // nil: the exporters' own settings alone

	moving       atomic.Bool           // it is being closed for the next one in its slot
	entry        atomic.Pointer[entry] // nil unless it runs
	opened       atomic.Bool           // what follows is set; the status is asked for at any time
	place        place
	journal      *journal.Journal // nil: there is none
	dead         *delivery.DeadLetters
	destinations []*delivery.Destination
	directs      []*delivery.Direct
	merged       []component.Exporter // in front of directs
	memory       *admission.Ticket    // nil: none is taken
	observed     []*observed
}

// entry is the first consumer of a queue.
type entry struct{ pipeline.Consumer }

// queues takes the exporters of a pipeline that have a queue out of its branches, and
// adds a branch for each storage. merger is a processor whose work the queues do.
func (b *builder) queues(p *load.Pipeline, branches []branch, merger *load.Component) []branch {
	var direct, waiting []branch
	groups := map[string]*queue{}
	var order []*queue
	for _, br := range branches {
		e := br.queued
		switch {
		case e == nil:
			direct = append(direct, br)
			continue
		case !e.Enabled:
			waiting = append(waiting, b.unqueued(p, *e, br.name))
			continue
		}
		q := &queue{pipeline: p, storage: e.Storage, inMemory: e.Storage == "" && e.WaitForResult != nil && *e.WaitForResult}
		if group := groups[q.name()]; group != nil {
			q = group
		} else {
			groups[q.name()] = q
			order = append(order, q)
		}
		q.exporters = append(q.exporters, *e)
	}
	for _, q := range order {
		waiting = append(waiting, b.queue(q, merger))
	}
	return append(direct, waiting...)
}

// queue returns the branch of a queue, which is the one of the graph before if that has
// the same.
func (b *builder) queue(q *queue, merger *load.Component) branch {
	name, print := q.name(), b.queuePrint(q, merger)
	var p part
	running := b.before.queueNamed(name)
	ok := running != nil && running.fits(b.data.budget)
	if ok {
		p, ok = b.keep(name, print)
	}
	if ok {
		q = p.Component.(*queue)
		b.problems.Add(q.claim(b.data))
	} else {
		q.data, q.settings, q.life = b.data, b.settings.OrDefaults(), lifecycle.New(fmt.Sprintf("the queue of pipeline %q", q.pipeline.ID))
		q.settings.Logger = q.settings.Logger.With(slog.String("pipeline", q.pipeline.ID))
		p = part{name: name, print: print, Component: q}
	}
	if q.storage == "" && slices.ContainsFunc(q.exporters, func(e queued) bool { return !e.waits(b.data) }) {
		b.data.queues++
	}
	slot, ok := b.before.slots[name]
	if !ok || !q.hasExportersOf(running) {
		slot = queueSlot{pipeline.NewSwitch(q)}
	}
	b.slots[name] = slot
	b.named[name] = p
	b.queueParts = append(b.queueParts, p)
	b.Graph.queues = append(b.Graph.queues, q)
	b.stops = append(b.stops, q.stopWaits)
	return branch{Consumer: slot, name: q.names(), waits: true, queue: q, print: print}
}

// hasExportersOf reports whether all exporters of another queue are in this one.
func (q *queue) hasExportersOf(other *queue) bool {
	return !slices.ContainsFunc(other.exporters, func(e queued) bool { return !q.has(e.id) })
}

func (q *queue) has(exporter string) bool {
	return slices.ContainsFunc(q.exporters, func(e queued) bool { return e.id == exporter })
}

// bridge leads the senders to a queue of the graph before to where its exporters are now, if
// the next one in its place does not have all of them, or has another name.
func (b *builder) bridge(p *load.Pipeline, branches []branch) {
	for _, old := range b.before.queues {
		name := old.name()
		slot, next := b.before.slots[name], b.Graph.successor(old)
		if old.pipeline.ID != p.ID || next == nil || b.slots[name] == slot {
			continue
		}
		var to []branch
		var queues []queueSlot
		for _, br := range branches {
			if br.queue == next || br.queue != nil && slices.ContainsFunc(br.queue.exporters, func(e queued) bool { return old.has(e.id) }) ||
				slices.ContainsFunc(old.exporters, func(e queued) bool { return br.name == "exporter "+e.id }) {
				to = append(to, br)
				if br.queue != nil {
					queues = append(queues, br.Consumer.(queueSlot))
				}
			}
		}
		b.bridges = append(b.bridges, turn{slot.Switch, moved{b.fanout(to), queues}})
	}
}

// name is that of the part.
func (q *queue) name() string {
	name := fmt.Sprintf("the queue of pipeline %q", q.pipeline.ID)
	switch {
	case q.storage != "":
		name += fmt.Sprintf(" in %q", q.storage)
	case q.inMemory:
		name += " in memory"
	}
	return name
}

// queuePrint changes with all that a queue depends on. The exporters are behind slots.
func (b *builder) queuePrint(q *queue, merger *load.Component) string {
	h := sha256.New()
	if storage := b.cfg.Extension(q.storage); storage != nil {
		fmt.Fprint(h, b.print(storage))
	}
	if merger != nil {
		fmt.Fprint(h, b.print(merger))
	}
	fmt.Fprint(h, b.settings.MetricsLevel)
	for _, e := range q.exporters {
		queue, _ := json.Marshal(e.SendingQueue) // plain values
		retry, _ := json.Marshal(e.Retry)
		fmt.Fprintf(h, "%q %p %s %s %q ", e.id, b.exporters[e.id], queue, retry, e.Auth)
		if auth := b.cfg.Extension(e.Auth); auth != nil {
			fmt.Fprint(h, b.print(auth))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// queueOf returns how the batches of an exporter wait; nil if it sends by itself.
func queueOf(e component.Exporter) *component.Queue {
	if q, ok := e.(component.Queued); ok {
		return q.Queue()
	}
	return nil
}

// direct is a Direct of an exporter without a queue. It has nothing to start.
type direct struct{ *delivery.Direct }

func (direct) Start(context.Context) error { return nil }

// Shutdown ends the waits of senders.
func (d direct) Shutdown(context.Context) error {
	d.Stop()
	return nil
}

// unqueued sends the batches of a pipeline to an exporter while their senders wait.
func (b *builder) unqueued(p *load.Pipeline, e queued, branchName string) branch {
	q := &queue{pipeline: p, settings: b.settings.OrDefaults(), exporters: []queued{e}}
	name, print := fmt.Sprintf("the sending of exporter %q of pipeline %q", e.id, p.ID), b.queuePrint(q, nil)
	made, ok := b.keep(name, print)
	if !ok {
		cfg := q.destination(e)
		cfg.MaxHeldItems, cfg.MaxHeldRequests, cfg.MaxHeldBytes = 0, 0, 0
		made = part{name: name, print: print, Component: direct{delivery.NewDirect(cfg)}}
	}
	d := made.Component.(direct)
	b.directs = append(b.directs, made)
	b.stops = append(b.stops, d.Stop)
	return branch{Consumer: d.Direct, name: branchName, waits: true, print: print}
}

// names is the name of the branch in errors.
func (q *queue) names() string {
	ids := make([]string, len(q.exporters))
	for i, e := range q.exporters {
		ids[i] = e.id
	}
	return "exporter " + strings.Join(ids, ", ")
}

// Capabilities implements pipeline.Consumer: those of what batches are passed to.
func (q *queue) Capabilities() pipeline.Capabilities {
	if entry := q.entry.Load(); entry != nil {
		return entry.Capabilities()
	}
	return pipeline.Capabilities{}
}

var errQueueStopped = errors.New("the queue is not running")

// Consume returns nil when the batch is on disk. In memory it returns nil when the
// destinations have the batch, or when it is in the queue of those for which nobody
// waits.
func (q *queue) Consume(ctx context.Context, b *pipeline.Batch) error {
	entry := q.entry.Load()
	if entry == nil {
		return q.stopped()
	}
	err := entry.Consume(ctx, b)
	if err != nil && q.moving.Load() && errors.Is(err, delivery.ErrQueueFull) {
		return errMoved // its wait for room was ended
	}
	return err
}

// stopped is why a queue that has no entry takes nothing.
func (q *queue) stopped() error {
	if q.moving.Load() {
		return errMoved
	}
	return &pipeline.Error{Kind: pipeline.Retryable, Err: errQueueStopped}
}

// Start opens the journal and begins to send what is in it.
func (q *queue) Start(ctx context.Context) error {
	return q.life.Start(func(undo *lifecycle.Undo) (err error) {
		undo.Add(func() error { return q.close(context.Background()) })
		if !q.inMemory {
			if q.place, err = placeOf(q.storage, q.data, q.settings); err != nil {
				return err
			}
		}
		first, err := q.open(ctx)
		if err != nil {
			return err
		}
		for _, d := range q.destinations {
			d.Start()
		}
		q.opened.Store(true)
		q.entry.Store(&entry{first})
		return nil
	})
}

// open makes the queue at its place.
func (q *queue) open(ctx context.Context) (pipeline.Consumer, error) {
	if q.place.dir == "" {
		return q.openInMemory(ctx)
	}
	if err := q.claim(q.data); err != nil {
		return nil, err
	}
	name := control.FileName(q.pipeline.ID)
	var err error
	if q.journal, err = q.openJournal(filepath.Join(control.Pipelines(q.place.dir), name)); err != nil {
		return nil, q.explain(err)
	}
	if q.dead, err = delivery.OpenDeadLetters(filepath.Join(control.DeadLetters(q.place.dir), name), q.settings.Logger); err != nil {
		return nil, q.explain(err)
	}
	return q.openLog(q.exporters, func(c *delivery.DestinationConfig) { c.DeadLetters = q.dead.Add })
}

// claim notes the folder of a queue on disk.
func (q *queue) claim(d *dataDir) error {
	if q.place.dir == "" {
		return nil
	}
	return d.claim(q.place.dir, control.FileName(q.pipeline.ID), q.storage)
}

// openJournal opens the journal of the queue. One that holds something for an exporter
// that is not in this queue any more is set aside for leftQueues, and a new one begins:
// there it would hold what comes in as well.
func (q *queue) openJournal(dir string) (*journal.Journal, error) {
	j, err := q.openAt(dir)
	if err != nil {
		return nil, err
	}
	others, err := q.holdsForOthers(j)
	if err != nil || !others {
		return j, err
	}
	if err := j.Close(); err != nil {
		return nil, err
	}
	switch err := q.makeNext(dir + nextMark); {
	case err != nil:
		q.settings.Logger.Error("the queue holds data of an exporter that the pipeline does not have any more, which was not set aside: the queue keeps for it what comes in",
			slog.String("queue", dir), slog.Any("error", err))
	default:
		if err := setAside(dir, dir+nextMark); err != nil {
			return nil, fmt.Errorf("set a queue aside: %w", err)
		}
	}
	return q.openAt(dir)
}

func (q *queue) openAt(dir string) (*journal.Journal, error) {
	return journal.Open(dir, journal.Options{MaxBytes: q.place.maxBytes, RecentBytes: q.recentBytes(), Logger: q.settings.Logger})
}

// makeNext makes the journal that takes the place of one that is set aside. There may be no
// room for it.
func (q *queue) makeNext(dir string) error {
	j, err := q.openAt(dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir)) // nothing was appended
	}
	return j.Close()
}

// holdsForOthers drops the cursors of other exporters that hold nothing, and reports
// whether there are more.
func (q *queue) holdsForOthers(j *journal.Journal) (others bool, err error) {
	for _, name := range j.Cursors() {
		if slices.ContainsFunc(q.exporters, func(e queued) bool { return q.cursor(e.id) == name }) {
			continue
		}
		c, err := j.Cursor(name, journal.End)
		if err != nil {
			return false, err
		}
		if c.Held().Records > 0 {
			others = true
		} else if err := j.DropCursor(name); err != nil {
			return false, err
		}
	}
	return others, nil
}

// recentShare is the part of the memory budget that a queue's newest requests take at
// most while they are on the disk too.
const recentShare = 64

func (q *queue) recentBytes() int64 {
	if limit := q.data.budget; limit > 0 {
		return min(limit/recentShare, journal.DefaultRecentBytes)
	}
	return journal.DefaultRecentBytes
}

// explain says what to do about a data directory that another process has.
func (q *queue) explain(err error) error {
	if q.storage == "" && errors.Is(err, journal.ErrLocked) {
		return fmt.Errorf("%w: the data directory is in use; give this process another one with --data-dir", err)
	}
	return err
}

// openLog makes a log on the journal with a destination for each exporter.
func (q *queue) openLog(exporters []queued, change func(*delivery.DestinationConfig)) (pipeline.Consumer, error) {
	log := delivery.NewLog(q.journal, q.kept())
	first := &refusing{Consumer: log, all: true}
	for _, e := range exporters {
		cfg := q.destination(e)
		if q.merging != nil { // in front of the queue it would have merged them
			cfg.RequestItems = uint64(q.merging.MinItems)
		}
		change(&cfg)
		d, err := log.Destination(cfg)
		if err != nil {
			return nil, err
		}
		q.destinations = append(q.destinations, d)
		o, err := q.observe(e, d, q.journal.MaxBytes())
		if err != nil {
			return nil, err
		}
		first.by = append(first.by, o)
	}
	return first, nil
}

// refusing counts what a queue takes, and does not take.
type refusing struct {
	pipeline.Consumer
	all bool // each error is one of the queue; else those that it is full
	by  []*observed
}

func (c *refusing) Consume(ctx context.Context, b *pipeline.Batch) error {
	err := c.Consumer.Consume(ctx, b)
	refused := err != nil && (c.all || errors.Is(err, delivery.ErrQueueFull))
	for _, o := range c.by {
		if refused {
			o.Refused(ctx, b.Items())
		} else {
			o.Added(ctx, b.Items(), len(b.Bytes()))
		}
	}
	return err
}

// kept are the metadata that something downstream uses.
func (q *queue) kept() record.Keep {
	metadata, attributes := q.merging.metadata(), []string(nil)
	for _, e := range q.exporters {
		if e.Batch != nil {
			metadata = append(metadata, e.Batch.Partition.MetadataKeys...)
		}
		if found, ok := q.settings.Extension(e.Auth); ok {
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
		Name: q.cursor(e.id), Signal: q.pipeline.Signal, Next: e.Sender, MaxInFlight: e.NumConsumers, From: journal.End,
		InitialBackoff: e.Retry.InitialInterval, MaxBackoff: e.Retry.MaxInterval,
		Multiplier: e.Retry.Multiplier, Randomization: &e.Retry.RandomizationFactor, Block: e.BlockOnOverflow,
		Memory: q.settings.Memory, Observer: e.Observer, Logger: q.settings.Logger.With(slog.String("exporter", e.id)),
	}
	c.RequestIDs = e.IdempotencyKey
	switch {
	case !e.Retry.Enabled:
		c.GiveUpAfter = -1
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
	} else {
		c.Merge = q.merging.merge()
	}
	return c
}

// cursor is the name of an exporter's cursor. The pipeline is not in it, so that what
// waits survives a pipeline's change of name.
func (q *queue) cursor(exporter string) string { return q.pipeline.Signal.String() + "/" + exporter }

// stopWaits ends the waits of senders: what cannot be sent now is theirs.
func (q *queue) stopWaits() {
	for _, d := range q.directs {
		d.Stop()
	}
	for _, d := range q.destinations {
		d.Unblock()
	}
}

// Shutdown takes no more batches, finishes what is being sent, and leaves the rest on
// disk. What is in memory is sent until ctx ends.
func (q *queue) Shutdown(ctx context.Context) error {
	return q.life.Shutdown(func() error { return q.close(ctx) })
}

func (q *queue) close(ctx context.Context) error {
	q.entry.Store(nil)
	var errs []error
	for _, o := range q.observed {
		errs = append(errs, o.Close())
	}
	for _, p := range q.merged {
		errs = append(errs, p.Shutdown(ctx))
	}
	errs = append(errs, shutdownAll(ctx, q.destinations))
	if q.journal != nil {
		errs = append(errs, q.journal.Close())
	}
	if q.dead != nil {
		errs = append(errs, q.dead.Close())
	}
	if q.memory != nil {
		q.memory.Release()
	}
	return errors.Join(errs...)
}

// shutdownAll shuts destinations down at the same time, so that one that does not answer
// takes none of the time that another needs.
func shutdownAll(ctx context.Context, destinations []*delivery.Destination) error {
	return together(destinations, func(d *delivery.Destination) error { return d.Shutdown(ctx) })
}

// together calls a function for all at the same time.
func together[T any](all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = do(one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// queueSet are the queues of all pipelines. They stop at the same time.
type queueSet []part

// Start starts them in their order. If one fails those before it are stopped.
func (s queueSet) Start(ctx context.Context) error {
	for i, p := range s {
		if err := p.Start(ctx); err != nil {
			return errors.Join(err, s[:i].Shutdown(ctx))
		}
	}
	return nil
}

// Shutdown implements pipeline.Component.
func (s queueSet) Shutdown(ctx context.Context) error {
	return together(s, func(p part) error { return p.Shutdown(ctx) })
}
