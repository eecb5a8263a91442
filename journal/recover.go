package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// recover reads what is there. Before it changes anything it has seen that this version
// may.
func (j *Journal) recover() error {
	list, err := j.fs.List(".")
	if err != nil {
		return err
	}
	saved, files, found, err := j.loadProgress(list)
	if err != nil {
		return err
	}
	unsealed, empty, err := j.readSegments(list)
	if err != nil {
		return err
	}
	j.restore(saved, found, len(files) > 0)
	if err := j.fs.Mkdir("quarantine"); err != nil {
		return err
	}
	if err := j.openProgress(files); err != nil {
		return err
	}
	j.removeEmpty(empty, saved.next)
	j.sealRecovered(unsealed)
	j.removePassed()
	return nil
}

// readSegments reads the segments, the last first: what follows a segment says where it
// ends. unsealed are those that need a seal, empty those without a record.
func (j *Journal) readSegments(list []vfs.Info) (unsealed, empty []*seg, err error) {
	var found []*seg
	for _, info := range list {
		if number, id, ok := parseName(info.Name); ok {
			found = append(found, &seg{name: info.Name, number: number, id: id, size: info.Size, uncertain: math.MaxUint64})
		}
	}
	slices.SortFunc(found, compareNumbers)
	limit, totals := uint64(math.MaxUint64), segment.Totals{}
	for _, s := range slices.Backward(found) {
		j.nextNum = max(j.nextNum, s.number+1)
		sealed, err := j.readSegment(s, limit, totals)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", s.name, err)
		}
		if s.empty() {
			s.damaged = s.damaged || limit != math.MaxUint64 && limit > s.first
			empty = append(empty, s)
			continue
		}
		if !sealed {
			unsealed = append(unsealed, s)
		}
		j.segments = slices.Insert(j.segments, 0, s)
		limit, totals = s.first, s.begin
	}
	return unsealed, empty, nil
}

func compareNumbers(a, b *seg) int { return cmp.Compare(a.number, b.number) }

// readSegment fills in s. Records from the sequence limit on do not count, where the
// totals are those of limit.
func (j *Journal) readSegment(s *seg, limit uint64, totals segment.Totals) (sealed bool, err error) {
	file, err := j.fs.Open(s.name, false)
	if err != nil {
		return false, err
	}
	defer file.Close()
	headed, err := s.readHeader(file)
	if err != nil {
		return false, err
	}
	if headed && s.readSeal(file) {
		sealed = true
	} else {
		j.scanSegment(s, file, headed, limit)
	}
	if s.next > limit && !planted(supersededKept) {
		s.next, s.end, sealed = limit, totals, false
	}
	return sealed, nil
}

// readHeader reports whether the header is there. That another version wrote it is an
// error.
func (s *seg) readHeader(file vfs.File) (headed bool, err error) {
	head := make([]byte, segment.HeaderSize+segment.RecordHeaderSize)
	n, err := readSome(file, head, 0)
	if err != nil {
		return false, err
	}
	h, err := segment.ParseHeader(head[:n])
	if errors.Is(err, segment.ErrVersion) {
		return false, err
	}
	if err != nil || h.ID != s.id || h.Number != s.number {
		return false, nil
	}
	s.first, s.next, s.created = h.First, h.First, time.Unix(0, h.Created)
	if r, ok := segment.ParseRecord(head[segment.HeaderSize:n], s.id); ok {
		s.begin = r.Before
		s.end = r.Before
	}
	return true, nil
}

// readSeal reports whether the file ends with a seal, which tells what is in it.
func (s *seg) readSeal(file vfs.File) bool {
	b := make([]byte, segment.SealSize)
	at := s.size - segment.SealSize
	if at < segment.HeaderSize {
		return false
	}
	n, err := readSome(file, b, at)
	if err != nil || n < len(b) {
		return false
	}
	seal, uncertain, ok := segment.ParseSeal(b, s.id)
	if !ok || seal.Sequence < s.first {
		return false
	}
	s.next, s.end, s.written = seal.Sequence, seal.Before, at
	if uncertain > 0 {
		s.uncertain = uncertain
	}
	return true
}

// scanSegment finds the records of a segment without a seal.
func (j *Journal) scanSegment(s *seg, file vfs.File, headed bool, limit uint64) {
	scanner := segment.NewScanner(file, s.id, 0, s.size)
	scanner.Retry = (&retries{ctx: context.Background()}).again
	defer func() { s.damaged = s.damaged || !headed && scanner.Used() > segment.HeaderSize }()
	first, group := true, uint64(0)
	for scanner.Next() {
		r, _ := scanner.Record()
		if first && !headed {
			s.first, s.next = r.Sequence, r.Sequence
			s.damaged = true
		}
		if first {
			s.begin = r.Before
		}
		if r.Sequence < s.next || r.Sequence >= limit && !planted(supersededKept) {
			continue
		}
		first = false
		s.next, s.end, group = r.Sequence+1, r.Before.Add(r), r.GroupStart()
	}
	s.written = scanner.Used()
	if !s.empty() {
		s.uncertain = group
	}
	j.stats.ScannedSegments++
	if torn := scanner.Used() - scanner.End(); torn > 0 {
		j.stats.TornBytes += torn
		j.opts.Logger.Info("the last write to a segment was cut short; nothing that was acknowledged is in it",
			slog.String("segment", s.name), slog.Int64("bytes", torn))
	}
	if err := scanner.Unread(); err != nil {
		s.damaged = true
		j.opts.Logger.Error("a part of a segment cannot be read; the segment will be kept in the quarantine", slog.String("segment", s.name), slog.Any("error", err))
	}
}

// restore makes what was read the state of the journal.
func (j *Journal) restore(saved state, found, existed bool) {
	if n := len(j.segments); n > 0 {
		j.next, j.totals = j.segments[n-1].next, j.segments[n-1].end
	}
	if saved.next > j.next && !planted(sequenceReused) { // what the progress knows is not there any more
		j.next, j.totals = saved.next, saved.totals
	}
	j.nextNum, j.atRisk = max(j.nextNum, saved.nextNum), saved.atRisk
	for _, s := range saved.cursors {
		c := &Cursor{j: j, name: s.name, kept: true, marks: s.marks, state: s.state, lost: s.lost, dropped: s.dropped}
		if first, base := j.oldest(); first > c.low {
			c.lose(span{c.low, first, c.base, base}, nil)
		}
		c.read, c.readAt = c.low, c.base
		j.cursors[s.name] = c
	}
	if !found && len(j.segments) > 0 {
		j.atRisk = j.next
		if existed {
			j.opts.Logger.Error("the progress of the journal is damaged: everything that it has is delivered again", slog.String("journal", j.dir))
		}
	}
}

// openProgress opens the file of the newest progress, or makes one, and removes others.
func (j *Journal) openProgress(files []string) error {
	p := &j.progress
	if p.name != "" {
		file, err := j.fs.Open(p.name, true)
		if err != nil {
			return err
		}
		p.file = file
	}
	// What was read may not be durable: the process may have ended, not the machine.
	if err := j.saveProgress(true); err != nil {
		return err
	}
	for _, name := range files {
		if name != p.name {
			if err := j.discard(name); err != nil {
				j.opts.Logger.Warn("an old file of the progress was not removed", slog.Any("error", err))
			}
		}
	}
	return nil
}

// removeEmpty removes segments without a record. One that had some, as what follows it
// or the progress tells, goes to the quarantine.
func (j *Journal) removeEmpty(empty []*seg, durable uint64) {
	for _, s := range empty {
		remove := j.discardSegment
		if s.damaged || s.first < durable && s.written > segment.HeaderSize {
			remove = j.quarantine
		}
		if err := remove(s); err != nil {
			j.opts.Logger.Warn("a segment without records was not removed", slog.Any("error", err))
		}
	}
}

// sealRecovered seals what a process that ended had not, so that the next Open need not
// scan it, and the disk gets back what was preallocated. Failures cost only that.
func (j *Journal) sealRecovered(unsealed []*seg) {
	for _, s := range unsealed {
		err := j.sealAgain(s)
		if err != nil {
			j.opts.Logger.Warn("a segment of an earlier process was not sealed; it will be scanned again", slog.Any("error", err))
		}
	}
}

func (j *Journal) sealAgain(s *seg) (err error) {
	if s.file, err = j.fs.Open(s.name, true); err != nil {
		return err
	}
	err = j.seal(s)
	if err == nil {
		err = s.file.Sync()
	}
	err = errors.Join(err, s.file.Close())
	s.file = nil
	return err
}

// quarantine moves a segment there, and removes the oldest ones beyond the bound.
func (j *Journal) quarantine(s *seg) error {
	err := j.fs.Rename(s.name, path.Join("quarantine", s.name))
	if errors.Is(err, fs.ErrExist) { // a power cut has kept one half of the move
		err = j.fs.Remove(s.name)
	}
	if err != nil {
		return err
	}
	j.opts.Logger.Warn("a damaged segment was moved to the quarantine", slog.String("segment", s.name))
	j.mu.Lock()
	j.stats.Quarantined++
	j.mu.Unlock()
	list, err := j.fs.List("quarantine")
	if err != nil {
		return err
	}
	total := int64(0)
	for _, info := range slices.Backward(list) {
		if _, _, ours := parseName(info.Name); !ours {
			continue
		}
		if total += info.Size; total > j.opts.QuarantineBytes {
			if err := j.fs.Remove(path.Join("quarantine", info.Name)); err != nil {
				return err
			}
		}
	}
	return j.fs.SyncDir("quarantine")
}
