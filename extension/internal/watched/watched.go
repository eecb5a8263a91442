// Package watched reads a file again when it has changed, for settings that
// change while the process runs: passwords, tokens, keys.
//
//	Get ──► checked less than a second ago? ─yes─► the current value
//	              │no
//	              └► read, same bytes? ─yes─► the current value
//	                        │no
//	                        └► parse ─ok─► the new value
//	                             └─error─► the current value, and one line in the log
//
// There is no goroutine and no file notification: Get reads the file, at most once
// a second, and compares the bytes. So a file may be rewritten in place, replaced
// by a rename, or be a symbolic link whose target changes (as in a mounted
// Kubernetes secret).
//
// The one trap: a file may be read while it is being written. Parsers must
// reject truncated contents if they can. An empty file is used only if it was
// empty twice in a row.
package watched

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// CheckEvery is the minimum time between two reads of the file.
const CheckEvery = time.Second

// MaxBytes is the maximum size of the file.
const MaxBytes = 4 << 20

// File is the parsed content of a file. It is safe for concurrent use.
type File[T any] struct {
	path  string
	parse func(content []byte) (T, error)
	log   *slog.Logger
	now   func() time.Time

	current atomic.Pointer[T]

	mu     sync.Mutex // held while the file is checked; guards the fields below
	next   time.Time
	sum    [sha256.Size]byte // of the content of current
	empty  bool              // the file was empty at the last check
	failed bool              // the last check failed and was logged
}

// New creates a File and does not read it. parse must not keep the bytes; its
// error must not contain them.
func New[T any](path string, log *slog.Logger, parse func(content []byte) (T, error)) *File[T] {
	return &File[T]{path: path, parse: parse, log: log, now: time.Now}
}

// Load reads the file, independently of the last check.
func (f *File[T]) Load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.check()
}

// Get returns the content, after checking the file if that is due. It returns
// nil if the file has never been read successfully.
func (f *File[T]) Get() *T {
	// If another call is checking the file, use the current value, if there is
	// one.
	if f.current.Load() == nil {
		f.mu.Lock()
	} else if !f.mu.TryLock() {
		return f.current.Load()
	}
	defer f.mu.Unlock()
	if f.now().Before(f.next) {
		return f.current.Load()
	}
	err := f.check()
	switch {
	case err != nil && !f.failed:
		f.log.Warn("reloading a file failed; the previous content stays in use", slog.Any("error", err))
	case err == nil && f.failed:
		f.log.Info("reloading a file works again", slog.String("path", f.path))
	}
	f.failed = err != nil
	return f.current.Load()
}

// check reads the file and parses it if it has changed. The caller holds mu.
func (f *File[T]) check() error {
	defer func() { f.next = f.now().Add(CheckEvery) }()
	content, err := f.read()
	if err != nil {
		return err
	}
	empty := len(bytes.TrimSpace(content)) == 0
	first := empty && !f.empty
	f.empty = empty
	if first && f.current.Load() != nil {
		return fmt.Errorf("read %s: the file is empty; the previous content stays in use until the next check", f.path)
	}
	sum := sha256.Sum256(content)
	if f.current.Load() != nil && sum == f.sum {
		return nil
	}
	value, err := f.parse(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	again := f.current.Swap(&value) != nil
	f.sum = sum
	if again {
		f.log.Info("a changed file was reloaded", slog.String("path", f.path))
	}
	return nil
}

func (f *File[T]) read() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("read %s: expected at most %d bytes, found more", f.path, MaxBytes)
	}
	return content, nil
}
