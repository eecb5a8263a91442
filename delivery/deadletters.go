package delivery

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxDeadBytes bounds the dead letters of a log. When they are full, a request that
// would be added stays where it is, and is tried again.
const maxDeadBytes = 1 << 30

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
	j, err := journal.Open(dir, journal.Options{MaxBytes: maxDeadBytes, SegmentBytes: 4 << 20, Logger: log})
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
	header := appendDeadHeader(nil, l, time.Now())
	if _, err := d.journal.Append(ctx, journal.Record{Parts: [][]byte{header, l.Record}, Units: uint32(l.Items)}); err != nil {
		return fmt.Errorf("keep a dead letter of %s: %w", l.Destination, err)
	}
	return nil
}

func appendDeadHeader(b []byte, l DeadLetter, now time.Time) []byte {
	e := wire.Encoder{Buf: append(b, deadVersion)}
	e.String(deadDestination, l.Destination)
	if refusal := pipeline.Classify(l.Err); refusal != nil {
		reason := refusal.Error()
		e.String(deadReason, reason[:min(len(reason), maxReason)])
		e.Varint(deadCode, uint64(refusal.Code))
	}
	e.Fixed64(deadTime, uint64(now.UnixNano()))
	return binary.AppendUvarint(wire.AppendTag(e.Buf, deadRecord, wire.TypeBytes), uint64(len(l.Record)))
}

// StoredLetter is a dead letter that was read.
type StoredLetter struct {
	Sequence    uint64
	Destination string
	Reason      string
	Code        uint32
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
			l.Time = time.Unix(0, int64(c.Scalar)).UTC()
		case c.Num == deadRecord && c.Type == wire.TypeBytes:
			l.Record = c.Bytes
		}
	}
	if c.Err != nil {
		return l, fmt.Errorf("read a dead letter: %w", c.Err)
	}
	return l, nil
}

// List calls f with each letter, oldest first, until it returns false. The record is
// valid during the call.
func (d *DeadLetters) List(ctx context.Context, f func(StoredLetter) bool) error {
	name := fmt.Sprintf("list %d", time.Now().UnixNano())
	c, err := d.journal.Cursor(name, journal.Oldest)
	if err != nil {
		return fmt.Errorf("list the dead letters: %w", err)
	}
	defer func() { _ = d.journal.DropCursor(name) }()
	for {
		e, ok, err := c.TryNext(ctx)
		if err != nil || !ok {
			return err
		}
		buf := make([]byte, e.Length)
		if err := c.Read(ctx, e, buf); isLost(err) {
			continue
		} else if err != nil {
			return fmt.Errorf("list the dead letters: %w", err)
		}
		l, err := parseDead(buf)
		if err != nil {
			return err
		}
		l.Sequence = e.Sequence
		if !f(l) {
			return nil
		}
	}
}
