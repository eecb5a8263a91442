// Package ship brings finished requests to their destination: it keeps them
// within a bound of bytes, sends one after the other, waits and tries again.
package ship

import (
	"context"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Payload is one finished export request.
type Payload struct {
	Signal otlp.Signal
	// Bytes is the request; the Shipper owns it from Add on.
	Bytes []byte
	// Events is how many reported events are in it: the unit of the accounts.
	Events int64
	// Units is how many of what the destination counts when it rejects a part:
	// profiles or data points.
	Units int64
}

// Send delivers one request and returns nil, or an error that
// pipeline.Classify understands: Partial's Rejected is in Units. It does not touch
// Bytes any more when it has returned.
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
)
