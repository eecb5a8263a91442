package delivery

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Ledger is what became of the items that a destination was to get, since its cursor
// was made. It survives restarts. At every moment
//
//	Accepted == Delivered + Rejected + DeadLettered + Dropped + Damaged + Returned + Held
type Ledger struct {
	Accepted     uint64
	Delivered    uint64 // the destination took them
	Rejected     uint64 // the destination took the rest of their request (partial success), or refused it and nothing keeps it
	DeadLettered uint64 // refused for good, or given up
	Dropped      uint64 // by the bounds of the journal
	Damaged      uint64 // could not be read any more
	Returned     uint64 // their sender, which waited, has them: it was asked to send them again
	Held         uint64 // all others

	HeldRequests, HeldBytes uint64
}

// tally is the part of the ledger that the cursor's state has.
type tally struct {
	start                     uint64 // units of the journal before the cursor was made
	delivered, rejected, dead uint64
}

func (t tally) plus(o tally) tally {
	return tally{t.start, t.delivered + o.delivered, t.rejected + o.rejected, t.dead + o.dead}
}

// atMost leaves out of the tally of a job what the journal has dropped, and counted,
// while it was being sent.
func (t tally) atMost(items uint64) tally {
	t.delivered = min(t.delivered, items)
	t.rejected = min(t.rejected, items-t.delivered)
	t.dead = min(t.dead, items-t.delivered-t.rejected)
	return t
}

// span is a range of sequences of which those with a tag are, or were, sent as one
// request, or if divided one sequence that is sent in parts.
type span struct {
	first, last uint64
	tag         uint16
	divided     bool
	parts       progress // if divided
}

// stateVersion is the first byte of a state:
//
//	version; units of the journal before the cursor; delivered, rejected, dead-lettered items; number of spans of requests in
//	flight, and for each: first sequence, last minus first, tag, 1 if it is sent in parts and then: MaxItems, MaxBytes and
//	Skip of the limits, rejected and dead-lettered items of the parts that are settled; else 0
//
// The numbers are varints. Version 1 has no requests in parts, and neither the tag nor the 0.
const stateVersion = 2

var errState = errors.New("the state of the cursor is damaged")

func appendState(b []byte, t tally, inFlight []span) []byte {
	b = append(b, stateVersion)
	for _, v := range [...]uint64{t.start, t.delivered, t.rejected, t.dead, uint64(len(inFlight))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, s := range inFlight {
		b = binary.AppendUvarint(b, s.first)
		b = binary.AppendUvarint(b, s.last-s.first)
		b = binary.AppendUvarint(b, uint64(s.tag))
		b = s.appendParts(b)
	}
	return b
}

func (s span) appendParts(b []byte) []byte {
	if !s.divided {
		return binary.AppendUvarint(b, 0)
	}
	l := s.parts.limits
	for _, v := range [...]uint64{1, uint64(l.MaxItems), uint64(l.MaxBytes), uint64(l.Skip), s.parts.rejected, s.parts.dead} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func parseState(b []byte) (t tally, inFlight []span, err error) {
	if len(b) == 0 {
		return t, nil, nil // a new cursor
	}
	version := b[0]
	if version < 1 || version > stateVersion {
		return t, nil, errState
	}
	b = b[1:]
	next := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = errState
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	t = tally{next(), next(), next(), next()}
	for range min(next(), uint64(len(b))) {
		s := span{first: next()}
		s.last = s.first + next()
		if s.last < s.first {
			err = errState
		}
		if version > 1 {
			tag := next()
			if s.tag = uint16(tag); uint64(s.tag) != tag {
				err = errState
			}
			switch kind := next(); kind {
			case 0:
			case 1:
				s.divided = true
				s.parts = progress{limits: otlp.SplitLimits{MaxItems: int(next()), MaxBytes: int(next()), Skip: int(next())}, rejected: next(), dead: next()}
			default:
				err = errState
			}
		}
		inFlight = append(inFlight, s)
	}
	if err != nil || len(b) > 0 {
		return tally{}, nil, errState
	}
	return t, inFlight, nil
}

func sorted(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	return spans
}
