package graph

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
)

// controlSocket serves the dead letters of a storage to commands. It starts after the
// queues, whose locks say that no other process serves them.
type controlSocket struct {
	of     *leftQueues // has the queues of the storage
	life   *lifecycle.Cycle
	server *control.Server // nil: none
}

func newControlSocket(of *leftQueues) *controlSocket {
	return &controlSocket{of: of, life: lifecycle.New(fmt.Sprintf("the control socket of %q", of.storage))}
}

// Start listens. What prevents it is logged: telemetry does not need it.
func (c *controlSocket) Start(context.Context) error {
	return c.life.Start(func(*lifecycle.Undo) error {
		if c.of.place.dir == "" || len(c.of.queues)+len(c.of.journals) == 0 {
			return nil // there is nothing, or another process has it
		}
		letters := map[string]*delivery.DeadLetters{}
		for _, q := range c.of.queues {
			letters[q.pipeline.ID] = q.dead
		}
		var err error
		if c.server, err = control.Listen(c.of.place.dir, letters, c.of.settings.Logger); err != nil {
			c.of.settings.Logger.Warn("there is no control socket: penstock dead-letter works only while this process does not run",
				slog.String("directory", c.of.place.dir), slog.Any("error", err))
		}
		return nil
	})
}

// Shutdown ends it.
func (c *controlSocket) Shutdown(ctx context.Context) error {
	return c.life.Shutdown(func() error {
		if c.server == nil {
			return nil
		}
		return c.server.Shutdown(ctx)
	})
}
