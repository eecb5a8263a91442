package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// inspectTries is how often a folder is read whose files vanish meanwhile, or a file
// that is written meanwhile.
const inspectTries = 10

// Report is what is in the folder of a journal.
type Report struct {
	Folder string `json:"folder"`
	// Next is the sequence of the next record.
	Next uint64 `json:"next_sequence"`
	// Stored is what all segments have, and Bytes is what they take on the disk. Records that
	// their owner has compressed count in Stored as they were before.
	Stored     Held             `json:"stored"`
	Bytes      int64            `json:"bytes_on_disk"`
	Segments   []SegmentReport  `json:"segments"`
	Cursors    []CursorReport   `json:"cursors"`
	Quarantine []QuarantineFile `json:"quarantine"`
	// Damage is what was noticed on the way. Verify reads everything.
	Damage []Damage `json:"damage"`
}

// SegmentReport is a segment.
type SegmentReport struct {
	Name    string    `json:"name"`
	Number  uint64    `json:"number"`
	Created time.Time `json:"created"`
	// First and Last are sequences; both are 0 if it has no record.
	First  uint64 `json:"first_sequence"`
	Last   uint64 `json:"last_sequence"`
	Stored Held   `json:"stored"`
	Bytes  int64  `json:"bytes_on_disk"`
	// Sealed means that it is complete. The one that is written is not.
	Sealed  bool `json:"sealed"`
	Damaged bool `json:"damaged"`
}

// CursorReport is a cursor.
type CursorReport struct {
	Name string `json:"name"`
	// Mark is the sequence below which everything is acknowledged, and Acknowledged
	// what is above it.
	Mark         uint64  `json:"mark"`
	Acknowledged []Range `json:"acknowledged_above_mark"`
	Held         Held    `json:"held"`
	Damaged      Held    `json:"damaged"`
	Dropped      Held    `json:"dropped"`
	StateBytes   int     `json:"state_bytes"`
}

// Range are records from First to Last.
type Range struct {
	First uint64 `json:"first_sequence"`
	Last  uint64 `json:"last_sequence"`
}

// QuarantineFile is a segment in the quarantine.
type QuarantineFile struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Damage is a place that is damaged.
type Damage struct {
	// File is empty if the file is missing.
	File string `json:"file,omitempty"`
	// Offset is where the damage is at the earliest.
	Offset int64 `json:"offset"`
	// First and Last are the sequences of the records that are lost by it; 0 if none is.
	First  uint64 `json:"first_sequence,omitempty"`
	Last   uint64 `json:"last_sequence,omitempty"`
	Reason string `json:"reason"`
}

// Verification is the result of Verify.
type Verification struct {
	Segments int    `json:"segments"`
	Records  uint64 `json:"records"` // that are undamaged
	Bytes    int64  `json:"bytes_on_disk"`
	// TornBytes are of writes that were cut short, or are in progress: no record that
	// was acknowledged is in them.
	TornBytes int64    `json:"torn_bytes"`
	Damage    []Damage `json:"damage"`
}

// Inspect reports what is in the folder of a journal. It changes nothing, and works while
// another process has the journal open.
func Inspect(dir string) (Report, error) {
	v, err := look(dir)
	if err != nil {
		return Report{}, fmt.Errorf("inspect the journal %s: %w", dir, err)
	}
	defer v.close()
	return v.report(dir), nil
}

// Verify reads every record and compares its checksum. It changes nothing, and works
// while another process has the journal open. progress is called with the bytes that were
// read, of all; it may be nil.
func Verify(ctx context.Context, dir string, progress func(done, all int64)) (Verification, error) {
	v, err := look(dir)
	if err == nil {
		defer v.close()
		var result Verification
		if result, err = v.verify(ctx, progress); err == nil {
			return result, nil
		}
	}
	return Verification{}, fmt.Errorf("verify the journal %s: %w", dir, err)
}

// view is a journal that is only looked at: no lock, no goroutine, nothing written.
type view struct {
	j          *Journal
	unsealed   []*seg
	empty      []*seg
	quarantine []vfs.Info
	damage     []Damage
}

func (v *view) close() { _ = v.j.fs.Close() } // nothing was written

// look reads the headers of a folder. What is missing in one attempt may be in a file that
// was made meanwhile, so it is read again then.
func look(dir string) (v *view, err error) {
	folder, err := vfs.At(dir)
	if err != nil {
		return nil, err
	}
	for range inspectTries {
		v, err = lookOnce(folder)
		if err == nil && len(v.damage) == 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return v, nil
}

func lookOnce(folder vfs.FS) (*view, error) {
	j := &Journal{opts: Options{}.orDefaults(), fs: folder, next: 1, nextNum: 1, more: make(chan struct{}), cursors: map[string]*Cursor{}}
	v := &view{j: j}
	list, err := folder.List(".")
	if err != nil {
		return nil, err
	}
	saved, files, found, err := j.loadProgress(list)
	if err != nil {
		return nil, err
	}
	if v.unsealed, v.empty, err = j.readSegments(list); err != nil {
		return nil, err
	}
	if len(files) == 0 && len(j.segments) == 0 {
		return nil, errors.New("there is no journal in the folder")
	}
	if v.quarantine, err = folder.List("quarantine"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	j.restore(saved, found, len(files) > 0)
	if !found && len(files) > 0 {
		v.damage = append(v.damage, Damage{File: files[len(files)-1], Reason: "no state of the progress can be read"})
	}
	v.missing(saved)
	return v, nil
}

// missing finds records that are in no file.
func (v *view) missing(saved state) {
	j := v.j
	from := uint64(math.MaxUint64)
	for _, c := range saved.cursors {
		from = min(from, c.low)
	}
	for _, s := range j.segments {
		v.miss(min(from, s.first), s.first)
		from = s.next
	}
	if len(j.segments) > 0 {
		v.miss(from, j.next)
	}
}

func (v *view) miss(from, to uint64) {
	if from < to {
		v.damage = append(v.damage, Damage{First: from, Last: to - 1, Reason: "the records are in no file"})
	}
}

func (v *view) report(dir string) Report {
	j := v.j
	r := Report{Folder: dir, Next: j.next, Segments: []SegmentReport{}, Cursors: []CursorReport{}, Quarantine: []QuarantineFile{}, Damage: append([]Damage{}, v.damage...)}
	all := append(slices.Clone(v.empty), j.segments...)
	slices.SortFunc(all, compareNumbers)
	for _, s := range all {
		s := v.segment(s)
		r.Segments = append(r.Segments, s)
		r.Stored = r.Stored.plus(s.Stored)
		r.Bytes += s.Bytes
	}
	for _, name := range sortedNames(j.cursors) {
		c := j.cursors[name]
		report := CursorReport{Name: name, Mark: c.low, Acknowledged: []Range{}, Held: c.Held(), Damaged: c.lost, Dropped: c.dropped, StateBytes: len(c.state)}
		for _, g := range c.gaps {
			report.Acknowledged = append(report.Acknowledged, Range{g.from, g.to - 1})
		}
		r.Cursors = append(r.Cursors, report)
	}
	for _, info := range v.quarantine {
		r.Quarantine = append(r.Quarantine, QuarantineFile{info.Name, info.Size})
	}
	return r
}

func (v *view) segment(s *seg) SegmentReport {
	r := SegmentReport{Name: s.name, Number: s.number, Created: s.created, Bytes: s.size, Damaged: s.damaged,
		Sealed: !slices.Contains(v.unsealed, s) && !slices.Contains(v.empty, s)}
	if s.next > s.first {
		r.First, r.Last = s.first, s.next-1
		r.Stored.add(span{s.first, s.next, s.begin, s.end})
	}
	return r
}

// verify reads all segments.
func (v *view) verify(ctx context.Context, progress func(done, all int64)) (Verification, error) {
	result := Verification{Damage: append([]Damage{}, v.damage...)}
	all, done := v.j.bytes(), int64(0)
	for _, s := range v.j.segments {
		found, err := v.verifySegment(ctx, s)
		if errors.Is(err, fs.ErrNotExist) {
			continue // all cursors have passed it meanwhile
		}
		if err != nil {
			return result, fmt.Errorf("read %s: %w", s.name, err)
		}
		result.Segments++
		result.Records += found.Records
		result.Bytes += s.size
		result.TornBytes += found.TornBytes
		result.Damage = append(result.Damage, found.Damage...)
		done += s.size
		if progress != nil {
			progress(done, all)
		}
	}
	return result, nil
}

// verifySegment reads a segment. One that is being written may look damaged, so it is
// read again then.
func (v *view) verifySegment(ctx context.Context, s *seg) (result Verification, err error) {
	for range inspectTries {
		if result, err = v.verifyOnce(ctx, s); err != nil || len(result.Damage) == 0 || !slices.Contains(v.unsealed, s) {
			break
		}
	}
	return result, err
}

func (v *view) verifyOnce(ctx context.Context, s *seg) (result Verification, err error) {
	file, err := v.j.fs.Open(s.name, false)
	if err != nil {
		return result, err
	}
	defer file.Close()
	if headed, err := (&seg{id: s.id, number: s.number}).readHeader(file); err != nil {
		return result, err
	} else if !headed {
		result.Damage = append(result.Damage, Damage{File: s.name, Reason: "the header is damaged"})
	}
	scanner := segment.NewScanner(file, s.id, 0, s.size)
	scanner.Retry = (&retries{ctx: ctx}).again
	next, end := s.first, int64(segment.HeaderSize)
	miss := func(to uint64) {
		if next < min(to, s.uncertain) {
			result.Damage = append(result.Damage, Damage{File: s.name, Offset: end, First: next, Last: min(to, s.uncertain) - 1, Reason: "the records are damaged"})
		}
	}
	for scanner.Next() {
		if err := ctx.Err(); err != nil {
			return result, context.Cause(ctx)
		}
		r, offset := scanner.Record()
		if r.Sequence >= s.next {
			break
		}
		if r.Sequence < next {
			continue
		}
		miss(r.Sequence)
		next, end = r.Sequence+1, offset+r.Size()
		result.Records++
	}
	miss(s.next)
	if err := scanner.Unread(); err != nil {
		result.Damage = append(result.Damage, Damage{File: s.name, Reason: err.Error()})
	}
	if len(result.Damage) == 0 {
		result.TornBytes = scanner.Damaged()
	}
	return result, nil
}
