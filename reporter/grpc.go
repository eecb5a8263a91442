package reporter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlpclient"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// GRPCReporter sends what is reported, as it is, to a collection agent
// (collectionagent/v1; penstock's receiver "collectionagent" is one). It
// implements the various reporting interfaces.
//
//	ReportFramesForTrace ─► queue ┐
//	ReportCountForTrace  ─► queue ├─ ReportInterval ±20 % ─► requests ─► agent
//	...                           │                             ▲ └─ again, with backoff,
//	ReportMetrics        ─► queue ┘ ReportMetricsInterval       └────  until it is there
//
// No Report call waits. What cannot be sent yet stays: one batch of each type that
// is being sent, and the queue behind it. A queue that is full overwrites its
// oldest entries and counts them; nothing else is lost while the agent is away. An agent
// that was restarted asks for the stacks that it does not have: as many of each type stay
// here as its queue holds, and are sent again.
// Text longer than 64 KiB is cut, what is not UTF-8 in it becomes U+FFFD.
type GRPCReporter struct {
	traces      *lane[libpf.Trace, *collectionagentv1.TraceFrames]
	counts      *lane[libpf.TraceAndCounts, *collectionagentv1.TraceCount]
	frames      *lane[libpf.FrameMetadata, *collectionagentv1.FrameMetadata]
	executables *lane[executableEntry, *collectionagentv1.ExecutableMetadata]
	symbols     *lane[symbolEntry, *collectionagentv1.FallbackSymbol]
	hosts       *lane[HostMetadata, *collectionagentv1.HostMetadata]
	metrics     *lane[metricsEntry, *collectionagentv1.MetricValues]

	facts     *facts
	sentAgain atomic.Uint64 // stacks
	sender    *sender
	traffic   otlpclient.Traffic
	times     Times
	log       *slog.Logger
	hangUp    func() error // closes the connection

	ctx      context.Context // ends when the time of Stop is over
	cancel   context.CancelFunc
	stopping chan struct{} // closed when Stop begins
	running  sync.WaitGroup
	stop     sync.Once
}

var _ Reporter = (*GRPCReporter)(nil)

const (
	// defaultMessageBytes is what every gRPC server takes.
	defaultMessageBytes = 4 << 20
	// leastMessageBytes leaves room for what is in every request.
	leastMessageBytes = 1 << 10
	// maxStopTime bounds Stop where GRPCOperationTimeout is longer.
	maxStopTime = 5 * time.Second
)

// Start sets up and manages the reporting connection to the collection agent as
// well as a queue per data type to send the provided information in bulks. It
// waits until the agent can be reached: for MaxGRPCRetries+1 attempts, or until
// ctx ends, which has no effect after that. Callers of Start should be calling
// the corresponding Stop() API to conclude gracefully the operations managed
// here. What is worth telling an operator goes to slog's default logger.
func Start(ctx context.Context, c *Config) (*GRPCReporter, error) {
	return startWith(ctx, c, config.ClientTLS{}, slog.Default())
}

func startWith(ctx context.Context, c *Config, tls config.ClientTLS, log *slog.Logger) (*GRPCReporter, error) {
	r, err := newGRPCReporter(c, log)
	if err != nil {
		return nil, fmt.Errorf("start the reporter: %w", err)
	}
	conn, err := connect(ctx, c, tls, &r.traffic, log)
	if err != nil {
		return nil, fmt.Errorf("start the reporter: %w", err)
	}
	r.begin(collectionagentv1.NewCollectionAgentClient(conn), conn.Close)
	return r, nil
}

// newGRPCReporter makes a reporter without a connection.
func newGRPCReporter(c *Config, log *slog.Logger) (*GRPCReporter, error) {
	if err := c.checkGRPC(); err != nil {
		return nil, err
	}
	r := &GRPCReporter{times: c.Times, log: log, stopping: make(chan struct{})}
	if err := r.setupLanes(c); err != nil {
		return nil, err
	}
	r.facts = newFacts(c)
	instance := make([]byte, collectionagentv1.IDBytes)
	_, _ = rand.Read(instance) // never fails
	first, long := pauses(c.Times)
	r.sender = &sender{
		target: c.CollAgentAddr, log: log, stopping: r.stopping, instance: instance, maxBytes: c.maxMessageBytes(),
		timeout: c.Times.GRPCOperationTimeout(), authDelay: c.Times.GRPCAuthErrorDelay(), firstPause: first, longPause: long,
		answered: r.facts.answered,
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// begin starts to report to client.
func (r *GRPCReporter) begin(client collectionagentv1.CollectionAgentClient, hangUp func() error) {
	r.sender.client, r.hangUp = client, hangUp
	r.running.Go(r.run)
}

// checkGRPC checks what Start needs of a configuration, but for the queues.
func (c *Config) checkGRPC() error {
	if c == nil {
		return errors.New("expected a Config, found nil")
	}
	if c.Times == nil {
		return errors.New("Config.Times: expected intervals, found nil")
	}
	if c.SpoolDir != "" {
		return fmt.Errorf("Config.SpoolDir: expected none, found %q: the queues of a collection agent's reporter are in memory; StartOTLP has a spool", c.SpoolDir)
	}
	if c.MaxRPCMsgSize != 0 && c.MaxRPCMsgSize < leastMessageBytes {
		return fmt.Errorf("Config.MaxRPCMsgSize: expected 0 or at least %d, found %d", leastMessageBytes, c.MaxRPCMsgSize)
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{
		{"ReportInterval", c.Times.ReportInterval()}, {"ReportMetricsInterval", c.Times.ReportMetricsInterval()},
		{"GRPCConnectionTimeout", c.Times.GRPCConnectionTimeout()}, {"GRPCOperationTimeout", c.Times.GRPCOperationTimeout()},
	} {
		if t.value <= 0 {
			return fmt.Errorf("Config.Times.%s: expected more than 0, found %s", t.name, t.value)
		}
	}
	return nil
}

func (c *Config) maxMessageBytes() int {
	if c.MaxRPCMsgSize == 0 {
		return defaultMessageBytes
	}
	return c.MaxRPCMsgSize
}

type request = collectionagentv1.ReportRequest

func (r *GRPCReporter) setupLanes(c *Config) error {
	var errs [7]error
	r.traces, errs[0] = newLane("frames for traces", "FramesForTracesMaxQueue", c.FramesForTracesMaxQueue, r.log, wireTrace,
		func(q *request) *[]*collectionagentv1.TraceFrames { return &q.Traces })
	r.counts, errs[1] = newLane("counts for traces", "CountsForTracesMaxQueue", c.CountsForTracesMaxQueue, r.log, wireCount,
		func(q *request) *[]*collectionagentv1.TraceCount { return &q.Counts })
	r.frames, errs[2] = newLane("frame metadata", "FrameMetadataMaxQueue", c.FrameMetadataMaxQueue, r.log, wireFrame,
		func(q *request) *[]*collectionagentv1.FrameMetadata { return &q.Frames })
	r.executables, errs[3] = newLane("executable metadata", "ExecMetadataMaxQueue", c.ExecMetadataMaxQueue, r.log, wireExecutable,
		func(q *request) *[]*collectionagentv1.ExecutableMetadata { return &q.Executables })
	r.symbols, errs[4] = newLane("fallback symbols", "FallbackSymbolsMaxQueue", c.FallbackSymbolsMaxQueue, r.log, wireSymbol,
		func(q *request) *[]*collectionagentv1.FallbackSymbol { return &q.Symbols })
	r.hosts, errs[5] = newLane("host metadata", "HostMetadataMaxQueue", c.HostMetadataMaxQueue, r.log, wireHost,
		func(q *request) *[]*collectionagentv1.HostMetadata { return &q.Hosts })
	r.metrics, errs[6] = newLane("metrics", "MetricsMaxQueue", c.MetricsMaxQueue, r.log, wireMetrics,
		func(q *request) *[]*collectionagentv1.MetricValues { return &q.Metrics })
	return errors.Join(errs[:]...)
}

// flusher is a lane of any type.
type flusher interface {
	flush(context.Context, *sender) bool
	close()
	abandon() int
}

// eventLanes are flushed on the report interval: what is known of a host, of
// executables and of stacks before the counts that need it.
func (r *GRPCReporter) eventLanes() []flusher {
	return []flusher{r.hosts, r.executables, r.frames, r.symbols, r.traces, r.counts}
}

func (r *GRPCReporter) allLanes() []flusher { return append(r.eventLanes(), r.metrics) }

// run flushes on both intervals until Stop, and once more then.
func (r *GRPCReporter) run() {
	events := time.NewTimer(jitter(r.times.ReportInterval()))
	defer events.Stop()
	metrics := time.NewTimer(jitter(r.times.ReportMetricsInterval()))
	defer metrics.Stop()
	for {
		select {
		case <-events.C:
			r.flushEvents(r.ctx)
			events.Reset(jitter(r.times.ReportInterval()))
		case <-metrics.C:
			r.flush([]flusher{r.metrics})
			metrics.Reset(jitter(r.times.ReportMetricsInterval()))
		case <-r.stopping:
			r.flush(r.allLanes())
			r.sendAgain()
			return
		}
	}
}

func (r *GRPCReporter) flush(lanes []flusher) {
	for _, l := range lanes {
		if !l.flush(r.ctx, r.sender) {
			return
		}
	}
}

// Stop asks all background tasks to exit and waits for them. What is queued is
// sent first, within GRPCOperationTimeout, at most 5 s; what is left then is
// dropped, counted and logged. It may be called twice, also at once.
func (r *GRPCReporter) Stop() {
	r.stop.Do(func() {
		for _, l := range r.allLanes() {
			l.close()
		}
		late := time.AfterFunc(min(r.times.GRPCOperationTimeout(), maxStopTime), r.cancel)
		defer late.Stop()
		close(r.stopping)
		r.running.Wait()
		r.cancel()
		left := 0
		for _, l := range r.allLanes() {
			left += l.abandon()
		}
		if left > 0 {
			r.log.Error("the reporter was stopped before all could be sent, the rest is dropped", "agent", r.sender.target, "entries", left)
		}
		if err := r.hangUp(); err != nil {
			r.log.Warn("close the connection to the collection agent", "agent", r.sender.target, "error", err)
		}
	})
}
