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
	server *control.Server // nil: none, or that of the process
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
		if err := c.serve(letters); err != nil {
			c.of.settings.Logger.Warn("there is no control socket: penstock dead-letter works only while this process does not run",
				slog.String("directory", c.of.place.dir), slog.Any("error", err))
		}
		return nil
	})
}

// serve gives the letters to the server of the process, if the storage is the data
// directory, or else to one for the storage.
func (c *controlSocket) serve(letters map[string]*delivery.DeadLetters) (err error) {
	data := c.of.data
	if data.Control != nil && realPath(c.of.place.dir) == realPath(data.Dir) {
		data.Control.SetLetters(c, letters)
		return data.Control.Own()
	}
	c.server, err = control.Listen(c.of.place.dir, letters, c.of.settings.Logger)
	return err
}

// Shutdown ends it.
func (c *controlSocket) Shutdown(ctx context.Context) error {
	return c.life.Shutdown(func() error {
		if c.of.data.Control != nil {
			c.of.data.Control.DropLetters(c)
		}
		if c.server == nil {
			return nil
		}
		return c.server.Shutdown(ctx)
	})
}
