package obsreport

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// instrument is a row of the table from which the instruments and
// docs/metrics.md are generated. In a row for each signal, "%s" stands for the
// signal's Item in the name and for its noun in the text.
type instrument struct {
	name       string
	kind       kind
	unit       string // empty: the unit of the signal's items
	text       string
	attributes []*attr
	collector  string // empty: penstock only; else the source of the metric in the Collector
	from       level  // the lowest level that has it
	note       string // only for docs/metrics.md
}

func (i *instrument) perSignal() bool { return strings.Contains(i.name, "%s") }

// of returns the row for signal s.
func (i instrument) of(s otlp.Signal) instrument {
	if i.perSignal() {
		i.name, i.text = fmt.Sprintf(i.name, s.Spec().Item), fmt.Sprintf(i.text, noun(s))
		i.unit = s.Spec().Unit
	}
	return i
}

// noun returns the name of a signal's items in prose: "metric points".
func noun(s otlp.Signal) string { return strings.ReplaceAll(s.Spec().Item, "_", " ") }

// level is a value of service.telemetry.metrics.level.
type level uint8

const (
	fromBasic level = iota
	fromNormal
	fromDetailed
)

var levelNames = [...]string{"basic", "normal", "detailed"}

// NotAt returns the names of the instruments that a level ("basic", "normal",
// "detailed") does not have, for the views of a meter provider.
func NotAt(name string) (names []string) {
	at := slices.Index(levelNames[:], name)
	for i := range instruments {
		in := &instruments[i]
		switch {
		case int(in.from) <= at:
		case !in.perSignal():
			names = append(names, in.name)
		default:
			for _, s := range otlp.Signals() {
				names = append(names, in.of(s).name)
			}
		}
	}
	return names
}

// kind is the kind of an instrument.
type kind uint8

const (
	counter  kind = iota
	observed      // a counter that is read at collection
	upDown        // Prometheus has it as a gauge
	gauge
	seconds // histogram
	size    // histogram of bytes
	amount  // histogram of numbers of items
)

var kindNames = [...]string{counter: "counter", observed: "counter", upDown: "up-down counter", gauge: "gauge", seconds: "histogram", size: "histogram", amount: "histogram"}

// Boundaries of the histograms. A request that is handled in memory takes some
// microseconds; a minute is above all default timeouts.
var (
	secondsBounds = []float64{
		5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
		0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
	}
	amountBounds = []float64{10, 25, 50, 75, 100, 250, 500, 750, 1e3, 2e3, 3e3, 4e3, 5e3, 6e3, 7e3, 8e3, 9e3, 1e4, 2e4, 3e4, 5e4, 1e5} // as in the Collector
	sizeBounds   = []float64{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}
)

// attr is an attribute and, for docs/metrics.md, its values.
type attr struct {
	key      attribute.Key
	values   []string // all values; empty: see text
	text     string
	optional bool // only some of the series have it
	detailed bool // only at level detailed
}

var (
	attrReceiver  = attr{key: "receiver", text: "the receiver's id in the configuration, such as `otlp/2`"}
	attrProcessor = attr{key: "processor", text: "the processor's id in the configuration, such as `resource/2`"}
	attrPolicy    = attr{key: "policy", text: "where the decision comes from: `trace_id_hash`, `trace_id_w3c`, `sampling_randomness`, `sampling_priority`, `missing_randomness`, or the attribute that was hashed"}
	attrSampled   = attr{key: "sampled", values: []string{"true", "false"}}
	attrBranch    = attr{key: "branch", text: "the pipeline, exporter or connector that the branch leads to, such as `pipeline traces/2`"}
	attrOtel      = attr{key: "otel.signal", values: signalNames()[1:]}
	attrExporter  = attr{key: "exporter", text: "the exporter's id in the configuration, such as `otlphttp`"}
	attrAddress   = attr{key: "server.address", text: "the host of the destination, or the path of its socket; only of exporters that send to one"}
	attrPort      = attr{key: "server.port", text: "the port of the destination; only of exporters that send to one"}
	attrPath      = attr{key: "url.path", text: "the path of the destination; only of exporters over HTTP"}
	attrErrorType = attr{key: "error.type", optional: true, text: "Of items of exporters, only at level detailed: `Canceled`, `Deadline_Exceeded`, `Shutdown`, or the gRPC code, such as `Unavailable`, also of destinations over HTTP; `_OTHER` for any other cause. " +
		"Of calls over gRPC: the code if it is an error. Of calls over HTTP: the type of the error in Go, such as `net.OpError`, if there was no response."}
	attrPermanent = attr{key: "error.permanent", detailed: true, text: "`true` if the same items would be refused again"}
	attrLocal     = attr{key: "server.address", text: "the address of this machine at which the request has arrived, never the client's `Host` header; absent for a unix socket"}
	attrLocalPort = attr{key: "server.port", text: "the port of that address"}
	attrNetwork   = attr{key: "network.protocol.name", values: []string{"http"}}
	attrVersion   = attr{key: "network.protocol.version", values: versionNames[1:]}
	attrScheme    = attr{key: "url.scheme", values: []string{"http", "https"}}
	attrDataType  = attr{key: "data_type", values: signalNames()[1:]}
	attrPipeline  = attr{key: "pipeline", text: "the pipeline's id in the configuration, such as `traces/2`"}
	attrFate      = attr{key: "state", values: fates[:], text: "Of items of a queue. `rejected`: the destination took the rest of their request, or refused it, and nothing keeps it. `dead_lettered`: refused for good, or given up. `dropped`: by a bound of the storage. `damaged`: they could not be read any more. `returned`: their sender, which waited for a queue in memory, was asked to send them again."}
	attrTransport = attr{key: "transport", values: []string{"grpc", "http"}}
	attrFormat    = attr{key: "format", values: formatNames[:], detailed: true, text: "The encoding of the body; `unknown` also if the request was refused before it was known."}
	attrSignal    = attr{key: "signal", values: signalNames(), detailed: true, text: "`unknown` if the request is for none that is received."}
	attrOutcome   = attr{key: "outcome", values: outcomeNames[:], text: "`failure` is an internal error, or a client that disconnected or was too slow; a partial success is a success."}
	attrResult    = attr{key: "result", values: attemptNames[:], text: "Of attempts. `retryable` and `overloaded`: the request should be sent again, for `overloaded` after a delay; `permanent`: it should not be sent again; `partial`: some items were rejected, all others accepted."}
	attrReason    = attr{key: "reason", values: reasonNames[1:], text: "Of refused requests."}
	attrReload    = attr{key: "result", values: reloadResults[:], text: "Of reloads."}
	attrDropped   = attr{key: "reason", text: "`window_full`, `pending_full`, `too_large`: a limit was exceeded. `refused`, `rejected`: the pipeline refused it permanently. `stopped`: it could not be sent before the shutdown deadline. `invalid`, `unknown_metric`, `ignored`: see [reporter](reporter.md)."}
	attrConn      = attr{key: "reason", values: connReasonNames[:], text: "Of refused connections."}
	attrTarget    = attr{key: "target", text: "the target's `host:port`, with the path of its profiles if that is not `/debug/pprof`; `files` for all files"}
	attrProfile   = attr{key: "profile", text: "`cpu`, `heap`, `allocs`, `goroutine`, `mutex`, `block`, `threadcreate`; the path for any other URL; `file`"}
	attrFetch     = attr{key: "outcome", text: "`success`, or the cause of the failure: `refused`, `timeout`, `transport`, `not_found`, `denied`, `busy`, `status`, `redirect`, `not_pprof`, `too_large`, `memory`, `file`, `no_room`, `not_taken`."}
	attrMethod    = attr{key: "http.request.method", values: methodNames[:]}
	attrStatus    = attr{key: "http.response.status_code", optional: true, text: "a number; absent if the request was interrupted"}
	attrRoute     = attr{key: "http.route", text: "the path of a signal as configured; absent for any other path"}
	attrSystem    = attr{key: "rpc.system.name", values: []string{"grpc"}}
	attrRPC       = attr{key: "rpc.method", text: "the full method of a signal, such as `opentelemetry.proto.collector.trace.v1.TraceService/Export`; `_OTHER` for any other"}
	attrCode      = attr{key: "rpc.response.status_code", values: codeNames[:]}
)

func signalNames() []string {
	names := []string{signalName(0)}
	for _, s := range otlp.Signals() {
		names = append(names, signalName(s))
	}
	return names
}

// signalName is the value of the attribute "signal".
func signalName(s otlp.Signal) string {
	if !s.Valid() {
		return "unknown"
	}
	return s.String()
}

// Rows of the table.
const (
	itemsAccepted = iota
	itemsRefused
	itemsFailed
	requestsDone
	requestsRefused
	requestsInvalidUTF8
	requestsUnrecognized
	requestsActive
	connectionsActive
	connectionsRefused
	httpDuration
	httpSize
	httpResponseSize
	rpcDuration
	rpcSize
	httpClientDuration
	httpClientSize
	rpcClientDuration
	itemsSent
	itemsSendFailed
	sendAttempts
	requestsInFlight
	queueSize
	queueCapacity
	enqueueFailed
	enqueueSize
	enqueueBytes
	queueItems
	queueHeld
	queueHeldBytes
	queueDurable
	itemsDelivered
	itemsDropped
	itemsHeld
	samplesWithoutStack
	pprofUp
	pprofFetches
	pprofBytes
	pprofDuration
	pprofRestarts
	itemsIncoming
	itemsOutgoing
	processorDuration
	batchSize
	batchBytes
	batchFull
	batchTimeouts
	batchMetadata
	sampledTraces
	sampledLogs
	branchRepeats
	branchDead
	reloadSuccessful
	reloadTime
	reloadsDone
)

const (
	byCollector = "Collector"
	byOtelhttp  = "Collector (otelhttp, level detailed)"
	byOtelgrpc  = "Collector (otelgrpc, level detailed)"
	byDetailed  = "Collector (level detailed)"
)

var (
	ofItems       = []*attr{&attrReceiver, &attrTransport, &attrFormat}
	ofRequests    = []*attr{&attrReceiver, &attrTransport, &attrFormat, &attrSignal}
	ofConnections = []*attr{&attrReceiver, &attrTransport}
	ofHTTP        = []*attr{&attrReceiver, &attrMethod, &attrStatus, &attrRoute, &attrNetwork, &attrVersion, &attrScheme, &attrLocal, &attrLocalPort}
	ofRPC         = []*attr{&attrReceiver, &attrSystem, &attrRPC, &attrCode, &attrErrorType}
	ofHTTPClients = []*attr{&attrMethod, &attrStatus, &attrErrorType, &attrNetwork, &attrVersion, &attrScheme, &attrAddress, &attrPort}
	ofRPCClients  = []*attr{&attrSystem, &attrRPC, &attrCode, &attrErrorType, &attrAddress, &attrPort}
	ofHeld        = []*attr{&attrReceiver}
	ofTargets     = []*attr{&attrReceiver, &attrTarget}
	ofExporters   = []*attr{&attrExporter}
	ofSenders     = []*attr{&attrExporter, &attrAddress, &attrPort, &attrPath}
	ofProcessors  = []*attr{&attrProcessor, &attrOtel}
	ofBatches     = []*attr{&attrProcessor}
	ofSamplers    = []*attr{&attrPolicy, &attrSampled}
	ofQueues      = []*attr{&attrExporter, &attrDataType, &attrPipeline}
	ofBranches    = []*attr{&attrBranch, &attrOtel}
)

// instruments is the table.
var instruments = [...]instrument{
	itemsAccepted: {name: "otelcol_receiver_accepted_%s", attributes: ofItems, collector: byCollector,
		text: "Number of %s successfully pushed into the pipeline."},
	itemsRefused: {name: "otelcol_receiver_refused_%s", attributes: ofItems, collector: byCollector,
		text: "Number of %s that could not be pushed into the pipeline."},
	itemsFailed: {name: "otelcol_receiver_failed_%s", attributes: ofItems, collector: byCollector,
		text: "The number of %s that failed to be processed by the receiver due to internal errors."},
	requestsDone: {name: "otelcol_receiver_requests", unit: "{request}", attributes: append(ofRequests[:4:4], &attrOutcome), collector: byCollector, from: fromNormal,
		text: "The number of requests performed.",
		note: "Each request that reached the server, once. In the Collector it needs a feature gate."},
	requestsRefused: {name: "otelcol_receiver_refused_requests", unit: "{request}", attributes: append(ofRequests[:4:4], &attrReason), from: fromNormal,
		text: "Number of requests that did not succeed, by reason.",
		note: "The sum over all reasons is the number of requests whose outcome is not success. The series of a reason exists from its first request on."},
	requestsInvalidUTF8: {name: "otelcol_receiver_invalid_utf8_requests", unit: "{request}", attributes: ofRequests, from: fromNormal,
		text: "Number of requests accepted with strings that are not valid UTF-8."},
	requestsUnrecognized: {name: "otelcol_receiver_unrecognized_requests", unit: "{request}", attributes: ofRequests, from: fromNormal,
		text: "Number of requests accepted in JSON that have no items and fields that are not known."},
	requestsActive: {name: "otelcol_receiver_active_requests", kind: upDown, unit: "{request}", attributes: ofConnections,
		text: "Number of requests that are being received or processed."},
	connectionsActive: {name: "otelcol_receiver_active_connections", kind: upDown, unit: "{connection}", attributes: ofConnections,
		text: "Number of open connections."},
	connectionsRefused: {name: "otelcol_receiver_refused_connections", unit: "{connection}", attributes: append(ofConnections[:2:2], &attrConn), from: fromNormal,
		text: "Number of connections refused or closed by the receiver, by reason.",
		note: "The series of all reasons exist from the first connection on."},
	httpDuration: {name: "http.server.request.duration", kind: seconds, unit: "s", attributes: ofHTTP, collector: byOtelhttp, from: fromDetailed,
		text: "Duration of HTTP server requests.",
		note: "From the head of the request to the end of the response. In the Collector without `receiver`, and `server.address` and `server.port` are those of the client's `Host` header."},
	httpSize: {name: "http.server.request.body.size", kind: size, unit: "By", attributes: ofHTTP, collector: byOtelhttp, from: fromDetailed,
		text: "Size of HTTP server request bodies.",
		note: "The compressed size. A request refused before its body was read is not counted."},
	httpResponseSize: {name: "http.server.response.body.size", kind: size, unit: "By", attributes: ofHTTP, collector: byOtelhttp, from: fromDetailed,
		text: "Size of HTTP server response bodies.",
		note: "A request that was interrupted is not counted."},
	rpcDuration: {name: "rpc.server.call.duration", kind: seconds, unit: "s", attributes: ofRPC, collector: byOtelgrpc, from: fromDetailed,
		text: "Measures the duration of an incoming Remote Procedure Call (RPC).",
		note: "In the Collector without `receiver`, and with any method that a client sends."},
	rpcSize: {name: "rpc.server.request.size", kind: size, unit: "By", attributes: ofRPC, collector: "Collector (otelgrpc before semantic conventions 1.40)", from: fromDetailed,
		text: "Measures the size of RPC request messages (uncompressed).",
		note: "The conventions removed it because of streams, which OTLP does not have. A request refused before it was read is not counted."},
	httpClientDuration: {name: "http.client.request.duration", kind: seconds, unit: "s", attributes: ofHTTPClients, collector: byOtelhttp, from: fromDetailed,
		text: "Duration of HTTP client requests.",
		note: "From the begin of an attempt to the head of the response."},
	httpClientSize: {name: "http.client.request.body.size", kind: size, unit: "By", attributes: ofHTTPClients, collector: byOtelhttp, from: fromDetailed,
		text: "Size of HTTP client request bodies.",
		note: "The compressed size; 0 if the body was not sent whole before the response, or the error, came."},
	rpcClientDuration: {name: "rpc.client.call.duration", kind: seconds, unit: "s", attributes: ofRPCClients, collector: byOtelgrpc, from: fromDetailed,
		text: "Measures the duration of an outgoing Remote Procedure Call (RPC).",
		note: "`server.address` is the configured one; in the Collector it is the IP address of the connection, and absent without one."},
	itemsSent: {name: "otelcol_exporter_sent_%s", attributes: ofSenders, collector: byCollector,
		text: "Number of %s successfully sent to destination."},
	itemsSendFailed: {name: "otelcol_exporter_send_failed_%s", attributes: append(ofSenders[:4:4], &attrErrorType, &attrPermanent), collector: byCollector,
		text: "Number of %s that were not accepted when their request was settled.",
		note: "At level detailed the series of a cause exists from its first failure on."},
	sendAttempts: {name: "otelcol_exporter_send_attempts", unit: "{attempt}", attributes: append(ofExporters[:1:1], &attrSignal, &attrResult), from: fromNormal,
		text: "Number of attempts to send a request, by result.",
		note: "A request that is retried counts each time."},
	requestsInFlight: {name: "otelcol_exporter_in_flight_requests", kind: upDown, unit: "{request}", attributes: []*attr{&attrExporter, &attrDataType}, collector: byCollector,
		text: "Number of requests that are being sent."},
	queueSize: {name: "otelcol_exporter_queue_size", kind: upDown, unit: "{batch}", attributes: ofQueues, collector: byCollector,
		text: "Current size of the retry queue.",
		note: "In units of `sending_queue.sizer`, as in the Collector."},
	queueCapacity: {name: "otelcol_exporter_queue_capacity", kind: upDown, unit: "{batch}", attributes: ofQueues, collector: byCollector,
		text: "Fixed capacity of the retry queue.",
		note: "`sending_queue.queue_size`. Without that key, and with a sizer other than `bytes`, it is what the bound of bytes is at the mean size of requests so far. Bytes are those before compression: of requests that are stored compressed the bound holds more."},
	enqueueFailed: {name: "otelcol_exporter_enqueue_failed_%s", attributes: ofExporters, collector: byCollector,
		text: "Number of %s failed to be added to the sending queue."},
	enqueueSize: {name: "otelcol_exporter_enqueue_size", kind: amount, unit: "{unit}", attributes: ofExporters[:1:1], collector: byDetailed, from: fromDetailed,
		text: "Number of units in the request added to the sending queue."},
	enqueueBytes: {name: "otelcol_exporter_enqueue_size_bytes", kind: size, unit: "By", attributes: ofExporters[:1:1], collector: byDetailed, from: fromDetailed,
		text: "Number of bytes in the request added to the sending queue."},
	queueItems: {name: "otelcol_exporter_queue_items", kind: observed, unit: "{item}", attributes: append(ofQueues[:3:3], &attrFate),
		text: "Number of items that the queue has taken, and what became of them. On disk it goes on over restarts.",
		note: "accepted = delivered + rejected + dead_lettered + dropped + damaged + returned + `otelcol_exporter_queue_held_items`."},
	queueHeld: {name: "otelcol_exporter_queue_held_items", kind: upDown, unit: "{item}", attributes: ofQueues,
		text: "Number of items in the queue."},
	queueDurable: {name: "otelcol_exporter_queue_durable", kind: upDown, unit: "1", attributes: ofQueues,
		text: "1 if the queue is on disk, so that what it has survives a restart; 0 if it is in memory."},
	queueHeldBytes: {name: "otelcol_exporter_queue_held_bytes", kind: upDown, unit: "By", attributes: ofQueues,
		text: "Size of the requests in the queue, as they are on the disk."},
	itemsDelivered: {name: "otelcol_receiver_delivered_%s", kind: observed, attributes: ofHeld,
		text: "Number of reported %s that the pipeline accepted.",
		note: "Of receivers that hold items for some time: `pprof`, `collectionagent`. It counts items as reported, before equal ones are added up."},
	itemsDropped: {name: "otelcol_receiver_dropped_%s", kind: observed, attributes: append(ofHeld[:1:1], &attrDropped),
		text: "Number of reported %s that were dropped, by reason.",
		note: "The series of a reason exists from its first drop on."},
	itemsHeld: {name: "otelcol_receiver_held_%s", kind: upDown, attributes: ofHeld,
		text: "Number of reported %s that are being collected, or wait for the pipeline."},
	samplesWithoutStack: {name: "otelcol_receiver_without_stack_profile_samples", kind: observed, unit: "{sample}", attributes: ofHeld,
		text: "Number of profile samples that were sent without a stack.",
		note: "Of `collectionagent`: the frames of the stack did not come within two report intervals, or were evicted. Of `pprof`: the profile has none."},
	pprofUp: {name: "otelcol_receiver_pprof_target_up", kind: upDown, unit: "{target}", attributes: ofTargets,
		text: "1 if the last fetch of the target brought a profile, otherwise 0."},
	pprofFetches: {name: "otelcol_receiver_pprof_fetches", kind: observed, unit: "{fetch}", attributes: append(ofTargets[:2:2], &attrFetch), from: fromNormal,
		text: "Number of fetches of profiles, by outcome.",
		note: "The series of an outcome exists from its first fetch on."},
	pprofBytes: {name: "otelcol_receiver_pprof_fetched_bytes", kind: observed, unit: "By", attributes: ofTargets, from: fromNormal,
		text: "Size of the fetched profiles, as they came."},
	pprofDuration: {name: "otelcol_receiver_pprof_fetch_duration", kind: seconds, unit: "s", attributes: []*attr{&attrReceiver, &attrProfile}, from: fromDetailed,
		text: "Duration of fetches, until the profile was handed on, or the fetch failed.",
		note: "A CPU profile includes the time that is measured."},
	pprofRestarts: {name: "otelcol_receiver_pprof_restarts", kind: observed, unit: "{restart}", attributes: ofTargets, from: fromNormal,
		text: "Number of restarts of the process that were noticed.",
		note: "Each cumulative profile of the target notices it: a restart counts once for each of heap, mutex and block."},
	itemsIncoming: {name: "otelcol_processor_incoming_items", unit: "{item}", attributes: ofProcessors, collector: byCollector,
		text: "Number of items passed to the processor."},
	itemsOutgoing: {name: "otelcol_processor_outgoing_items", unit: "{item}", attributes: ofProcessors, collector: byCollector,
		text: "Number of items emitted from the processor.",
		note: "Items of a refused batch are not counted."},
	processorDuration: {name: "otelcol_processor_internal_duration", kind: seconds, unit: "s", attributes: ofProcessors, collector: byDetailed, from: fromDetailed,
		text: "Duration of time taken to process a batch of telemetry data through the processor.",
		note: "It is not measured for processors that hold data or send later."},
	batchSize: {name: "otelcol_processor_batch_batch_send_size", kind: amount, unit: "{unit}", attributes: ofBatches, collector: byCollector,
		text: "Number of units in the batch."},
	batchBytes: {name: "otelcol_processor_batch_batch_send_size_bytes", kind: size, unit: "By", attributes: ofBatches, collector: byDetailed, from: fromDetailed,
		text: "Number of bytes in batch that was sent."},
	batchFull: {name: "otelcol_processor_batch_batch_size_trigger_send", unit: "{times}", attributes: ofBatches, collector: byCollector,
		text: "Number of times the batch was sent due to a size trigger."},
	batchTimeouts: {name: "otelcol_processor_batch_timeout_trigger_send", unit: "{times}", attributes: ofBatches, collector: byCollector,
		text: "Number of times the batch was sent due to a timeout trigger.",
		note: "Requests that are sent since none before them is being sent any more count in neither."},
	batchMetadata: {name: "otelcol_processor_batch_metadata_cardinality", kind: upDown, unit: "{combinations}", attributes: ofBatches, collector: byCollector,
		text: "Number of distinct metadata value combinations being processed."},
	sampledTraces: {name: "otelcol_processor_probabilistic_sampler_count_traces_sampled", unit: "1", attributes: ofSamplers, collector: byCollector,
		text: "Count of traces that were sampled or not.",
		note: "It counts spans, as in the Collector."},
	sampledLogs: {name: "otelcol_processor_probabilistic_sampler_count_logs_sampled", unit: "1", attributes: ofSamplers, collector: byCollector,
		text: "Count of logs that were sampled or not."},
	branchRepeats: {name: "otelcol_fanout_repeated_items", unit: "{item}", attributes: ofBranches,
		text: "Number of items that a branch has kept, and that senders were asked to send again because another branch could not keep them.",
		note: "If they are sent again, the branch has them twice."},
	reloadSuccessful: {name: "otelcol_config_last_reload_successful", kind: gauge, unit: "1",
		text: "1 if the last reload of the configuration succeeded, 0 if it failed.",
		note: "1 from the start on. After a failed reload the previous configuration stays in effect."},
	reloadTime: {name: "otelcol_config_last_reload_success_timestamp_seconds", kind: gauge, unit: "s",
		text: "When a configuration was put in effect last, in seconds since 1970.",
		note: "The time of the start until the first reload."},
	reloadsDone: {name: "otelcol_config_reloads", unit: "{reload}", attributes: []*attr{&attrReload},
		text: "Number of reloads of the configuration, by result.",
		note: "The series of both results exist from the start on."},
	branchDead: {name: "otelcol_fanout_dead_lettered_items", unit: "{item}", attributes: ofBranches,
		text: "Number of items that a branch has refused for good while others have kept them, and that are in the dead letters of its pipeline."},
}

// maker creates the instruments of one component and collects the errors.
type maker struct {
	meter metric.Meter
	owner string // for errors: `receiver "otlp/2"`
	errs  []error
}

func (m *maker) err() error { return errors.Join(m.errs...) }

func (m *maker) check(name string, err error) {
	if err != nil {
		m.errs = append(m.errs, fmt.Errorf("create metric %s of %s: %w", name, m.owner, err))
	}
}

// counter creates the counter of a row; s is 0 if the row is not for each
// signal.
func (m *maker) counter(row int, s otlp.Signal) metric.Int64Counter {
	in := instruments[row].of(s)
	c, err := m.meter.Int64Counter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text))
	m.check(in.name, err)
	return c
}

// observed creates the observed counter of a row.
func (m *maker) observed(row int, s otlp.Signal) metric.Int64ObservableCounter {
	in := instruments[row].of(s)
	c, err := m.meter.Int64ObservableCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text))
	m.check(in.name, err)
	return c
}

// level creates the up-down counter of a row that is not observed.
func (m *maker) level(row int) metric.Int64UpDownCounter {
	in := instruments[row]
	c, err := m.meter.Int64UpDownCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text))
	m.check(in.name, err)
	return c
}

func (m *maker) upDown(row int) metric.Int64ObservableUpDownCounter { return m.upDownOf(row, 0) }

func (m *maker) upDownOf(row int, s otlp.Signal) metric.Int64ObservableUpDownCounter {
	in := instruments[row].of(s)
	c, err := m.meter.Int64ObservableUpDownCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text))
	m.check(in.name, err)
	return c
}

func (m *maker) seconds(row int) metric.Float64Histogram {
	in := &instruments[row]
	h, err := m.meter.Float64Histogram(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text),
		metric.WithExplicitBucketBoundaries(secondsBounds...))
	m.check(in.name, err)
	return h
}

func (m *maker) size(row int) metric.Int64Histogram { return m.histogram(row, sizeBounds) }

func (m *maker) histogram(row int, bounds []float64) metric.Int64Histogram {
	in := &instruments[row]
	h, err := m.meter.Int64Histogram(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text),
		metric.WithExplicitBucketBoundaries(bounds...))
	m.check(in.name, err)
	return h
}
