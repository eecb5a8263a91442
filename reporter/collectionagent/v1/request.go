package collectionagentv1

import (
	"context"
	"fmt"
	"iter"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// Request reads a ReportRequest in its wire form. The agent builds no messages of a
// whole request: an empty entry takes two bytes on the wire, and a message of a
// hundred bytes in memory.
//
//	wire bytes ─► Parse: each entry is decoded and checked, nothing is kept
//	           ─► Entries: each entry is decoded again, into the same message
type Request struct {
	InstanceID []byte // points into the wire form
	Sequence   uint64

	raw   []byte
	count [listEnd]int // entries, by list

	// The entry that Entries is at, by list.
	trace      TraceFrames
	counted    TraceCount
	frame      FrameMetadata
	executable ExecutableMetadata
	symbol     FallbackSymbol
	host       HostMetadata
	metric     MetricValues
}

// The numbers of ReportRequest's lists.
const (
	Traces uint32 = iota + 3
	Counts
	Frames
	Executables
	Symbols
	Hosts
	Metrics
	listEnd
)

// listNames are the lists' names in faults, by number.
var listNames = [listEnd]string{
	Traces: "traces", Counts: "counts", Frames: "frames", Executables: "executables", Symbols: "symbols", Hosts: "hosts", Metrics: "metrics",
}

// looksEvery is how many entries are read between two looks at the context.
const looksEvery = 1024

// Parse checks b, which the Request refers to from then on. The error is a *Fault, or
// the cause of ctx's end. It takes time in proportion to b, and memory for the largest
// entry: see ScratchBytes.
func Parse(ctx context.Context, b []byte) (*Request, error) {
	q := &Request{raw: b}
	c := wire.Cursor{Buf: b}
	for n := 1; c.Next(); n++ {
		if n%looksEvery == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		switch {
		case c.Tag() == 1<<3|uint32(wire.TypeBytes):
			q.InstanceID = c.Bytes
		case c.Tag() == 2<<3|uint32(wire.TypeVarint):
			q.Sequence = c.Scalar
		case isList(&c):
			if f := q.check(c.Num, c.Bytes); f != nil {
				return nil, f.within(listNames[c.Num], q.count[c.Num])
			}
			q.count[c.Num]++
		}
	}
	if c.Err != nil {
		return nil, faultf("request", "expected protobuf, found %v", c.Err)
	}
	if f := first(checkID("instance_id", q.InstanceID), checkSequence(q.Sequence)); f != nil {
		return nil, f
	}
	return q, nil
}

// ScratchBytes is more than Parse and Entries hold in memory at a time, beside a
// request of n bytes: one entry, whose texts may be as long as the request.
func ScratchBytes(n int) int {
	const (
		fixed    = 4 << 10
		perByte  = 3         // lists of numbers of a byte each
		listsMax = 512 << 10 // the longest lists and the most keys
	)
	return fixed + min(perByte*n, n+listsMax)
}

func isList(c *wire.Cursor) bool {
	return c.Type == wire.TypeBytes && c.Num >= Traces && c.Num < listEnd
}

// Len returns how many entries the lists have together.
func (q *Request) Len(lists ...uint32) (n int) {
	for _, l := range lists {
		n += q.count[l]
	}
	return n
}

// Entries iterates over the entries of some lists, in the order in which they came.
// An entry is valid until the next one: its message is used again. Its strings may be
// kept, its byte slices point into the wire form.
func (q *Request) Entries(lists ...uint32) iter.Seq[Entry] {
	var wanted [listEnd]bool
	for _, l := range lists {
		wanted[l] = q.count[l] > 0
	}
	return func(yield func(Entry) bool) {
		for c := (wire.Cursor{Buf: q.raw}); c.Next(); {
			if !isList(&c) || !wanted[c.Num] {
				continue
			}
			if e, _ := q.decode(c.Num, c.Bytes); !yield(e) { // Parse has seen to faults
				return
			}
		}
	}
}

func (q *Request) check(list uint32, b []byte) *Fault {
	e, f := q.decode(list, b)
	if f != nil {
		return f
	}
	return e.Check()
}

// decode reads an entry into the message of its list. The fault is one of decoding,
// or of a list that is too long.
func (q *Request) decode(list uint32, b []byte) (Entry, *Fault) {
	switch list {
	case Traces:
		return &q.trace, q.trace.decode(b)
	case Counts:
		return &q.counted, q.counted.decode(b)
	case Frames:
		return &q.frame, q.frame.decode(b)
	case Executables:
		return &q.executable, q.executable.decode(b)
	case Symbols:
		return &q.symbol, q.symbol.decode(b)
	case Hosts:
		return &q.host, q.host.decode(b)
	}
	return &q.metric, q.metric.decode(b)
}

// undecodable is the fault of what ended a Cursor: bytes that are not protobuf, or a
// Fault of a decoder.
func undecodable(err error) *Fault {
	if f, ok := err.(*Fault); ok || err == nil {
		return f
	}
	return faultf("", "expected protobuf, found %v", err)
}

// within puts the way to an entry in front of the field.
func (f *Fault) within(list string, i int) *Fault {
	entry := fmt.Sprintf("%s[%d]", list, i)
	if f.Field != "" {
		entry += "."
	}
	f.Field = entry + f.Field
	return f
}
