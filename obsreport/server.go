package obsreport

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"

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
	response metric.Int64Histogram // of HTTP

	sets sets[serverKey]
}

// serverKey identifies a set of attributes. All fields have a bounded number of
// values: local is one of the addresses of this machine, not what the client calls it.
type serverKey struct {
	status  int
	method  int // of HTTP, in methodNames
	route   int // for HTTP, the index in routes plus one; for gRPC, the signal
	version int // of HTTP, in versionNames
	tls     bool
	local   netip.AddrPort
}

// The methods of the conventions; the last stands for all others.
var methodNames = [...]string{
	"POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "_OTHER",
}

// The versions of HTTP that a server has; the first stands for all others. Go's servers
// and clients call version 2 "HTTP/2.0".
var versionNames = [...]string{"", "1.0", "1.1", "2.0"}

func versionOf(proto string) int {
	return max(0, slices.Index(versionNames[:], strings.TrimPrefix(proto, "HTTP/")))
}

// serverErrors are the codes that are an error of a server, not of a client (semantic
// conventions for gRPC, "span status of servers").
var serverErrors = [len(codeNames)]bool{
	codes.Unknown: true, codes.DeadlineExceeded: true, codes.Unimplemented: true, codes.Internal: true, codes.Unavailable: true, codes.DataLoss: true,
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
		h.duration, h.size, h.response = m.seconds(httpDuration), m.size(httpSize), m.size(httpResponseSize)
	}
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
	answered := h.response != nil && q.Status != 0 && h.response.Enabled(ctx)
	if !timed && !sized && !answered {
		return
	}
	set := h.sets.get(h.key(q), h.attributes, h.receiver)
	if timed {
		h.duration.Record(ctx, max(0, time.Since(q.Began).Seconds()), set...)
	}
	if sized {
		h.size.Record(ctx, int64(bytes), set...)
	}
	if answered {
		h.response.Record(ctx, int64(q.ResponseBytes), set...)
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
	k := serverKey{
		status: q.Status, route: slices.Index(h.routes, q.Route) + 1,
		version: versionOf(q.Protocol), tls: q.TLS, local: q.Local,
	}
	if k.status < 100 || k.status > 599 {
		k.status = 0
	}
	if k.method = slices.Index(methodNames[:], q.Method); k.method < 0 {
		k.method = len(methodNames) - 1
	}
	return k
}

func (h *serverHistograms) attributes(k serverKey) []attribute.KeyValue {
	if h.grpc {
		method := "_OTHER"
		if s := otlp.Signal(k.route); s.Valid() {
			method = s.Spec().Method[1:] // without the slash
		}
		set := []attribute.KeyValue{
			h.receiver, attrSystem.key.String("grpc"), attrRPC.key.String(method), attrCode.key.String(codeNames[k.status]),
		}
		if serverErrors[k.status] {
			set = append(set, attrErrorType.key.String(codeNames[k.status]))
		}
		return set
	}
	set := append([]attribute.KeyValue{h.receiver, attrMethod.key.String(methodNames[k.method])}, protocolAttributes(k.version, k.tls)...)
	if k.local.IsValid() {
		set = append(set, attrLocal.key.String(k.local.Addr().String()), attrLocalPort.key.Int(int(k.local.Port())))
	}
	if k.status != 0 {
		set = append(set, attrStatus.key.Int(k.status))
	}
	if k.route != 0 {
		set = append(set, attrRoute.key.String(h.routes[k.route-1]))
	}
	return set
}

// protocolAttributes are those of HTTP's version and of the scheme.
func protocolAttributes(version int, tls bool) []attribute.KeyValue {
	set := []attribute.KeyValue{attrNetwork.key.String("http"), attrScheme.key.String(map[bool]string{true: "https", false: "http"}[tls])}
	if version > 0 {
		set = append(set, attrVersion.key.String(versionNames[version]))
	}
	return set
}
