package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime/debug"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// connection is a connector with the signal that it consumes.
type connection struct {
	of     *load.Component
	signal otlp.Signal
}

// connector returns the branch that passes batches of from to a connector. All pipelines
// of a signal share it.
func (b *builder) connector(c *load.Component, from *load.Pipeline) branch {
	at := connection{c, from.Signal}
	made, ok := b.connected[at]
	if !ok {
		made = b.newConnection(c, from.Signal)
		b.connected[at] = made
	}
	return made
}

func (b *builder) newConnection(c *load.Component, in otlp.Signal) branch {
	var outputs []branch
	for _, p := range b.cfg.Outputs(c, in) {
		outputs = append(outputs, b.pipelineBranch(p))
	}
	made := branch{name: "connector " + c.ID, waits: waits(outputs)}
	if c.Descriptor.Connector == nil {
		made.Consumer = b.fanout(outputs)
	} else {
		made.Consumer = b.connectorPart(c, in, outputs)
	}
	return made
}

// connectorPart creates a connector, unless the graph before has it with the same behind
// it. One that has something else behind it is replaced: a request that is in it goes all
// the way that it began.
func (b *builder) connectorPart(c *load.Component, in otlp.Signal, outputs []branch) pipeline.Consumer {
	name := fmt.Sprintf("%s of %s", nameOf(c), in)
	print := b.print(c) + b.connectorPrint(c, in)
	p, ok := b.keep(name, print)
	if !ok {
		set, m := b.settingsFor(c)
		set.Signal = in
		made, err := c.Descriptor.Connector(c.Config, set, b.outputs(c, in, outputs))
		if err != nil {
			b.fail(c, err)
			return notCreated
		}
		p = part{name, print, c, &connector{Consumer: made, id: c.ID}, m}
	}
	p.of = c
	b.processors = append(b.processors, p)
	return p.Component.(*connector)
}

// outputs are what a connector is given of its branches, which are in the order of
// load.Config.Outputs. If there are several, each is one of a fan-out.
func (b *builder) outputs(c *load.Component, in otlp.Signal, branches []branch) (out component.Outputs) {
	for i, p := range b.cfg.Outputs(c, in) {
		o := component.Output{ID: p.ID, Signal: p.Signal, Consumer: branches[i].Consumer, Waits: branches[i].waits}
		if len(branches) > 1 {
			one, err := oneOfSeveral(branches[i], b.queuesOf[branches[i].name], b.settings.OrDefaults())
			if err != nil {
				b.problems.Add(err)
			}
			o.Consumer = one
		}
		out = append(out, o)
	}
	return out
}

// connectorPrint changes with what is behind a connector.
func (b *builder) connectorPrint(c *load.Component, in otlp.Signal) string {
	h := sha256.New()
	fmt.Fprint(h, b.print(c))
	for _, next := range b.cfg.Outputs(c, in) {
		fmt.Fprintf(h, "%q %s ", next.ID, b.behind[next])
		for _, of := range next.Processors {
			fmt.Fprint(h, b.print(of.Target))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// connector is a connector as a part. A panic in it is an error.
type connector struct {
	pipeline.Consumer
	id string
}

// Start starts the connector if it has something to start.
func (c *connector) Start(ctx context.Context) error {
	if of, ok := c.Consumer.(pipeline.Component); ok {
		return of.Start(ctx)
	}
	return nil
}

// Shutdown shuts it down.
func (c *connector) Shutdown(ctx context.Context) error {
	if of, ok := c.Consumer.(pipeline.Component); ok {
		return of.Shutdown(ctx)
	}
	return nil
}

// Consume passes a batch to the connector.
func (c *connector) Consume(ctx context.Context, batch *pipeline.Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = pipeline.Permanently(&pipeline.PanicError{Connector: c.id, Value: p, Stack: debug.Stack()})
		}
	}()
	return c.Consumer.Consume(ctx, batch)
}
