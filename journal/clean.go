package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"
)

// tend wakes the cleaner.
func (j *Journal) tend() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// dirty says that the progress has changed. The mutex is held.
func (j *Journal) dirty() {
	j.progressDirty = true
	j.version++
}

// signalMore wakes all cursors. The mutex is held.
func (j *Journal) signalMore() {
	if j.closed {
		return
	}
	close(j.more)
	j.more = make(chan struct{})
}

// clean is the cleaner: it makes progress durable and removes what nobody needs.
func (j *Journal) clean() {
	tick := time.NewTicker(j.opts.SyncProgress)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-j.wake:
		case <-tick.C:
			j.mu.Lock()
			dirty := j.progressDirty
			j.recent.tick()
			j.mu.Unlock()
			if dirty || j.progress.isDirty() {
				_ = j.saveProgress(true) // it has logged the error, and tries again
			}
			j.dropOld()
			j.removeLeftovers()
		}
		j.removePassed()
	}
}

// passed is how many segments at the beginning all cursors have passed. The mutex is
// held.
func (j *Journal) passed() (n int) {
	if len(j.cursors) == 0 {
		return 0
	}
	for _, s := range j.segments {
		if s == j.active {
			return n
		}
		for _, c := range j.cursors {
			if c.low < s.next {
				return n
			}
		}
		for v := range j.views {
			if v.low < s.next {
				return n
			}
		}
		n++
	}
	return n
}

// removePassed removes the segments that all cursors have passed: first their progress
// becomes durable, then the files go, then the folder is synced.
func (j *Journal) removePassed() {
	j.tidying.Lock()
	defer j.tidying.Unlock()
	j.mu.Lock()
	passed := slices.Clone(j.segments[:j.passed()])
	j.mu.Unlock()
	if len(passed) == 0 {
		return
	}
	if err := j.removeFiles(passed); err != nil {
		j.opts.Logger.Warn("segments that nobody needs were not removed; it is tried again", slog.Any("error", err))
	}
}

// removeFiles removes segments that no cursor needs any more. tidying is held.
func (j *Journal) removeFiles(segments []*seg) error {
	if planted(unlinkBeforeProgress) {
		defer j.saveProgress(true)
	} else if err := j.saveProgress(true); err != nil {
		return err
	}
	for _, s := range segments {
		j.mu.Lock()
		damaged := s.damaged
		j.mu.Unlock()
		remove := j.discardSegment
		if damaged {
			remove = j.quarantine
		}
		if err := remove(s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		j.files.forget(s.name)
		j.mu.Lock()
		j.remove(s)
		j.mu.Unlock()
		j.removed.Add(1)
	}
	return j.fs.SyncDir(".")
}

func (j *Journal) discardSegment(s *seg) error { return j.fs.Remove(s.name) }

// remove takes s out of the list. The mutex is held.
func (j *Journal) remove(s *seg) {
	j.recent.evict(s.next)
	if i := slices.Index(j.segments, s); i >= 0 {
		j.segments = slices.Delete(slices.Clone(j.segments), i, i+1)
	}
}

// removeLeftovers removes files that could not be removed before.
func (j *Journal) removeLeftovers() {
	j.mu.Lock()
	names := make([]string, 0, len(j.leftovers))
	for name := range j.leftovers {
		names = append(names, name)
	}
	j.mu.Unlock()
	for _, name := range names {
		if err := j.fs.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			j.mu.Lock()
			delete(j.leftovers, name)
			j.mu.Unlock()
		}
	}
}

// shrink removes what may go to make room for new records, and reports whether more
// segments than removed have been removed since Open: whether to try again.
func (j *Journal) shrink(removed int64) bool {
	j.removePassed()
	if j.removed.Load() > removed {
		return true
	}
	if j.opts.WhenFull != DropOldest {
		return false
	}
	dropped, err := j.dropFirst("there is no room for new ones")
	if err != nil {
		j.opts.Logger.Warn("a segment was not removed; it is tried again", slog.Any("error", err))
	}
	return dropped && err == nil
}

// hasRoom reports whether a segment of size bytes may be made. The error is ErrFull if
// not.
func (j *Journal) hasRoom(size int64) error {
	j.mu.Lock()
	used := j.bytes()
	j.mu.Unlock()
	if used+size > j.opts.MaxBytes {
		return fmt.Errorf("%w: it has %d bytes, and another segment of %d goes beyond its bound of %d", ErrFull, used, size, j.opts.MaxBytes)
	}
	if j.opts.ReserveBytes < 0 {
		return nil
	}
	free, total, err := j.fs.Space()
	if err != nil {
		return err
	}
	if reserve := j.opts.reserve(total); free-size < reserve {
		return fmt.Errorf("%w: the disk has %d bytes free of %d, and another segment of %d needs some of the reserve of %d", ErrFull, free, total, size, reserve)
	}
	return nil
}

// dropFirst removes the oldest segment, whether it was acknowledged or not.
func (j *Journal) dropFirst(why string) (dropped bool, err error) {
	j.tidying.Lock()
	defer j.tidying.Unlock()
	j.mu.Lock()
	if len(j.segments) == 0 || j.segments[0] == j.active {
		j.mu.Unlock()
		return false, nil
	}
	s := j.segments[0]
	for _, name := range sortedNames(j.cursors) {
		c := j.cursors[name]
		missed := c.settle(span{c.low, s.next, c.base, s.end})
		c.dropped = c.dropped.plus(missed)
		if missed.Records > 0 {
			j.opts.Logger.Warn("records of the journal were dropped: "+why, slog.String("cursor", name), slog.String("segment", s.name),
				slog.Uint64("records", missed.Records), slog.Uint64("units", missed.Units), slog.Uint64("bytes", missed.Bytes))
		}
	}
	j.dirty()
	j.mu.Unlock()
	return true, j.removeFiles([]*seg{s})
}

// dropOld removes segments whose newest record is older than MaxAge.
func (j *Journal) dropOld() {
	if j.opts.MaxAge == 0 {
		return
	}
	for {
		j.mu.Lock()
		old := len(j.segments) > 1 && time.Since(j.segments[1].created) > j.opts.MaxAge
		j.mu.Unlock()
		if !old {
			return
		}
		if dropped, err := j.dropFirst("they are older than the bound"); err != nil || !dropped {
			return // removeFiles is tried again with what was passed
		}
	}
}

// Stats are counts since Open, and what is there now.
type Stats struct {
	Records, Groups, Syncs int64
	SyncTime               time.Duration
	RefusedRecords         int64
	FailedFiles            int64 // that are not written any more after an error
	TornBytes              int64 // of writes that were cut short, found by Open
	ScannedSegments        int   // by Open
	Quarantined            int64

	Next     uint64 // sequence of the next record
	Segments int
	Bytes    int64 // on the disk
	MaxBytes int64
	Stored   Held  // what the segments have
	Written  int64 // of Bytes those that have content
	Err      error // why records are refused now, as the last one was; nil if they are not
}

// Stats returns the counts.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Next, s.Segments, s.Bytes, s.MaxBytes, s.Err = j.next, len(j.segments), j.bytes(), j.opts.MaxBytes, cmp.Or(j.outage.now(), j.full.now())
	for _, seg := range j.segments {
		s.Stored.add(span{seg.first, seg.next, seg.begin, seg.end})
		s.Written += seg.written
	}
	return s
}
