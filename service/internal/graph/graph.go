// Package graph creates the components of a configuration, connects them to
// pipelines, and starts and stops them.
package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// A Graph holds the components of a configuration, created and connected:
//
//	receiver ─► switch ─► fan-out ─► pipeline ─► fan-out ─► switch ─► exporter
//	                                                 └────► switch ─► queue ─► switch ─► exporter
//
// There is a switch for each signal of a receiver, and in front of each exporter and queue.
// So each of them can be replaced, or kept by the graph of another configuration: see
// Replace.
type Graph struct {
	cfg        *load.Config
	settings   component.Settings
	data       *dataDir
	parts      []part // in the order in which they start
	started    []part
	named      map[string]part
	kept       map[string]bool // parts that are those of the graph before, by name
	extensions *startedExtensions
	Receivers  []Receiver
	// Mutates reports whether a pipeline changes its batches.
	Mutates map[*load.Pipeline]bool

	exporters map[string]*exporterSlot // by id
	slots     map[string]queueSlot     // by the name of the queue
	steps     map[string]step          // processors that work within the call, by name

	turns   []turn // of switches of receivers that the graph before has too
	fresh   []turn // of switches of receivers that it does not have
	bridges []turn // of switches of queues that only the graph before has
	rewired []Receiver
	// The same ones in all graphs of a service.
	drains    *drains
	listeners *config.Listeners

	mu     sync.Mutex
	queues []*queue
}

// A part is a component that is started and stopped on its own.
type part struct {
	name string // `exporter "otlp/2"`; there is one of a name
	// print changes with the configuration of the part, and with what it depends on.
	print string
	of    *load.Component
	pipeline.Component
	meters *meters // nil: it measures nothing, or by its components
}

// A turn is what a switch will lead to.
type turn struct {
	of *pipeline.Switch
	to pipeline.Consumer
}

// A Receiver is a receiver with the signals that pipelines want from it.
type Receiver struct {
	Config   *load.Component
	Signals  []otlp.Signal
	Instance component.Receiver
	// Switches stand between the receiver and its pipelines, one for each of
	// Signals.
	Switches map[otlp.Signal]*pipeline.Switch
}

// A builder creates a graph back to front: consumers before their producers.
type builder struct {
	*Graph
	before   *Graph // the graph that runs; an empty one if there is none
	problems config.Errors

	instances  map[*load.Component]component.Exporter
	queueParts queueSet
	directs    []part
	stops      []func() // of waits of senders
	processors []part
	observers  map[*load.Component]*obsreport.Processor
	entries    map[*load.Pipeline]pipeline.Consumer
	connected  map[connection]branch
	behind     map[*load.Pipeline]string // changes with what is behind the processors
	waiting    map[*load.Pipeline]bool   // it may wait for a destination
	queuesOf   map[string][]queueSlot    // by the name of the branch that leads to their pipeline
	prints     map[*load.Component]string
}

// Build creates all components of a configuration and starts none. Its error
// lists every component that could not be created, with its position.
func Build(cfg *load.Config, s component.Settings, data Data) (*Graph, error) {
	log := s.OrDefaults().Logger
	return build(cfg, s, &dataDir{Data: data, log: log, budget: s.Memory.Stats().Limit}, &Graph{drains: newDrains(log), listeners: &config.Listeners{}})
}

// build creates the components that the graph before does not have. If it returns an
// error, the graph before is as it was.
func build(cfg *load.Config, s component.Settings, data *dataDir, before *Graph) (*Graph, error) {
	g := &Graph{
		cfg: cfg, settings: s, data: data, named: map[string]part{}, kept: map[string]bool{}, extensions: &startedExtensions{}, Mutates: map[*load.Pipeline]bool{},
		exporters: map[string]*exporterSlot{}, slots: map[string]queueSlot{}, steps: map[string]step{},
		drains: before.drains, listeners: before.listeners,
	}
	g.settings.Extension = g.extensions.find
	b := &builder{
		Graph: g, before: before, prints: map[*load.Component]string{},
		observers: map[*load.Component]*obsreport.Processor{}, instances: map[*load.Component]component.Exporter{},
		entries: map[*load.Pipeline]pipeline.Consumer{}, connected: map[connection]branch{}, behind: map[*load.Pipeline]string{}, waiting: map[*load.Pipeline]bool{}, queuesOf: map[string][]queueSlot{},
	}
	b.all()
	if err := b.problems.Err(); err != nil {
		return nil, errors.Join(err, g.discard())
	}
	for p, entry := range b.entries {
		g.Mutates[p] = entry.Capabilities().MutatesData
	}
	return g, nil
}

// all creates all parts, in the order in which they start.
func (b *builder) all() {
	for _, c := range b.cfg.Extensions {
		b.extension(c)
	}
	for _, c := range b.cfg.Components {
		if c.Kind == component.KindExporter {
			b.exporter(c)
		}
	}
	for _, p := range b.cfg.Pipelines {
		b.entry(p)
	}
	b.add(b.directs...)
	b.add(part{name: "the queues", Component: b.queueParts}, part{name: "replaced queues in memory", Component: b.drains})
	b.leftParts()
	b.add(b.processors...)
	for _, c := range b.cfg.Components {
		if c.Kind == component.KindReceiver {
			b.receiver(c)
		}
	}
	b.add(part{name: "the waits of senders", Component: stops(b.stops)})
}

// add adds parts to the graph.
func (b *builder) add(parts ...part) {
	for _, p := range parts {
		b.parts = append(b.parts, p)
		b.named[p.name] = p
	}
}

// keep returns the part of the graph before if it has one of the name that nothing has
// changed for.
func (b *builder) keep(name, print string) (p part, ok bool) {
	p, ok = b.before.named[name]
	if !ok || p.print != print {
		return part{}, false
	}
	b.kept[name] = true
	return p, true
}

// print is that of a part of a component.
func (b *builder) print(c *load.Component) string {
	if b.prints[c] == "" {
		b.prints[c] = b.cfg.Fingerprint(c) + b.settings.MetricsLevel.String()
	}
	return b.prints[c]
}

// discard ends what parts that were created, and not started, have registered.
func (g *Graph) discard() error {
	var errs []error
	for name, p := range g.named {
		if p.meters != nil && !g.kept[name] {
			errs = append(errs, p.meters.close())
		}
	}
	return errors.Join(errs...)
}

// stops are called first when a graph is shut down: receivers wait for their requests.
type stops []func()

func (s stops) Start(context.Context) error { return nil }

func (s stops) Shutdown(context.Context) error {
	for _, stop := range s {
		stop()
	}
	return nil
}

// settingsFor returns the settings of one component. Its log lines carry its
// kind and id.
func (g *Graph) settingsFor(c *load.Component) (component.Settings, *meters) {
	s := g.settings.OrDefaults()
	m := &meters{MeterProvider: s.Meter}
	s.ID, s.Meter = c.ID, m
	s.Logger = s.Logger.With(slog.String(string(c.Kind), c.ID))
	return s, m
}

func (b *builder) fail(c *load.Component, err error) {
	var placed config.Errors
	if !errors.As(err, &placed) {
		err = c.Errorf("%w", err)
	}
	b.problems.Add(err)
}

// nameOf is the name of the part of a component of which there is one.
func nameOf(c *load.Component) string { return string(c.Kind) + " " + strconv.Quote(c.ID) }

// extension creates an extension. One that has nothing to run, such as
// memory_limiter, consists of its configuration alone.
func (b *builder) extension(c *load.Component) {
	if c.Descriptor.Extension == nil {
		return
	}
	name, print := nameOf(c), b.print(c)
	if p, ok := b.keep(name, print); ok {
		running := p.Component.(extensionPart).Component
		b.extensions.set(c.ID, running)
		b.add(part{name, print, c, extensionPart{running, c.ID, b.extensions}, p.meters})
		return
	}
	p, err := b.newExtension(c, name, print)
	if err != nil {
		b.fail(c, err)
		return
	}
	b.add(p)
}

func (g *Graph) newExtension(c *load.Component, name, print string) (part, error) {
	set, m := g.settingsFor(c)
	e, err := c.Descriptor.Extension(c.Config, set)
	return part{name, print, c, extensionPart{e, c.ID, g.extensions}, m}, err
}

// exporter creates an exporter, and its slot if the graph before has none.
func (b *builder) exporter(c *load.Component) {
	name, print := nameOf(c), b.print(c)
	p, ok := b.keep(name, print)
	if !ok {
		var err error
		if p, err = b.newExporter(c, name, print); err != nil {
			b.fail(c, err)
			b.exporters[c.ID] = &exporterSlot{Switch: pipeline.NewSwitch(notCreated)}
			return
		}
	}
	p.of = c
	b.add(p)
	e := p.Component.(component.Exporter)
	b.instances[c] = e
	slot := b.before.exporters[c.ID]
	if slot == nil || (slot.sender == nil) != (queueOf(e) == nil) {
		slot = newExporterSlot(e)
	}
	b.exporters[c.ID] = slot
}

func (g *Graph) newExporter(c *load.Component, name, print string) (part, error) {
	set, m := g.settingsFor(c)
	e, err := c.Descriptor.Exporter(c.Config, set)
	return part{name, print, c, e, m}, err
}

// notCreated stands for an exporter that could not be created, so that the rest of the
// graph is built and its faults are found too. Such a graph never runs.
var notCreated = pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
	return pipeline.Permanently(errors.New("the exporter was not created"))
})

// entry returns the first consumer of a pipeline: its first processor, or the
// fan-out after the processors. The configuration has no cycles.
func (b *builder) entry(p *load.Pipeline) pipeline.Consumer {
	if c := b.entries[p]; c != nil {
		return c
	}
	var branches []branch
	for _, r := range p.Exporters {
		if r.IsConnector() {
			branches = append(branches, b.connector(r.Target, p))
		} else {
			branches = append(branches, b.exporterBranch(r.Target))
		}
	}
	merger := b.merger(p)
	branches = b.queues(p, branches, merger)
	b.bridge(p, branches)
	b.waiting[p], b.behind[p] = waits(branches), b.branchesPrint(p, branches)
	front, next := b.merged(p, branches, merger)
	next = b.processed(p, front, next)
	b.entries[p] = next
	return next
}

// branchesPrint changes with where the branches of a pipeline lead.
func (b *builder) branchesPrint(p *load.Pipeline, branches []branch) string {
	h := sha256.New()
	for _, br := range branches {
		fmt.Fprintf(h, "%q %s ", br.name, br.print)
	}
	for _, r := range p.Exporters {
		if !r.IsConnector() {
			continue
		}
		fmt.Fprint(h, b.connectorPrint(r.Target, p.Signal))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// exporterBranch is an exporter.
func (b *builder) exporterBranch(c *load.Component) branch {
	slot := b.exporters[c.ID]
	br := branch{Consumer: slot, name: "exporter " + c.ID, print: fmt.Sprintf("%p", slot)}
	e := b.instances[c]
	if e == nil { // it was not created
		return br
	}
	if q := slot.queue(e); q != nil {
		br.queued = &queued{c.ID, q}
	}
	return br
}

// pipelineBranch is a pipeline behind a receiver or a connector.
func (b *builder) pipelineBranch(p *load.Pipeline) branch {
	entry := b.entry(p)
	return branch{Consumer: entry, name: "pipeline " + p.ID, waits: b.waiting[p]}
}

// processed puts the processors of front, which is what is left of p, in front of next.
// Every pipeline has its own instances. One chain runs adjacent processors that work within
// the call; processors that hold data or send later call their next consumer.
func (b *builder) processed(p, front *load.Pipeline, next pipeline.Consumer) pipeline.Consumer {
	var steps []pipeline.Step
	behind := b.behind[p]
	for _, r := range slices.Backward(front.Processors) {
		c := r.Target
		if c.Descriptor.Processor == nil {
			next, steps = b.consumerProcessor(p, c, chain(next, steps), behind), nil
		} else if step, ok := b.step(p, c); ok {
			steps = append(steps, step)
		}
		behind += b.print(c)
	}
	return chain(next, steps)
}

// chain puts steps, which are in reverse order, in front of next.
func chain(next pipeline.Consumer, steps []pipeline.Step) pipeline.Consumer {
	slices.Reverse(steps)
	return pipeline.Chain(next, steps...)
}

// processorSettings are those of a processor of a pipeline.
func (b *builder) processorSettings(p *load.Pipeline, c *load.Component) (component.Settings, *meters) {
	set, m := b.settingsFor(c)
	set.Logger = set.Logger.With(slog.String("pipeline", p.ID))
	set.Signal = p.Signal
	return set, m
}

func processorName(p *load.Pipeline, c *load.Component) string {
	return "processor " + strconv.Quote(c.ID) + " of pipeline " + strconv.Quote(p.ID)
}

// A step is a processor that works within the call.
type step struct {
	pipeline.Processor
	print string
}

// step creates a processor that works within the call, unless the graph before has it.
func (b *builder) step(p *load.Pipeline, c *load.Component) (pipeline.Step, bool) {
	name, print := processorName(p, c), b.print(c)
	made, ok := b.before.steps[name]
	runs, isPart := b.keep(name, print)
	if !ok || made.print != print {
		set, m := b.processorSettings(p, c)
		processor, err := c.Descriptor.Processor(c.Config, set)
		if err != nil {
			b.fail(c, err)
			return pipeline.Step{}, false
		}
		made = step{processor, print}
		var component pipeline.Component
		component, isPart = processor.(pipeline.Component)
		runs = part{name, print, c, component, m}
	}
	if isPart {
		b.processors = append(b.processors, runs)
	}
	b.steps[name] = made
	return pipeline.Step{Name: c.ID, Processor: made.Processor, Observer: b.observer(c)}, true
}

// consumerProcessor creates a processor that calls its next consumer by itself, unless the
// graph before has it with the same behind it. One that has something else behind it is
// replaced: a request that is in it goes all the way that it began.
func (b *builder) consumerProcessor(p *load.Pipeline, c *load.Component, next pipeline.Consumer, behind string) pipeline.Consumer {
	name, print, o := processorName(p, c), b.print(c)+behind, b.observer(c)
	made, ok := b.keep(name, print)
	if !ok {
		set, m := b.processorSettings(p, c)
		processor, err := c.Descriptor.ConsumerProcessor(c.Config, set, countOut(o, next))
		if err != nil {
			b.fail(c, err)
			return next
		}
		made = part{name, print, c, processor, m}
	}
	b.processors = append(b.processors, made)
	return countIn(o, made.Component.(pipeline.Consumer))
}

// observer measures what a processor does in all its pipelines together; nil at
// level none.
func (b *builder) observer(c *load.Component) pipeline.Observer {
	s := b.settings.OrDefaults()
	if s.MetricsLevel == component.LevelNone {
		return nil
	}
	o := b.observers[c]
	if o == nil {
		var err error
		if o, err = obsreport.NewProcessor(c.ID, s.Meter, s.MetricsLevel >= component.LevelDetailed); err != nil {
			b.fail(c, err)
			return nil
		}
		b.observers[c] = o
	}
	return o
}

// receiver creates one receiver for all signals, unless the graph before has it. Each
// signal gets a fan-out over its pipelines.
func (b *builder) receiver(c *load.Component) {
	r := Receiver{Config: c, Switches: map[otlp.Signal]*pipeline.Switch{}}
	before := b.before.receiver(c.ID)
	for _, s := range otlp.Signals() {
		var branches []branch
		for _, p := range b.cfg.Readers(c, s) {
			branches = append(branches, b.pipelineBranch(p))
		}
		if len(branches) == 0 {
			continue
		}
		entry, to := b.fanout(branches), before.Switches[s]
		if to != nil {
			b.turns = append(b.turns, turn{to, entry})
		} else {
			to = pipeline.NewSwitch(entry)
			b.fresh = append(b.fresh, turn{to, entry})
		}
		r.Signals, r.Switches[s] = append(r.Signals, s), to
	}
	p, err := b.receiverPart(&r, before)
	if err != nil {
		b.fail(c, err)
		return
	}
	b.add(p)
	b.Receivers = append(b.Receivers, r)
}

// receiverPart returns the part of a receiver: the one of the graph before, if it is the
// same and can have other signals.
func (b *builder) receiverPart(r *Receiver, before Receiver) (part, error) {
	name, print := nameOf(r.Config), b.print(r.Config)
	_, can := before.Instance.(component.Rewirer)
	same := slices.Equal(r.Signals, before.Signals)
	if !same && !can {
		return b.newReceiver(r, name, print)
	}
	p, ok := b.keep(name, print)
	if !ok {
		return b.newReceiver(r, name, print)
	}
	r.Instance, p.of = before.Instance, r.Config
	if !same {
		b.rewired = append(b.rewired, *r)
	}
	return p, nil
}

// newReceiver creates a receiver that leads to its switches.
func (g *Graph) newReceiver(r *Receiver, name, print string) (part, error) {
	set, m := g.settingsFor(r.Config)
	instance, err := r.Config.Descriptor.Receiver(r.Config.Config, set)
	if err != nil {
		return part{}, err
	}
	for _, s := range r.Signals {
		if err := instance.Register(s, r.Switches[s]); err != nil {
			return part{}, err
		}
	}
	r.Instance = instance
	return part{name, print, r.Config, instance, m}, nil
}

// receiver returns the receiver with an id; the zero value if there is none.
func (g *Graph) receiver(id string) Receiver {
	for _, r := range g.Receivers {
		if r.Config.ID == id {
			return r
		}
	}
	return Receiver{}
}

// A branch is a consumer with the name that errors use for it.
type branch struct {
	pipeline.Consumer
	name string
	// waits says that it may wait for a destination.
	waits bool
	// queued is how the batches wait of an exporter; nil: it sends by itself, or it is none.
	queued *queued
	// queue is the queue that the branch leads to; nil: to none.
	queue *queue
	// print changes with what the branch of an exporter or queue leads to.
	print string
}

func (b branch) Name() string { return b.name }
