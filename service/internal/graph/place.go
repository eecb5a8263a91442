package graph

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/vfs"
)

// Data says where the queues are kept of exporters that name no storage.
type Data struct {
	// Dir is created with mode 0700. Empty: the queues are in memory.
	Dir string
	// Optional says that the queues are in memory if Dir cannot be written.
	Optional bool
	// InMemory says that they are in memory in any case, and that their senders do not
	// wait.
	InMemory bool
	// Control serves the socket in Dir; nil: the graph does, as in other storages.
	Control *control.Server
}

// place is where a queue is kept.
type place struct {
	dir      string // empty: in memory
	maxBytes int64  // 0: the default of the journal
	// warning says why what is acknowledged may be lost.
	warning string
}

// dataDir is the place of the queues that name no storage. It is found when it is needed
// first.
type dataDir struct {
	Data
	log    *slog.Logger
	queues int   // that may be in memory without their senders waiting
	budget int64 // the memory budget of the configuration, in bytes; 0: without a bound

	mu    sync.Mutex
	found *place // nil: it was not needed yet

	claimed map[string]string // storages of queues, by their folder
	looked  map[string]bool   // directories whose left queues are open
}

// claim notes the folder of a queue. Two queues of a pipeline cannot have one.
func (d *dataDir) claim(dir, name, storage string) error {
	folder := filepath.Join(realPath(dir), name)
	other, is := d.claimed[folder]
	if is {
		return fmt.Errorf("exporters of one pipeline have their queues in %s by two names, %s and %s; name one", dir, storageName(other), storageName(storage))
	}
	if d.claimed == nil {
		d.claimed = map[string]string{}
	}
	d.claimed[folder] = storage
	return nil
}

// isLooked reports whether it was called with a directory before, by any of its names.
func (d *dataDir) isLooked(dir string) bool {
	if d.looked == nil {
		d.looked = map[string]bool{}
	}
	was := d.looked[realPath(dir)]
	d.looked[realPath(dir)] = true
	return was
}

func storageName(id string) string {
	if id == "" {
		return "the data directory"
	}
	return strconv.Quote(id)
}

// realPath is the one name of a directory.
func realPath(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

func (d *dataDir) place() (place, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil {
		found, err := d.find()
		if err != nil {
			return place{}, err
		}
		d.found = &found
	}
	return *d.found, nil
}

// again returns the place for the graph of another configuration, with its memory budget.
func (d *dataDir) again(budget int64) *dataDir {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &dataDir{Data: d.Data, log: d.log, found: d.found, budget: budget}
}

const inMemory = "queues are in memory: what is in them is lost when the process ends"

func (d *dataDir) find() (place, error) {
	switch {
	case d.InMemory:
		d.log.Info(inMemory, slog.String("reason", "--in-memory"))
		return place{warning: "in memory, as --in-memory asks"}, nil
	case d.Dir == "":
		return place{warning: "in memory: there is no data directory"}, nil
	}
	if dir, err := filepath.Abs(d.Dir); err == nil {
		d.Dir = dir
	}
	if err := writable(d.Dir); err != nil {
		if !d.Optional {
			return place{}, fmt.Errorf("the data directory %s cannot be used: %w", d.Dir, err)
		}
		d.log.Warn("QUEUES ARE IN MEMORY: the data directory cannot be used. A request is acknowledged when its destination has it, and is not kept until then; --data-dir names a directory for queues on disk, --in-memory asks for memory",
			slog.String("directory", d.Dir), slog.Any("error", err))
		return place{warning: "in memory, since the data directory cannot be used: " + err.Error()}, nil
	}
	p := place{dir: d.Dir}
	if kind := vfs.Ephemeral(d.Dir); kind != "" && d.Optional {
		p.warning = fmt.Sprintf("%s is on %s, which ends with the container or the machine", d.Dir, kind)
		d.log.Warn("the queues are on a file system that ends with the container or the machine, and what is in them with it; --data-dir names a directory on a volume",
			slog.String("directory", d.Dir), slog.String("file_system", kind))
	}
	return p, nil
}

// writable creates a folder if it is missing, and returns why files cannot be created in
// it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".penstock-*")
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Remove(f.Name())
}

// placeOf returns the place of the queues with a storage; "" is the data directory.
func placeOf(storage string, data *dataDir, s component.Settings) (place, error) {
	if storage == "" {
		return data.place()
	}
	found, _ := s.Extension(storage)
	of, ok := found.(component.Storage)
	if !ok {
		return place{}, fmt.Errorf("sending_queue.storage: the extension %q is not a storage", storage)
	}
	return place{dir: of.Directory(), maxBytes: of.MaxBytes()}, nil
}
