package fileexporter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

const (
	prefixBytes = 4
	// maxPendingBytes is how much may wait in memory with a flush_interval, and how
	// long a record is at most that is copied to be written in one go.
	maxPendingBytes = 1 << 20
	fileMode        = 0o600
)

// file is what a recordFile needs of an *os.File. It was opened to append:
// writes go to the end, wherever that is.
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// recordFile appends whole records to a file, or nothing. Its user calls one
// method at a time.
type recordFile struct {
	path     string
	cont     bool // continue what is there
	buffered bool
	rotation *Rotation // nil: never
	framing  framing
	log      *slog.Logger
	open     func(path string, flag int) (file, error)
	now      func() time.Time

	f       file              // nil: to be opened
	regular bool              // it can be truncated and renamed: not a pipe, not a device
	size    int64             // bytes of f in whole records
	torn    bool              // behind size there is a part of a record
	pending []byte            // whole records on their way to f
	prefix  [prefixBytes]byte // of a record that is not copied to pending
}

func newRecordFile(cfg Config, log *slog.Logger) *recordFile {
	return &recordFile{
		path: cfg.Path, cont: cfg.Append || cfg.Rotation != nil,
		buffered: cfg.FlushInterval > 0, rotation: cfg.Rotation, framing: framingOf(&cfg), log: log,
		open: func(path string, flag int) (file, error) { return os.OpenFile(path, flag, fileMode) },
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

// ensureOpen opens the file again if a rotation ended half way.
func (r *recordFile) ensureOpen() error {
	if r.f != nil {
		return nil
	}
	return r.reopen(false)
}

// reopen opens the file, emptied or to be continued behind its last whole record.
func (r *recordFile) reopen(empty bool) error {
	flag := os.O_CREATE | os.O_RDWR | os.O_APPEND
	if empty {
		flag |= os.O_TRUNC
	}
	f, err := r.open(r.path, flag)
	if err != nil {
		return fmt.Errorf("opening the file: %w", err)
	}
	r.f, r.size, r.torn = f, 0, false
	info, err := f.Stat()
	if err == nil {
		if r.regular = info.Mode().IsRegular(); r.regular && info.Size() > 0 {
			err = r.repair(info.Size())
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("looking at the end of %s: %w", r.path, err), r.letGo())
	}
	return nil
}

// repair finds the end of the last whole record in size bytes, and cuts off what
// a crash left behind it. A file in which there is no whole record at all may be
// anything: it is put aside, not emptied.
func (r *recordFile) repair(size int64) error {
	whole, err := r.framing.whole(r.f, size)
	switch {
	case err != nil:
		return err
	case whole == size:
		r.size = size
		return nil
	case whole == 0:
		backup, err := r.putAside()
		if err != nil {
			return err
		}
		r.log.Warn("the file was put aside, since it does not begin with a whole record", "path", r.path, "now", backup)
		return r.reopen(false)
	}
	if err := r.f.Truncate(whole); err != nil {
		return err
	}
	r.log.Warn("the file ended inside a record, which was cut off", "path", r.path, "bytes", size-whole)
	r.size = whole
	return nil
}

// append writes one record, or leaves it in memory. It is one write with what
// is around it, so that another process that appends to the file comes before or
// after; a record too long to be copied is two. No request is longer than
// 2^31-1 bytes, and zstd adds little to the worst, so any length fits.
func (r *recordFile) append(record []byte) error {
	n := r.framing.around + len(record)
	before := r.framing.before(&r.prefix, len(record))
	if err := r.makeRoom(n); err != nil {
		return err
	}
	if n <= maxPendingBytes {
		r.pending = append(append(append(r.pending, before...), record...), r.framing.after...)
		if r.buffered {
			return nil
		}
		err := r.flush()
		r.pending = r.pending[:0] // a record that was refused does not wait
		return err
	}
	return r.write(before, record, r.framing.after)
}

// makeRoom rotates the file and empties the memory if a record of n bytes asks
// for it.
func (r *recordFile) makeRoom(n int) error {
	if err := r.ensureOpen(); err != nil {
		return err
	}
	used := r.size + int64(len(r.pending))
	full := r.rotation != nil && r.regular && used > 0 && used+int64(n) > r.rotation.maxFileBytes()
	if full || len(r.pending)+n > maxPendingBytes {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if full {
		if err := r.cutTorn(); err != nil {
			return err // else the part of a record would go into the backup
		}
		return r.rotate()
	}
	return nil
}

// flush writes what waits in memory. If that fails it keeps waiting.
func (r *recordFile) flush() error {
	if len(r.pending) == 0 {
		return nil
	}
	if err := r.write(r.pending); err != nil {
		return err
	}
	r.pending = r.pending[:0]
	return nil
}

// write appends parts of whole records to the file. After an error the file is
// as it was before.
func (r *recordFile) write(parts ...[]byte) error {
	if err := r.ensureOpen(); err != nil {
		return err
	}
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
			err = fmt.Errorf("writing to %s: %w", r.path, err)
			if !r.regular { // what a pipe has taken cannot be cut off; its reader starts anew
				return errors.Join(err, r.letGo())
			}
			r.torn = written > 0
			return errors.Join(err, r.cutTorn())
		}
	}
	r.size += written
	return nil
}

// cutTorn removes the part of a record that a failed write left. As long as that
// fails too nothing can be written.
func (r *recordFile) cutTorn() error {
	if !r.torn {
		return nil
	}
	if err := r.f.Truncate(r.size); err != nil {
		return fmt.Errorf("cutting off a part of a record from %s: %w", r.path, err)
	}
	r.torn = false
	return nil
}

// close writes what waits in memory and closes the file.
func (r *recordFile) close() error {
	err := r.flush()
	if err != nil {
		err = fmt.Errorf("%d bytes in memory are lost: %w", len(r.pending), err)
	}
	return errors.Join(err, r.cutTorn(), r.letGo())
}

// letGo closes the file, if it is open.
func (r *recordFile) letGo() error {
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	if err != nil {
		return fmt.Errorf("closing %s: %w", r.path, err)
	}
	return nil
}
