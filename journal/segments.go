package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// seg is a segment. What is not said to be constant is under the journal's mutex.
type seg struct {
	name    string // constant
	number  uint64 // constant
	id      uint64 // constant
	first   uint64 // constant: sequence of the first record that it may have
	created time.Time

	// next is the sequence after its last record.
	next uint64
	// begin and end are the totals before its first record and after its last.
	begin, end segment.Totals
	// uncertain is the sequence from which on records may be missing without damage;
	// math.MaxUint64: none may.
	uncertain uint64
	written   int64 // bytes that have content
	size      int64 // bytes on the disk
	damaged   bool  // it goes to the quarantine

	file vfs.File // open for writing; nil: it is not written any more
}

func (s *seg) empty() bool { return s.next == s.first }

const suffix = ".seg"

func segmentName(number, id uint64) string {
	return fmt.Sprintf("%016x-%016x%s", number, id, suffix)
}

// parseName reads a name of segmentName.
func parseName(name string) (number, id uint64, ok bool) {
	a, b, found := strings.Cut(strings.TrimSuffix(name, suffix), "-")
	number, errA := strconv.ParseUint(a, 16, 64)
	id, errB := strconv.ParseUint(b, 16, 64)
	return number, id, found && errA == nil && errB == nil && name == segmentName(number, id)
}

// newID is a random id that no sender can guess.
func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:])
}

// create makes a durable, empty segment of size bytes for the records from first on.
// The committer alone calls it. On failure nothing is left, or what is left is removed
// later.
func (j *Journal) create(first uint64, totals segment.Totals, size int64) (*seg, error) {
	j.mu.Lock()
	number := j.nextNum
	j.nextNum++
	j.mu.Unlock()
	s := &seg{number: number, id: newID(), first: first, next: first, begin: totals, end: totals,
		uncertain: math.MaxUint64, created: time.Now(), written: segment.HeaderSize, size: size}
	s.name = segmentName(s.number, s.id)
	file, err := j.fs.Create(s.name)
	if err != nil {
		return nil, err
	}
	s.file = file
	header := segment.Header{Number: s.number, ID: s.id, First: first, Created: s.created.UnixNano()}
	if !planted(notPreallocated) {
		err = file.Preallocate(size)
	}
	if err == nil {
		_, err = file.WriteAt(header.Append(nil), 0)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil && !planted(noDirSync) {
		err = j.fs.SyncDir(".")
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), j.discard(s.name))
	}
	return s, nil
}

// discard removes a file that has nothing. If that fails the cleaner tries again.
func (j *Journal) discard(name string) error {
	err := j.fs.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.leftovers[name] = true
	return err
}

// seal ends a segment that is complete, and gives the disk back what was preallocated
// behind it. It is not synced: a segment without its seal is scanned when it is opened.
func (j *Journal) seal(s *seg) error {
	j.mu.Lock()
	uncertain := s.uncertain
	if uncertain == math.MaxUint64 {
		uncertain = 0
	}
	b := segment.AppendSeal(nil, s.id, s.next, uncertain, s.end)
	at := s.written
	j.mu.Unlock()
	if _, err := s.file.WriteAt(b, at); err != nil {
		return fmt.Errorf("seal %s: %w", s.name, err)
	}
	if err := s.file.Truncate(at + int64(len(b))); err != nil {
		return fmt.Errorf("seal %s: %w", s.name, err)
	}
	j.mu.Lock()
	s.size = at + int64(len(b))
	j.mu.Unlock()
	return nil
}

// bytes is what all segments have on the disk.
func (j *Journal) bytes() (n int64) {
	for _, s := range j.segments {
		n += s.size
	}
	return n
}
