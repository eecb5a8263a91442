package obsreport

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Client records the calls of an exporter to its destination: each attempt, with the
// names of the semantic conventions. Several exporters with the same destination share
// the series, as in the Collector. It is safe for concurrent use.
type Client struct {
	rpc, http metric.Float64Histogram
	size      metric.Int64Histogram
	servers   [otlp.Profiles + 1][]attribute.KeyValue // of gRPC

	rpcs  sets[rpcKey]
	https sets[httpKey]
}

// A Call is one exchange with a destination.
type Call struct {
	Signal otlp.Signal
	Took   time.Duration
	// Code is gRPC's status.
	Code uint32
	// URL is the target of a call over HTTP; nil means that the call is one of gRPC.
	URL *url.URL
	// Status is 0 without a response. Protocol is HTTP's, such as HTTP/1.1.
	Status   int
	Protocol string
	// RequestBytes is the size of the body, 0 if it was not sent whole.
	RequestBytes int
	// Err is why there is no response.
	Err error
}

// rpcKey and httpKey identify sets of attributes.
type rpcKey struct {
	signal otlp.Signal
	code   int
}

type httpKey struct {
	scheme, host, port string
	status, version    int
	failure            string
}

// NewClient creates the instruments for calls of the exporter with this id.
// destination returns the address that a signal is sent to.
func NewClient(id string, mp metric.MeterProvider, destination func(otlp.Signal) string) (*Client, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("exporter %q", id)}
	c := &Client{rpc: m.seconds(rpcClientDuration), http: m.seconds(httpClientDuration), size: m.size(httpClientSize)}
	for _, s := range otlp.Signals() {
		for _, kv := range serverAttributes(destination(s)) {
			if kv.Key != attrPath.key {
				c.servers[s] = append(c.servers[s], kv)
			}
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Called records call.
func (c *Client) Called(ctx context.Context, call Call) {
	if call.URL == nil {
		c.calledRPC(ctx, &call)
		return
	}
	if !c.http.Enabled(ctx) && !c.size.Enabled(ctx) {
		return
	}
	set := c.https.get(httpKeyOf(&call), httpAttributes)
	c.http.Record(ctx, call.Took.Seconds(), set...)
	c.size.Record(ctx, int64(call.RequestBytes), set...)
}

func (c *Client) calledRPC(ctx context.Context, call *Call) {
	if !c.rpc.Enabled(ctx) || !call.Signal.Valid() {
		return
	}
	k := rpcKey{call.Signal, int(call.Code)}
	if k.code >= len(codeNames) {
		k.code = codeUnknown
	}
	c.rpc.Record(ctx, call.Took.Seconds(), c.rpcs.get(k, c.rpcAttributes)...)
}

func (c *Client) rpcAttributes(k rpcKey) []attribute.KeyValue {
	set := with(c.servers[k.signal], attrSystem.key.String("grpc"), attrRPC.key.String(k.signal.Spec().Method[1:]),
		attrCode.key.String(codeNames[k.code]))
	if k.code != 0 {
		set = append(set, attrErrorType.key.String(codeNames[k.code]))
	}
	return set
}

func httpKeyOf(call *Call) httpKey {
	k := httpKey{
		scheme: call.URL.Scheme, host: call.URL.Hostname(), port: call.URL.Port(),
		status: call.Status, version: versionOf(call.Protocol),
	}
	if k.status < 100 || k.status > 599 {
		k.status = 0
	}
	if k.status == 0 && call.Err != nil {
		k.failure = typeName(call.Err)
	}
	return k
}

func httpAttributes(k httpKey) []attribute.KeyValue {
	set := append([]attribute.KeyValue{attrMethod.key.String("POST"), attrAddress.key.String(k.host)}, protocolAttributes(k.version, k.scheme == "https")...)
	if port, err := strconv.Atoi(k.port); err == nil {
		set = append(set, attrPort.key.Int(port))
	}
	if k.status != 0 {
		set = append(set, attrStatus.key.Int(k.status))
	}
	if k.failure != "" {
		set = append(set, attrErrorType.key.String(k.failure))
	}
	return set
}

// typeName returns the name of an error's Go type, such as net.OpError.
func typeName(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == "" || t.Name() == "" {
		return t.String()
	}
	return t.PkgPath() + "." + t.Name()
}
