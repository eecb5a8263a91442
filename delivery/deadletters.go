package delivery

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxDeadBytes bounds the dead letters of a log. When they are full, a request that
// would be added stays where it is, and is tried again.
const maxDeadBytes = 1 << 30

// deadReserve is what they leave free of the disk: less than a queue does, which is
// emptied only if what is refused for good goes to the dead letters.
const deadReserve = journal.DefaultReserveBytes / 4

// deadReader is the cursor of what was not dropped by an operator.
const deadReader = "kept"

// DeadLetters are requests that are not sent any more, in a journal of their own.
//
// A dead letter is a record of the journal: a version byte, 1, and a protobuf message
//
//	1  destination: string
//	2  reason: string
//	3  code: uint32, a gRPC code
//	4  time: fixed64, nanoseconds since 1970
//	15 record: bytes, as package record has it; the last field
type DeadLetters struct {
	journal *journal.Journal
	cursor  *journal.Cursor
}

const (
	deadVersion = 1

	deadDestination = 1
	deadReason      = 2
	deadCode        = 3
	deadTime        = 4
	deadRecord      = 15
)

// maxReason bounds the text of a reason.
const maxReason = 4 << 10

// OpenDeadLetters opens those in dir.
func OpenDeadLetters(dir string, log *slog.Logger) (*DeadLetters, error) {
	j, err := journal.Open(dir, journal.Options{MaxBytes: maxDeadBytes, SegmentBytes: 4 << 20, ReserveBytes: deadReserve, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("open the dead letters: %w", err)
	}
	c, err := j.Cursor(deadReader, journal.Oldest)
	if err != nil {
		_ = j.Close() // the first error says more
		return nil, fmt.Errorf("open the dead letters: %w", err)
	}
	return &DeadLetters{j, c}, nil
}

// Close closes them.
func (d *DeadLetters) Close() error { return d.journal.Close() }

// Held is how many there are.
func (d *DeadLetters) Held() journal.Held { return d.cursor.Held() }

// Add is a DestinationConfig.DeadLetters: it returns nil when the letter is on disk.
func (d *DeadLetters) Add(ctx context.Context, l DeadLetter) error {
	stored := StoredLetter{Destination: l.Destination, Time: time.Now(), Record: l.Record}
	if refusal := pipeline.Classify(l.Err); refusal != nil {
		stored.Reason, stored.Code = cut(refusal.Error(), maxReason), uint32(refusal.Code)
	}
	if _, err := d.journal.Append(ctx, journal.Record{Parts: [][]byte{stored.header(), l.Record}, Units: uint32(l.Items)}); err != nil {
		return fmt.Errorf("keep a dead letter of %s: %w", l.Destination, err)
	}
	return nil
}

// cut shortens a text to n bytes at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// header is what is stored in front of the record.
func (l StoredLetter) header() []byte {
	e := wire.Encoder{Buf: []byte{deadVersion}}
	e.String(deadDestination, l.Destination)
	e.String(deadReason, l.Reason)
	e.Varint(deadCode, uint64(l.Code))
	if !l.Time.IsZero() {
		e.Fixed64(deadTime, uint64(l.Time.UnixNano()))
	}
	return binary.AppendUvarint(wire.AppendTag(e.Buf, deadRecord, wire.TypeBytes), uint64(len(l.Record)))
}

// StoredLetter is a dead letter that was read.
type StoredLetter struct {
	Sequence    uint64
	Items       uint64
	Destination string
	Reason      string
	Code        uint32 // of gRPC; 0: unknown
	Time        time.Time
	Record      []byte // as package record has it
}

// parseDead reads a dead letter, whose Record is a part of b.
func parseDead(b []byte) (l StoredLetter, err error) {
	if len(b) == 0 || b[0] != deadVersion {
		return l, fmt.Errorf("read a dead letter: expected version %d", deadVersion)
	}
	c := wire.Cursor{Buf: b[1:]}
	for c.Next() {
		switch {
		case c.Num == deadDestination && c.Type == wire.TypeBytes:
			l.Destination = string(c.Bytes)
		case c.Num == deadReason && c.Type == wire.TypeBytes:
			l.Reason = string(c.Bytes)
		case c.Num == deadCode && c.Type == wire.TypeVarint:
			l.Code = uint32(c.Scalar)
		case c.Num == deadTime && c.Type == wire.TypeFixed64:
			if l.Time = (time.Time{}); c.Scalar != 0 {
				l.Time = time.Unix(0, int64(c.Scalar)).UTC()
			}
		case c.Num == deadRecord && c.Type == wire.TypeBytes:
			l.Record = c.Bytes
		}
	}
	if c.Err != nil {
		return l, fmt.Errorf("read a dead letter: %w", c.Err)
	}
	return l, nil
}

// List calls f with each letter that was not dropped, oldest first, until it returns
// false. The record is valid during the call.
func (d *DeadLetters) List(ctx context.Context, f func(StoredLetter) bool) error {
	var buf []byte
	err := d.entries(ctx, func(v *journal.View, e journal.Entry) (bool, error) {
		buf = slices.Grow(buf[:0], int(e.PayloadBytes()))[:e.PayloadBytes()]
		l, err := readLetter(ctx, v, e, buf)
		if isLost(err) {
			return true, nil
		}
		return err == nil && f(l), err
	})
	if err != nil {
		return fmt.Errorf("list the dead letters: %w", err)
	}
	return nil
}

// ErrNoLetter means that there is no dead letter of a sequence, or none any more.
var ErrNoLetter = errors.New("there is no such dead letter")

// Get returns one letter.
func (d *DeadLetters) Get(ctx context.Context, sequence uint64) (l StoredLetter, err error) {
	err = ErrNoLetter
	failed := d.entries(ctx, func(v *journal.View, e journal.Entry) (bool, error) {
		if e.Sequence == sequence {
			l, err = readLetter(ctx, v, e, make([]byte, e.PayloadBytes()))
		}
		return e.Sequence < sequence, nil
	})
	if err = cmp.Or(failed, err); err != nil {
		return StoredLetter{}, fmt.Errorf("read dead letter %d: %w", sequence, err)
	}
	return l, nil
}

// Drop removes letters for good: they are gone also after a power cut when it returns
// nil. If one is not there, none is removed.
func (d *DeadLetters) Drop(ctx context.Context, sequences ...uint64) error {
	wanted := make(map[uint64]bool, len(sequences))
	for _, s := range sequences {
		wanted[s] = true
	}
	var found []journal.Entry
	err := d.entries(ctx, func(_ *journal.View, e journal.Entry) (bool, error) {
		if wanted[e.Sequence] {
			delete(wanted, e.Sequence)
			found = append(found, e)
		}
		return len(wanted) > 0, nil
	})
	if err != nil {
		return fmt.Errorf("drop dead letters: %w", err)
	}
	if len(wanted) > 0 {
		return fmt.Errorf("drop dead letter %d: %w", slices.Min(slices.Collect(maps.Keys(wanted))), ErrNoLetter)
	}
	return d.settle(found)
}

// DropAll is Drop for each letter, and returns how many there were.
func (d *DeadLetters) DropAll(ctx context.Context) (int, error) {
	var found []journal.Entry
	err := d.entries(ctx, func(_ *journal.View, e journal.Entry) (bool, error) {
		found = append(found, e)
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("drop the dead letters: %w", err)
	}
	return len(found), d.settle(found)
}

func (d *DeadLetters) settle(entries []journal.Entry) error {
	err := d.cursor.Settle(nil, entries...)
	if err == nil {
		err = d.cursor.SetState(nil, true)
	}
	if err != nil {
		return fmt.Errorf("drop dead letters: they may be there again after a restart: %w", err)
	}
	return nil
}

// entries calls f with each entry, oldest first, until it returns false or an error.
func (d *DeadLetters) entries(ctx context.Context, f func(*journal.View, journal.Entry) (bool, error)) error {
	v := d.cursor.View()
	defer v.Close()
	for {
		e, ok, err := v.TryNext(ctx)
		if err != nil || !ok {
			return err
		}
		if more, err := f(v, e); err != nil || !more {
			return err
		}
	}
}

// readLetter reads an entry into buf. A letter that this version does not understand
// says so in its reason, so that it can be seen, and dropped.
func readLetter(ctx context.Context, v *journal.View, e journal.Entry, buf []byte) (StoredLetter, error) {
	if err := v.Read(ctx, e, buf); err != nil {
		return StoredLetter{}, err
	}
	l, err := parseDead(buf)
	if err != nil {
		l = StoredLetter{Reason: err.Error()}
	}
	l.Sequence, l.Items = e.Sequence, uint64(e.Units)
	return l, nil
}
