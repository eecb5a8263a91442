package graph

import (
	"context"
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
)

// substitute puts a queue in the place of one that could not be kept open.
func (g *Graph) substitute(old, again *queue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, q := range g.queues {
		if q == old {
			g.queues[i] = again
		}
	}
	name := old.name()
	p := g.named[name]
	p.Component = again
	g.named[name] = p
	for _, set := range g.parts {
		if set, ok := set.Component.(queueSet); ok {
			for i := range set {
				if set[i].name == name {
					set[i] = p
				}
			}
		}
	}
}

// revive makes a part again that was closed, and starts it.
func (g *Graph) revive(ctx context.Context, p part) error {
	again, err := g.makeAgain(p)
	if err == nil {
		err = again.Start(ctx)
	}
	if err != nil {
		g.renew(p.name)
		return fmt.Errorf("start %s again: %w", p.name, err)
	}
	return nil
}

// renew makes the next graph have another part in the place of one that could not be started
// again.
func (g *Graph) renew(name string) {
	p := g.named[name]
	p.print = ""
	g.named[name] = p
}

// makeAgain makes a part again, which was not started, in the place of one that was.
func (g *Graph) makeAgain(p part) (part, error) {
	again := p
	var err error
	switch of := p.Component.(type) {
	case *leftQueues:
		again.Component = g.newLeftQueues(of.storage)
	case *controlSocket:
		again.Component = newControlSocket(g.named[leftName(of.of.storage)].Component.(*leftQueues))
	default:
		again, err = g.makeComponent(p)
	}
	if err != nil {
		return part{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.named[p.name] = again
	for i := range g.parts {
		if g.parts[i].name == p.name {
			g.parts[i] = again
		}
	}
	for i := range g.Receivers {
		if r := &g.Receivers[i]; p.of != nil && p.of.Kind == component.KindReceiver && r.Config.ID == p.of.ID {
			r.Instance = again.Component.(component.Receiver)
		}
	}
	g.started = slices.Clone(g.parts)
	return again, nil
}

func (g *Graph) makeComponent(p part) (part, error) {
	switch c := p.of; c.Kind {
	case component.KindExporter:
		return g.newExporter(c, p.name, p.print)
	case component.KindReceiver:
		r := g.receiver(c.ID)
		return g.newReceiver(&r, p.name, p.print)
	case component.KindExtension:
		return g.newExtension(c, p.name, p.print)
	}
	return part{}, fmt.Errorf("%s cannot be made again", p.name)
}
