package obsreport

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// serverHistograms record the durations and sizes of requests. The names are
// those of the semantic conventions of the transport (OpenTelemetry 1.43,
// http-metrics and rpc-metrics).
type serverHistograms struct {
	grpc     bool
	receiver attribute.KeyValue
	routes   []string // of HTTP
	duration metric.Float64Histogram
	size     metric.Int64Histogram

	sets atomic.Pointer[map[serverKey][]metric.RecordOption] // copied when one is added
	mu   sync.Mutex                                          // held to add one
}

// serverKey identifies a set of attributes. All fields have a bounded number of
// values.
type serverKey struct {
	status int
	method int // of HTTP, in methodNames
	route  int // for HTTP, the index in routes plus one; for gRPC, the signal
}

// maxServerSets is the maximum number of sets of attributes. A receiver
// normally has some dozens; beyond the maximum requests are counted in one set.
const maxServerSets = 256

// The methods of the conventions; the last stands for all others.
var methodNames = [...]string{
	"POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "_OTHER",
}

// codeNames are gRPC's codes as the conventions spell them.
var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

const codeUnknown = 2

func (h *serverHistograms) init(m *maker, transport string, receiver attribute.KeyValue, routes []string) {
	h.grpc, h.receiver, h.routes = transport == "grpc", receiver, slices.Clone(routes)
	if len(routes) == 0 {
		for _, s := range otlp.Signals() {
			h.routes = append(append(h.routes, s.Spec().Path), s.Spec().Aliases...)
		}
	}
	if h.grpc {
		h.duration, h.size = m.seconds(rpcDuration), m.size(rpcSize)
	} else {
		h.duration, h.size = m.seconds(httpDuration), m.size(httpSize)
	}
	h.sets.Store(&map[serverKey][]metric.RecordOption{})
}

func (h *serverHistograms) record(ctx context.Context, q *Request) {
	if h.duration == nil {
		return // not at this level
	}
	timed, sized := h.duration.Enabled(ctx) && !q.Began.IsZero(), h.size.Enabled(ctx)
	bytes := q.WireBytes
	if h.grpc {
		bytes = q.Bytes
	}
	if bytes == 0 && q.Reason != ReasonNone {
		sized = false // refused before the body was read
	}
	if !timed && !sized {
		return
	}
	set := h.set(h.key(q))
	if timed {
		h.duration.Record(ctx, max(0, time.Since(q.Began).Seconds()), set...)
	}
	if sized {
		h.size.Record(ctx, int64(bytes), set...)
	}
}

func (h *serverHistograms) key(q *Request) serverKey {
	if h.grpc {
		k := serverKey{status: q.Status}
		if k.status < 0 || k.status >= len(codeNames) {
			k.status = codeUnknown
		}
		if q.Signal.Valid() {
			k.route = int(q.Signal)
		}
		return k
	}
	k := serverKey{status: q.Status, route: slices.Index(h.routes, q.Route) + 1}
	if k.status < 100 || k.status > 599 {
		k.status = 0
	}
	if k.method = slices.Index(methodNames[:], q.Method); k.method < 0 {
		k.method = len(methodNames) - 1
	}
	return k
}

// set returns the attributes of k, which are created on first use.
func (h *serverHistograms) set(k serverKey) []metric.RecordOption {
	if set, ok := (*h.sets.Load())[k]; ok {
		return set
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	sets := *h.sets.Load()
	if set, ok := sets[k]; ok {
		return set
	}
	attributes := h.attributes(k)
	if len(sets) >= maxServerSets-1 {
		k = serverKey{status: -1} // all other requests
		if set, ok := sets[k]; ok {
			return set
		}
		attributes = []attribute.KeyValue{h.receiver, attribute.Bool("otel.metric.overflow", true)} // the name that the SDK uses
	}
	set := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
	sets = maps.Clone(sets)
	sets[k] = set
	h.sets.Store(&sets)
	return set
}

func (h *serverHistograms) attributes(k serverKey) []attribute.KeyValue {
	if h.grpc {
		method := "_OTHER"
		if s := otlp.Signal(k.route); s.Valid() {
			method = s.Spec().Method[1:] // without the slash
		}
		return []attribute.KeyValue{
			h.receiver, attrSystem.key.String("grpc"), attrRPC.key.String(method), attrCode.key.String(codeNames[k.status]),
		}
	}
	set := []attribute.KeyValue{h.receiver, attrMethod.key.String(methodNames[k.method])}
	if k.status != 0 {
		set = append(set, attrStatus.key.Int(k.status))
	}
	if k.route != 0 {
		set = append(set, attrRoute.key.String(h.routes[k.route-1]))
	}
	return set
}
