package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal"
)

// leftQueues are the queues in a storage of pipelines that the configuration does not
// have any more, because they have another name now, for example, and those that were set
// aside. What they hold for an exporter that still has a queue on disk is sent by it; the
// rest is kept, and reported. A queue that holds nothing is removed.
type leftQueues struct {
	storage  string
	queues   []*queue // of the configuration, in this storage
	all      []*queue
	data     *dataDir
	settings component.Settings
	life     *lifecycle.Cycle

	place        place
	journals     map[string]*journal.Journal // by folder
	destinations []*delivery.Destination
}

// leftParts adds the left queues of each storage of queues on disk, and of the data
// directory. All queues send what is left.
func (b *builder) leftParts() {
	storages, all := append([]string{""}, b.cfg.Storages()...), sha256.New()
	keep := true // they refer to the queues
	for _, q := range b.Graph.queues {
		keep = keep && b.kept[q.name()]
		fmt.Fprintln(all, b.named[q.name()].name, b.named[q.name()].print)
	}
	print := hex.EncodeToString(all.Sum(nil))
	for _, storage := range storages {
		b.leftPart(storage, print, keep)
	}
}

func leftName(storage string) string { return "the queues left in " + storageName(storage) }

func (b *builder) leftPart(storage, print string, keep bool) {
	name, socket := leftName(storage), "the control socket of "+storageName(storage)
	var left part
	if keep {
		left, keep = b.keep(name, print)
	}
	if !keep {
		l := b.newLeftQueues(storage)
		b.add(part{name: name, print: print, Component: l}, part{name: socket, print: print, Component: newControlSocket(l)})
		return
	}
	if l := left.Component.(*leftQueues); l.place.dir != "" {
		b.data.isLooked(l.place.dir)
	}
	serves, _ := b.keep(socket, print)
	b.add(left, serves)
}

func (g *Graph) newLeftQueues(storage string) *leftQueues {
	l := &leftQueues{storage: storage, all: slices.Clone(g.queues), data: g.data,
		settings: g.settings.OrDefaults(), life: lifecycle.New(leftName(storage)), journals: map[string]*journal.Journal{}}
	for _, q := range l.all {
		if !q.inMemory && q.storage == storage {
			l.queues = append(l.queues, q)
		}
	}
	return l
}

// find sets the place, if there is a folder of queues.
func (l *leftQueues) find() error {
	if dir := l.directory(); len(l.queues) == 0 {
		if _, err := os.Stat(control.Pipelines(dir)); dir == "" || err != nil {
			return nil // there is nothing, or nothing that can be read
		}
	}
	var err error
	if l.place, err = placeOf(l.storage, l.data, l.settings); err != nil || l.place.dir == "" {
		return err
	}
	if l.data.isLooked(l.place.dir) {
		l.place = place{} // another name of a directory whose queues are open
		return nil
	}
	l.queues = nil
	for _, q := range l.all {
		if q.place.dir != "" && realPath(q.place.dir) == realPath(l.place.dir) {
			l.queues = append(l.queues, q)
		}
	}
	return nil
}

// directory is where the queues of the storage would be; "" if nowhere.
func (l *leftQueues) directory() string {
	if l.storage == "" {
		if l.data.InMemory {
			return ""
		}
		return l.data.Dir
	}
	found, _ := l.settings.Extension(l.storage)
	if of, ok := found.(component.Storage); ok {
		return of.Directory()
	}
	return ""
}

// asideMark is in the names of queues that were set aside, nextMark in those of queues that
// take their place. No pipeline has one in the name of its folder.
const (
	asideMark = ",left-"
	nextMark  = ",next"
)

// setAside gives the folder of a queue a name that no pipeline has, and its name to next.
// Both are durable before next gets something.
func setAside(dir, next string) error {
	for n := 1; ; n++ {
		to := fmt.Sprint(dir, asideMark, n)
		_, err := os.Lstat(to)
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Rename(dir, to); err != nil {
			return err
		}
		if err := os.Rename(next, dir); err != nil {
			return err
		}
		return syncFolder(filepath.Dir(dir))
	}
}

func syncFolder(dir string) error {
	fs, err := vfs.At(dir)
	if err != nil {
		return err
	}
	return errors.Join(fs.SyncDir("."), fs.Close())
}

// Start opens the queues that are left, and begins to send.
func (l *leftQueues) Start(context.Context) error {
	return l.life.Start(func(undo *lifecycle.Undo) error {
		undo.Add(func() error { return l.close(context.Background()) })
		if err := l.find(); err != nil || l.place.dir == "" {
			return err
		}
		folder := control.Pipelines(l.place.dir)
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if e.IsDir() && !l.configured(e.Name()) {
				if err := l.open(filepath.Join(folder, e.Name())); err != nil {
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
func (l *leftQueues) open(dir string) error {
	j, err := journal.Open(dir, journal.Options{MaxBytes: l.place.maxBytes, Logger: l.settings.Logger})
	if errors.Is(err, journal.ErrLocked) && len(l.queues) == 0 {
		return nil // of another process, and this one has no queue here
	}
	if err != nil {
		return err
	}
	l.journals[dir] = j
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
			l.settings.Logger.Warn("a queue is left of a pipeline and an exporter that the configuration does not have any more, or not with a queue on disk; it is kept", attrs...)
			continue
		}
		l.settings.Logger.Info("a queue is left of a pipeline that the configuration does not have any more; it is sent", attrs...)
		cfg := q.destination(e)
		cfg.DeadLetters = q.dead.Add
		d, err := log.Destination(cfg)
		if err != nil {
			return err
		}
		l.destinations = append(l.destinations, d)
	}
	return nil
}

// owner returns the exporter that has the cursor of a name.
func (l *leftQueues) owner(cursor string) (*queue, queued, bool) {
	for _, q := range l.all {
		if q.dead == nil {
			continue // it is in memory
		}
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
	errs = append(errs, shutdownAll(ctx, l.destinations))
	for dir, j := range l.journals {
		empty := isEmpty(j)
		errs = append(errs, j.Close())
		if empty {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	clear(l.journals)
	return errors.Join(errs...)
}

// isEmpty reports whether a journal holds nothing for anyone.
func isEmpty(j *journal.Journal) bool {
	for _, name := range j.Cursors() {
		c, err := j.Cursor(name, journal.End)
		if err != nil || c.Held().Records > 0 {
			return false
		}
	}
	return true
}
