package otlp

import (
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// A Part is a kind of message that the requests of all four signals have, one in
// the other.
type Part uint8

// The parts of a request.
const (
	PartResource Part = 1 + iota // ResourceSpans, ResourceMetrics, …
	PartScope                    // ScopeSpans, ScopeMetrics, …
	PartItem                     // Span, Metric, LogRecord, Profile
)

// CountItems returns the number of items in a part of a checked request, as Check
// counts them: a span or log record is one item, a metric has as many as data
// points, a profile as many as samples.
func CountItems(s Signal, p Part, message []byte) int {
	counts, own := partOf(s, p)
	if own {
		return 1
	}
	w := walk{signal: s, request: message, maxDepth: MaxDepth, limits: noLimits, maxSplit: math.MaxInt}
	items, err := w.run(counts)
	if err != nil { // only of bytes that Check has not seen
		return 0
	}
	return items
}

// partOf returns the message that a part is in requests of signal s, and whether
// it is itself an item.
func partOf(s Signal, p Part) (message uint8, isItem bool) {
	path := [...]uint32{otlpfield.RequestResources, otlpfield.ResourceXScopes, otlpfield.ScopeXItems}
	message = roots[s]
	for _, field := range path[:p] {
		e := tables[message][field<<3|uint32(wire.TypeBytes)]
		message, isItem = e.arg, e.op == opItem
	}
	return message, isItem
}
