package filestorageextension

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/internal/vfs"
)

// Extension is a component.Storage.
type Extension struct {
	cfg  Config
	log  *slog.Logger
	life lifecycle.Cycle
}

// New creates the extension. It accesses no file.
func New(cfg Config, set component.Settings) (*Extension, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	return &Extension{cfg: cfg, log: set.OrDefaults().Logger}, nil
}

// Directory implements component.Storage.
func (e *Extension) Directory() string { return e.cfg.Directory }

// MaxBytes implements component.Storage.
func (e *Extension) MaxBytes() int64 { return e.cfg.MaxSize }

// Start creates the directory, checks that it can be written, and reports the Collector's
// files in it. A second call returns the same result.
func (e *Extension) Start(context.Context) error {
	return e.life.Start(func(*lifecycle.Undo) error {
		if err := e.prepare(); err != nil {
			return fmt.Errorf("prepare the directory %s: %w", e.cfg.Directory, err)
		}
		e.report()
		return nil
	})
}

// Shutdown stops nothing: the extension has no goroutines.
func (e *Extension) Shutdown(context.Context) error {
	return e.life.Shutdown(func() error { return nil })
}

func (e *Extension) prepare() error {
	switch info, err := os.Stat(e.cfg.Directory); {
	case err == nil && !info.IsDir():
		return errors.New("expected a directory, found a file")
	case errors.Is(err, fs.ErrNotExist) && e.cfg.CreateDirectory:
		if err := e.create(); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("it does not exist, and create_directory is false")
	case err != nil:
		return err
	}
	return writable(e.cfg.Directory)
}

// create makes the directory and those above it, durably: after a power cut the queue
// would be lost with them.
func (e *Extension) create() error {
	mode, err := e.cfg.mode()
	if err != nil {
		return err
	}
	var missing []string
	for dir := filepath.Clean(e.cfg.Directory); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, dir)
	}
	if err := os.MkdirAll(e.cfg.Directory, mode); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("sync the directory above %s: %w", dir, err)
		}
	}
	return nil
}

func syncDir(path string) error {
	dir, err := vfs.At(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.SyncDir("."), dir.Close())
}

// writable returns an error if no file can be created in a directory, for another reason
// than a full disk, which ends.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".penstock-check-*")
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
