package otlp

import (
	"iter"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Group is one scope of one resource in a request of any signal.
type Group struct {
	Resource          Resource // nil if absent
	ResourceSchemaURL []byte
	// Scope, ScopeSchemaURL and Items are empty if the resource has no scope.
	Scope          InstrumentationScope
	ScopeSchemaURL []byte
	// Items are the spans, metrics, log records or profiles. Convert each to the
	// view of its signal.
	Items List[[]byte]

	// First is true for the first group of a resource.
	First bool
	// HasScope is false for a resource without a scope.
	HasScope bool
}

// Groups iterates over the pairs of resource and scope in a request of any
// signal, in order. A resource without scopes is one group without a scope.
func Groups(request []byte) iter.Seq[Group] {
	return func(yield func(Group) bool) {
		for rx := range (List[[]byte]{region{request, otlpfield.RequestResources}}).All() {
			if !resourceGroups(rx, yield) {
				return
			}
		}
	}
}

// Items iterates over the spans, metrics, log records or profiles in a request of
// any signal, in order, whatever their resource and scope. Convert each to the view
// of its signal.
func Items(request []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for g := range Groups(request) {
			for item := range g.Items.All() {
				if !yield(item) {
					return
				}
			}
		}
	}
}

func resourceGroups(rx []byte, yield func(Group) bool) bool {
	g := Group{
		Resource:          Resource(wire.Merged(rx, otlpfield.ResourceXResource)),
		ResourceSchemaURL: wire.LastBytes(rx, otlpfield.ResourceXSchemaURL),
		First:             true,
	}
	for sx := range (List[[]byte]{region{rx, otlpfield.ResourceXScopes}}).All() {
		g.HasScope = true
		g.Scope = InstrumentationScope(wire.Merged(sx, otlpfield.ScopeXScope))
		g.ScopeSchemaURL = wire.LastBytes(sx, otlpfield.ScopeXSchemaURL)
		g.Items = List[[]byte]{region{sx, otlpfield.ScopeXItems}}
		if !yield(g) {
			return false
		}
		g.First = false
	}
	return g.HasScope || yield(g)
}
