// Package graph creates the components of a configuration, connects them to
// pipelines, and starts and stops them.
package graph

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// A Graph holds the components of a configuration, created and connected:
//
//	receiver ─► switch ─► fan-out ─► pipeline ─► fan-out ─► exporter, connector
//
// There is a switch for each signal of a receiver. Turning it connects the
// receiver to another graph; the receiver keeps its listeners.
type Graph struct {
	parts      []part // in the order in which they start
	started    []part
	extensions *startedExtensions
	Receivers  []Receiver
	queues     []*queue
	// Mutates reports whether a pipeline changes its batches.
	Mutates map[*load.Pipeline]bool
}

// A part is a component that is started and stopped on its own.
type part struct {
	name string // `exporter "otlp/2"`
	of   *load.Component
	pipeline.Component
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
	cfg      *load.Config
	settings component.Settings
	started  *startedExtensions
	problems config.Errors

	exporters  map[*load.Component]pipeline.Consumer
	data       *dataDir
	allQueues  []*queue
	queueParts queueSet
	leftParts  []part   // start after queueParts
	stops      []func() // of waits of senders
	processors []part
	observers  map[*load.Component]*obsreport.Processor
	entries    map[*load.Pipeline]pipeline.Consumer
	waiting    map[*load.Pipeline]bool // it may wait for a destination
	queuesOf   map[string][]*queue     // by the name of the branch that leads to their pipeline
	shared     pipeline.Shared[*load.Component, component.Receiver]
}

// Build creates all components of a configuration and starts none. Its error
// lists every component that could not be created, with its position.
func Build(cfg *load.Config, s component.Settings, data Data) (*Graph, error) {
	b := &builder{
		cfg: cfg, settings: s, started: &startedExtensions{},
		observers: map[*load.Component]*obsreport.Processor{},
		exporters: map[*load.Component]pipeline.Consumer{}, entries: map[*load.Pipeline]pipeline.Consumer{}, waiting: map[*load.Pipeline]bool{},
		queuesOf: map[string][]*queue{},
	}
	b.settings.Extension = b.started.find
	b.data = &dataDir{Data: data, log: s.OrDefaults().Logger}
	g := &Graph{extensions: b.started, Mutates: map[*load.Pipeline]bool{}}
	for _, c := range cfg.Extensions {
		g.parts = append(g.parts, b.extension(c)...)
	}
	for _, c := range cfg.Components {
		if c.Kind == component.KindExporter {
			g.parts = append(g.parts, b.exporter(c)...)
		}
	}
	for _, p := range cfg.Pipelines {
		b.entry(p)
	}
	b.leftQueues("")
	g.queues = b.allQueues
	g.parts = append(append(g.parts, part{"the queues", nil, b.queueParts}), b.leftParts...)
	g.parts = append(g.parts, b.processors...)
	for _, c := range cfg.Components {
		if c.Kind == component.KindReceiver {
			p, r := b.receiver(c)
			g.parts = append(g.parts, p)
			g.Receivers = append(g.Receivers, r)
		}
	}
	g.parts = append(g.parts, part{"the waits of senders", nil, stops(b.stops)})
	if err := b.problems.Err(); err != nil {
		return nil, err
	}
	for p, entry := range b.entries {
		g.Mutates[p] = entry.Capabilities().MutatesData
	}
	return g, nil
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
func (b *builder) settingsFor(c *load.Component) component.Settings {
	s := b.settings
	s.ID = c.ID
	s.Logger = s.Logger.With(slog.String(string(c.Kind), c.ID))
	return s
}

func (b *builder) fail(c *load.Component, err error) {
	var placed config.Errors
	if !errors.As(err, &placed) {
		err = c.Errorf("%w", err)
	}
	b.problems.Add(err)
}

// extension creates an extension. One that has nothing to run, such as
// memory_limiter, consists of its configuration alone.
func (b *builder) extension(c *load.Component) []part {
	if c.Descriptor.Extension == nil {
		return nil
	}
	e, err := c.Descriptor.Extension(c.Config, b.settingsFor(c))
	if err != nil {
		b.fail(c, err)
		return nil
	}
	return []part{{"extension " + strconv.Quote(c.ID), c, extensionPart{e, c.ID, b.started}}}
}

func (b *builder) exporter(c *load.Component) []part {
	e, err := c.Descriptor.Exporter(c.Config, b.settingsFor(c))
	if err != nil {
		b.fail(c, err)
		b.exporters[c] = notCreated
		return nil
	}
	b.exporters[c] = e
	return []part{{"exporter " + strconv.Quote(c.ID), c, e}}
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
	exporters := map[string]component.Exporter{}
	for _, r := range p.Exporters {
		if e, ok := b.exporters[r.Target].(component.Exporter); ok {
			exporters[r.ID] = e
		}
		if r.IsConnector() {
			branches = append(branches, b.connector(r.Target, p))
		} else {
			branches = append(branches, branch{Consumer: b.exporters[r.Target], name: "exporter " + r.ID})
		}
	}
	branches = b.queues(p, branches, exporters)
	b.waiting[p] = waits(branches)
	next := b.processed(b.merged(p, branches))
	b.entries[p] = next
	return next
}

// pipelineBranch is a pipeline behind a receiver or a connector.
func (b *builder) pipelineBranch(p *load.Pipeline) branch {
	entry := b.entry(p)
	return branch{entry, "pipeline " + p.ID, b.waiting[p]}
}

// connector returns the branch that passes batches of from to the pipelines that read the
// connector.
func (b *builder) connector(c *load.Component, from *load.Pipeline) branch {
	var branches []branch
	for _, p := range b.cfg.Readers(c, from.Signal) {
		branches = append(branches, b.pipelineBranch(p))
	}
	return branch{b.fanout(branches), "connector " + c.ID, waits(branches)}
}

// processed puts the processors of a pipeline in front of next. Every pipeline has
// its own instances. One chain runs adjacent processors that work within the call;
// processors that hold data or send later call their next consumer.
func (b *builder) processed(p *load.Pipeline, next pipeline.Consumer) pipeline.Consumer {
	var steps []pipeline.Step
	for _, r := range slices.Backward(p.Processors) {
		c := r.Target
		settings := b.settingsFor(c)
		settings.Logger = settings.Logger.With(slog.String("pipeline", p.ID))
		if c.Descriptor.Processor != nil {
			if step, ok := b.step(p, c, settings); ok {
				steps = append(steps, step)
			}
			continue
		}
		next, steps = chain(next, steps), nil
		next = b.consumerProcessor(p, c, settings, next)
	}
	return chain(next, steps)
}

// chain puts steps, which are in reverse order, in front of next.
func chain(next pipeline.Consumer, steps []pipeline.Step) pipeline.Consumer {
	slices.Reverse(steps)
	return pipeline.Chain(next, steps...)
}

// step creates a processor that works within the call.
func (b *builder) step(p *load.Pipeline, c *load.Component, s component.Settings) (pipeline.Step, bool) {
	made, err := c.Descriptor.Processor(c.Config, s)
	if err != nil {
		b.fail(c, err)
		return pipeline.Step{}, false
	}
	if runs, ok := made.(pipeline.Component); ok {
		b.addProcessor(p, c, runs)
	}
	return pipeline.Step{Name: c.ID, Processor: made, Observer: b.observer(c, s)}, true
}

// consumerProcessor creates a processor that calls next by itself.
func (b *builder) consumerProcessor(p *load.Pipeline, c *load.Component, s component.Settings, next pipeline.Consumer) pipeline.Consumer {
	o := b.observer(c, s)
	made, err := c.Descriptor.ConsumerProcessor(c.Config, s, countOut(o, next))
	if err != nil {
		b.fail(c, err)
		return next
	}
	b.addProcessor(p, c, made)
	return countIn(o, made)
}

// observer measures what a processor does in all its pipelines together; nil at
// level none.
func (b *builder) observer(c *load.Component, s component.Settings) pipeline.Observer {
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

func (b *builder) addProcessor(p *load.Pipeline, c *load.Component, made pipeline.Component) {
	b.processors = append(b.processors, part{"processor " + strconv.Quote(c.ID) + " of pipeline " + strconv.Quote(p.ID), c, made})
}

// receiver creates one receiver for all signals. Each signal gets a fan-out
// over its pipelines.
func (b *builder) receiver(c *load.Component) (part, Receiver) {
	r, users := Receiver{Config: c, Switches: map[otlp.Signal]*pipeline.Switch{}}, sharedReceiver{}
	for _, s := range otlp.Signals() {
		var branches []branch
		for _, p := range b.cfg.Readers(c, s) {
			branches = append(branches, b.pipelineBranch(p))
		}
		if len(branches) == 0 {
			continue
		}
		to := pipeline.NewSwitch(b.fanout(branches))
		h, err := b.shared.Get(c, func() (component.Receiver, error) { return c.Descriptor.Receiver(c.Config, b.settingsFor(c)) })
		if err == nil {
			err = h.Component().Register(s, to)
		}
		if err != nil {
			b.fail(c, err)
			break
		}
		users = append(users, h)
		r.Instance, r.Signals, r.Switches[s] = h.Component(), append(r.Signals, s), to
	}
	return part{"receiver " + strconv.Quote(c.ID), c, users}, r
}

// sharedReceiver is one receiver with a handle for each signal.
type sharedReceiver []*pipeline.Handle[*load.Component, component.Receiver]

func (s sharedReceiver) Start(ctx context.Context) error {
	for _, h := range s {
		if err := h.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s sharedReceiver) Shutdown(ctx context.Context) error {
	var errs []error
	for _, h := range s {
		errs = append(errs, h.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// A branch is a consumer with the name that errors use for it.
type branch struct {
	pipeline.Consumer
	name string
	// waits says that it may wait for a destination.
	waits bool
}

func (b branch) Name() string { return b.name }
