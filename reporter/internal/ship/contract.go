// Package ship brings finished requests to their destination: it keeps them
// within a bound of bytes, sends one after the other, waits and tries again.
//
//	Add ─► head │ rest … ─► Send ─┬─► taken: Acknowledged, a part perhaps Rejected
//	       └───┬──────┘           ├─► refused for good: Refused
//	           │ overflow         └─► later: it stays the head, and all wait
//	           ▼
//	       PendingFull              what Stop has no time for: Stopped
//
// Every event that came in is at each moment in exactly one place:
//
//	Added == Acknowledged + Held + sum(Dropped)
//
// The one trap: what failed may have arrived all the same, and is then sent a
// second time. OTLP is delivered at least once.
package ship

import (
	"context"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Payload is one finished export request.
type Payload struct {
	Signal otlp.Signal
	// Bytes is the request; the Shipper owns it from Add on. Nobody writes to it
	// any more, or uses its memory for something else. Its length counts against
	// the bound, so it should have little capacity beyond.
	Bytes []byte
	// Events is how many reported events are in it: the unit of the accounts.
	Events int64
	// Units is how many of what the destination counts when it rejects a part:
	// profiles or data points.
	Units int64

	tried bool // it was sent before
}

// minPayloadBytes is what a payload counts as at least: what it takes beside its
// Bytes. So the bound of bytes is one of requests too.
const minPayloadBytes = 64

func (p *Payload) size() int { return max(len(p.Bytes), minPayloadBytes) }

// Send delivers one request and returns nil, or an error that
// pipeline.Classify understands: Partial's Rejected is in Units; a Partial that
// rejects nothing is a remark of a destination that took everything. It returns
// soon after ctx has ended. It may read Bytes after it has returned.
type Send func(ctx context.Context, p *Payload) error

// Reason is why events were dropped.
type Reason uint8

// The reasons.
const (
	// PendingFull: the bound of unsent bytes was reached; the oldest went.
	PendingFull Reason = iota
	// Refused: the destination refused the request for good.
	Refused
	// Rejected: the destination took the rest of a request (partial success).
	Rejected
	// Stopped: the reporter was stopped before it could be sent.
	Stopped
	// NumReasons is how many reasons there are.
	NumReasons
)

var reasonNames = [NumReasons]string{"pending_full", "refused", "rejected", "stopped"}

// String returns the reason as logs have it.
func (r Reason) String() string {
	if r >= NumReasons {
		return "unknown"
	}
	return reasonNames[r]
}
