package control

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/journal"
)

// Storage are the dead letters in the directory of a storage.
type Storage struct {
	Letters map[string]Letters // by pipeline

	opened []*delivery.DeadLetters
	client *http.Client
}

// Open opens the dead letters of all pipelines in a directory, or finds that a
// process has them, which is asked when they are used. It creates no folder.
func Open(storage string, log *slog.Logger) (_ *Storage, err error) {
	if _, err := os.Stat(Folder(storage)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the dead letters in %s: there is no folder %q in it; expected the directory of a file_storage with a queue", storage, filepath.Base(Folder(storage)))
	}
	entries, err := os.ReadDir(DeadLetters(storage))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the dead letters in %s: %w", storage, err)
	}
	s := &Storage{Letters: map[string]Letters{}, client: connect(storage)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, e := range entries {
		pipeline, err := url.PathUnescape(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		if s.Letters[pipeline], err = s.open(storage, pipeline, e.Name(), log); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// open opens the letters of a pipeline.
func (s *Storage) open(storage, pipeline, name string, log *slog.Logger) (Letters, error) {
	d, err := delivery.OpenDeadLetters(filepath.Join(DeadLetters(storage), name), log)
	if err == nil {
		s.opened = append(s.opened, d)
		return local{pipeline, d}, nil
	}
	if !errors.Is(err, journal.ErrLocked) {
		return nil, err
	}
	return remote{pipeline, s.client, filepath.Join(Folder(storage), socketName), err}, nil
}

// Close closes what was opened.
func (s *Storage) Close() error {
	s.client.CloseIdleConnections()
	var errs []error
	for _, d := range s.opened {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
