package component

import (
	"context"
	"time"
)

// A Host is the view that an extension has of the service that runs it.
type Host interface {
	// Readiness returns the time since which the service accepts data, or the
	// reason why it does not.
	Readiness() (since time.Time, err error)
	// Status returns the current state of the service.
	Status(ctx context.Context) (Status, error)
}

// Status is the state of a service at the time Taken. Counters count from its
// start.
type Status struct {
	Taken   time.Time
	Version string
	// Since is the time at which the service became ready. NotReady is the
	// reason if it is not ready.
	Since    time.Time
	NotReady string
	// Config is the configuration in effect as YAML, secrets hidden.
	Config       string
	Pipelines    []PipelineStatus
	Extensions   []ExtensionStatus
	FeatureGates []string // the known feature gates
	// Unmeasured is the reason why there are no counts: Received and Sent are
	// empty then.
	Unmeasured string
	Received   []ReceiverCounts
	Sent       []ExporterCounts
	Queues     []QueueStatus
	Budget     BudgetStatus
	// Reload is the last reload of the configuration.
	Reload ReloadStatus
}

// ReloadStatus says when a configuration was to be put in effect last, and why it was
// not. Its Time is zero if there was no reload since the start.
type ReloadStatus struct {
	Time  time.Time
	Error string // may have several lines; empty: it succeeded
}

// PipelineStatus is one pipeline with the ids of its components.
type PipelineStatus struct {
	ID, Signal                       string
	MutatesData                      bool
	Receivers, Processors, Exporters []string
}

// ExtensionStatus names an extension that runs.
type ExtensionStatus struct{ ID, Type string }

// ReceiverCounts counts the items of one signal that arrived at a receiver.
type ReceiverCounts struct {
	Receiver, Transport, Signal string
	Accepted, Refused, Failed   int64
}

// ExporterCounts counts the items of one signal that an exporter had to send.
type ExporterCounts struct {
	Exporter, Signal  string
	Delivered, Failed int64
}

// BudgetStatus is the memory budget for requests in flight. Limit, Used and Peak are
// in bytes, the others are numbers of requests. A Limit of 0 means no limit.
type BudgetStatus struct {
	Limit, Used, Peak int64
	Requests, Waiting int
	RefusedSoFar      int64
}

// QueueStatus is what became of the items of one pipeline that an exporter was to get:
// Accepted is the sum of the others. On disk they count from the first start.
type QueueStatus struct {
	Exporter, Pipeline string
	// Place is the directory; empty: the queue is in memory.
	Place string
	// Warning says why what is acknowledged may be lost; empty: it is not.
	Warning string

	Accepted, Delivered, Rejected, DeadLettered, Dropped, Damaged, Returned int64
	Held, HeldBytes                                                         int64
}
