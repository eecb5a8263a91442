package otlp

import (
	"iter"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// Field numbers that the requests of all four signals share, for who rewrites
// them.
const (
	FieldResources = 1 // ExportXServiceRequest.resource_x
	FieldResource  = 1 // ResourceX.resource
)

const (
	resourceXScopes = 2 // ResourceX.scope_x
	schemaURLField  = 3 // of ResourceX and ScopeX
	scopeXSelf      = 1 // ScopeX.scope
	scopeXItems     = 2 // ScopeX.spans, metrics, log_records, profiles
)

// Group is one scope of one resource, in a request of any signal.
type Group struct {
	Resource          Resource // nil if absent
	ResourceSchemaURL []byte
	// Scope, ScopeSchemaURL and Items are empty where a resource has no scope.
	Scope          InstrumentationScope
	ScopeSchemaURL []byte
	// Items are the undecoded spans, metrics, log records or profiles: convert
	// each to the view of its signal.
	Items List[[]byte]

	// First says that this is the first group of its resource.
	First bool
	// HasScope is false for a resource that holds no scope at all.
	HasScope bool
}

// Groups walks (resource, scope) of a request of any signal, in the order in
// which they stand. A resource without scopes is one group without a scope.
func Groups(request []byte) iter.Seq[Group] {
	return func(yield func(Group) bool) {
		for rx := range (List[[]byte]{region{request, FieldResources}}).All() {
			if !resourceGroups(rx, yield) {
				return
			}
		}
	}
}

func resourceGroups(rx []byte, yield func(Group) bool) bool {
	g := Group{
		Resource:          Resource(wire.Merged(rx, FieldResource)),
		ResourceSchemaURL: wire.LastBytes(rx, schemaURLField),
		First:             true,
	}
	for sx := range (List[[]byte]{region{rx, resourceXScopes}}).All() {
		g.HasScope = true
		g.Scope = InstrumentationScope(wire.Merged(sx, scopeXSelf))
		g.ScopeSchemaURL = wire.LastBytes(sx, schemaURLField)
		g.Items = List[[]byte]{region{sx, scopeXItems}}
		if !yield(g) {
			return false
		}
		g.First = false
	}
	return g.HasScope || yield(g)
}
