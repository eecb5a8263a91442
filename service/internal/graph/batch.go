package graph

import (
	"context"
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
	// make makes the processor, for destinations whose senders wait.
	make func(next pipeline.Consumer) (component.Exporter, error)
}

// merger returns the processor that merges, if it is the last one of a pipeline.
func (b *builder) merger(p *load.Pipeline) *load.Component {
	if len(p.Processors) == 0 {
		return nil
	}
	last := p.Processors[len(p.Processors)-1].Target
	if _, ok := last.Config.(component.Merger); ok {
		return last
	}
	return nil
}

// merged returns what is left of a pipeline in front of its branches, and its branches as
// one consumer. If a processor that merges is the last one, and branches are queues, it is
// left out in front of these.
func (b *builder) merged(p *load.Pipeline, branches []branch, c *load.Component) (front *load.Pipeline, next pipeline.Consumer) {
	queues, direct := divided(branches)
	for _, br := range queues {
		b.queuesOf["pipeline "+p.ID] = append(b.queuesOf["pipeline "+p.ID], br.Consumer.(queueSlot))
	}
	if c == nil || len(queues) == 0 {
		return p, b.fanout(branches)
	}
	m, err := b.merging(p, c)
	if err != nil {
		b.fail(c, err)
		return p, b.fanout(branches)
	}
	var all []branch
	if len(direct) > 0 {
		made := b.consumerProcessor(p, c, b.fanout(direct), b.behind[p])
		all = append(all, branch{Consumer: made, name: namesOf(direct), waits: waits(direct)})
	}
	for _, br := range queues {
		if br.queue.merging != m { // else it runs
			br.queue.merging = m
		}
		all = append(all, br)
	}
	o := b.observer(c)
	shorter := *p
	last := len(p.Processors) - 1
	shorter.Processors = p.Processors[:last:last]
	return &shorter, countIn(o, countOut(o, b.fanout(all)))
}

// merging returns what the queues of a pipeline have of a processor that merges.
func (b *builder) merging(p *load.Pipeline, c *load.Component) (*merging, error) {
	name, print := "the merging of "+processorName(p, c), b.print(c)
	made, ok := b.keep(name, print)
	if !ok {
		set, meters := b.processorSettings(p, c)
		m, err := newMerging(c.Config.(component.Merger).Merging(), set)
		if err != nil {
			return nil, err
		}
		m.make = func(next pipeline.Consumer) (component.Exporter, error) {
			return c.Descriptor.ConsumerProcessor(c.Config, set, next)
		}
		made = part{name, print, c, m, meters}
	}
	b.processors = append(b.processors, made)
	return made.Component.(*merging), nil
}

// divided returns the branches that are queues, and the others.
func divided(branches []branch) (queues, direct []branch) {
	for _, br := range branches {
		if br.queue != nil {
			queues = append(queues, br)
		} else {
			direct = append(direct, br)
		}
	}
	return queues, direct
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
	q.merged = append(q.merged, made)
	return branch{Consumer: made, name: namesOf(waiting), waits: true}, made.Start(context.Background())
}

func newMerging(settings component.Merging, set component.Settings) (*merging, error) {
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
func (m *merging) Shutdown(context.Context) error {
	return m.life.Shutdown(m.observed.Close)
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
