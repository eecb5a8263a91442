package graph

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

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
func (b *builder) merged(p *load.Pipeline, branches []branch) (front *load.Pipeline, next pipeline.Consumer) {
	queues, direct := divided(branches)
	for _, br := range queues {
		b.queuesOf["pipeline "+p.ID] = append(b.queuesOf["pipeline "+p.ID], br.Consumer.(*queue))
	}
	last := len(p.Processors) - 1
	if last < 0 {
		return p, b.fanout(branches)
	}
	c := p.Processors[last].Target
	merger, ok := c.Config.(component.Merger)
	if !ok || len(queues) == 0 {
		return p, b.fanout(branches)
	}
	set := b.settingsFor(c)
	set.Logger = set.Logger.With(slog.String("pipeline", p.ID))
	m, err := newMerging(merger.Merging(), set)
	if err != nil {
		b.fail(c, err)
		return p, b.fanout(branches)
	}
	m.make = func(next pipeline.Consumer) (component.Exporter, error) {
		return c.Descriptor.ConsumerProcessor(c.Config, set, next)
	}
	b.addProcessor(p, c, m)
	var all []branch
	if len(direct) > 0 {
		all = append(all, b.mergedHere(p, c, m, direct))
	}
	for _, br := range queues {
		br.Consumer.(*queue).merging = m
		all = append(all, br)
	}
	o := b.observer(c, set)
	shorter := *p
	shorter.Processors = p.Processors[:last:last]
	return &shorter, countIn(o, countOut(o, b.fanout(all)))
}

// divided returns the branches that are queues, and the others.
func divided(branches []branch) (queues, direct []branch) {
	for _, br := range branches {
		if _, ok := br.Consumer.(*queue); ok {
			queues = append(queues, br)
		} else {
			direct = append(direct, br)
		}
	}
	return queues, direct
}

// mergedHere puts the processor in front of the branches without a queue.
func (b *builder) mergedHere(p *load.Pipeline, c *load.Component, m *merging, direct []branch) branch {
	made, err := m.make(b.fanout(direct))
	if err != nil {
		b.fail(c, err)
		return direct[0]
	}
	b.addProcessor(p, c, made)
	return branch{made, namesOf(direct), waits(direct)}
}

func namesOf(branches []branch) string {
	names := make([]string, len(branches))
	for i, br := range branches {
		names[i] = br.name
	}
	return strings.Join(names, ", ")
}

// mergingBefore puts the processor in front of destinations whose senders wait, since the
// queue is in memory.
func (q *queue) mergingBefore(waiting []branch) (branch, error) {
	next, err := fanoutOf(waiting, nil, q.settings)
	if err != nil {
		return branch{}, err
	}
	made, err := q.merging.make(next)
	if err != nil {
		return branch{}, err
	}
	q.merging.made = append(q.merging.made, made)
	return branch{made, namesOf(waiting), true}, made.Start(context.Background())
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
