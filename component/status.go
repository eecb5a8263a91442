package component

import (
	"context"
	"time"
)

// A Host is the service that runs a component, as an extension sees it.
type Host interface {
	// Readiness returns since when the service takes data, or why it does not.
	Readiness() (since time.Time, err error)
	// Status returns the service at this moment.
	Status(ctx context.Context) (Status, error)
}

// Status is a service at one moment. Counters count from its start.
type Status struct {
	Taken   time.Time
	Version string
	// Since is when the service became ready; NotReady says why it is not.
	Since    time.Time
	NotReady string
	// Config is the configuration in effect as YAML, secrets hidden.
	Config     string
	Pipelines  []PipelineStatus
	Extensions []ExtensionStatus
	Gates      []string // feature gates that are known
	// Unmeasured says why there are no figures; Received and Sent are empty then.
	Unmeasured string
	Received   []ReceiverCounts
	Sent       []ExporterCounts
	Budget     BudgetStatus
}

// PipelineStatus is one pipeline with the ids of its components.
type PipelineStatus struct {
	ID, Signal                       string
	MutatesData                      bool
	Receivers, Processors, Exporters []string
}

// ExtensionStatus names an extension that runs.
type ExtensionStatus struct{ ID, Type string }

// ReceiverCounts counts the items of one signal that came to a receiver.
type ReceiverCounts struct {
	Receiver, Transport, Signal string
	Accepted, Refused, Failed   int64
}

// ExporterCounts counts the items of one signal that an exporter had to send.
type ExporterCounts struct {
	Exporter, Signal  string
	Delivered, Failed int64
}

// BudgetStatus is the memory for requests in flight. All are bytes but the last three,
// which are requests. A Limit of 0 is no limit.
type BudgetStatus struct {
	Limit, Used, Peak int64
	Requests, Waiting int
	RefusedSoFar      int64
}
