// Package watched reads a file again when it has changed, for settings that
// change while the process runs: passwords, tokens, keys.
//
//	Get ──► looked less than a second ago? ─yes─► what is there
//	              │no
//	              └► read, same bytes? ─yes─► what is there
//	                        │no
//	                        └► parse ─ok─► the new one
//	                             └─error─► what is there, and one line in the log
//
// There is no goroutine and no file notification: who asks looks, at most once a
// second, and the bytes decide. So a file may be rewritten in place, renamed over
// or be a symbolic link that is turned around (as in a mounted Kubernetes secret).
//
// The one trap: a file that is being written may be read half. Parsers must
// refuse what is cut off where they can. An empty file counts only when it was
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

// LookEvery is how long a look at the file is good for.
const LookEvery = time.Second

// MaxBytes bounds the file.
const MaxBytes = 4 << 20

// File is a file's content as a T. It is safe for concurrent use.
type File[T any] struct {
	path  string
	parse func(content []byte) (T, error)
	log   *slog.Logger
	now   func() time.Time

	current atomic.Pointer[T]

	mu     sync.Mutex // held by the one who looks; guards what follows
	next   time.Time
	sum    [sha256.Size]byte // of the bytes behind current
	empty  bool              // the last look found an empty file
	failed bool              // the last look is in the log already
}

// New makes a File and reads nothing. parse must not keep the bytes; its error
// must not repeat them.
func New[T any](path string, log *slog.Logger, parse func(content []byte) (T, error)) *File[T] {
	return &File[T]{path: path, parse: parse, log: log, now: time.Now}
}

// Load reads the file, whenever the last look was.
func (f *File[T]) Load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.look()
}

// Get returns the content, after a look at the file if one is due. It returns
// nil as long as the file could never be read.
func (f *File[T]) Get() *T {
	// Who finds another looking goes on with what is there, if there is anything.
	if f.current.Load() == nil {
		f.mu.Lock()
	} else if !f.mu.TryLock() {
		return f.current.Load()
	}
	defer f.mu.Unlock()
	if f.now().Before(f.next) {
		return f.current.Load()
	}
	err := f.look()
	switch {
	case err != nil && !f.failed:
		f.log.Warn("a file cannot be read again; what was read before stays in use", slog.Any("error", err))
	case err == nil && f.failed:
		f.log.Info("a file can be read again", slog.String("path", f.path))
	}
	f.failed = err != nil
	return f.current.Load()
}

// look reads the file and takes over what has changed. mu is held.
func (f *File[T]) look() error {
	defer func() { f.next = f.now().Add(LookEvery) }()
	content, err := f.read()
	if err != nil {
		return err
	}
	empty := len(bytes.TrimSpace(content)) == 0
	first := empty && !f.empty
	f.empty = empty
	if first && f.current.Load() != nil {
		return fmt.Errorf("read %s: it is empty; if it still is at the next look, that counts", f.path)
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
		f.log.Info("a file has changed and was read again", slog.String("path", f.path))
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
