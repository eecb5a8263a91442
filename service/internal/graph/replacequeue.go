package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// newQueues are the queues that the graph before does not have.
func (t *Transition) newQueues() (all []*queue) {
	for _, q := range t.Next.queues {
		if !t.Next.kept[q.name()] {
			all = append(all, q)
		}
	}
	return all
}

// goneQueues are the queues of the graph before that no one took the place of on disk.
func (t *Transition) goneQueues() (all []*queue) {
	for _, q := range t.before.queues {
		if !t.Next.kept[q.name()] && !t.closed[q.name()] {
			all = append(all, q)
		}
	}
	return all
}

// exchangeQueues starts the new queues. One that has the place of one on disk starts when
// that one is closed. An error is that of the queue that is returned.
func (t *Transition) exchangeQueues(ctx context.Context) (*queue, error) {
	var all []exchanged
	for _, q := range t.newQueues() {
		switch old := t.before.predecessor(q, t.Next); {
		case old == nil:
			if err := q.Start(ctx); err != nil {
				return q, err
			}
			t.undoes(q.Shutdown)
		case !q.hasFilesOf(old):
			if err := t.startQueueBeside(ctx, old, q); err != nil {
				return q, err
			}
		default:
			all = append(all, exchanged{old, q})
		}
	}
	for _, e := range all {
		t.undoes(func(ctx context.Context) error { return t.reopen(ctx, e.old) })
	}
	_ = together(all, func(e exchanged) error { t.settle(ctx, e); return nil })
	for _, e := range all {
		if err := t.exchangeQueue(ctx, e); err != nil {
			return e.next, err
		}
	}
	return nil, nil
}

// placeOfQueue is the part of an exporter of a queue, whose settings are those of the queue.
func (g *Graph) placeOfQueue(q *queue) part {
	return g.named["exporter "+strconv.Quote(q.exporters[0].id)]
}

// exchanged is a queue on disk that is closed for the next one in its files.
type exchanged struct{ old, next *queue }

// predecessor returns the queue of g that a new one of another graph takes the place of:
// that of its name, or one with its files whose storage has another name now. nil if there
// is none.
func (g *Graph) predecessor(q *queue, next *Graph) *queue {
	if old := g.queueNamed(q.name()); old != nil {
		return old
	}
	for _, old := range g.queues {
		if next.successor(old) == q {
			return old
		}
	}
	return nil
}

// successor returns the queue of g that takes the place of one of the graph before; nil if
// there is none.
func (g *Graph) successor(old *queue) *queue {
	if q := g.queueNamed(old.name()); q != nil || old.place.dir == "" {
		return q
	}
	for _, q := range g.queues {
		if q.pipeline.ID != old.pipeline.ID || g.kept[q.name()] {
			continue
		}
		if dir := g.directoryOf(q); dir != "" && realPath(dir) == realPath(old.place.dir) {
			return q
		}
	}
	return nil
}

// directoryOf returns where a queue that may not have started yet has its files; "" if it
// has none, or that is not known.
func (g *Graph) directoryOf(q *queue) string {
	if q.inMemory {
		return ""
	}
	if q.storage == "" {
		at, _ := q.data.place() // Start returns the error
		return at.dir
	}
	p, _ := g.named["extension "+strconv.Quote(q.storage)].Component.(extensionPart)
	if of, ok := p.Component.(component.Storage); ok {
		return of.Directory()
	}
	return ""
}

func (g *Graph) queueNamed(name string) *queue {
	q, _ := g.named[name].Component.(*queue)
	return q
}

// hasFilesOf reports whether a queue that was not started will have the files of another
// one.
func (q *queue) hasFilesOf(old *queue) bool {
	if old.place.dir == "" {
		return false
	}
	next, err := placeOf(q.storage, q.data, q.settings)
	return err != nil || realPath(next.dir) == realPath(old.place.dir)
}

// startQueueBeside puts a queue in the place of one that is in memory or in another
// directory, which sends what it has.
func (t *Transition) startQueueBeside(ctx context.Context, old, q *queue) error {
	if err := q.Start(ctx); err != nil {
		return err
	}
	slot := t.before.slots[q.name()]
	if slot != t.Next.slots[q.name()] { // the graph before goes on with old
		t.undoes(q.Shutdown)
		return nil
	}
	inside := slot.Turn(q)
	t.undoes(func(ctx context.Context) error {
		inside := slot.Turn(old)
		q.stopWaits()
		return errors.Join(inside.Wait(ctx), q.Shutdown(ctx))
	})
	t.entered = append(t.entered, inside)
	return nil
}

// settle lets the destinations of the old queue finish what they are sending, and those
// that the next one does not have send all, for a while. It takes what comes in meanwhile.
func (t *Transition) settle(ctx context.Context, e exchanged) {
	ctx, cancel := context.WithTimeout(ctx, exchangeWithin)
	defer cancel()
	_ = together(e.old.destinations, func(d *delivery.Destination) error {
		if !slices.ContainsFunc(e.next.exporters, func(of queued) bool { return e.next.cursor(of.id) == d.Name() }) { // it is gone
			d.Drain(ctx)
		}
		return d.Shutdown(ctx) // what is cut off is sent again
	})
}

// exchangeQueue closes the old queue and starts the next one. Senders wait.
func (t *Transition) exchangeQueue(ctx context.Context, e exchanged) error {
	old, q := e.old.name(), e.next
	slot := t.before.slots[old]
	if err := t.closeQueue(ctx, slot, e.old); err != nil {
		return err
	}
	t.closed[old] = true
	if err := q.Start(ctx); err != nil {
		return err
	}
	if slot != t.Next.slots[q.name()] { // its senders wait for the bridge
		t.undoes(q.Shutdown)
		return nil
	}
	t.undoes(func(ctx context.Context) error { return t.closeQueue(ctx, slot, q) })
	slot.Turn(q)
	return nil
}

// closeQueue closes a queue on disk for another one in its slot, for which senders wait.
func (t *Transition) closeQueue(ctx context.Context, slot queueSlot, q *queue) error {
	q.moving.Store(true)
	inside := slot.Hold()
	q.stopWaits()
	if err := waitFor(ctx, []*pipeline.Turned{inside}, q.name()); err != nil {
		return err
	}
	if err := Within(ctx, "close "+q.name(), q.Shutdown); err != nil {
		t.log.Warn("a queue was closed with an error; what it has acknowledged is on disk", slog.String("queue", q.name()), slog.Any("error", err))
	}
	return nil
}

// reopen opens a queue of the graph before again.
func (t *Transition) reopen(ctx context.Context, old *queue) error {
	slot := t.before.slots[old.name()]
	var err error
	if !old.moving.Load() { // it was not closed yet
		err = t.closeQueue(ctx, slot, old)
	}
	err = errors.Join(err, Within(ctx, "close "+old.name(), old.Shutdown))
	again := old.again()
	started := again.Start(ctx)
	t.before.substitute(old, again)
	if started != nil {
		t.before.renew(old.name())
	}
	err = errors.Join(err, started)
	slot.Turn(again) // which refuses if it could not start
	return err
}

// again returns a queue with the settings of q that was not started.
func (q *queue) again() *queue {
	return &queue{pipeline: q.pipeline, storage: q.storage, inMemory: q.inMemory, exporters: q.exporters, data: q.data.again(q.data.budget),
		settings: q.settings, life: lifecycle.New(fmt.Sprintf("the queue of pipeline %q", q.pipeline.ID)), merging: q.merging}
}

// retireQueue shuts down a queue whose pipeline is gone, or that was in memory. What can be
// sent in time is; one in memory has time as long as its exporters are there.
func (t *Transition) retireQueue(ctx context.Context, q *queue) error {
	if q.place.dir == "" && len(q.destinations) > 0 && t.Next.hasExportersOf(q) {
		t.Next.drains.add(q)
		return nil
	}
	drain, cancel := context.WithTimeout(ctx, exchangeWithin)
	defer cancel()
	_ = together(q.destinations, func(d *delivery.Destination) error {
		d.Drain(drain)
		return nil
	})
	q.stopWaits()
	err := Within(ctx, "shut down "+q.name(), q.Shutdown)
	for _, d := range q.destinations {
		if held := d.Ledger().Held; held > 0 && q.place.dir != "" {
			t.log.Warn("a queue was removed that holds data; it is kept on disk",
				slog.String("queue", q.name()), slog.String("destination", d.Name()), slog.Uint64("items", held), slog.String("directory", q.place.dir))
		}
	}
	return err
}

func (g *Graph) hasExportersOf(q *queue) bool {
	return !slices.ContainsFunc(q.exporters, func(e queued) bool {
		slot := g.exporters[e.id]
		return slot == nil || pipeline.Consumer(slot.sender) != e.Sender
	})
}

// left says what queues on disk hold for exporters that are gone.
func (t *Transition) left() (all []string) {
	for _, q := range t.before.queues {
		if t.Next.kept[q.name()] || q.place.dir == "" {
			continue
		}
		for _, s := range q.status() {
			if s.Held > 0 && !t.Next.sends(q.place.dir, q.pipeline.Signal.String()+"/"+s.Exporter) {
				all = append(all, fmt.Sprintf("%d items for exporter %q of pipeline %q in %s, except for those that can be sent now", s.Held, s.Exporter, q.pipeline.ID, q.place.dir))
			}
		}
	}
	return all
}

// sends reports whether what is left in a directory for a cursor is looked for and sent.
func (g *Graph) sends(dir, cursor string) bool {
	looked := slices.ContainsFunc(g.parts, func(p part) bool {
		l, ok := p.Component.(*leftQueues)
		return ok && realPath(l.directory()) == realPath(dir)
	})
	return looked && slices.ContainsFunc(g.queues, func(q *queue) bool {
		return q.place.dir != "" && slices.ContainsFunc(q.exporters, func(e queued) bool { return q.cursor(e.id) == cursor })
	})
}
