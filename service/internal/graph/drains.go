package graph

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// drains are queues in memory that others have taken the place of, and that send what
// they have.
type drains struct {
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu  sync.Mutex
	all []*draining
}

// draining is a queue that sends what it has.
type draining struct {
	*queue
	cancel context.CancelFunc
	ended  chan struct{}
}

func newDrains(log *slog.Logger) *drains {
	d := &drains{log: log}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

func (d *drains) add(q *queue) {
	q.keepForHeld()
	ctx, cancel := context.WithCancel(d.ctx)
	one := &draining{q, cancel, make(chan struct{})}
	d.mu.Lock()
	d.all = append(d.all, one)
	d.mu.Unlock()
	d.running.Go(func() {
		defer d.remove(one)
		if err := q.Shutdown(ctx); err != nil {
			d.log.Error("a queue in memory that was replaced was not sent", slog.String("queue", q.name()), slog.Any("error", err))
		}
	})
}

func (d *drains) remove(one *draining) {
	one.cancel()
	close(one.ended)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = slices.DeleteFunc(d.all, func(other *draining) bool { return other == one })
}

// endWithout ends the queues whose exporters a graph does not have: what they hold is sent
// for a while, or until ctx ends, and is lost then.
func (d *drains) endWithout(ctx context.Context, g *Graph) {
	d.mu.Lock()
	ending := slices.DeleteFunc(slices.Clone(d.all), func(one *draining) bool { return g.hasExportersOf(one.queue) })
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, exchangeWithin)
	defer cancel()
	for _, one := range ending {
		select {
		case <-one.ended:
		case <-ctx.Done():
		}
		one.cancel()
		<-one.ended
	}
}

// Start implements pipeline.Component.
func (d *drains) Start(context.Context) error { return nil }

// Shutdown waits for them until ctx ends.
func (d *drains) Shutdown(ctx context.Context) error {
	defer context.AfterFunc(ctx, d.cancel)()
	d.running.Wait()
	d.cancel()
	return nil
}
