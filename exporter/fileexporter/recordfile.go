package fileexporter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
)

const (
	prefixBytes = 4
	// maxPendingBytes is the maximum size of the buffer, and of a record that is
	// copied to be written with one call.
	maxPendingBytes = 1 << 20
)

// file has the methods of *os.File that a recordFile needs. It is opened for
// appending: every write goes to the end of the file.
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Stat() (fs.FileInfo, error)
}

// recordFile appends complete records to a file. It is not safe for concurrent
// use.
type recordFile struct {
	path     string
	cont     bool      // append to an existing file
	buffered bool      // records stay in pending if they cannot be written
	synced   bool      // write returns when the disk has the records
	rotation *Rotation // nil means never
	framing  framing
	log      *slog.Logger
	open     func(path string, flag int) (file, error)
	stat     func(path string) (fs.FileInfo, error)
	now      func() time.Time

	f       file              // nil if it must be opened
	ours    fs.FileInfo       // which file f is
	regular bool              // a regular file, which can be truncated and renamed
	size    int64             // bytes of f in complete records
	torn    bool              // after size there is an incomplete record
	pending []byte            // complete records to be written to f
	prefix  [prefixBytes]byte // of a record that is not copied to pending
}

func newRecordFile(cfg Config, log *slog.Logger) *recordFile {
	mode, _ := cfg.fileMode() // Validate has checked it
	return &recordFile{
		path: cfg.Path, cont: cfg.Append || cfg.Rotation != nil,
		buffered: cfg.buffered(), synced: cfg.Acknowledge == acknowledgeSynced, rotation: cfg.Rotation, framing: framingOf(&cfg), log: log,
		open: func(path string, flag int) (file, error) { return os.OpenFile(path, flag, mode) },
		stat: os.Stat,
		now:  time.Now,
	}
}

// start opens the file for the first time.
func (r *recordFile) start() error {
	if err := r.reopen(!r.cont); err != nil {
		return err
	}
	r.prune()
	return nil
}

// ensureOpen opens the file again if a rotation failed.
func (r *recordFile) ensureOpen() error {
	if r.f != nil {
		return nil
	}
	return r.reopen(false)
}

// reopen opens the file. It truncates the file if empty is set, otherwise it
// appends after the last complete record.
func (r *recordFile) reopen(empty bool) error {
	flag := os.O_CREATE | os.O_RDWR | os.O_APPEND
	if empty {
		flag |= os.O_TRUNC
	}
	f, err := r.open(r.path, flag)
	if err != nil {
		return fmt.Errorf("open the file: %w", err)
	}
	r.f, r.size, r.torn = f, 0, false
	info, err := f.Stat()
	if err == nil {
		r.ours = info
		if r.regular = info.Mode().IsRegular(); r.regular && info.Size() > 0 {
			err = r.repair(info.Size())
		}
	}
	if err == nil {
		err = r.syncEntry()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("find the end of the last record in %s: %w", r.path, err), r.closeFile())
	}
	return nil
}

// repair finds the end of the last complete record in size bytes, and removes an
// incomplete record of a crash. A file that has anything else is not changed, but
// renamed: other records would be lost, and a reader could not read the file.
func (r *recordFile) repair(size int64) error {
	whole, err := r.framing.whole(r.f, size)
	var other *otherFormatError
	switch {
	case err == nil && whole == size:
		r.size = size
		return nil
	case err == nil && whole == 0:
		return r.startAnother("it does not begin with a complete record")
	case errors.As(err, &other):
		return r.startAnother(other.reason)
	case err != nil:
		return err
	}
	if err := r.f.Truncate(whole); err != nil {
		return err
	}
	r.log.Warn("the incomplete record at the end of the file was removed", "path", r.path, "bytes", size-whole)
	r.size = whole
	return nil
}

// startAnother renames the file and opens a new one.
func (r *recordFile) startAnother(reason string) error {
	name, err := r.putAside(otherSuffix)
	if err != nil {
		return err
	}
	r.log.Warn("the file does not have the configured format; it was renamed, and a new one is written", "path", r.path, "now", name, "reason", reason)
	return r.reopen(false)
}

// append adds one record to those that flush writes; a record that is too large to be
// copied is written immediately. The records of one write, with their framing, are
// written with one call, so that another process that appends to the file writes before
// or after them; a record that is too large needs more calls.
// Requests have at most 2^31-1 bytes, and zstd adds little in the worst case, so
// the length always fits the prefix.
func (r *recordFile) append(record []byte) error {
	n := r.framing.around + len(record)
	before := r.framing.before(&r.prefix, len(record))
	if err := r.makeRoom(n); err != nil {
		return err
	}
	if n <= maxPendingBytes {
		r.pending = append(append(append(r.pending, before...), record...), r.framing.after...)
		return nil
	}
	return r.write(before, record, r.framing.after)
}

// appendTo implements output: there is one path.
func (r *recordFile) appendTo(_ string, record []byte) error { return r.append(record) }

// fits reports whether append adds a record of n bytes without writing others.
func (r *recordFile) fits(n int) bool {
	n += r.framing.around
	return len(r.pending)+n <= maxPendingBytes && !r.full(n)
}

// full reports whether the file has no room for n more bytes, and must be rotated.
func (r *recordFile) full(n int) bool {
	used := r.size + int64(len(r.pending))
	return r.rotation != nil && r.regular && used > 0 && used+int64(n) > r.rotation.maxFileBytes()
}

// makeRoom rotates the file and flushes the buffer if a record of n bytes
// requires it.
func (r *recordFile) makeRoom(n int) error {
	if err := r.ensureOpen(); err != nil {
		return err
	}
	full := r.full(n)
	if full || len(r.pending)+n > maxPendingBytes {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if full {
		if err := r.cutTorn(); err != nil {
			return err // otherwise the backup would contain an incomplete record
		}
		return r.rotate()
	}
	return nil
}

// flush writes the pending records. If that fails, those that are buffered stay, and
// others are refused.
func (r *recordFile) flush() error {
	if len(r.pending) == 0 {
		return nil
	}
	err := r.write(r.pending)
	if err == nil || !r.buffered {
		r.pending = r.pending[:0]
	}
	return err
}

// follow opens the file again if it is no longer the one at the path: another program
// has renamed it, as logrotate does, or removed it.
func (r *recordFile) follow() error {
	if r.f == nil || !r.regular {
		return nil
	}
	switch at, err := r.stat(r.path); {
	case err == nil && os.SameFile(r.ours, at):
		if at.Size() < r.size && !r.torn {
			r.size = at.Size() // it was truncated, as logrotate does with copytruncate
		}
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look at %s: %w", r.path, err)
	}
	r.log.Info("the file was renamed or removed by another program, a new one is written", "path", r.path)
	if err := errors.Join(r.cutTorn(), r.closeFile()); err != nil {
		return err
	}
	return r.reopen(false)
}

// maxFollow is how often a record is written again if its file is removed each time.
const maxFollow = 3

// write appends parts of complete records to the file at the path. After an error the
// file is unchanged.
func (r *recordFile) write(parts ...[]byte) error {
	for range maxFollow {
		if err := errors.Join(r.follow(), r.ensureOpen()); err != nil {
			return err
		}
		if err := r.writeParts(parts); err != nil {
			return err
		}
		if info, err := r.f.Stat(); !r.regular || err != nil || !removed(info) {
			return nil
		}
		// It was removed before or after the record was written: it would be lost.
	}
	return fmt.Errorf("write to %s: another program removes the file each time", r.path)
}

// writeParts is write without a look at the path.
func (r *recordFile) writeParts(parts [][]byte) error {
	if err := r.cutTorn(); err != nil {
		return err
	}
	written := int64(0)
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		n, err := r.f.Write(p)
		written += int64(n)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		if err != nil {
			err = fmt.Errorf("write to %s: %w", r.path, err)
			if !r.regular { // a pipe cannot be truncated: close it, so that its reader starts again
				return errors.Join(err, r.closeFile())
			}
			r.torn = written > 0
			return errors.Join(err, r.cutTorn())
		}
	}
	if err := r.sync(); err != nil {
		// What a later sync says of these records is not true on all systems.
		r.torn = true
		return errors.Join(err, r.cutTorn())
	}
	r.size += written
	return nil
}

// sync makes what was written durable, if the configuration asks for it.
func (r *recordFile) sync() error {
	if !r.synced || !r.regular {
		return nil
	}
	if err := r.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", r.path, err)
	}
	return nil
}

// syncEntry makes durable that the file is in its folder.
func (r *recordFile) syncEntry() error {
	if !r.synced || !r.regular {
		return nil
	}
	dir, err := vfs.At(filepath.Dir(r.path))
	if err == nil {
		err = errors.Join(dir.SyncDir("."), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("sync the folder of %s: %w", r.path, err)
	}
	return nil
}

// cutTorn removes the incomplete record of a failed write. As long as that fails
// nothing can be written.
func (r *recordFile) cutTorn() error {
	if !r.torn {
		return nil
	}
	if err := r.f.Truncate(r.size); err != nil {
		return fmt.Errorf("remove an incomplete record from %s: %w", r.path, err)
	}
	r.torn = false
	return nil
}

// close writes the buffered records and closes the file.
func (r *recordFile) close() error {
	err := r.flush()
	if err != nil {
		err = fmt.Errorf("write %d buffered bytes, which are lost: %w", len(r.pending), err)
	}
	return errors.Join(err, r.cutTorn(), r.closeFile())
}

// closeFile closes the file if it is open.
func (r *recordFile) closeFile() error {
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", r.path, err)
	}
	return nil
}
