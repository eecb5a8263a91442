// Package journal is a durable log of opaque records in a folder. What Append has
// acknowledged survives the end of the process and of the machine.
//
//	Append ─┐                                   ┌─► Cursor "a": Next, Read, Ack
//	Append ─┼─► group ─► write ─► fdatasync ─► durable
//	Append ─┘      └ all of a group return          └─► Cursor "b": …
//
// # Appending
//
// One goroutine, the committer, takes all the records that wait, writes them with one
// write and one sync, and then releases all of them. While it syncs, the next ones
// gather. An append to an idle journal does not wait for others.
//
// After an error of a write or a sync nothing more is written to that file, and it is
// never synced again: what a later sync says of the same data is not true on all
// systems. Records that were not durable are written to a fresh file; if that fails
// too they are refused, and for a second everything is.
//
// # Files
//
//	LOCK                            one process at a time
//	0000000000000001-<id>.seg       records: package segment has the format
//	progress-0000000000000001       what the cursors have acknowledged: progress.go
//	quarantine/                     segments in which something was damaged
//
// The newest records whose Source is known stay in memory for a moment, so that cursors
// that keep up read no file: recent.go.
//
// Segments are preallocated, so that a write does not fail for want of space. A segment
// is removed when all cursors have passed it: first their progress is durable, then the
// file is removed, then the folder is synced.
//
// # Opening
//
// Open reads the headers of all segments, and the records of those that do not end
// with a seal: the one that was written last, as a rule. Records that follow the first
// sequence of the next segment do not count: they were not durable, and were written
// again there. New records go to a fresh segment. Where a file is damaged the records
// around it are delivered; what was lost is counted and logged, and the file is kept in
// the quarantine when it would be removed.
//
// # Cursors
//
// A Cursor is a reader with a name, whose progress survives. Records are handed out in
// their order and acknowledged in any; the journal keeps a mark, below which everything
// is acknowledged, and a bounded number of ranges above it. A record is handed out
// again if the process ended before it was acknowledged.
package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// Errors of Append. They are wrapped.
var (
	// ErrFull means that the journal has reached a bound, or the disk has.
	ErrFull = errors.New("the journal is full")
	// ErrUnavailable means that the disk fails; the record was not kept. A part of what
	// was written may have reached the disk, so after the next Open it can be there all
	// the same.
	ErrUnavailable = errors.New("the journal cannot be written")
	// ErrTooLarge means that the record never fits.
	ErrTooLarge = errors.New("the record is too large")
	// ErrClosed means that the journal was closed.
	ErrClosed = errors.New("the journal is closed")
	// ErrLocked means that another process has the folder.
	ErrLocked = vfs.ErrLocked
)

// Full is what happens to a record when MaxBytes or ReserveBytes is reached.
type Full uint8

// The choices.
const (
	// Refuse refuses the new record with ErrFull.
	Refuse Full = iota
	// DropOldest removes the oldest segment, and counts for each cursor what it had
	// not acknowledged.
	DropOldest
)

// Defaults of Options.
const (
	DefaultMaxBytes     = 10 << 30
	DefaultSegmentBytes = 64 << 20
	DefaultRecordBytes  = 128 << 20
	DefaultReserveBytes = 256 << 20
	DefaultRecentBytes  = 8 << 20
)

// Options are what Open is given. The zero value of each is its default.
type Options struct {
	// MaxBytes bounds the files of the journal, without progress and quarantine.
	// Default 10 GiB.
	MaxBytes int64
	// SegmentBytes is the size of a segment: default 64 MiB, but at most an eighth of
	// MaxBytes. On a small disk it is less: a sixteenth of it, but at least 64 KiB. A
	// larger record gets a segment of its own.
	SegmentBytes int64
	// MaxRecordBytes bounds a record, also as it was before its owner compressed it. Default
	// 128 MiB, but at most half of MaxBytes.
	MaxRecordBytes int64
	// ReserveBytes is what the journal leaves free on the disk. Default 256 MiB;
	// negative: nothing. On a disk of less than 2 GiB it is in proportion to its size:
	// of the default, an eighth of the disk.
	ReserveBytes int64
	// MaxAge is how long a record is kept that not all cursors have acknowledged. Whole
	// segments go, when the next one was begun so long ago; the newest segment stays.
	// Zero: forever.
	MaxAge time.Duration
	// WhenFull says what happens at MaxBytes and ReserveBytes.
	WhenFull Full
	// QuarantineBytes bounds the quarantine; the oldest files go first. Default: a
	// sixteenth of MaxBytes.
	QuarantineBytes int64
	// SyncProgress is how old what is durable of the cursors' progress can be at most.
	// The end of the process alone loses none. Default 1 s.
	SyncProgress time.Duration
	// Compress stores records with zstd if they get smaller by it.
	Compress bool
	// InMemory keeps the files in memory: nothing survives Close or the process, and
	// nothing is written to the folder, which is a name for logs only. Without
	// ReserveBytes nothing is reserved.
	InMemory bool
	// RecentBytes bounds the payloads of a Source that are kept in memory. Default 8 MiB;
	// negative: none are.
	RecentBytes int64
	// Logger gets damage, failures of the disk and their end. nil is silence.
	Logger *slog.Logger

	slot  int64  // of the progress; tests make it small
	first uint64 // sequence and segment number of a journal that is new; tests begin high
}

func (o Options) orDefaults() Options {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.MaxBytes, DefaultMaxBytes)
	def(&o.SegmentBytes, min(DefaultSegmentBytes, max(o.MaxBytes/8, minSegment)))
	def(&o.MaxRecordBytes, min(DefaultRecordBytes, o.MaxBytes/2))
	def(&o.ReserveBytes, DefaultReserveBytes)
	def(&o.QuarantineBytes, o.MaxBytes/16)
	if o.InMemory {
		def(&o.RecentBytes, -1)
	}
	def(&o.RecentBytes, DefaultRecentBytes)
	def(&o.slot, slotSize)
	o.first = max(o.first, 1)
	if o.SyncProgress == 0 {
		o.SyncProgress = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// fit makes segments small on a small disk, so that it is filled and emptied in parts.
func (o *Options) fit(fs vfs.FS, dir string) {
	_, total, err := fs.Space()
	if err != nil {
		return // if it lasts, nothing is appended
	}
	o.SegmentBytes = min(o.SegmentBytes, max(total/16, smallSegment))
	if o.MaxBytes > total-o.reserve(total) {
		o.Logger.Info("the disk is smaller than the bound of the journal: it is full when only the reserve is free",
			slog.String("folder", dir), slog.Int64("disk_bytes", total), slog.Int64("bound_bytes", o.MaxBytes), slog.Int64("reserve_bytes", o.reserve(total)))
	}
}

// reserve is ReserveBytes of a disk of total bytes.
func (o *Options) reserve(total int64) int64 {
	switch {
	case o.ReserveBytes < 0:
		return 0
	case total >= smallDisk:
		return o.ReserveBytes
	}
	return int64(float64(o.ReserveBytes) * float64(total) / smallDisk)
}

const (
	// minSegment is the least size of a segment, smallSegment the least that is chosen.
	minSegment   = 4096
	smallSegment = 64 << 10
	// smallDisk is the size below which the reserve is smaller.
	smallDisk = 2 << 30
)

// Validate returns what is wrong.
func (o Options) Validate() error {
	d := o.orDefaults()
	switch {
	case d.MaxBytes < 2*d.SegmentBytes:
		return fmt.Errorf("MaxBytes is %d, expected at least two segments of %d bytes", d.MaxBytes, d.SegmentBytes)
	case d.SegmentBytes < minSegment:
		return fmt.Errorf("SegmentBytes is %d, expected at least %d", d.SegmentBytes, minSegment)
	case d.MaxRecordBytes < 0 || d.MaxRecordBytes > maxRecord:
		return fmt.Errorf("MaxRecordBytes is %d, expected at most %d", d.MaxRecordBytes, int64(maxRecord))
	case d.SyncProgress < 0:
		return fmt.Errorf("SyncProgress is %v, expected more than 0", d.SyncProgress)
	case d.MaxAge < 0:
		return fmt.Errorf("MaxAge is %v, expected 0 or more", d.MaxAge)
	}
	return nil
}

// maxRecord is what the format can have.
const maxRecord = 1<<31 - 1

// Journal is an open log. It is safe for concurrent use.
type Journal struct {
	opts Options
	dir  string
	fs   vfs.FS
	lock io.Closer

	mu        sync.Mutex
	changed   *sync.Cond // of mu: something waits to be appended, a write has ended, or the journal closes
	queue     []*pending
	closing   bool
	closed    bool
	segments  []*seg         // in their order
	active    *seg           // the last of segments, if it can be written
	next      uint64         // sequence of the next record; all before are durable
	totals    segment.Totals // of all records before next
	nextNum   uint64         // number of the next segment
	atRisk    uint64         // a new cursor begins at the oldest record while there are any before this one
	more      chan struct{}  // closed when next grows, or at the end
	recent    recent
	cursors   map[string]*Cursor
	views     map[*Cursor]bool
	leftovers map[string]bool // files whose removal failed
	stats     Stats
	// progressDirty says that a cursor has changed since the progress was made durable.
	progressDirty bool
	version       uint64 // of what the progress has; it grows with each change

	outage  outage
	full    outage       // of room
	removed atomic.Int64 // segments, since Open
	scratch []byte       // the committer's
	parts   [][]byte     // the committer's

	files              files
	progress           progress
	tidying            sync.Mutex // held while segments are removed
	committer, cleaner sync.WaitGroup
	wake               chan struct{} // the cleaner has something to do
	stop               chan struct{} // closed by Close
	closeOnce          sync.Once
	closeErr           error
}

// Open opens the journal in dir, and creates what is missing; dir itself is created
// with mode 0700. ErrLocked means that another process has it.
func Open(dir string, o Options) (*Journal, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open the journal %s: %w", dir, err)
	}
	j, err := open(dir, o.orDefaults())
	if err != nil {
		return nil, fmt.Errorf("open the journal %s: %w", dir, err)
	}
	return j, nil
}

func open(dir string, o Options) (_ *Journal, err error) {
	fs, err := o.folder(dir)
	if err != nil {
		return nil, err
	}
	lock, err := fs.Lock("LOCK")
	if err != nil {
		return nil, errors.Join(err, fs.Close())
	}
	o.fit(fs, dir)
	j := &Journal{opts: o, dir: dir, fs: fs, lock: lock, next: o.first, nextNum: o.first,
		more: make(chan struct{}), cursors: map[string]*Cursor{}, views: map[*Cursor]bool{}, leftovers: map[string]bool{},
		wake: make(chan struct{}, 1), stop: make(chan struct{})}
	j.outage.begins, j.outage.ends = "the journal cannot be written: records are refused; it is tried again each second", "the journal can be written again"
	j.full.begins, j.full.ends = "the journal is full: records are refused until there is room", "the journal has room again"
	j.changed = sync.NewCond(&j.mu)
	j.files.fs = fs
	j.recent.max = o.RecentBytes
	j.progress.slot = o.slot
	if err := j.recover(); err != nil {
		return nil, errors.Join(err, j.release())
	}
	j.committer.Go(j.commit)
	j.cleaner.Go(j.clean)
	return j, nil
}

// folder is where the files of the journal are.
func (o Options) folder(dir string) (vfs.FS, error) {
	if o.InMemory {
		return vfs.NewMemory(), nil
	}
	return folder(dir)
}

// folder opens dir. If it is missing it is created, and the folders above too; each is
// synced into the one above, so that it is there after a power cut.
func folder(dir string) (vfs.FS, error) {
	fs, err := vfs.At(dir)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return fs, err
	}
	above := filepath.Dir(filepath.Clean(dir))
	if above == filepath.Clean(dir) {
		return nil, err
	}
	parent, err := folder(above)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := parent.SyncDir("."); err != nil {
		return nil, err
	}
	return vfs.At(dir)
}

// MaxBytes returns the bound of the journal's files.
func (j *Journal) MaxBytes() int64 { return j.opts.MaxBytes }

// Close appends what waits, makes everything durable, and releases the folder. Cursors
// that wait return ErrClosed. It may be called again, and returns the same then.
func (j *Journal) Close() error {
	j.closeOnce.Do(func() { j.closeErr = j.close() })
	return j.closeErr
}

func (j *Journal) close() error {
	j.mu.Lock()
	j.closing = true
	j.changed.Broadcast()
	j.mu.Unlock()
	j.committer.Wait()
	close(j.stop)
	j.cleaner.Wait()
	j.mu.Lock()
	j.closed = true
	j.recent.evict(j.next)
	active := j.active
	j.active = nil
	close(j.more)
	j.mu.Unlock()
	if err := errors.Join(j.saveProgress(true), j.sealAtEnd(active), j.release()); err != nil {
		return fmt.Errorf("close the journal %s: %w", j.dir, err)
	}
	return nil
}

// release closes all files and ends the lock.
func (j *Journal) release() error {
	j.files.close()
	return errors.Join(j.progress.close(), j.lock.Close(), j.fs.Close())
}

// sealAtEnd seals the segment that was written last, durably.
func (j *Journal) sealAtEnd(s *seg) error {
	if s == nil {
		return nil
	}
	err := j.seal(s)
	if err == nil {
		err = s.file.Sync()
	}
	return errors.Join(err, s.file.Close())
}

func (j *Journal) isClosing() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closing
}
