package service

import (
	"context"
	"errors"
	"log/slog"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// A graph is a configuration's components, made and connected.
type graph struct {
	parts     []part // in the order in which they start
	receivers []builtReceiver
	mutates   map[*pipelineConfig]bool // whether a pipeline changes what it is given
}

// A part is what starts and stops on its own.
type part struct {
	name string // `exporter "otlp/2"`
	pipeline.Component
}

// A builtReceiver is a receiver with the signals that it was asked for.
type builtReceiver struct {
	config   *definition
	signals  []otlp.Signal
	instance receiver
}

// A builder makes a graph back to front: who consumes is made before who feeds.
type builder struct {
	cfg      *Config
	settings component.Settings
	host     host
	started  *startedExtensions
	problems conf.Errors

	exporters  map[*definition]consumer
	processors []part
	entries    map[*pipelineConfig]pipeline.Consumer
	shared     pipeline.Shared[*definition, receiver]
}

// build makes all components of a configuration and starts none. What a
// component does not like is reported at its place, all at once.
func build(cfg *Config, s component.Settings, h host) (*graph, error) {
	b := &builder{cfg: cfg, settings: s, host: h, started: &startedExtensions{}, exporters: map[*definition]consumer{}, entries: map[*pipelineConfig]pipeline.Consumer{}}
	b.settings.Extension = b.started.find
	g := &graph{mutates: map[*pipelineConfig]bool{}}
	for _, c := range cfg.extensions {
		g.parts = append(g.parts, b.extension(c)...)
	}
	for _, c := range cfg.components {
		if c.kind == Exporter {
			g.parts = append(g.parts, b.exporter(c)...)
		}
	}
	for _, p := range cfg.pipelines {
		b.entry(p)
	}
	g.parts = append(g.parts, b.processors...)
	for _, c := range cfg.components {
		if c.kind == Receiver {
			p, r := b.receiver(c)
			g.parts = append(g.parts, p)
			g.receivers = append(g.receivers, r)
		}
	}
	if err := b.problems.Err(); err != nil {
		return nil, err
	}
	for p, entry := range b.entries {
		g.mutates[p] = entry.Capabilities().MutatesData
	}
	return g, nil
}

// settingsFor are the settings of one component, which names itself in its log.
func (b *builder) settingsFor(c *definition) component.Settings {
	s := b.settings
	s.ID = c.id
	return s
}

func (b *builder) fail(c *definition, err error) {
	var placed conf.Errors
	if !errors.As(err, &placed) {
		err = c.node.KeyErrorf("%w", err)
	}
	b.problems.Add(err)
}

func (b *builder) exporter(c *definition) []part {
	e, err := c.exporter(b.settingsFor(c))
	if err != nil {
		b.fail(c, err)
		return nil
	}
	b.exporters[c] = e
	return []part{{"exporter " + quote(c.id), e}}
}

// entry returns what takes a pipeline's batches: its first processor, or the
// fan-out behind the processors. The configuration has no cycles.
func (b *builder) entry(p *pipelineConfig) pipeline.Consumer {
	if c := b.entries[p]; c != nil {
		return c
	}
	var branches []branch
	for _, r := range p.exporters {
		if r.isConnector() {
			branches = append(branches, branch{b.connector(r.target, p), "connector " + r.id})
		} else if e := b.exporters[r.target]; e != nil {
			branches = append(branches, branch{e, "exporter " + r.id})
		}
	}
	next := fanout(branches)
	for i := len(p.processors) - 1; i >= 0; i-- {
		next = b.processor(p, p.processors[i].target, next)
	}
	b.entries[p] = next
	return next
}

// connector returns what takes batches of from on to the pipelines that read
// the connector.
func (b *builder) connector(c *definition, from *pipelineConfig) pipeline.Consumer {
	var branches []branch
	for _, p := range b.cfg.readers(c, from) {
		branches = append(branches, branch{b.entry(p), "pipeline " + p.id})
	}
	return fanout(branches)
}

// processor makes one for this pipeline alone.
func (b *builder) processor(p *pipelineConfig, c *definition, next pipeline.Consumer) pipeline.Consumer {
	settings := b.settingsFor(c)
	settings.Logger = settings.Logger.With(slog.String("pipeline", p.id))
	made, err := c.processor(settings, next)
	if err != nil {
		b.fail(c, err)
		return next
	}
	b.processors = append(b.processors, part{"processor " + quote(c.id) + " of pipeline " + quote(p.id), made})
	return made
}

// receiver makes one for all signals, and gives it a fan-out over the pipelines
// of each.
func (b *builder) receiver(c *definition) (part, builtReceiver) {
	r, users := builtReceiver{config: c}, sharedReceiver{}
	for _, s := range otlp.Signals() {
		var branches []branch
		for _, p := range b.cfg.readers(c, &pipelineConfig{signal: s}) {
			branches = append(branches, branch{b.entry(p), "pipeline " + p.id})
		}
		if len(branches) == 0 {
			continue
		}
		h, err := b.shared.Get(c, func() (receiver, error) { return c.receiver(b.settingsFor(c)) })
		if err == nil {
			err = h.Component().Register(s, fanout(branches))
		}
		if err != nil {
			b.fail(c, err)
			break
		}
		users = append(users, h)
		r.instance, r.signals = h.Component(), append(r.signals, s)
	}
	return part{"receiver " + quote(c.id), users}, r
}

// sharedReceiver is one receiver with a user for each signal.
type sharedReceiver []*pipeline.Handle[*definition, receiver]

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

// A branch is a consumer under the name that errors call it by.
type branch struct {
	pipeline.Consumer
	name string
}

func (b branch) Name() string { return b.name }

// fanout leaves a single branch as it is: its error needs no name.
func fanout(branches []branch) pipeline.Consumer {
	switch len(branches) {
	case 0: // only where a component could not be made, so that this is never run
		return nil
	case 1:
		return branches[0].Consumer
	}
	all := make([]pipeline.Consumer, len(branches))
	for i, b := range branches {
		all[i] = b
	}
	return pipeline.Fanout(all...)
}
