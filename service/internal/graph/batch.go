package graph

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// merging lets queues do the work of the processor batch, where it is the last one of a
// pipeline: what they hold is on disk, so nobody waits for the merged request.
//
//	… ─► count ─┬─► queue: merges ─► exporter
//	            └─► batch ─► exporters without a queue
//
// It measures what the processor would.
type merging struct {
	component.Merging
	observed *obsreport.Batching
	life     *lifecycle.Cycle
	// make makes the processor, for destinations whose senders wait, and made has those
	// that were made at the start.
	make func(next pipeline.Consumer) (component.Exporter, error)
	made []component.Exporter
}

// merged returns what is left of a pipeline in front of its branches, and its branches as
// one consumer. If a processor that merges is the last one, and branches are queues, it is
// left out in front of these.
func (b *builder) merged(p *load.Pipeline, direct, waiting []branch) (front *load.Pipeline, next pipeline.Consumer) {
	queues, unqueued := divided(waiting)
	for _, br := range queues {
		b.queuesOf["pipeline "+p.ID] = append(b.queuesOf["pipeline "+p.ID], br.Consumer.(*queue))
	}
	last := len(p.Processors) - 1
	if last < 0 || len(queues) == 0 {
		return p, b.joined(direct, waiting)
	}
	c := p.Processors[last].Target
	merger, ok := c.Config.(component.Merger)
	if !ok {
		return p, b.joined(direct, waiting)
	}
	set := b.settingsFor(c)
	set.Logger = set.Logger.With(slog.String("pipeline", p.ID))
	m, err := newMerging(merger.Merging(), set)
	if err != nil {
		b.fail(c, err)
		return p, b.joined(direct, waiting)
	}
	m.make = func(next pipeline.Consumer) (component.Exporter, error) {
		return c.Descriptor.ConsumerProcessor(c.Config, set, next)
	}
	b.addProcessor(p, c, m)
	for _, br := range queues {
		br.Consumer.(*queue).merging = m
	}
	next = b.joined(b.mergedHere(p, c, m, direct, b.fanout), append(b.mergedHere(p, c, m, unqueued, b.together), queues...))
	o := b.observer(c, set)
	shorter := *p
	shorter.Processors = p.Processors[:last:last]
	return &shorter, countIn(o, countOut(o, next))
}

// divided returns the branches that are queues, and the others.
func divided(branches []branch) (queues, others []branch) {
	for _, br := range branches {
		if _, ok := br.Consumer.(*queue); ok {
			queues = append(queues, br)
		} else {
			others = append(others, br)
		}
	}
	return queues, others
}

// mergedHere puts the processor in front of branches without a queue, if there are any.
func (b *builder) mergedHere(p *load.Pipeline, c *load.Component, m *merging, branches []branch, join func([]branch) pipeline.Consumer) []branch {
	if len(branches) == 0 {
		return nil
	}
	made, err := m.make(join(branches))
	if err != nil {
		b.fail(c, err)
		return branches
	}
	b.addProcessor(p, c, made)
	return []branch{{made, namesOf(branches)}}
}

// mergingBefore puts the processor in front of destinations whose senders wait, since the
// queue is in memory.
func (q *queue) mergingBefore(waiting []branch) (branch, error) {
	next, err := togetherOf(waiting, q.settings)
	if err != nil {
		return branch{}, err
	}
	made, err := q.merging.make(next)
	if err != nil {
		return branch{}, err
	}
	q.merging.made = append(q.merging.made, made)
	return branch{made, namesOf(waiting)}, made.Start(context.Background())
}

func newMerging(settings component.Merging, set component.Settings) (*merging, error) {
	set = set.OrDefaults()
	m := &merging{Merging: settings, life: lifecycle.New("the processor " + set.ID)}
	var err error
	// A queue merges requests of one combination of metadata at a time.
	m.observed, err = obsreport.NewBatching(set.ID, set.Meter, set.MetricsLevel >= component.LevelDetailed, func() int { return 1 })
	return m, err
}

// Start starts nothing: the queues do.
func (m *merging) Start(context.Context) error {
	return m.life.Start(func(*lifecycle.Undo) error { return nil })
}

// Shutdown ends the metrics.
func (m *merging) Shutdown(ctx context.Context) error {
	return m.life.Shutdown(func() error {
		errs := []error{m.observed.Close()}
		for _, p := range m.made {
			errs = append(errs, p.Shutdown(ctx))
		}
		return errors.Join(errs...)
	})
}

// triggers are the names of package delivery in obsreport.
var triggers = [...]obsreport.Trigger{delivery.NothingWaits: obsreport.Idle, delivery.Filled: obsreport.Full, delivery.WaitEnded: obsreport.Timeout}

// merge is how a destination merges; nil's is the default.
func (m *merging) merge() delivery.Merge {
	if m == nil {
		return delivery.Merge{}
	}
	return delivery.Merge{MinItems: m.MinItems, MaxItems: m.MaxItems, Wait: m.Wait, Whole: !m.Divide,
		Sent: func(why delivery.MergeTrigger, items, bytes int) {
			m.observed.Sent(context.Background(), triggers[why], items, bytes)
		}}
}

// metadata is what the queue keeps of clients for merging.
func (m *merging) metadata() []string {
	if m == nil {
		return nil
	}
	return slices.Clone(m.MetadataKeys)
}
