package component

import (
	"context"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Optional methods of components that take data or listen, for a change of the
// configuration while they run.
type (
	// Rewirer is a receiver whose consumers can be replaced while it runs: a request that
	// has begun stays with its own. A signal that is not in next has no pipeline any more.
	Rewirer interface {
		Rewire(next map[otlp.Signal]pipeline.Consumer) error
	}

	// Settler is a Rewirer that knows which requests have begun before. Settle waits until
	// none uses a consumer that Rewire has replaced, or ctx has ended: then what is behind
	// such a consumer can be shut down.
	Settler interface {
		Settle(ctx context.Context) error
	}

	// Retirer is a component that can end its connections without failing a request, once
	// another one has its listeners (config.Listeners). Retire accepts no more connections,
	// and returns when those that it has are gone, or ctx has ended. One that fetches data
	// finishes the fetches. Shutdown is called after it.
	Retirer interface {
		Retire(ctx context.Context) error
	}
)
