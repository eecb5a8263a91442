package zpagesextension

import (
	"context"
	"time"
)

// A Source tells what there is to show.
type Source func(ctx context.Context) (Snapshot, error)

// Snapshot is the service at one moment. Counters count from its start.
type Snapshot struct {
	Taken   time.Time
	Version string
	// Since is when the service became ready; NotReady says why it is not.
	Since    time.Time
	NotReady string
	// Config is the configuration in effect as YAML, secrets hidden.
	Config     string
	Pipelines  []Pipeline
	Extensions []Info
	Gates      []string // feature gates that are known
	// Unmeasured says why there are no figures; Received and Sent are empty then.
	Unmeasured string
	Received   []Received
	Sent       []Sent
	Budget     Budget
}

// Pipeline is one pipeline with the ids of its components.
type Pipeline struct {
	ID, Signal                       string
	MutatesData                      bool
	Receivers, Processors, Exporters []string
}

// Info names an extension that runs.
type Info struct{ ID, Type string }

// Received counts the items of one signal that came to a receiver.
type Received struct {
	Receiver, Transport, Signal string
	Accepted, Refused, Failed   int64
}

// Sent counts the items of one signal that an exporter had to send.
type Sent struct {
	Exporter, Signal  string
	Delivered, Failed int64
}

// Budget is the memory for requests in flight. All are bytes but the last three,
// which are requests. A Limit of 0 is no limit.
type Budget struct {
	Limit, Used, Peak int64
	Requests, Waiting int
	RefusedSoFar      int64
}
