package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

const (
	// maxGroup bounds the bytes of a group: how long a record waits for others.
	maxGroup = 8 << 20
	// direct is the size from which on a payload is written from the memory of the
	// caller instead of being copied behind others first.
	direct = 64 << 10
	// freshFiles is how many fresh files a group is tried in.
	freshFiles = 2
)

// retryAfter is how long appends are refused after a failure of the disk.
var retryAfter = time.Second // tests do not wait

// Record is what is appended.
type Record struct {
	// Parts are the payload, in pieces that need not be joined. They are not changed,
	// and not used after Append has returned.
	Parts [][]byte
	// Units is what the owner counts: Cursor.Held and Stats have sums of it.
	Units uint32
	// Tag is the owner's.
	Tag uint16
	// Codec, if it is not 0, says how the owner has compressed the payload, which is read
	// back as it is; at most 127. Plain is then the length before that: records are bounded
	// and counted by it, while bounds of files are those of what is stored.
	Codec uint8
	Plain int64
	// Source, if it is not nil, has the memory of Parts. Append may retain it.
	Source Source
}

// pending is a record that waits in Append.
type pending struct {
	parts   [][]byte
	source  Source
	record  segment.Record
	release func() // of the memory of parts; may be nil
	done    chan error

	phase phase // under the journal's mutex, as what follows
	gone  bool  // Append has returned: parts must not be used
}

type phase uint8

const (
	waiting phase = iota // in the queue
	taken                // by the committer, which does not use parts now
	writing              // the committer uses parts
)

// Append appends a record, and returns its sequence when it is durable. If ctx ends
// before, its error is returned, and the record may be there all the same.
func (j *Journal) Append(ctx context.Context, r Record) (sequence uint64, err error) {
	p, err := j.prepare(r)
	if err != nil {
		return 0, err
	}
	if p.release != nil {
		defer p.release()
	}
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return 0, ErrClosed
	}
	j.queue = append(j.queue, p)
	j.changed.Broadcast()
	j.mu.Unlock()
	select {
	case err = <-p.done:
	case <-ctx.Done():
		if j.withdraw(p) {
			return 0, context.Cause(ctx)
		}
		err = <-p.done
	}
	if err != nil {
		return 0, err
	}
	return p.record.Sequence, nil
}

// prepare does what needs no order: length, compression, checksum.
func (j *Journal) prepare(r Record) (*pending, error) {
	var length int64
	for _, part := range r.Parts {
		length += int64(len(part))
	}
	plain := length
	if r.Codec != 0 {
		plain = r.Plain
	}
	if n := max(length, plain); n > j.opts.MaxRecordBytes {
		return nil, fmt.Errorf("append a record of %d bytes: %w: at most %d", n, ErrTooLarge, j.opts.MaxRecordBytes)
	}
	if segment.HeaderSize+segment.RecordHeaderSize+length+segment.SealSize+8 > j.opts.MaxBytes {
		return nil, fmt.Errorf("append a record of %d bytes: %w: the journal is bound to %d", length, ErrTooLarge, j.opts.MaxBytes)
	}
	p := &pending{parts: r.Parts, source: r.Source, done: make(chan error, 1),
		record: segment.Record{Stored: uint32(length), Length: uint32(plain), Tag: r.Tag, Units: r.Units}}
	switch {
	case r.Codec != 0:
		p.record.Codec = segment.Owner + segment.Codec(r.Codec)
	case j.opts.Compress:
		if err := p.compress(); err != nil {
			return nil, fmt.Errorf("append a record: %w", err)
		}
	}
	for _, part := range p.parts {
		p.record.CRC = segment.Checksum(p.record.CRC, part)
	}
	return p, nil
}

// withdraw takes p back as far as it is possible: it waits until the memory of its
// parts is not used any more, and returns false if the result is there meanwhile.
func (j *Journal) withdraw(p *pending) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for p.phase == writing {
		j.changed.Wait()
	}
	if p.phase == taken {
		p.gone = true
		return len(p.done) == 0
	}
	for i, q := range j.queue {
		if q == p {
			j.queue = append(j.queue[:i:i], j.queue[i+1:]...)
			return true
		}
	}
	return false
}

// commit is the committer.
func (j *Journal) commit() {
	for {
		runtime.Gosched() // callers that were just released append again, and join the next group
		group := j.take()
		if len(group) == 0 {
			return
		}
		if planted(dropOnClose) && j.isClosing() {
			for _, p := range group {
				p.done <- nil
			}
			continue
		}
		group, err := j.write(group)
		j.finish(group, err)
	}
}

// take waits for records and takes as many as fit into one segment: the active one, or
// a fresh one if the first does not fit there. It returns none at the end.
func (j *Journal) take() (group []*pending) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) == 0 {
		if j.closing {
			return nil
		}
		j.changed.Wait()
	}
	room := j.segmentSize(j.queue[0]) - segment.HeaderSize - segment.SealSize
	if j.fits(j.queue[0]) {
		room = j.active.size - segment.SealSize - j.active.written
	}
	for total := int64(0); len(group) < len(j.queue); {
		p := j.queue[len(group)]
		total += p.record.Size()
		if total > room || total > maxGroup && len(group) > 0 {
			break
		}
		p.phase = taken
		group = append(group, p)
	}
	j.queue = append([]*pending(nil), j.queue[len(group):]...)
	return group
}

// fits reports whether p fits into the active segment. The mutex is held.
func (j *Journal) fits(p *pending) bool {
	return j.active != nil && j.active.written+p.record.Size()+segment.SealSize <= j.active.size
}

// segmentSize is the size of a fresh segment for p.
func (j *Journal) segmentSize(p *pending) int64 {
	return max(j.opts.SegmentBytes, segment.HeaderSize+p.record.Size()+segment.SealSize)
}

// write makes a group durable: in the active segment, or in a fresh one if that is
// full, cannot be written any more, or fails. left are those whose Append still waits.
func (j *Journal) write(group []*pending) (left []*pending, err error) {
	if err := j.outage.refuses(time.Now()); err != nil {
		return group, err
	}
	j.mu.Lock()
	s, fits := j.active, j.fits(group[0])
	j.mu.Unlock()
	if s != nil && !fits {
		j.complete(s)
		s = nil
	}
	for range freshFiles + 1 {
		if s == nil {
			if s, err = j.fresh(group[0]); err != nil {
				break
			}
		}
		if group = j.hold(group); len(group) == 0 {
			return nil, nil
		}
		if err = j.writeTo(s, group); err == nil {
			j.outage.over(j.opts.Logger)
			j.full.over(j.opts.Logger)
			return group, nil
		}
		j.abandon(s, err)
		s = nil
	}
	if errors.Is(err, ErrFull) {
		j.full.failed(j.opts.Logger, time.Now(), err)
	} else {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		j.outage.failed(j.opts.Logger, time.Now(), err)
	}
	return group, err
}

// hold returns those of a group whose Append still waits, and keeps it waiting while
// their memory is used.
func (j *Journal) hold(group []*pending) (left []*pending) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range group {
		if !p.gone {
			p.phase = writing
			left = append(left, p)
		}
	}
	return left
}

// complete seals a segment that is full. That it fails costs a scan later.
func (j *Journal) complete(s *seg) {
	if err := errors.Join(j.seal(s), s.file.Close()); err != nil {
		j.opts.Logger.Warn("a full segment was not sealed; opening the journal will take longer", slog.Any("error", err))
	}
	j.retire(s)
}

// abandon ends the use of a file that failed. Nothing is written to it any more.
func (j *Journal) abandon(s *seg, cause error) {
	j.mu.Lock()
	j.stats.FailedFiles++
	j.mu.Unlock()
	j.opts.Logger.Error("writing a segment failed; it is not written any more, and what was not durable goes to a fresh one",
		slog.String("segment", s.name), slog.Any("error", cause))
	_ = s.file.Close() // it has failed already
	j.retire(s)
	if s.empty() {
		j.forget(s)
	}
}

// retire makes s a segment that is only read.
func (j *Journal) retire(s *seg) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.file = nil
	j.active = nil
}

// forget removes a segment that has no durable record.
func (j *Journal) forget(s *seg) {
	j.mu.Lock()
	j.remove(s)
	j.mu.Unlock()
	if err := j.discard(s.name); err != nil {
		j.opts.Logger.Warn("an empty segment was not removed; it is tried again", slog.Any("error", err))
	}
}

// fresh makes a segment for p and those after it the active one. If there is no room it
// removes what may go, as often as that helps.
func (j *Journal) fresh(p *pending) (s *seg, err error) {
	size := j.segmentSize(p)
	for {
		removed := j.removed.Load()
		if err = j.hasRoom(size); err == nil {
			s, err = j.create(j.next, j.totals, size)
		}
		if err == nil {
			break
		}
		if vfs.IsFull(err) {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		if !errors.Is(err, ErrFull) || !j.shrink(removed) {
			return nil, fmt.Errorf("make a segment of %d bytes: %w", size, err)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = append(j.segments, s)
	j.active = s
	return s, nil
}

// writeTo writes a group and syncs it.
func (j *Journal) writeTo(s *seg, group []*pending) error {
	w := writer{seg: s, buf: j.scratch[:0], parts: j.parts[:0]}
	totals := j.totals
	for i, p := range group {
		r := &p.record
		r.Sequence, r.InGroup, r.Before = j.next+uint64(i), uint32(i), totals
		totals = totals.Add(*r)
		w.add(p)
	}
	err := w.write()
	if cap(w.buf) <= maxGroup {
		j.scratch = w.buf
	}
	j.parts = w.parts
	j.mu.Lock()
	for _, p := range group {
		p.phase = taken
	}
	j.changed.Broadcast()
	j.mu.Unlock()
	if err != nil {
		return err
	}
	return j.sync(s)
}

// sync is one attempt.
func (j *Journal) sync(s *seg) error {
	if planted(ackBeforeSync) {
		return nil
	}
	begin := time.Now()
	err := s.file.Sync()
	if err != nil && planted(syncRetried) {
		err = s.file.Sync()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Syncs++
	j.stats.SyncTime += time.Since(begin)
	return err
}

// writer writes records one behind the other, with one operation. Small parts are joined.
type writer struct {
	seg   *seg
	buf   []byte
	begin int      // of what is in buf and not in parts
	parts [][]byte // what is to be written: of buf, and of the callers
}

func (w *writer) add(p *pending) {
	w.buf = p.record.AppendHeader(w.buf, w.seg.id)
	for _, part := range p.parts {
		if len(part) < direct {
			w.buf = append(w.buf, part...)
			continue
		}
		w.close()
		w.parts = append(w.parts, part)
	}
	w.buf = append(w.buf, segment.Padding(int(p.record.Stored))...)
}

// close ends the part of buf. That buf moves when it grows leaves the part as it is.
func (w *writer) close() {
	if len(w.buf) > w.begin {
		w.parts = append(w.parts, w.buf[w.begin:len(w.buf):len(w.buf)])
		w.begin = len(w.buf)
	}
}

func (w *writer) write() error {
	w.close()
	err := vfs.WritePartsAt(w.seg.file, w.parts, w.seg.written)
	clear(w.parts) // the memory is the callers'
	if planted(shortWriteIgnored) {
		return nil
	}
	return err
}

// finish makes a group that is durable visible, and releases its callers.
func (j *Journal) finish(group []*pending, err error) {
	j.mu.Lock()
	for _, p := range group {
		if err != nil {
			j.stats.RefusedRecords++
			if planted(refusedAdvances) {
				j.next++
			}
			continue
		}
		r := p.record
		s := j.active
		if len(j.cursors) > 0 {
			source := p.source
			if p.gone {
				source = nil
			}
			j.recent.add(Entry{Record: r, seg: s, offset: s.written}, source)
		}
		s.written += r.Size()
		s.next = r.Sequence + 1
		s.end = r.Before.Add(r)
		j.next, j.totals = s.next, s.end
		j.stats.Records++
	}
	if err == nil {
		j.stats.Groups++
		close(j.more)
		j.more = make(chan struct{})
	}
	for _, p := range group {
		p.done <- err
	}
	j.changed.Broadcast()
	j.mu.Unlock()
}
