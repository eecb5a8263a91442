package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/journal"
)

// leftQueues are the queues in a storage of pipelines that the configuration does not
// have any more, because they have another name now, for example. What they hold for an
// exporter that still has a queue is sent by it; the rest is kept, and reported.
type leftQueues struct {
	storage  string
	queues   []*queue // of the configuration
	settings component.Settings
	life     *lifecycle.Cycle

	journals     []*journal.Journal
	destinations []*delivery.Destination
}

// leftQueues adds q to those of its storage.
func (b *builder) leftQueues(q *queue) {
	for _, p := range b.leftParts {
		if l, ok := p.Component.(*leftQueues); ok && l.storage == q.storage {
			l.queues = append(l.queues, q)
			return
		}
	}
	l := &leftQueues{storage: q.storage, queues: []*queue{q}, settings: b.settings.OrDefaults(), life: lifecycle.New(fmt.Sprintf("the queues left in %q", q.storage))}
	b.leftParts = append(b.leftParts, part{fmt.Sprintf("the queues left in %q", q.storage), nil, l},
		part{fmt.Sprintf("the control socket of %q", q.storage), nil, newControlSocket(l)})
}

// Start opens the queues that are left, and begins to send.
func (l *leftQueues) Start(context.Context) error {
	return l.life.Start(func(undo *lifecycle.Undo) error {
		undo.Add(func() error { return l.close(context.Background()) })
		found, _ := l.settings.Extension(l.storage)
		storage, ok := found.(component.Storage)
		if !ok {
			return fmt.Errorf("sending_queue.storage: the extension %q is not a storage", l.storage)
		}
		folder := control.Pipelines(storage.Directory())
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if e.IsDir() && !l.configured(e.Name()) {
				if err := l.open(filepath.Join(folder, e.Name()), storage); err != nil {
					return err
				}
			}
		}
		for _, d := range l.destinations {
			d.Start()
		}
		return nil
	})
}

func (l *leftQueues) configured(name string) bool {
	for _, q := range l.queues {
		if control.FileName(q.pipeline.ID) == name {
			return true
		}
	}
	return false
}

// open opens a queue, and makes destinations of what it holds.
func (l *leftQueues) open(dir string, storage component.Storage) error {
	j, err := journal.Open(dir, journal.Options{MaxBytes: storage.MaxBytes(), Logger: l.settings.Logger})
	if err != nil {
		return err
	}
	l.journals = append(l.journals, j)
	log := delivery.NewLog(j, record.Keep{})
	for _, name := range j.Cursors() {
		c, err := j.Cursor(name, journal.End)
		if err != nil {
			return err
		}
		held := c.Held()
		if held.Records == 0 {
			continue
		}
		attrs := []any{slog.String("queue", dir), slog.String("exporter", name), slog.Uint64("requests", held.Records), slog.Uint64("items", held.Units), slog.Uint64("bytes", held.Bytes)}
		q, e, ok := l.owner(name)
		if !ok {
			l.settings.Logger.Warn("a queue is left of a pipeline and an exporter that the configuration does not have any more; it is kept", attrs...)
			continue
		}
		l.settings.Logger.Info("a queue is left of a pipeline that the configuration does not have any more; it is sent", attrs...)
		d, err := log.Destination(q.destination(e))
		if err != nil {
			return err
		}
		l.destinations = append(l.destinations, d)
	}
	return nil
}

// owner returns the exporter that has the cursor of a name.
func (l *leftQueues) owner(cursor string) (*queue, queued, bool) {
	for _, q := range l.queues {
		for _, e := range q.exporters {
			if q.cursor(e.id) == cursor {
				return q, e, true
			}
		}
	}
	return nil, queued{}, false
}

// Shutdown finishes what is being sent, and leaves the rest on disk.
func (l *leftQueues) Shutdown(ctx context.Context) error {
	return l.life.Shutdown(func() error { return l.close(ctx) })
}

func (l *leftQueues) close(ctx context.Context) error {
	var errs []error
	for _, d := range l.destinations {
		errs = append(errs, d.Shutdown(ctx))
	}
	for _, j := range l.journals {
		errs = append(errs, j.Close())
	}
	return errors.Join(errs...)
}
