package component

import (
	"context"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Queued is what an exporter implements whose batches may wait in a queue.
type Queued interface {
	// Queue returns how they wait; nil: the exporter sends by itself.
	Queue() *Queue
}

// Queue is how the batches of an exporter wait. If SendingQueue is not enabled they do
// not, but are sent again, as Retry says, while their sender waits.
type Queue struct {
	config.SendingQueue
	Retry config.Retry
	// Auth is the extension that adds credentials; empty: none.
	Auth string
	// Sender sends a batch once. It neither counts what becomes of the items, nor logs
	// failures: the queue does.
	Sender   pipeline.Consumer
	Observer QueueObserver
}

// QueueObserver measures what a queue does.
type QueueObserver interface {
	// Attempt is called after each attempt to send a request. refusal is nil if the
	// destination took it.
	Attempt(ctx context.Context, s otlp.Signal, refusal *pipeline.Error)
	// Outcome is called once for each request, when it is delivered or dropped. failed of
	// its items were dropped, because of refusal, which may be nil.
	Outcome(ctx context.Context, s otlp.Signal, items, failed int, refusal *pipeline.Error)
}

// Merger is what the configuration of a processor implements that only merges requests.
// At the end of a pipeline the queues of its exporters do that instead.
type Merger interface{ Merging() Merging }

// Merging is how a processor merges requests.
type Merging struct {
	// MinItems is how many items a request waits for, for at most Wait.
	MinItems int
	Wait     time.Duration
	// MaxItems bounds a merged request. With Divide a request that is larger by itself is
	// divided.
	MaxItems int
	Divide   bool
	// MetadataKeys are the request headers whose values a merged request has in common.
	MetadataKeys []string
}

// MetadataUser is what an extension implements that adds credentials of the client of a
// batch: a queue keeps them with the batch.
type MetadataUser interface {
	// UsedMetadata returns the request headers and the attributes of an identity that it
	// reads.
	UsedMetadata() (metadata, attributes []string)
}
